"""Runs a scaling that is hurt at a named moment: `python killed_scaling.py SETTINGS.json RUNS ENGINE MOMENT COUNT`.

Engines: `here`, `processes`, `ray`. Moments: `result` (the COUNT-th result is in the ledger), `line` (half of it is),
`members` (a member is written, coefficients.json is not), each of which kills this process; `worker` (kills the one
that the COUNT-th result came from), `never`.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scaling import family_folder
from scaling.members import Member
from scaling.scale_family import scale
from searchspace import Architecture
from training.run.ledger import Ledger


def main() -> None:
    given, runs, engine, moment, count = sys.argv[1:]
    left = int(count)
    append, write = Ledger.append, family_folder.write_member

    def hurt(line: str = "") -> None:
        nonlocal left
        left -= 1
        if left == 0:
            if moment == "worker":
                os.kill(json.loads(line)["process"], signal.SIGKILL)
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    def append_and_hurt(self: Ledger, line: str) -> None:
        is_result = '"kind":"result"' in line
        if moment == "line" and is_result:
            if left == 1:
                with open(self.path, "a") as file:
                    file.write(line[: len(line) // 2])
            hurt()
        append(self, line)
        if moment in ("result", "worker") and is_result:
            hurt(line)

    def write_and_hurt(folder: Path, member: Member, architecture: Architecture) -> None:
        write(folder, member, architecture)
        if moment == "members":
            hurt()

    Ledger.append, family_folder.write_member = append_and_hurt, write_and_hurt  # type: ignore[method-assign]
    scale(
        json.loads(Path(given).read_text()),
        runs=runs,
        name="a",
        resume=True,
        workers=1 if engine == "here" else 2,
        ray="local" if engine == "ray" else None,
    )


if __name__ == "__main__":
    main()
