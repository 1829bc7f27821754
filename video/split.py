"""Which videos of a folder go to which part of a search: by group, stratified by class, reproducible."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

FRACTIONS: Mapping[str, float] = {"weights": 0.6, "controller": 0.2, "rescoring": 0.2}
"""Share of the training videos that each part gets, as nearly as whole groups allow."""

_ATTEMPTS = 64  # orders of the groups that are tried; the best split is kept
_STEPS_AT_MOST = 20_000  # groups times orders; with so many groups the first order fits well


def groups_of(names: Sequence[str], pattern: str | None) -> list[str]:
    """The group of each video: what the pattern's groups capture in its name, or the name itself without a pattern.

    Args:
        names: what to search: paths below the class folder, such as `s03_t1.mp4`.
        pattern: regular expression with at least one capturing group, searched for in the name.

    Raises:
        ValueError: the pattern is malformed, captures nothing, or does not match a name.
    """
    if pattern is None:
        return list(names)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group pattern {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups == 0:
        raise ValueError(f"group pattern {pattern!r} captures nothing: put round brackets around what names the group")
    groups = []
    for name in names:
        match = compiled.search(name)
        if match is None or not any(match.groups()):
            raise ValueError(f"group pattern {pattern!r} does not match {name!r}: every video needs a group")
        groups.append("/".join(part or "" for part in match.groups()))
    return groups


def split(
    labels: Sequence[int],
    groups: Sequence[str],
    classes: Sequence[str],
    seed: int,
    fractions: Mapping[str, float] = FRACTIONS,
) -> dict[str, list[int]]:
    """Divides videos into parts, by default those of a search; a group stays whole, every class is in every part.

    Args:
        labels: class of each video.
        groups: group of each video; may hold videos of several classes.
        classes: names, for messages.
        seed: another seed gives another split; the order of the videos does not matter beyond the indices returned.
        fractions: names of the parts, and the share of the videos that each gets, as nearly as whole groups allow.

    Returns:
        For each part, increasing indices of its videos.

    Raises:
        ValueError: a class has too few groups for one in each part, or no split found has every class in each part.
    """
    check_groups(labels, groups, classes, fractions)
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    per_class: dict[int, set[str]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        per_class[label].add(group)
    counts = {group: Counter(labels[i] for i in indices) for group, indices in members.items()}
    best: tuple[bool, float, dict[str, list[str]]] | None = None
    for attempt in range(max(1, min(_ATTEMPTS, _STEPS_AT_MOST // len(members)))):
        parts = _greedy(counts, _order(members, seed, attempt), fractions)
        candidate = (not _complete(parts, per_class), _misfit(parts, counts, fractions), parts)
        if best is None or candidate[:2] < best[:2]:
            best = candidate
    assert best is not None
    if best[0]:
        missing = next(
            (part, classes[label])
            for part, chosen in best[2].items()
            for label in per_class
            if not per_class[label] & set(chosen)
        )
        raise ValueError(
            f"no split by groups has every class in every part (part {missing[0]!r} would lack class {missing[1]!r}): "
            "add videos of other groups, leave the class out, or use a finer group pattern"
        )
    return {part: sorted(i for group in chosen for i in members[group]) for part, chosen in best[2].items()}


def check_groups(
    labels: Sequence[int], groups: Sequence[str], classes: Sequence[str], fractions: Mapping[str, float] = FRACTIONS
) -> None:
    """Refuses classes of too few groups for one in each part (raises `ValueError`); arguments as of `split`."""
    per_class: dict[int, set[str]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        per_class[label].add(group)
    grouped = len(set(groups)) < len(labels)
    for label, name in enumerate(classes):
        if len(per_class[label]) < len(fractions):
            count = sum(1 for other in labels if other == label)
            what = f"{count} usable videos" + (f" in {len(per_class[label])} groups" if grouped else "")
            needed = f"{len(fractions)} {'groups' if grouped else 'videos'}"
            raise ValueError(
                f"class {name!r} has {what}: at least {needed} of each class are needed, one for each of "
                f"{', '.join(fractions)}; add videos or leave the class out"
            )


def _order(members: Mapping[str, Sequence[int]], seed: int, attempt: int) -> list[str]:
    """Groups in an order that depends on their names and the seed only."""

    def lot(group: str) -> bytes:
        return hashlib.sha256(f"{seed}/{attempt}/{group}".encode("utf-8", "surrogatepass")).digest()

    return sorted(members, key=lot)


def _greedy(
    counts: Mapping[str, Counter[int]], order: Sequence[str], fractions: Mapping[str, float]
) -> dict[str, list[str]]:
    """Each group in turn to the part where it brings the class counts nearest to their targets."""
    totals: Counter[int] = Counter()
    for count in counts.values():
        totals.update(count)
    have: dict[str, Counter[int]] = {part: Counter() for part in fractions}
    chosen: dict[str, list[str]] = {part: [] for part in fractions}
    for group in order:

        def rise(part: str, count: Counter[int] = counts[group]) -> float:
            """Rise of the sum of (have - target)^2 / target over classes."""
            total = 0.0
            for label, more in count.items():
                target = fractions[part] * totals[label]
                total += ((have[part][label] + more - target) ** 2 - (have[part][label] - target) ** 2) / target
            return total

        part = min(fractions, key=rise)
        have[part].update(counts[group])
        chosen[part].append(group)
    return chosen


def _complete(parts: Mapping[str, Sequence[str]], per_class: Mapping[int, set[str]]) -> bool:
    sets = [set(chosen) for chosen in parts.values()]
    return not any(groups.isdisjoint(chosen) for groups in per_class.values() for chosen in sets)


def _misfit(
    parts: Mapping[str, Sequence[str]], counts: Mapping[str, Counter[int]], fractions: Mapping[str, float]
) -> float:
    """How far the parts' class counts are from their targets: the same sum that the greedy step lowers."""
    totals: Counter[int] = Counter()
    for count in counts.values():
        totals.update(count)
    total = 0.0
    for part, chosen in parts.items():
        have: Counter[int] = Counter()
        for group in chosen:
            have.update(counts[group])
        total += sum((have[label] - fractions[part] * n) ** 2 / (fractions[part] * n) for label, n in totals.items())
    return total
