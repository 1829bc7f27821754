"""Runs a retraining that kills itself at a named moment: `python retrain_killed.py SETTINGS.json RUNS MOMENT COUNT`.

Moments: those of `Fuse.arm`, `best` (the best network is written, the checkpoint of its step is not), `never`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import networks
from searchspace import load_spec
from tests.training.kills import Fuse
from training.retrain.run_retrain import retrain


def main() -> None:
    fuse = Fuse()
    fuse.arm("metrics.csv")
    save_trained = networks.save_trained

    def keep_and_die(*args, **kwargs):
        save_trained(*args, **kwargs)
        fuse.die()

    if fuse.moment == "best":
        networks.save_trained = keep_and_die
    architecture = load_spec(fuse.given.with_name("arch.json"))
    retrain(architecture, fuse.settings, runs=fuse.runs, name="a", resume=True)


if __name__ == "__main__":
    main()
