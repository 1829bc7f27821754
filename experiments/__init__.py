"""What a user runs: one file per command of `nas`, the run folder's readers, reports and plots."""
