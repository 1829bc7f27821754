"""Settings of every test: one thread per worker (two workers run side by side), no screen, no deadlines."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch and numpy when they are first imported
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["COLUMNS"] = "120"  # the width of tables, whatever terminal runs the tests

from hypothesis import settings

settings.register_profile("house", deadline=None)  # no timed assertions: a loaded machine is not a failure
settings.load_profile("house")
