"""The machine and the process: devices, threads, precisions, cores, memory, other programs, signals."""
