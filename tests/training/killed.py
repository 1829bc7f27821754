"""Runs a search that kills itself at a named moment: `python killed.py SETTINGS.json RUNS MOMENT COUNT`.

Moments: `checkpoint` (a checkpoint's files are written, its name is not given yet), `after` (it has its name, the next
ledger line is not written), `ledger` (half a ledger line is written), `rescoring` (a score is computed, not written),
`results` (the winner is written, the summary is not), `never`.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from searchspace import schema
from training import checkpoint, report, scoring
from training.ledger import Ledger
from training.search import search


def main() -> None:
    given, runs, moment, count = sys.argv[1:]
    settings = json.loads(Path(given).read_text())
    left = int(count)

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, append, run, save = os.replace, Ledger.append, scoring.Scorer._run, checkpoint.save
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
    elif moment == "ledger":

        def half(self, line):
            if left == 1 and self.path.name == "ledger.jsonl":
                with open(self.path, "a") as file:
                    file.write(line[: len(line) // 2])
            if self.path.name == "ledger.jsonl":
                die()
            append(self, line)

        Ledger.append = half
    elif moment == "rescoring":

        def run_and_die(self, architecture, chunk):
            result = run(self, architecture, chunk)
            die()
            return result

        scoring.Scorer._run = run_and_die
    elif moment == "results":

        def write_or_die(path, content):
            schema.write_atomically(path, content)
            die()

        report.write_atomically = write_or_die
    search(settings, runs=runs, name="a", resume=True)


if __name__ == "__main__":
    main()
