"""Runs a retraining that kills itself at a named moment: `python retrain_killed.py SETTINGS.json RUNS MOMENT COUNT`.

Moments: `checkpoint` (a checkpoint's files are written, its name is not given yet), `after` (it has its name), `best`
(the best network is written, the checkpoint of its step is not), `ledger` (half a line of metrics is written), `never`.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import networks
from searchspace import load_architecture
from training import checkpoint
from training.ledger import Ledger
from training.retrain import retrain


def main() -> None:
    given, runs, moment, count = sys.argv[1:]
    settings = json.loads(Path(given).read_text())
    left = int(count)

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, append, save, save_trained = os.replace, Ledger.append, checkpoint.save, networks.save_trained
    if moment == "checkpoint":

        def replace_or_die(source, target):
            if "step-" in str(target):
                die()
            replace(source, target)

        checkpoint.os.replace = replace_or_die
    elif moment == "after":

        def save_and_die(*args):
            save(*args)
            die()

        checkpoint.save = save_and_die
    elif moment == "best":

        def keep_and_die(*args, **kwargs):
            save_trained(*args, **kwargs)
            die()

        networks.save_trained = keep_and_die
    elif moment == "ledger":

        def half(self, line):
            if self.path.name == "metrics.csv":
                if left == 1:
                    with open(self.path, "a") as file:
                        file.write(line[: len(line) // 2])
                die()
            append(self, line)

        Ledger.append = half
    architecture = load_architecture(Path(given).with_name("arch.json"))
    retrain(architecture, settings, runs=runs, name="a", resume=True)


if __name__ == "__main__":
    main()
