"""Costs: another formula, other people's counters, all choices at once, expectations, extremes."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pytest

import searchspace
from searchspace import Clip, Cost, cost, tabulate
from searchspace.quantities import counted_names
from tests.searchspace.util import USERS, counted, every, random_architecture, random_form, random_space, read


def _equal_to_formula(architecture: searchspace.Architecture, clip: Clip) -> None:
    macs, params = counted(architecture, clip)
    result = cost(architecture, clip)
    assert result.macs == sum(macs.values())
    assert result.params == sum(params.values())
    assert result.clip == clip
    one, _ = counted(architecture, dataclasses.replace(clip, frames=1))
    assert result.frame_macs == (sum(one.values()) if architecture.form.causal else 0)
    assert result.macs_per_frame == (result.frame_macs or result.macs / clip.frames)


def test_random_architectures_by_another_formula() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        architecture = random_architecture(rng)
        _equal_to_formula(architecture, architecture.clip)
        _equal_to_formula(architecture, Clip(*(int(size) for size in rng.integers(1, 300, 3))))
    space = searchspace.load("movinet")
    for row in space.decisions.sample(rng, 100):
        _equal_to_formula(space.architecture(row), space.clip)


def test_one_layer_by_hand() -> None:
    """Two frames of 6x5, stem 4 at 3x3; expansion 8, 3x1x1, stride 2 -> 2x2; SE 5; 7 out."""
    layer = searchspace.Layer(searchspace.Kernel(3, 1, 1), 2, 8, 5)
    architecture = searchspace.Architecture(
        "hand",
        Clip(2, 6, 5),
        3,
        searchspace.Stem(4),
        (searchspace.Block(7, (layer,)),),
        searchspace.Head(10, 11),
    )
    stem, dense = 18 * 4 * 27, 10 * 11 + 11 * 3
    branch = 18 * 4 * 8 + 8 * 8 * 3 + 2 * 8 * 5 + 8 * 8 * 7
    assert cost(architecture).macs == stem + branch + 8 * 4 * 7 + 8 * 7 * 10 + dense
    weights = 4 * 27 + 4 * 8 + 8 * 3 + 8 * 7 + 4 * 7 + 7 * 10
    norms, squeeze = 2 * (4 + 8 + 8 + 7 + 7 + 10), 8 * 5 + 5 + 5 * 8 + 8
    assert cost(architecture).params == weights + norms + squeeze + 1 + (10 * 11 + 11) + (11 * 3 + 3)


def test_costs_add_up() -> None:
    clip = Clip(1, 2, 3)
    assert Cost(1, 2, 30, 4, 5, clip) + Cost(10, 20, 5, 40, 50, clip) == Cost(11, 22, 30, 44, 55, clip)


# ---------------------------------------------------------------------------------------------- other people's counters


def _networks(count: int, seed: int) -> list[searchspace.Architecture]:
    """Points of the space, every third in the form of stream networks, every seventh in a random one."""
    space, rng = searchspace.load("movinet"), np.random.default_rng(seed)
    found = [space.architecture(row) for row in space.decisions.sample(rng, count)]
    found[2::3] = [architecture.streaming(position_encoding=True) for architecture in found[2::3]]
    found[6::7] = [dataclasses.replace(architecture, form=random_form(rng)) for architecture in found[6::7]]
    return found


@pytest.mark.parametrize("count", [16, pytest.param(50, marks=pytest.mark.slow)])
def test_networks_by_torch(count: int) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import networks

    clip = Clip(3, 30, 25)
    for architecture in _networks(count, seed=1):
        with torch.device("meta"):
            network = networks.create(architecture).eval()
        network.to_empty(device="cpu")  # no initial weights, which would take most of the time
        with torch.no_grad(), networks.formulation("reference"), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, clip.frames, clip.height, clip.width))
        result = cost(architecture, clip)
        assert counter.get_total_flops() == 2 * result.macs
        if network.streams:
            state = network.initial_state(1, clip.height, clip.width)
            with torch.no_grad(), networks.formulation("reference"), FlopCounterMode(display=False) as counter:
                network(torch.zeros(1, 3, 1, clip.height, clip.width), state)
            assert counter.get_total_flops() == 2 * result.frame_macs
            floats = [tensor for tensor in state.values() if tensor.is_floating_point()]
            assert sum(tensor.nbytes for tensor in floats) == result.state_bytes
        else:
            assert result.state_bytes == 0
        assert sum(p.numel() for p in network.parameters() if p.requires_grad) == result.params


def _counted_by_fvcore(architecture: searchspace.Architecture, clip: Clip) -> int:
    import torch

    import networks

    network = networks.create(architecture).eval()
    with warnings.catch_warnings(), torch.no_grad(), networks.formulation("reference"):
        warnings.simplefilter("ignore")  # of the counter's import and its tracer
        from fvcore.nn import FlopCountAnalysis

        counter = FlopCountAnalysis(network, torch.zeros(1, 3, clip.frames, clip.height, clip.width))
        counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        found = counter.by_operator()
        assert set(found) <= {"conv", "linear", "batch_norm"}, "everything that multiplies is counted"
    return int(found["conv"] + found["linear"])


def test_networks_by_fvcore() -> None:
    clip = Clip(2, 24, 31)
    for architecture in _networks(2, seed=2):
        assert _counted_by_fvcore(architecture, clip) == cost(architecture, clip).macs


@pytest.mark.slow
def test_fifty_networks_by_fvcore() -> None:
    clip = Clip(3, 32, 27)
    for architecture in _networks(50, seed=1):
        assert _counted_by_fvcore(architecture, clip) == cost(architecture, clip).macs


# ------------------------------------------------------------------------------------------------------- all at once


@pytest.mark.parametrize("name", ["movinet", "mine"])
@pytest.mark.parametrize("clip", [None, Clip(3, 50, 61)])
@pytest.mark.parametrize("stream", [False, True])
def test_all_at_once_equals_one_at_a_time(name: str, clip: Clip | None, stream: bool) -> None:
    space = searchspace.load("movinet") if name == "movinet" else read(USERS)
    space = space.streaming() if stream else space
    rows = space.decisions.sample(np.random.default_rng(3), 300)
    model = tabulate(space, clip)
    one_by_one = [cost(space.architecture(row), clip) for row in rows]
    for quantity in counted_names():
        np.testing.assert_array_equal(model.of(quantity, rows), [getattr(result, quantity) for result in one_by_one])
    np.testing.assert_array_equal(model.macs(rows), model.of("macs", rows))
    np.testing.assert_array_equal(model.params(rows), model.of("params", rows))
    np.testing.assert_array_equal(model.activation_bytes(rows), model.of("activation_bytes", rows))
    assert tabulate(space, clip) is model, "tables are built once a shape"


def test_inactive_choices_cost_nothing() -> None:
    space = read(USERS)
    rng = np.random.default_rng(4)
    free = rng.integers(0, space.decisions.sizes, (200, len(space.decisions))).astype(np.int8)
    for quantity in counted_names():
        of = tabulate(space).of
        np.testing.assert_array_equal(of(quantity, free), of(quantity, space.decisions.canonical(free)))


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(161,\)"):
        tabulate(searchspace.load("movinet")).macs(np.zeros(161, dtype=np.int8))


def test_uncountable_costs_are_refused() -> None:
    """A sum beyond 64 bits would come out negative, the cheapest network of all."""
    text = USERS.replace("12x90x70@12.5", "4096x4096x4096").replace("[2, 5, 3]", "[64]").replace("[1, 3, 6]", "[64]")
    space = read(text.replace("width: 40", "width: 250, kernel: [15x15x15]").replace("kernel: [1x3x3, 9x1x1], ", ""))
    with pytest.raises(ValueError, match="give a smaller clip"):
        tabulate(space)


def test_uniform_sampling_of_the_movinet_space() -> None:
    """Of the default clip: mean 983 M, standard deviation 233 M, 4.5 % below 600 M, within sampling error."""
    space = searchspace.load("movinet")
    macs = tabulate(space).macs(space.decisions.sample(np.random.default_rng(5), 40_000)) / 1e6
    assert macs.mean() == pytest.approx(983, abs=4)  # three standard errors
    assert macs.std() == pytest.approx(233, abs=3)
    assert (macs < 600).mean() == pytest.approx(0.045, abs=0.004)


# ------------------------------------------------------------------------------------------------------ expectations


def _random_probabilities(space: searchspace.Space, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.dirichlet(np.ones(size)) for size in space.decisions.sizes]


@pytest.mark.parametrize("seed", range(8))
def test_expectations_equal_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = random_space(rng)
    probabilities = _random_probabilities(space, rng)
    rows = every(space)
    weight = math.prod(vector[rows[:, d]] for d, vector in enumerate(probabilities))
    assert weight.sum() == pytest.approx(1)
    for quantity in ("macs", "params", "state_bytes", "frame_macs"):
        value = np.array(tabulate(space).of(quantity, space.decisions.canonical(rows)), dtype=np.float64)
        expected, conditional = tabulate(space).expected(quantity, probabilities)
        assert expected == pytest.approx(weight @ value, rel=1e-10)
        assert [len(vector) for vector in conditional] == list(space.decisions.sizes)
        for d, vector in enumerate(conditional):
            for choice, found in enumerate(vector):
                here = rows[:, d] == choice
                assert found == pytest.approx(weight[here] @ value[here] / weight[here].sum(), rel=1e-10)


def test_expectation_equals_monte_carlo() -> None:
    rng = np.random.default_rng(6)
    space = searchspace.load("movinet")
    probabilities = _random_probabilities(space, rng)
    macs = tabulate(space).macs(space.decisions.sample(rng, 40_000, probabilities))
    expected, conditional = tabulate(space).expected("macs", probabilities)
    assert abs(macs.mean() - expected) < 5 * macs.std() / math.sqrt(len(macs))
    for vector, given in zip(probabilities, conditional, strict=True):
        assert vector @ given == pytest.approx(expected, rel=1e-10)


def test_expected_memory_is_refused() -> None:
    space = read(USERS)
    with pytest.raises(ValueError, match="maximum over layers"):
        tabulate(space).expected("activation_bytes", space.decisions.uniform())


# ---------------------------------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("seed", range(25))
def test_extremes_equal_brute_force(seed: int) -> None:
    space = random_space(np.random.default_rng(100 + seed))
    rows = space.decisions.canonical(every(space))
    for quantity in counted_names():
        found = tabulate(space).of(quantity, rows)
        for dearest, wanted in ((False, found.min()), (True, found.max())):
            row = tabulate(space).extreme(quantity, dearest)
            np.testing.assert_array_equal(row, space.decisions.canonical(row))
            assert tabulate(space).of(quantity, row[None])[0] == wanted
        assert tabulate(space).bounds(quantity) == (found.min(), found.max())


def test_bounds_hold_all_samples() -> None:
    for space in (searchspace.load("movinet"), read(USERS)):
        rows = space.decisions.sample(np.random.default_rng(7), 2000)
        for quantity in counted_names():
            low, high = tabulate(space).bounds(quantity)
            found = tabulate(space).of(quantity, rows)
            assert low <= found.min() and found.max() <= high
