"""Ensembles as data: which member takes which frames, files, keys, costs, and one line for each mistake."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchspace
from searchspace import Architecture, Clip, Ensemble, Member, cost, load_spec, published
from tests.searchspace.test_architecture import _small
from tests.searchspace.util import counted, random_ensemble


def pair(**changes: Any) -> Ensemble:
    """Two small networks that take turns."""
    return dataclasses.replace(Ensemble.interleave([_small(name="one"), _small(name="two")], "pair"), **changes)


# -------------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_members_that_take_turns_share_all_frames(count: int) -> None:
    ensemble = Ensemble.interleave([_small()] * count)
    assert ensemble.clip == Clip(4 * count, 24, 24, 5 * count)
    assert [ensemble.stride(i) for i in range(count)] == [count] * count
    for frames in range(3 * count):
        shares = [ensemble.frames(i, frames) for i in range(count)]
        assert sum(shares) == frames
        assert shares == sorted(shares, reverse=True) and max(shares) == math.ceil(frames / count)


def test_a6_is_a4_and_a5_at_their_own_rates() -> None:
    a6 = published("A6")
    assert isinstance(a6, Ensemble)
    assert [member.architecture for member in a6.members] == [published("a4"), published("a5")]
    taken = [list(range(m.offset, a6.clip.frames, a6.stride(i))) for i, m in enumerate(a6.members)]
    assert (taken[0][:3], taken[1][:3]) == ([0, 3, 6], [1, 3, 5])
    assert [len(frames) for frames in taken] == [80, 120]
    assert a6.clip.seconds == pytest.approx(published("a4").clip.seconds) == pytest.approx(9.6)
    total = cost(a6)
    assert total.macs == cost(published("a4")).macs + cost(published("a5")).macs == 379_672_875_392
    assert total.macs == pytest.approx(386e9, rel=0.02)  # what the paper prints, whose A4 and A5 differ a little, too
    assert total.params == 11_349_463 + 18_650_523
    stream = published("a6", stream=True)
    assert [member.architecture for member in stream.members] == [published(n, stream=True) for n in ("a4", "a5")]
    assert stream.name == "a6-stream" and stream.causal and not a6.causal
    assert a6.streaming().members[0].architecture.form == searchspace.STREAM and stream.streaming() is stream
    assert cost(stream).state_bytes == 4 * (12_350_080 + 18_773_392 + 2 * 600)  # and the members' latest logits
    assert stream.receptive_frames == max(1 + 76 * 3, 1 + 94 * 2)


def test_smaller_members_see_frames_in_proportion() -> None:
    a6 = published("a6")
    assert a6.size(0, 320, 320) == (290, 290) and a6.size(1, 320, 320) == (320, 320)
    assert a6.size(0, 160, 240) == (145, 218)
    assert a6.size(0, 1, 1) == (1, 1)


# --------------------------------------------------------------------------------------------------------------- costs


@pytest.mark.parametrize("seed", range(20))
def test_cost_is_that_of_each_member_at_its_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ensemble = random_ensemble(rng)
    clip = Clip(int(rng.integers(1, 12)), int(rng.integers(20, 60)), int(rng.integers(20, 60)))
    macs, params = 0, 0
    for i, member in enumerate(ensemble.members):
        frames = len([t for t in range(clip.frames) if t % ensemble.stride(i) == member.offset])
        own = dataclasses.replace(clip, frames=max(frames, 1), height=clip.height, width=clip.width)
        height, width = ensemble.size(i, clip.height, clip.width)
        kinds, weights = counted(member.architecture, dataclasses.replace(own, height=height, width=width))
        macs += sum(kinds.values()) if frames else 0
        params += sum(weights.values())
    total = cost(ensemble, clip)
    assert (total.macs, total.params, total.clip) == (macs, params, clip)
    parts = ensemble.member_costs(clip)
    assert total.activation_bytes == 12 * math.prod((clip.frames, clip.height, clip.width)) + max(
        part.activation_bytes for part in parts
    )
    assert (total.state_bytes > 0) is ensemble.causal


def test_frames_cost_their_mean_on_streams() -> None:
    single = _small().streaming()
    ensemble = Ensemble.interleave([single, single, single])
    assert cost(ensemble).frame_macs == cost(single).frame_macs  # one member a frame
    assert cost(ensemble).macs == 3 * cost(single).macs
    slow, fast = published("a4", stream=True), published("a5", stream=True)
    expected = cost(slow).frame_macs / 3 + cost(fast).frame_macs / 2
    assert cost(published("a6", stream=True)).frame_macs == round(expected)


# ------------------------------------------------------------------------------------------------------- there and back


def test_random_ensembles_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        ensemble = random_ensemble(rng)
        ensemble.save(tmp_path / "arch.json")
        again = load_spec(tmp_path / "arch.json")
        assert again == ensemble and again.key() == ensemble.key()
        assert isinstance(again, Ensemble) and again.provenance == ensemble.provenance
        text = (tmp_path / "arch.json").read_text(encoding="utf-8")
        assert again.to_json() == text and json.loads(text) == ensemble.to_dict()


def test_one_door_for_both_forms(tmp_path: Path) -> None:
    _small().save(tmp_path / "one.json")
    pair().save(tmp_path / "two.json")
    assert load_spec(tmp_path / "one.json") == _small()
    assert load_spec(tmp_path / "two.json") == pair()
    with pytest.raises(ValueError, match=r"two.json.schema is 'movinas/ensemble/1'; allowed: movinas/architecture/1"):
        Architecture.load(tmp_path / "two.json")
    (tmp_path / "bad.json").write_text('{"schema": "movinas/ensembel/1"}')
    with pytest.raises(ValueError, match=r"allowed: movinas/architecture/1, movinas/ensemble/1.*; did you mean"):
        load_spec(tmp_path / "bad.json")
    with pytest.raises(ValueError, match=r"none.json: no such file; give the path of the arch.json file"):
        load_spec(tmp_path / "none.json")


def test_each_member_stands_in_the_file_as_in_one_of_its_own() -> None:
    lines = [line.strip() for line in published("a6").to_json().splitlines()]
    for name in ("a4", "a5"):
        own = [line.strip() for line in published(name).to_json().splitlines()]
        start = lines.index(own[3]) - 2
        assert lines[start : start + len(own) - 2] == own[1:-1]


def test_keys_name_layers_and_frames_and_nothing_else() -> None:
    key = pair().key()
    assert pair(name="other", provenance={"seed": 1}).key() == key
    assert Ensemble.interleave([_small(name="x"), _small(name="y")]).key() == key
    changed = [
        Ensemble.interleave([_small(), _small(dropout=0.3)]),
        Ensemble.interleave([_small(dropout=0.3), _small()]),
        Ensemble.interleave([_small()]),
        Ensemble.interleave([_small()] * 3),
        pair(members=(Member(_small(), 1), Member(_small(), 0))),
        pair(members=(Member(_small(), 0), Member(_small(), 0))),
        pair(clip=Clip(8, 48, 24, 10)),
    ]
    assert len({key, *(ensemble.key() for ensemble in changed)}) == len(changed) + 1


# ----------------------------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", "movinas/ensemble/2", "f.schema is 'movinas/ensemble/2'; allowed: movinas/ensemble/1"),
        ("members", [], "f.members is []; allowed: a list of 1 to 16 items"),
        ("members", 3, "f.members is 3; allowed: a list of 1 to 16 items"),
        ("members/0", "a4", "f.members[0] is 'a4'; it must be a mapping"),
        ("members/1/offset", -1, "f.members[1].offset is -1; allowed: a whole number from 0 to 4096"),
        ("members/1/offset", 2, "f.members[1].offset is 2; allowed: 0 to 1, as its clip 4x24x24@5 takes"),
        ("members/1/offset", 0.0, "f.members[1].offset is 0.0; allowed: a whole number"),
        ("members/0/offset", 1, "f.members[0].offset is 1, and no other is 0; allowed: one that takes frame 0"),
        ("members/0/weight", 1, "f.members[0]: unknown key 'weight' (known: architecture, offset)"),
        ("members/0/architecture", None, "f.members[0].architecture is None; it must be a mapping"),
        (
            "members/1/architecture/blocks/0/layers/0/stride",
            3,
            "f.members[1].architecture.blocks[0].layers[0].stride is 3; allowed: a whole number from 1 to 2",
        ),
        (
            "members/1/architecture/classes",
            6,
            "f.members[1].architecture.classes is 6, that of members[0] 5; allowed: the same in all members",
        ),
        (
            "members/1/architecture/causal",
            True,
            "f.members[1].architecture.causal is True, that of members[0] False; allowed: the same in all members",
        ),
        (
            "members/1/architecture/clip",
            "4x24x24@4",
            "f.members[1].architecture.clip is 4x24x24@4, the ensemble's clip 8x24x24@10: its frame rate is 0.4 of the "
            "ensemble's; allowed: 1, 1/2, 1/3, ... of it (1/2 for 2 members that take turns)",
        ),
        (
            "members/0/architecture/clip",
            "4x24x24@20",
            "f.members[0].architecture.clip is 4x24x24@20, the ensemble's clip 8x24x24@10: its frame rate is 2 of",
        ),
        (
            "clip",
            "12x24x24@10",
            "f.members[0].architecture.clip is 4x24x24@5, the ensemble's clip 12x24x24@10, of which it takes 6 frames, "
            "every 2. from 0 on; allowed: 8 frames in the ensemble's clip",
        ),
        ("clip", "8x24", "f.clip '8x24': write frames x height x width"),
        ("provenance", [], "f.provenance is []; allowed: a mapping"),
        ("classes", 5, "f: unknown key 'classes'"),
    ],
)
def test_every_mistake_is_named(path: str, value: object, message: str) -> None:
    data = pair(members=(Member(_small(), 0), Member(_small(), 1))).to_dict()
    if path == "members/0/offset":
        data["members"] = data["members"][:1]
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner: Any = data
    for part in parents:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(ValueError) as caught:
        Ensemble.from_dict(data, "f")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Member("a4", 0),  # type: ignore[arg-type]
        lambda: Ensemble("x", pair().clip, (Member(pair(), 0),)),
        lambda: Member(_small(), True),
        lambda: Ensemble("x", Clip(4, 24, 24), ()),
        lambda: Ensemble("x", Clip(4, 24, 24), (_small(),)),  # type: ignore[arg-type]
        lambda: Ensemble("x", Clip(4, 24, 24), [Member(_small(), 0)]),  # type: ignore[arg-type]
        lambda: Ensemble("x", (4, 24), (Member(_small(), 0),)),  # type: ignore[arg-type]
        lambda: pair(name="a\nb"),
        lambda: Ensemble.interleave([]),
        lambda: Ensemble.interleave([_small()] * 17),
        lambda: Ensemble.interleave([_small(), _small(clip=Clip(5, 24, 24))]),
        lambda: Ensemble.interleave([_small(), _small(clip=Clip(4, 24, 24, 6))]),
    ],
)
def test_nonsense_is_refused(build: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed: |must be") as caught:
        build()
    assert "\n" not in str(caught.value)


def test_ensembles_are_immutable_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair().name = "x"  # type: ignore[misc]
    assert len({pair(), pair(), pair(name="x")}) == 2


def test_published_ensembles_are_apart_from_single_networks() -> None:
    assert searchspace.published_ensembles() == ("a6",)
    assert "a6" not in searchspace.published_names()
    with pytest.raises(ValueError, match=r"known: .*t0, a6; did you mean 'a6'\?"):
        published("a66")
