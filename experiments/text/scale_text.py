"""What `nas scale` says: how it understood the base, what the search will take, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from experiments.text import terminal as tables
from scaling.coefficients import DIMENSIONS, Coefficients
from scaling.family_base import Base
from scaling.family_folder import Family
from scaling.members import name_of, targets
from scaling.scale_config import ScaleConfig
from searchspace import cost
from searchspace.budget import budget_text
from searchspace.commands import command
from searchspace.targets import COEFFICIENTS
from training.run import read_json

if TYPE_CHECKING:
    from scaling.time_estimate import TimeEstimate


ROUNDED_UP = 1.25
"""Costs of small clips above their share by more than this are told."""


def understood(config: ScaleConfig, base: Base, given: Coefficients | None, ratio: float) -> list[str]:
    """The base, the targets, and coefficients that are not searched."""
    lines = list(base.notes)
    if given is not None:
        lines.append(f"coefficients: {given}; their product by the formula is {given.product:.3f}")
    amounts = targets(config.targets, config.exponents, base.macs, ratio)
    how = "base x" if config.targets is None else f"{config.targets};"
    pairs = (f"{name_of(e)} {tables.millions(target)}" for e, target in zip(config.exponents, amounts, strict=True))
    lines.append(f"targets ({how} {ratio:.3g} a step): {', '.join(pairs)}")
    return lines


def expected(
    config: ScaleConfig, base: Base, workers: int | None, ray: str | None, estimate: TimeEstimate
) -> list[str]:
    """What the search will train, and for how long."""
    clip = base.space.clip.at(base.proxy_side(config.search_resolution))
    rungs = ", ".join(f"{clips:,}" for clips in config.rungs)
    where = "in this process" if workers == 1 else f"in {workers} processes"
    if ray is not None:
        where = f"on Ray at {ray}, " + (f"{workers} at a time" if workers else "counted as one at a time")
    batches = "" if config.sampler == "random" else f", proposed by {config.sampler}"
    how = "as they come (ASHA)" if config.asynchronous else "rung by rung"
    return [
        f"trials: {config.trials}{batches}; rungs of {rungs} training clips, {how}; the base trains at {clip} "
        f"({tables.millions(cost(base.architecture, clip).macs)}), all members shrunk alike",
        f"estimate: {estimate.trainings} trainings {where}, {config.threads} thread(s) each: about "
        f"{max(1, round(estimate.seconds / 60))} min, by a few steps measured just now",
    ]


def coefficients(found: Family) -> Table:
    """What was found beside what the published networks show."""
    published = found.data["published"]
    rows = [
        [name.replace("_", " "), f"{found.coefficients.to_dict()[name]:.3f}"]
        + [f"{published[key][name]:.3f}" for key in ("steps", "fit")]
        for name in DIMENSIONS
    ]
    rows.append(
        ["expected MACs", f"{found.data['growth']:.3f}", *(f"{published[k]['macs']:.3f}" for k in ("steps", "fit"))]
    )
    return tables.grid(["a step multiplies", "this family", "published A2 to A5", "fit over A0 to A5"], rows, [1, 2, 3])


def members(found: Family) -> Table:
    """A row for each member."""
    rows = []
    for member in found.members:
        architecture = member.architecture
        rows.append(
            [
                member.name,
                tables.millions(member.macs),
                f"{member.macs / member.target - 1:+.1%}",
                str(architecture.clip),
                str(architecture.depth),
                str(architecture.blocks[-1].width),
                tables.millions(member.params),
                *([tables.megabytes(member.state_bytes)] if architecture.causal else []),
                str(member.changed),
            ]
        )
    state = ["state"] if found.members[0].architecture.causal else []
    headers = [
        "member",
        "MACs",
        "of target",
        "clip",
        "layers",
        "last width",
        "parameters",
        *state,
        "repaired decisions",
    ]
    return tables.grid(headers, rows, [1, 2, *range(4, len(headers))])


def proxy_notes(found: Family) -> list[str]:
    """A line for each member whose networks were far dearer at the small clips of the trials than its target says."""
    lines = []
    for name, costs in found.data["proxies"].items():
        if costs["most"] > costs["share"] * ROUNDED_UP:
            least, most, share = (tables.millions(costs[key]) for key in ("least", "most", "share"))
            lines.append(
                f"the trials' networks of {name} cost {least} to {most} at their small clips, where {share} "
                "would be in proportion: strides round odd sides up, which favours trials that change the resolution"
            )
    return lines


def result(found: Family, pictures: Sequence[Path]) -> list[str]:
    """The verdict, the files and the next command."""
    lines = []
    if found.data["verdict"] is not None:
        tried = found.data["trials"]
        failed = sum(all(rung["accuracy"] is None for rung in trial["rungs"]) for trial in tried)
        lines.append(f"trial {found.data['chosen']} of {len(tried)} was chosen" + f"; {failed} failed" * bool(failed))
        lines.append(found.data["verdict"]["text"])
        lines += [f"note: {text}" for text in proxy_notes(found)]
    lines.append(f"family: {found.folder}: {COEFFICIENTS}, and a space and an arch.json for each member")
    lines += [f"picture: {path}" for path in pictures]
    if not pictures:
        lines.append("no picture: given coefficients train nothing")
    first, last = found.members[0], found.members[-1]
    budget = budget_text("macs", first.macs)  # which a network of its space costs
    config = read_json(found.folder / "config.json")
    data = {key: config.get(key) for key in ("data", "videos", "group")}
    return [
        *lines,
        f"next: {command('retrain', found.folder, seeds=3, parallel=2, dry_run=True)}",
        f"      {command('show', *(found.folder / f'{member.name}.json' for member in (first, last)))}",
        f"      {command('search', space=found.folder / f'{first.name}.yaml', budget=budget, **data)}",
    ]
