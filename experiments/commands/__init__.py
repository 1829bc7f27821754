"""The commands of `nas`, one a file: `add_arguments(parser)` and `run(args) -> int`."""
