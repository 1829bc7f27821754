"""A stand-alone network with a path's weights: equal logits, statistics by the law of total variance."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from networks import MoViNet
from networks.layer_weights import bottleneck_names, named_norms
from searchspace import Architecture
from supernet import Statistics, Supernet, extract, recalibrate
from tests.networks.live_networks import clips
from tests.supernet.util import draw, live, small_space

TOLERANCE = 1e-5


def random_statistics(net: Supernet, architecture: Architecture) -> Statistics:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        norms = named_norms(net.weights(architecture), bottleneck_names(architecture))
    return {
        name: (
            0.1 * torch.randn(norm.weight.shape, generator=generator),
            torch.exp(0.1 * torch.randn(norm.weight.shape, generator=generator)),
        )
        for name, norm in norms.items()
    }


@pytest.mark.parametrize("kernels", ["nested", "separate"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stream", [False, True])
def test_extracted_logits_equal_the_path(kernels: str, seed: int, stream: bool) -> None:
    space = small_space(stream, position_encoding=seed % 2 == 1)
    net, architecture = live(space, kernels), draw(space, seed)
    statistics = random_statistics(net, architecture)
    extracted = extract(net, architecture, statistics)
    x = clips(3, 4, 16)

    def network(x: Tensor) -> Tensor:
        logits: Tensor = extracted(x)[0] if stream else extracted(x)
        return logits

    with torch.no_grad():
        expected = net(x, architecture, statistics)
        torch.testing.assert_close(network(x), expected, atol=TOLERANCE, rtol=0)
        for branch, silenced in silence(extracted):
            moved = float((network(x) - expected).abs().max())
            assert moved > 10 * TOLERANCE, f"zeroing {branch} moves the logits by {moved:.1e} only"
            silenced()
        torch.testing.assert_close(network(x), expected, atol=TOLERANCE, rtol=0)


def silence(network: MoViNet) -> Iterator[tuple[str, object]]:
    """Zeroes one branch after the other; calling what comes with it puts the weights back."""
    for name, module in network.named_modules():
        for kind, tensors in {
            "scale": ["scale"],
            "squeeze": ["expand.weight", "expand.bias"],
            "skip": ["norm.weight", "norm.bias"],
        }.items():
            if kind == "scale" and isinstance(getattr(module, "scale", None), Tensor):
                targets = [module.scale]
            elif kind != "scale" and name.endswith(f".{kind}"):
                targets = [module.get_parameter(t) for t in tensors]
            else:
                continue
            before = [t.clone() for t in targets]
            for t in targets:
                t.zero_()

            def restore(targets: list[Tensor] = targets, before: list[Tensor] = before) -> None:
                for t, b in zip(targets, before, strict=True):
                    t.copy_(b)

            yield f"{name} {kind}", restore


def test_extraction_copies() -> None:
    space = small_space()
    net, architecture = live(space), draw(space, 2)
    statistics = random_statistics(net, architecture)
    x = clips(2, 4, 16)
    with torch.no_grad():
        network = extract(net, architecture, statistics)
        before = network(x)
        net.flat_weights.zero_()
        assert torch.equal(network(x), before)
    assert not network.training
    assert network.architecture.classes == net.classes


def test_recalibration_of_one_batch_gives_its_own_statistics() -> None:
    space = small_space()
    net, architecture = live(space), draw(space, 3)
    x = clips(6, 4, 16)
    statistics = recalibrate(net, architecture, [x])
    with torch.no_grad():
        torch.testing.assert_close(net(x, architecture, statistics), net(x, architecture), atol=1e-4, rtol=1e-4)


def test_recalibration_follows_the_law_of_total_variance() -> None:
    """The stem sees the same values however clips are batched: mean and variance over all of them at once."""
    space = small_space()
    net, architecture = live(space), draw(space, 3)
    x = clips(7, 4, 16) * torch.linspace(0.1, 2, 7).view(7, 1, 1, 1, 1)  # batches that differ
    statistics = recalibrate(net, architecture, x.split([4, 2, 1]))
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
    with torch.no_grad():
        y = torch.nn.functional.conv3d(padded, net.stem.weight, stride=(1, 2, 2)).transpose(0, 1).flatten(1)
    mean, var = statistics["stem.norm"]
    torch.testing.assert_close(mean, y.mean(1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(var, y.var(1, correction=0), atol=1e-6, rtol=1e-5)


def test_recalibration_is_deterministic_and_wants_clips() -> None:
    space = small_space()
    net, architecture = live(space), draw(space, 3)
    batches = clips(6, 4, 16).split(3)
    one, two = (recalibrate(net, architecture, batches) for _ in range(2))
    assert all(torch.equal(a, b) for name in one for a, b in zip(one[name], two[name], strict=True))
    with pytest.raises(ValueError, match="no clips"):
        recalibrate(net, architecture, [])
