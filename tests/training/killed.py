"""Runs a search that kills itself at a named moment: `python killed.py SETTINGS.json RUNS MOMENT COUNT`.

Moments: those of `Fuse.arm` (after `after` the next ledger line is not written), `rescoring` (a score is computed, not
written), `results` (the winner is written, the summary is not), `never`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from searchspace import schema
from tests.training.kills import Fuse
from training.search import search_results as report
from training.search import shared_weight_scores as scoring
from training.search.run_search import search


def main() -> None:
    fuse = Fuse()
    fuse.arm("ledger.jsonl")
    run = scoring.Scorer._run

    def run_and_die(self, architecture, chunk):
        result = run(self, architecture, chunk)
        fuse.die()
        return result

    def write_and_die(path, content):
        schema.write_atomically(path, content)
        fuse.die()

    if fuse.moment == "rescoring":
        scoring.Scorer._run = run_and_die
    elif fuse.moment == "results":
        report.write_atomically = write_and_die
    search(fuse.settings, runs=fuse.runs, name="a", resume=True)


if __name__ == "__main__":
    main()
