"""A space: what its file offers, how many networks it holds, its points and the way back to choices."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import searchspace
from searchspace import Architecture, Clip, Kernel, Stem
from searchspace.channels import round_width
from tests.searchspace.util import USERS, every, random_space, read


def _layers(architecture: Architecture) -> tuple[object, ...]:
    return (architecture.blocks, architecture.head)


# -------------------------------------------------------------------------------------------------- the built-in space


def test_the_movinet_space() -> None:
    space = searchspace.load("movinet")
    assert searchspace.names() == ("movinet",)
    assert (str(space.clip), space.classes, space.stem, space.hidden) == ("8x128x128@5", 600, Stem(16), 2048)
    assert space.heads == (384, 512, 640)
    assert [block.widths for block in space.blocks] == [
        (16, 24, 32),  # 18 and 30 round up and down
        (40, 48, 64),  # 36 and 60 lie half-way: up
        (72, 96, 120),
        (72, 96, 120),
        (144, 192, 240),
    ]
    assert [block.stride for block in space.blocks] == [2, 2, 2, 1, 2]
    assert [block.expansions for block in space.blocks] == [
        (40, 48, 64, 72, 88, 96),
        (72, 96, 120, 144, 168, 192),
        (144, 192, 240, 288, 336, 384),
        (144, 192, 240, 288, 336, 384),
        (288, 384, 480, 576, 672, 768),
    ]
    kernels = tuple(Kernel(*k) for k in ((1, 3, 3), (1, 5, 5), (1, 7, 7), (5, 1, 1), (7, 1, 1), (3, 3, 3), (5, 3, 3)))
    assert space.kernels == kernels
    for block in space.blocks:
        assert block.depths == tuple(range(1, 11)) and block.kernels == kernels and block.squeezes == (False, True)


def test_size_of_the_movinet_space() -> None:
    """By hand: 84 different layers, 3 widths, 1 to 10 layers a block, 3 heads."""
    space = searchspace.load("movinet")
    assert space.encodings() == (3 * 10 * 84**10) ** 5 * 3
    assert space.networks() == (3 * sum(84**depth for depth in range(1, 11))) ** 5 * 3
    assert math.log10(space.networks()) == pytest.approx(99.1, abs=0.01)


@pytest.mark.parametrize(("exact", "rounded"), [(18, 16), (36, 40), (60, 64), (30, 32), (12, 16), (3, 8), (0.1, 8)])
def test_rounding_of_widths(exact: float, rounded: int) -> None:
    assert round_width(exact) == rounded


def test_projections_are_where_stride_or_widths_differ() -> None:
    space = searchspace.load("movinet")
    seen = set()
    for row in space.decisions.sample(np.random.default_rng(0), 100):
        architecture = space.architecture(row)
        for position in architecture.layers():
            if position.index:
                assert not position.has_projection and position.in_width == position.width
            elif position.block == 3:
                differs = architecture.blocks[2].width != architecture.blocks[3].width
                assert position.has_projection == differs
                seen.add(differs)
            else:
                assert position.has_projection and position.layer.stride == 2
    assert seen == {True, False}


# ------------------------------------------------------------------------------------------------------- files of users


def test_a_users_space() -> None:
    space = read(USERS)
    first, second, third = space.blocks
    assert (first.depths, second.depths, third.depths) == ((1, 4), (2, 3, 5), (2, 3, 5))
    assert second.kernels == (Kernel(1, 3, 3), Kernel(9, 1, 1)) and first.kernels[1] == Kernel(1, 1, 1)
    assert space.kernels == (Kernel(3, 5, 5), Kernel(1, 1, 1), Kernel(1, 9, 9), Kernel(1, 3, 3), Kernel(9, 1, 1))
    assert (first.squeezes, second.squeezes) == ((True,), (False, True))
    assert (first.widths, third.widths) == ((8, 16, 24), (72,))
    assert third.expansions == (144, 360), "2 and 2.02 times 72 are the same 144 channels"
    assert space.stem == Stem(24, Kernel(1, 5, 5)) and space.heads == (200, 400)
    assert (space.clip, space.classes, space.dropout) == (Clip(12, 90, 70, 12.5), 17, 0.2)


def test_equal_choices_are_merged() -> None:
    text = USERS.replace("[0.5, 1, 1.5]", "[1, 1.01, 1.0, 0.99]").replace("[2, 5, 3]", "[2, 2, 3]")
    text = text.replace("[3x5x5, 1x1x1, 1x9x9]", "[1x1x1, 3x5x5, 1x1x1]").replace("se: [true]", "se: [true, true]")
    block = read(text).blocks[2]
    assert (block.widths, block.depths, block.squeezes) == ((72,), (2, 3), (True,))
    assert block.kernels == (Kernel(1, 1, 1), Kernel(3, 5, 5))


def test_spaces_from_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(USERS)
    space = searchspace.load(file)
    assert space == searchspace.load(str(file)) == read(USERS)
    file.write_text("\ufeff" + USERS, encoding="utf-8")  # as some editors do
    assert searchspace.load(file) == space


@pytest.mark.parametrize("name", ["movinet", "mine"])
def test_a_space_writes_itself(name: str) -> None:
    space = searchspace.load(name) if name == "movinet" else read(USERS)
    again = read(space.to_yaml())
    assert again == space and again.to_yaml() == space.to_yaml()
    other = space.with_classes(12)
    assert other.classes == 12 and read(other.to_yaml()) == other != space
    assert other.decisions == space.decisions
    with pytest.raises(ValueError, match="0 classes"):
        space.with_classes(0)


def test_unknown_spaces(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"space 'movienet' is not built in; did you mean 'movinet'\?; known: movinet"):
        searchspace.load("movienet")
    for path in (tmp_path / "absent.yaml", "absent.yml", "no/such"):
        with pytest.raises(ValueError, match="no such file; give the path of the space YAML"):
            searchspace.load(path)
    with pytest.raises(ValueError, match="is a folder"):
        searchspace.load(tmp_path)
    for odd in ("x" * 5000, "a\0b", ""):
        with pytest.raises(ValueError, match="is not built in"):
            searchspace.load(odd)


# ---------------------------------------------------------------------------------------------------- counting networks


@pytest.mark.parametrize("seed", range(12))
def test_sizes_by_brute_force(seed: int) -> None:
    space = random_space(np.random.default_rng(seed), most=3000)
    rows = every(space)
    assert len(rows) == space.encodings()
    networks = {_layers(space.architecture(row)) for row in rows}
    assert len(networks) == space.networks()
    canonical = {tuple(row) for row in space.decisions.canonical(rows)}
    assert len(canonical) == space.networks(), "one canonical row a network"


def test_largest() -> None:
    for space in (searchspace.load("movinet"), read(USERS)):
        architecture = space.architecture(space.largest())
        assert [block.width for block in architecture.blocks] == [block.widths[-1] for block in space.blocks]
        assert [len(block.layers) for block in architecture.blocks] == [block.depths[-1] for block in space.blocks]
        assert architecture.head.width == space.heads[-1]


# ------------------------------------------------------------------------------------------------------ there and back


def test_an_architecture_says_where_it_came_from() -> None:
    space = read(USERS)
    architecture = space.architecture(space.largest(), "winner", seed=3, accuracy=0.5)
    assert architecture.name == "winner"
    assert architecture.provenance == {"space": "mine", "seed": 3, "accuracy": 0.5}
    assert (architecture.clip, architecture.classes) == (space.clip, 17)
    assert Architecture.from_json(architecture.to_json()) == architecture


@pytest.mark.parametrize("name", ["movinet", "mine"])
def test_choices_round_trip(name: str) -> None:
    space = searchspace.load(name) if name == "movinet" else read(USERS)
    for row in space.decisions.sample(np.random.default_rng(1), 200):
        architecture = space.architecture(row)
        np.testing.assert_array_equal(space.choices(architecture), row)
        found = space.nearest(architecture)
        assert found.changes == [] and _layers(found.architecture) == _layers(architecture)


def test_nearest_to_a2_is_one_step_away() -> None:
    space = searchspace.load("movinet")
    a2 = searchspace.published("a2")
    found = space.nearest(a2)
    assert found.changes == ["blocks/2/layers/1/expansion: 160 -> 144"]
    assert [len(block.layers) for block in found.architecture.blocks] == [3, 5, 5, 6, 7]
    assert [block.width for block in found.architecture.blocks] == [16, 40, 72, 72, 144]
    assert space.nearest(found.architecture).changes == []
    with pytest.raises(ValueError, match=r"'a2' is not a point of space 'movinet': blocks/2/layers/1/expansion: 160"):
        space.choices(a2)


def test_nearest_to_the_other_published_networks() -> None:
    space = searchspace.load("movinet")
    changes = {name: space.nearest(searchspace.published(name)).changes for name in searchspace.published_names()}
    stem = "stem/width: {} -> 16"
    for name, width in {"a0": 8, "a4": 24, "a5": 24, "t0": 8}.items():
        assert stem.format(width) in changes[name]
    assert not any("stem" in change for name in ("a1", "a2", "a3") for change in changes[name])
    assert "blocks/0/width: 8 -> 16" in changes["a0"] and "blocks/0/layers/0/expansion: 24 -> 40" in changes["a0"]
    assert "blocks/4/depth: 13 -> 10" in changes["a4"]
    assert [change for change in changes["a5"] if "depth" in change] == [
        "blocks/1/depth: 11 -> 10",
        "blocks/2/depth: 13 -> 10",
        "blocks/3/depth: 11 -> 10",
        "blocks/4/depth: 18 -> 10",
    ]
    assert "head/hidden: 1024 -> 2048" in changes["t0"] and "head/width: 240 -> 384" in changes["t0"]
    for name, found in changes.items():
        assert not any("kernel" in change.split(":")[0] or "/se" in change for change in found), name


def test_nearest_of_every_decision() -> None:
    """Each kind of difference is named, and nothing else."""
    space = read(USERS)
    point = space.architecture(space.decisions.canonical(np.zeros(len(space.decisions), dtype=np.int8)))

    def data() -> dict:
        return point.to_dict()

    def changed(edit) -> list[str]:
        edited = data()
        edit(edited)
        return space.nearest(Architecture.from_dict(edited)).changes

    def layer(edited: dict, block: int, index: int) -> dict:
        return edited["blocks"][block]["layers"][index]

    assert changed(lambda d: None) == []
    assert changed(lambda d: d["blocks"][0].update(width=13)) == ["blocks/0/width: 13 -> 16"]
    assert changed(lambda d: layer(d, 1, 1).update(kernel="7x1x1")) == ["blocks/1/layers/1/kernel: 7x1x1 -> 9x1x1"]
    assert changed(lambda d: layer(d, 2, 0).update(expand=150)) == ["blocks/2/layers/0/expansion: 150 -> 144"]
    assert changed(lambda d: layer(d, 0, 0).update(squeeze=0)) == ["blocks/0/layers/0/se: False -> True"]
    assert changed(lambda d: layer(d, 0, 0).update(squeeze=3)) == ["blocks/0/layers/0/squeeze: 3 -> 8"]
    assert changed(lambda d: layer(d, 0, 0).update(stride=2)) == ["blocks/0/layers/0/stride: 2 -> 1"]
    assert changed(lambda d: layer(d, 1, 1).update(stride=2)) == ["blocks/1/layers/1/stride: 2 -> 1"]
    assert changed(lambda d: d["head"].update(width=290)) == ["head/width: 290 -> 200"]
    assert changed(lambda d: d["head"].update(hidden=301)) == ["head/hidden: 301 -> 300"]
    assert changed(lambda d: d["stem"].update(width=25)) == ["stem/width: 25 -> 24"]
    assert changed(lambda d: d["stem"].update(kernel="1x3x3")) == ["stem/kernel: 1x3x3 -> 1x5x5"]
    deeper = changed(lambda d: d["blocks"][1].update(layers=d["blocks"][1]["layers"] * 2))
    assert "blocks/1/depth: 4 -> 3" in deeper


def test_another_number_of_blocks() -> None:
    with pytest.raises(ValueError, match=r"'a2' has 5 blocks, space 'mine' 3; only networks of as many blocks"):
        read(USERS).nearest(searchspace.published("a2"))
