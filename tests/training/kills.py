"""Killing a script of runs from outside, at a moment that it names or at random ones: what the proofs by kills share.

A script is called `python SCRIPT SETTINGS.json RUNS MOMENT COUNT` and goes on with the run `a` of the folder RUNS; it
kills itself when the moment has come for the COUNTth time, see `Fuse`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


class Script:
    """One of the scripts beside this file."""

    def __init__(self, name: str) -> None:
        self.path = Path(__file__).with_name(name)

    def start(self, given: Path, runs: Path, moment: str = "never", count: int = 1) -> subprocess.Popen:
        command = [sys.executable, str(self.path), str(given), str(runs), moment, str(count)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)

    def finish(self, given: Path, runs: Path) -> float:
        """Runs to the end; returns the seconds that it took."""
        begin = time.monotonic()
        process = self.start(given, runs)
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        return time.monotonic() - begin

    def die_at(self, words: str, given: Path, runs: Path) -> None:
        """Runs until it kills itself at a moment such as `checkpoint 3`, and then to the end."""
        moment, count = [*words.split(), 1][:2]
        process = self.start(given, runs, moment, count)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (runs / "a" / "summary.json").exists()
        self.finish(given, runs)

    def die_often(
        self,
        kills: int,
        shares: tuple[float, float],
        given: Path,
        runs: Path,
        seconds: float,
        check: Callable[[], None],
    ) -> None:
        """Kills it after random shares of its time until it died so often, then runs to the end.

        `check` is called on each run `a` that came to its end; those are moved aside.
        """
        draw = random.Random(0)
        died = finished = 0
        while died < kills:
            assert finished < 10 * kills, "runs end before they are killed"
            process = self.start(given, runs)
            try:
                process.wait(draw.uniform(*shares) * seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                died += 1
            process.communicate()
            if (runs / "a" / "summary.json").exists():
                check()
                (runs / "a").rename(runs / f"done-{finished}")
                finished += 1
        self.finish(given, runs)
        check()


class Fuse:
    """In a script: what it was called with, and its end at the COUNTth time that the moment comes.

    Attributes:
        settings: of the run.
        given: the file that they came from.
        runs: folder of runs.
        moment: when to die.
        left: how many times it has yet to come.
    """

    def __init__(self) -> None:
        given, self.runs, self.moment, count = sys.argv[1:]
        self.given, self.left = Path(given), int(count)
        self.settings = json.loads(self.given.read_text())

    def die(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self, ledger_file: str) -> None:
        """Sets up the moments that every kind of run has.

        `checkpoint`: a checkpoint's files are written, its name is not given yet; `after`: it has its name; `ledger`:
        half a line of `ledger_file` is written; `starting`: a file of the run is written,
        whose folder has not its name yet.
        """
        from training.run import run_folder
        from training.run.ledger import Ledger
        from training.steps import checkpoint

        write = run_folder.write_atomically
        replace, append, save = os.replace, Ledger.append, checkpoint.save

        def replace_or_die(source, target):
            if "step-" in str(target):
                self.die()
            replace(source, target)

        def save_and_die(*args):
            save(*args)
            self.die()

        def half(ledger, line):
            if ledger.path.name == ledger_file:
                if self.left == 1:
                    with open(ledger.path, "a") as file:
                        file.write(line[: len(line) // 2])
                self.die()
            append(ledger, line)

        def write_and_die(*args):
            write(*args)
            self.die()

        if self.moment == "starting":
            run_folder.write_atomically = write_and_die
        elif self.moment == "checkpoint":
            checkpoint.os.replace = replace_or_die
        elif self.moment == "after":
            checkpoint.save = save_and_die
        elif self.moment == "ledger":
            Ledger.append = half
