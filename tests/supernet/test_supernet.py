"""A path computes what an independent construction from the shared weights computes; gradients; errors."""

import copy
import dataclasses
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import networks
import searchspace
from searchspace import Architecture, Block, Kernel, Layer
from supernet import Path, Supernet
from tests.networks.live_networks import clips
from tests.supernet.util import draw, live, small_space


def masked_forward(net: Supernet, x: Tensor, architecture: Architecture) -> Tensor:
    """The path at full width, with inactive channels masked, written with nothing but plain library calls.

    This is how TuNAS computes it: every convolution runs at maximum width, BatchNorm too, and prefix masks silence
    the channels that are not active.
    """
    state = dict(net.named_parameters())
    form = net.space.form
    activate = F.hardswish if form.causal else F.silu

    def norm(y: Tensor, weight: Tensor, bias: Tensor, active: int) -> Tensor:
        y = F.batch_norm(y, None, None, weight, bias, True, 0.0, 1e-3)
        return y * (torch.arange(y.shape[1]) < active).view(1, -1, 1, 1, 1)

    def conv(y: Tensor, name: str, active: int) -> Tensor:
        weight = state[f"{name}.weight"]
        y = torch.cat([y, y.new_zeros(y.shape[0], weight.shape[1] - y.shape[1], *y.shape[2:])], 1)
        y = F.conv3d(y, weight.view(*weight.shape[:2], 1, 1, 1))
        return norm(y, state[f"{name}.norm_weight"], state[f"{name}.norm_bias"], active)

    def linear(v: Tensor, name: str) -> Tensor:
        return F.linear(v, state[f"{name}.weight"], state[f"{name}.bias"])

    def depthwise(y: Tensor, name: str, kernel: Kernel, part: Kernel, stride: int, active: int) -> Tensor:
        module = net.get_submodule(name)
        weight = module.own[str(kernel)]
        if module.shared is not None:
            weight = weight + crop(module, part, form.causal)
        y = F.conv3d(same(y, part, stride), weight, stride=(1, stride, stride), groups=y.shape[1])
        row = module.kernels.index(kernel)
        return activate(norm(y, module.norm_weight[row], module.norm_bias[row], active))

    def same(y: Tensor, kernel: Kernel, stride: int) -> Tensor:
        pads = []
        for size, length in zip(y.shape[:2:-1], (kernel.w, kernel.h), strict=True):
            total = max((-(-size // stride) - 1) * stride + length - size, 0)
            pads += [total // 2, total - total // 2]
        return F.pad(y, (*pads, *((kernel.t - 1, 0) if form.causal else (kernel.t // 2, kernel.t // 2))))

    stem = architecture.stem
    y = F.conv3d(same(x, stem.kernel, 2), state["stem.weight"], stride=(1, 2, 2))
    y = activate(norm(y, state["stem.norm_weight"], state["stem.norm_bias"], stem.width))
    for position in architecture.layers():
        name, layer = f"blocks.{position.block}.layers.{position.index}", position.layer
        h = activate(conv(y, f"{name}.expand", layer.expand))
        kernel, split = layer.kernel, form.convolution == "2plus1d"
        part = Kernel(1, kernel.h, kernel.w) if split else kernel
        if kernel.shift:
            before, after = torch.arange(-1, x.shape[2] - 1), torch.arange(1, x.shape[2] + 1)
            moved, padded = h.clone(), F.pad(h, (0, 0, 0, 0, 1, 1))
            eighth = layer.expand // 8
            moved[:, :eighth] = padded[:, :eighth, before + 1]
            if not form.causal:
                moved[:, eighth : 2 * eighth] = padded[:, eighth : 2 * eighth, after + 1]
            h = moved
        h = depthwise(h, f"{name}.depthwise", kernel, part, layer.stride, layer.expand)
        if split and kernel.t > 1:
            h = depthwise(h, f"{name}.temporal", kernel, Kernel(kernel.t, 1, 1), 1, layer.expand)
        if layer.squeeze and form.causal:
            frames = h.mean((3, 4)).transpose(1, 2)  # [N, T, C]
            so_far = frames.cumsum(1) / torch.arange(1, frames.shape[1] + 1).view(-1, 1)
            weight = state[f"{name}.squeeze.reduce.weight"]
            hidden = F.linear(torch.cat([so_far, frames], 2), weight.flatten(1), state[f"{name}.squeeze.reduce.bias"])
            hidden = F.hardswish(hidden) * (torch.arange(hidden.shape[2]) < layer.squeeze)
            gate = (0.2 * linear(hidden, f"{name}.squeeze.expand") + 0.5).clamp(0, 1)
            h = h * gate.transpose(1, 2)[..., None, None]
        elif layer.squeeze:
            hidden = F.silu(linear(h.mean((2, 3, 4)), f"{name}.squeeze.reduce"))
            hidden = hidden * (torch.arange(hidden.shape[1]) < layer.squeeze)
            h = h * torch.sigmoid(linear(hidden, f"{name}.squeeze.expand"))[:, :, None, None, None]
        branch = state[f"{name}.scale"] * conv(h, f"{name}.project", position.width)
        skip = y[:, : branch.shape[1]]
        if layer.stride == 2 or position.in_width != position.width:
            if layer.stride == 2:
                size = y.shape[3]
                y = F.avg_pool2d(y.flatten(1, 2), 3, 2, size % 2, size % 2 == 0, False).unflatten(1, (-1, x.shape[2]))
            skip = conv(y, f"{name}.skip", position.width)
        y = branch + skip
    y = activate(conv(y, "head", architecture.head.width)).mean((2, 3, 4))
    return linear(F.silu(linear(y, "dense")), "classifier")


def crop(depthwise: torch.nn.Module, part: Kernel, causal: bool = False) -> Tensor:
    """The shared taps under a kernel, found by their coordinates: around the centre, or in time the newest."""
    parts = [Kernel(*own.shape[2:]) for own in depthwise.own.values()]
    box = [max(k.size[axis] for k in parts) for axis in range(3)]

    def place(k: Kernel) -> tuple[slice, ...]:
        first = slice(box[0] - k.t, box[0]) if causal else slice((box[0] - k.t) // 2, (box[0] + k.t) // 2)
        return (first, *(slice((b - n) // 2, (b + n) // 2) for b, n in zip(box[1:], k.size[1:], strict=True)))

    inside = torch.zeros(box, dtype=torch.bool)
    for k in parts:
        inside[place(k)] = True
    whole = depthwise.shared.new_zeros(depthwise.shared.shape[0], *box)
    whole[:, inside] = depthwise.shared
    return whole[(slice(None), *place(part))].unsqueeze(1)


@pytest.mark.parametrize("kernels", ["nested", "separate"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("stream", [False, True])
def test_a_path_is_a_masked_network_of_full_width(kernels: str, seed: int, stream: bool) -> None:
    space = small_space(stream)
    net = live(space, kernels).double()
    architecture = draw(space, seed)
    x = clips(3, 4, 16).double()
    expected = masked_forward(net, x, architecture)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parameters = dict(net.named_parameters())
    gradients = torch.autograd.grad((expected * weights).sum(), parameters.values(), materialize_grads=True)
    net.zero_grad()
    logits = net(x, architecture)
    (logits * weights).sum().backward()
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    for (name, p), gradient in zip(parameters.items(), gradients, strict=True):
        assert p.grad is not None, name
        torch.testing.assert_close(
            p.grad, gradient, rtol=1e-7, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_every_kernel_is_a_path_of_its_own() -> None:
    space = small_space()
    net, x = live(space), clips(2, 4, 16)
    base = draw(space, 3)
    seen = []
    for kernel in space.kernels:
        first = dataclasses.replace(base.blocks[0].layers[0], kernel=kernel)
        block = dataclasses.replace(base.blocks[0], layers=(first, *base.blocks[0].layers[1:]))
        with torch.no_grad():
            seen.append(net(x, dataclasses.replace(base, blocks=(block, *base.blocks[1:]))))
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert (one - other).abs().max() > 1e-3


def test_nested_kernels_start_as_crops_of_each_other() -> None:
    net = Supernet(small_space(), 5)
    depthwise = net.blocks[0].layers[0].depthwise
    assert depthwise.shared.shape[1] == 87  # of 343 in the bounding box 7x7x7
    large, small = crop(depthwise, Kernel(1, 7, 7)), crop(depthwise, Kernel(1, 3, 3))
    assert torch.equal(large[:, :, :, 2:5, 2:5], small)
    assert all((own == 0).all() for own in depthwise.own.values())


def test_squeeze_excitation_slices_each_half() -> None:
    """The first E channels of the mean over time, then the first E of the frame's own."""
    space = small_space(stream=True)
    net, architecture = live(space), draw(space, 1)
    positions = [position for position in architecture.layers() if position.layer.squeeze]
    assert any(position.layer.expand < max(space.blocks[position.block].expansions) for position in positions)
    sliced = [weights.squeeze for weights in net.weights(architecture).bottlenecks if weights.squeeze is not None]
    for position, squeeze in zip(positions, sliced, strict=True):
        whole = net.blocks[position.block].layers[position.index].squeeze.reduce.weight
        halves = [whole[: position.layer.squeeze, half, : position.layer.expand] for half in (0, 1)]
        assert torch.equal(squeeze.reduce.weight, torch.cat(halves, 1))


def test_another_form_is_refused() -> None:
    space = small_space()
    with pytest.raises(ValueError, match=r"does not fit the supernet of space 'small': form is .*2plus1d.*, the space"):
        live(space)(clips(1, 2, 16), draw(small_space(stream=True), 0))


def test_gradients_of_unused_weights_are_zero_not_none() -> None:
    space = small_space()
    net, x = live(space), clips(2, 4, 16)
    first, second = (draw(space, seed) for seed in (1, 2))
    alone = []
    for architecture in (first, second):
        net.zero_grad()
        net(x, architecture).square().sum().backward()
        alone.append({name: p.grad.clone() for name, p in net.named_parameters()})
    net.zero_grad()
    for architecture in (first, second):  # two micro-batches, one step
        net(x, architecture).square().sum().backward()
    untouched = 0
    for name, p in net.named_parameters():
        assert p.grad is not None
        torch.testing.assert_close(p.grad, alone[0][name] + alone[1][name], atol=1e-5, rtol=1e-4)
        untouched += int((p.grad == 0).all())
    assert untouched > 10  # kernels that neither path uses
    flat = torch.cat([p.grad.flatten() for p in net.parameters()])
    assert torch.isclose(net.flat_weights.grad.norm(), flat.norm())


def test_any_way_to_clear_gradients_counts_as_zero() -> None:
    """Optimisers set gradients to None; the next pass starts from zero all the same."""
    space = small_space()
    net, x, architecture = live(space), clips(2, 4, 16), draw(space, 1)
    net(x, architecture).sum().backward()
    expected = {name: p.grad.clone() for name, p in net.named_parameters()}
    for optimizer in (torch.optim.SGD(net.parameters(), 0.0), torch.optim.SGD([net.flat_weights], 0.0)):
        optimizer.zero_grad(set_to_none=True)
        net(x, architecture).sum().backward()
        optimizer.step()
        for name, p in net.named_parameters():
            torch.testing.assert_close(p.grad, expected[name])


def test_flat_weights_are_the_weights() -> None:
    """One step on the flat tensor moves every parameter as a step on each of them does, and copies stay apart."""
    space = small_space()
    net, x, architecture = live(space), clips(2, 4, 16), draw(space, 1)
    twin = copy.deepcopy(net)
    for model, weights in ((net, [net.flat_weights]), (twin, list(twin.parameters()))):
        optimizer = torch.optim.AdamW(weights, 1e-2, weight_decay=0.0)
        for _ in range(2):
            model.zero_grad()
            model(x, architecture).square().sum().backward()
            optimizer.step()
    moved = live(space)
    for (name, p), q, start in zip(net.named_parameters(), twin.parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name)
        assert name.startswith(("stem", "dense")) <= (not torch.equal(p, start))


def test_weights_survive_a_change_of_type_and_a_state_dict() -> None:
    space = small_space()
    net, x, architecture = live(space), clips(2, 4, 16), draw(space, 1)
    other = Supernet(space, 5, seed=9)
    other.flat_weights  # noqa: B018 - the flat tensor exists before the load
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        expected = net(x, architecture)
        assert torch.equal(other(x, architecture), expected)
        torch.testing.assert_close(net.double()(x.double(), architecture).float(), expected, atol=1e-5, rtol=1e-5)


def test_averaged_choices_are_means_over_single_ones() -> None:
    """With one layer averaged and the rest shared, the mean is taken behind each kernel's BatchNorm and activation."""
    space = small_space()
    net = live(space).double()
    base = space.architecture(space.largest())
    x = clips(2, 4, 16).double()
    seen: dict[str, list[Tensor]] = {}

    def project_input(architecture: Architecture, averaged: frozenset[tuple[int, int, str]]) -> Tensor:
        weights = net.weights(Path(architecture, averaged))
        inputs: list[Tensor] = []
        original = networks.layers.pointwise

        def record(y: Tensor, weight: Tensor, gate: Tensor | None = None) -> Tensor:
            inputs.append(y if gate is None else networks.kernels.gated(y, gate))
            return original(y, weight, gate)

        networks.layers.pointwise = record
        try:
            net.run(x, weights)
        finally:
            networks.layers.pointwise = original
        return inputs[1]  # expansion of the first layer is 0, its projection 1

    def first(kernel: Kernel, squeeze: int) -> Architecture:
        layer = dataclasses.replace(base.blocks[0].layers[0], kernel=kernel, squeeze=squeeze)
        block = Block(base.blocks[0].width, (layer, *base.blocks[0].layers[1:]))
        return dataclasses.replace(base, blocks=(block, *base.blocks[1:]))

    with torch.no_grad():
        squeeze = base.blocks[0].layers[0].squeeze
        plain = torch.stack([project_input(first(kernel, 0), frozenset()) for kernel in space.kernels])
        seen["kernel"] = [project_input(first(space.kernels[0], 0), frozenset({(0, 0, "kernel")}))]
        torch.testing.assert_close(seen["kernel"][0], plain.mean(0))
        both = [project_input(first(space.kernels[2], s), frozenset()) for s in (0, squeeze)]
        seen["se"] = [project_input(first(space.kernels[2], squeeze), frozenset({(0, 0, "se")}))]
        torch.testing.assert_close(seen["se"][0], (both[0] + both[1]) / 2)


def test_decay_acts_on_kernels_in_use_only() -> None:
    space = small_space()
    for kernels in ("nested", "separate"):
        net, x, architecture = live(space, kernels), clips(2, 4, 16), draw(space, 4)
        net.zero_grad()
        net.decay_(architecture, 0.1)
        decay = {name: p.grad.clone() for name, p in net.named_parameters()}
        net.zero_grad()
        net(x, architecture).square().sum().backward()
        for name, p in net.named_parameters():
            used = p.grad != 0
            # The last classifier never decays, in the authors' recipe as in TuNAS.
            matrix = name.endswith("weight") and p.dim() > 1 and "norm" not in name and "classifier" not in name
            if matrix or ".own." in name or name.endswith(".shared"):
                # what decays is 0.1 x weight, and it is exactly what the path's gradient reaches
                assert ((decay[name] == 0) | torch.isclose(decay[name], 0.1 * p.detach())).all(), name
                assert (used <= (decay[name] != 0)).all(), name
                assert ((decay[name] != 0).sum() > 0) == (used.sum() > 0), name
            else:
                assert (decay[name] == 0).all(), name


def test_batch_statistics_in_training_and_evaluation() -> None:
    space = small_space()
    net, architecture = live(space), draw(space, 1)
    x = clips(4, 4, 16)
    with torch.no_grad():
        assert torch.equal(net.train()(x, architecture), net.eval()(x, architecture))
        assert (net(x, architecture)[:2] - net(x[:2], architecture)).abs().max() > 1e-3


def test_inference_mode_does_not_spoil_training() -> None:
    space = small_space()
    net, x, architecture = live(space), clips(2, 4, 16), draw(space, 1)
    with torch.inference_mode():
        net(x, architecture)
    net(x, architecture).sum().backward()


def test_a_pass_leaves_nothing_behind() -> None:
    """Slices and their node form no cycle: they go with the last reference, without the garbage collector."""
    space = small_space()
    net, x, architecture = live(space), clips(2, 4, 16), draw(space, 1)
    gc.collect()
    gc.disable()
    try:
        for backward in (True, False):
            weights = net.weights(architecture)
            slice_ = weakref.ref(weights.stem.weight)
            node = weakref.ref(weights.stem.weight.grad_fn)
            logits = net.run(x, weights)
            if backward:
                logits.sum().backward()
            del weights, logits
            assert slice_() is None and node() is None
    finally:
        gc.enable()


def test_the_seed_decides_the_weights() -> None:
    space = small_space()
    one, same, other = (Supernet(space, 5, seed=seed).flat_weights for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_scales_start_where_they_are_told_to() -> None:
    space = small_space()
    assert Supernet(space, 5).scales().tolist() == [0.5] * 9
    assert Supernet(space, 5, scale=0.0).scales().tolist() == [0.0] * 9


def test_what_does_not_fit_is_named() -> None:
    space = small_space()
    net, x = Supernet(space, 5), clips(2, 4, 16)
    good = draw(space, 1)

    def with_layer(**changes: object) -> Architecture:
        layer = dataclasses.replace(good.blocks[1].layers[0], **changes)
        blocks = (good.blocks[0], Block(good.blocks[1].width, (layer,)), good.blocks[2])
        return dataclasses.replace(good, blocks=blocks)

    wrong = {
        r"blocks/1/layers/0/expansion is 400, at most 48": with_layer(expand=400),
        r"blocks/1/layers/0/kernel is 3x5x5, the space has 1x3x3, 1x5x5": with_layer(kernel=Kernel(3, 5, 5)),
        r"blocks/1/layers/0/stride is 2, the space has 1": with_layer(stride=2),
        r"blocks/1/layers/0/squeeze is 99, at most 16": with_layer(squeeze=99),
        r"blocks/0/width is 32, at most 24": dataclasses.replace(
            good, blocks=(Block(32, good.blocks[0].layers), *good.blocks[1:])
        ),
        r"blocks/2/depth is 4, at most 3": dataclasses.replace(
            good, blocks=(*good.blocks[:2], Block(24, (Layer(Kernel(1, 3, 3), 2, 24, 0),) * 4))
        ),
        r"2 blocks, the space has 3": dataclasses.replace(good, blocks=good.blocks[:2]),
        r"head/width is 96, at most 32": dataclasses.replace(good, head=searchspace.Head(96, 40)),
        r"head/hidden is 41, the space has 40": dataclasses.replace(good, head=searchspace.Head(32, 41)),
        r"stem is Stem\(width=16": dataclasses.replace(good, stem=searchspace.Stem(16)),
    }
    for message, architecture in wrong.items():
        with pytest.raises(ValueError, match=message):
            net(x, architecture)
    with pytest.raises(ValueError, match="kernels 'both': allowed are nested, separate"):
        Supernet(space, 5, kernels="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 classes"):
        Supernet(space, 0)


def test_a_residual_start_of_zero_is_a_number_too():
    net = Supernet(small_space(), 3, scale=0)
    assert net.flat_weights.dtype == torch.float32
    assert all(float(scale) == 0 for scale in net.scales())


def test_checkpointing_changes_no_gradient() -> None:
    """Of a path with everything averaged, as in the warm-up that needs the memory."""
    space = small_space()
    net, x = live(space), clips(2, 4, 16)
    averaged = frozenset((b, i, kind) for b in range(3) for i in range(3) for kind in ("kernel", "se"))
    path = Path(space.architecture(space.largest()), averaged)
    gradients = []
    for net.checkpointing in (False, True):
        net.zero_grad()
        net(x, path).square().sum().backward()
        gradients.append(net.flat_weights.grad.clone())
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0
