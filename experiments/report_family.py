"""A family's front for `nas report`: its members in order, and what each step up gains."""

from __future__ import annotations

from experiments.report_data import Comparison, Entry, Group, compare, read_entry
from scaling import family_folder
from scaling.family_training import FamilyTraining, TrainedMember, find_group, load_trained
from scaling.member_gains import MeasuredMember, member_gains
from searchspace.commands import command, go_on
from searchspace.targets import Target
from training.run import FamilyRun, FamilyTrainingRun


def trainings_of(target: Target) -> FamilyTraining | None:
    """The trainings of a family, its newest, or of the folder of some; None for what is no family.

    Raises:
        ValueError: a family that is not finished, or without trainings.
    """
    if isinstance(target, FamilyTrainingRun):
        return load_trained(target)
    if not isinstance(target, FamilyRun):
        return None
    if not target.finished:
        raise target.unfinished()
    folder = target.folder
    group = find_group(folder, None, {})
    if group is None:
        raise ValueError(f"no member of {folder} is trained; train them with: {command('retrain', folder, seeds=3)}")
    return load_trained(FamilyTrainingRun.open(group.path))


def entries_of(found: FamilyTraining) -> dict[TrainedMember, Entry]:
    """Its finished runs; raises `ValueError` where there is none."""
    finished = {row: read_entry(row.run) for row in found.rows if row.accuracy is not None}
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
            losses = tuple(loss for row in done if (loss := row.run.final_loss) is not None)
            groups.append(group)
            accuracies = tuple(entry.accuracy for entry in group.entries)
            tested = min(entry.videos or 0 for entry in group.entries)
            measured.append(MeasuredMember(member, accuracies, losses, tested, group.entries[0].architecture.classes))
    every = [member.name for member in family_folder.load(found.folder.parent).members]
    absent = [name for name in every if name not in {row.member for row in found.rows}]
    if absent:
        notes.append(f"Not trained: {', '.join(absent)}.")
    return Comparison(tuple(groups), (), tuple(notes), family=True, steps=tuple(member_gains(measured)))
