"""What each warm-up strategy replaces, how often, and what it says about it."""

import numpy as np
import pytest

import searchspace
from searchspace import Choices, Kernel
from supernet import Centre, Path, Warmup
from supernet.warmup import Strategy
from tests.supernet.util import draw, sample, small_space

SPACE = small_space()
K = 400


def run(strategy: Strategy, progress: float, choices: Choices, **options: object) -> tuple[list[Path], np.ndarray]:
    return Warmup(SPACE, strategy, **options)(choices, progress, np.random.default_rng(0))


def rows(paths: list[Path]) -> Choices:
    return np.stack([SPACE.choices(path.architecture) for path in paths])


def unchanged(paths: list[Path], replaced: np.ndarray, choices: Choices) -> bool:
    return not replaced.any() and (rows(paths) == choices).all() and not any(path.averaged for path in paths)


def test_nothing_is_replaced_after_the_warm_up() -> None:
    choices = sample(SPACE, 1, 8)
    for strategy, fraction in (("tunas", 0.25), ("sandwich", 0.25), ("boot", 0.35)):
        assert unchanged(*run(strategy, fraction, choices), choices)
        assert not unchanged(*run(strategy, fraction - 0.05, choices), choices)
    assert unchanged(*run("uniform", 0.0, choices), choices)


def test_probability_falls_linearly() -> None:
    warmup = Warmup(SPACE, "boot", 0.5)
    assert [warmup.probability(t) for t in (0.0, 0.125, 0.25, 0.5, 1.0)] == [1.0, 0.75, 0.5, 0.0, 0.0]
    assert Warmup(SPACE, "tunas", 0.0).probability(0.0) == 0.0


def test_tunas_at_the_start_averages_and_takes_the_largest() -> None:
    paths, replaced = run("tunas", 0.0, sample(SPACE, 2, 3))
    largest = SPACE.architecture(SPACE.largest())
    every = {(b, i, kind) for b in range(3) for i in range(3) for kind in ("kernel", "se")}
    for path in paths:
        assert path.averaged == every
        assert path.architecture.head == largest.head
        for block, top in zip(path.architecture.blocks, largest.blocks, strict=True):
            assert block.width == top.width
            assert [layer.expand for layer in block.layers] == [layer.expand for layer in top.layers]
            assert all(layer.squeeze > 0 for layer in block.layers)
    assert replaced.all()


def test_tunas_decisions_are_independent() -> None:
    """Half-way each decision is replaced in half of the micro-batches, and no two go together."""
    choices = np.repeat(np.zeros((1, len(SPACE.decisions)), dtype=np.int8), K, 0)
    paths, replaced = run("tunas", 0.125, choices)
    base = [i for i, condition in enumerate(SPACE.decisions.conditions) if condition is None]
    rates = replaced[:, base].mean(0)
    assert np.abs(rates - 0.5).max() < 4 * 0.5 / np.sqrt(K)
    correlations = np.corrcoef(replaced[:, base].T) - np.eye(len(base))
    assert np.abs(correlations).max() < 5 / np.sqrt(K)
    kernel = SPACE.decisions.index("blocks/1/layers/0/kernel")
    assert [(1, 0, "kernel") in path.averaged for path in paths] == replaced[:, kernel].tolist()
    width = SPACE.decisions.index("blocks/1/width")
    assert (rows(paths)[:, width] == np.where(replaced[:, width], SPACE.largest()[width], 0)).all()


def test_layers_that_a_deeper_path_adds_are_drawn() -> None:
    """Their decisions were never sampled: they vary, and count as replaced."""
    choices = np.zeros((K, len(SPACE.decisions)), dtype=np.int8)
    paths, replaced = run("tunas", 0.2, choices)
    expansion = SPACE.decisions.index("blocks/0/layers/2/expansion")
    deep = np.array([len(path.architecture.blocks[0].layers) == 3 for path in paths])
    assert 0 < deep.sum() < K
    assert replaced[deep, expansion].all()
    assert set(rows(paths)[deep, expansion].tolist()) == {0, 1, 2}


def test_sandwich_runs_largest_smallest_and_samples() -> None:
    choices = sample(SPACE, 3, 5)
    paths, replaced = run("sandwich", 0.1, choices)
    found = rows(paths)
    assert (found[0] == SPACE.largest()).all() and (found[1] == 0).all()
    assert (found[2:] == choices[2:]).all()
    assert replaced[:2].all() and not replaced[2:].any()


def test_sandwich_of_single_micro_batches_draws_roles() -> None:
    warmup, rng = Warmup(SPACE, "sandwich"), np.random.default_rng(0)
    choices = sample(SPACE, 4, 1)
    seen = [rows(warmup(choices, 0.0, rng)[0])[0] for _ in range(60)]
    kinds = [(row == SPACE.largest()).all() * 2 + (row == 0).all() for row in seen]
    assert {kinds.count(kind) > 8 for kind in (0, 1, 2)} == {True}


def test_boot_starts_at_the_centre_and_lets_go() -> None:
    choices = sample(SPACE, 5, 4)
    paths, replaced = run("boot", 0.0, choices)
    for path in paths:
        for block, offered in zip(path.architecture.blocks, SPACE.blocks, strict=True):
            assert block.width == offered.base
            assert len(block.layers) == 2
            for layer in block.layers:
                assert layer.kernel == Kernel(3, 3, 3) and layer.squeeze > 0
                assert layer.expand == offered.base * 2
    assert replaced.all()
    half, replaced = run("boot", 0.175, np.repeat(choices[:1], K, 0))
    width = SPACE.decisions.index("blocks/2/width")
    assert abs(replaced[:, width].mean() - 0.5) < 4 * 0.5 / np.sqrt(K)
    assert set(rows(half)[:, width].tolist()) <= {1, int(choices[0, width])}


def test_sampled_layers_that_boot_cuts_off_count_as_replaced() -> None:
    deep = SPACE.largest()[None]
    paths, replaced = run("boot", 0.0001, np.repeat(deep, 50, 0))
    kernel = SPACE.decisions.index("blocks/0/layers/2/kernel")
    cut = np.array([len(path.architecture.blocks[0].layers) < 3 for path in paths])
    assert cut.any() and replaced[cut, kernel].all()


def test_centre_on_the_movinet_space() -> None:
    space = searchspace.load("movinet")
    network = space.architecture(space.decisions.canonical(Centre().choices(space)))
    assert [block.width for block in network.blocks] == [24, 48, 96, 96, 192]
    assert {len(block.layers) for block in network.blocks} == {2}
    assert [block.layers[0].expand for block in network.blocks] == [48, 96, 192, 192, 384]
    assert {str(layer.kernel) for block in network.blocks for layer in block.layers} == {"3x3x3"}
    assert network.head.width == 512
    other = Centre(width=0.75, expansion=3.4, depth=4, kernel=Kernel(1, 5, 5), se=False)
    network = space.architecture(space.decisions.canonical(other.choices(space)))
    assert network.blocks[1].width == 40 and len(network.blocks[1].layers) == 4
    assert network.blocks[1].layers[3].expand == 168
    assert all(layer.squeeze == 0 for block in network.blocks for layer in block.layers)


def test_same_seed_same_paths() -> None:
    choices = sample(SPACE, 6, 4)
    one, two = (run("boot", 0.1, choices) for _ in range(2))
    assert one[0] == two[0] and (one[1] == two[1]).all()


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="warm-up 'none': allowed are tunas, sandwich, uniform, boot"):
        Warmup(SPACE, "none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"fraction 1\.5: must be from 0 to 1"):
        Warmup(SPACE, "boot", 1.5)


def test_path_of_an_architecture_averages_nothing() -> None:
    assert Path(draw(SPACE, 1)).averaged == frozenset()
