"""A family's front for `nas report`: its members in order, and what each step up gains."""

from __future__ import annotations

from pathlib import Path

from experiments.report_data import Comparison, Entry, Group, compare, read_entry
from experiments.retrain_family import find
from scaling import family_folder
from scaling.family_training import PREFIX, FamilyTraining, TrainedMember, final_loss, find_group, load_trained
from scaling.member_gains import MeasuredMember, member_gains
from searchspace.commands import command, go_on
from training.formats import COMMAND
from training.run import CONFIG, read_json


def find_trained_family(word: str, runs: Path) -> FamilyTraining | None:
    """The trainings of a family that a word means: the family (its newest), or the folder of its trainings.

    Args:
        word: a path, or a name in `runs`.
        runs: folder of all runs.

    Raises:
        ValueError: a family without trainings.
    """
    path = Path(word)
    if (path / CONFIG).is_file() and read_json(path / CONFIG, COMMAND).get("command") == PREFIX:
        return load_trained(path)
    folder = find(word, runs)
    if folder is None:
        return None
    group = find_group(folder, None, {})
    if group is None:
        raise ValueError(f"no member of {folder} is trained; train them with: {command('retrain', folder, seeds=3)}")
    return load_trained(group.path)


def entries_of(found: FamilyTraining) -> dict[TrainedMember, Entry]:
    """Its finished runs; raises `ValueError` where there is none."""
    finished = {row: read_entry(str(row.path), found.folder) for row in found.rows if row.accuracy is not None}
    if not finished:
        again = go_on("retrain", found.folder, found.folder.parent)
        raise ValueError(f"no training in {found.folder} is finished; go on with: {again}")
    return finished


def front(found: FamilyTraining) -> Comparison:
    """The family's members by cost, each over its seeds, with the steps between them.

    Raises:
        ValueError: no training is finished.
    """
    entries = entries_of(found)
    groups, measured = [], []
    notes = list(compare(list(entries.values())).notes)
    for member in dict.fromkeys(row.member for row in found.rows):
        rows = [row for row in found.rows if row.member == member]
        done = [row for row in rows if row in entries]
        if len(done) < len(rows):
            notes.append(f"{member}: {len(rows) - len(done)} of {len(rows)} trainings are not finished.")
        if done:
            group = Group(member, tuple(entries[row] for row in done))
            losses = tuple(loss for row in done if (loss := final_loss(row.path)) is not None)
            groups.append(group)
            accuracies = tuple(entry.accuracy for entry in group.entries)
            tested = min(entry.videos or 0 for entry in group.entries)
            measured.append(MeasuredMember(member, accuracies, losses, tested, group.entries[0].architecture.classes))
    every = [member.name for member in family_folder.load(found.folder.parent).members]
    absent = [name for name in every if name not in {row.member for row in found.rows}]
    if absent:
        notes.append(f"Not trained: {', '.join(absent)}.")
    return Comparison(tuple(groups), (), tuple(notes), family=True, steps=tuple(member_gains(measured)))
