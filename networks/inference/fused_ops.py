"""Operations of a fused network on frames [F, H, W, C], contiguous, each in the form that was fastest.

| operation | kernel | why (one thread of an AVX-512 CPU with bf16 instructions) |
|---|---|---|
| pointwise, up to `LINEAR_ROWS` positions | linear layer, activation in place | a convolution call costs 20 us more |
| pointwise, more positions | oneDNN convolution with the activation inside | 1.2 times the speed of the linear layer |
| depthwise in space | oneDNN convolution, weights laid out beforehand | 8 us of 35 for one frame |
| depthwise in space and time | the library's conv3d, activation in place | oneDNN's call with it is slower |
| depthwise in time, one frame, float32 | multiply-adds of buffered frames | 20-26 us, joined and convolved 38-48 us |
| depthwise in time, otherwise | 2-D convolution over (T, H*W) | see `networks.kernels.depthwise_forward` |

oneDNN is reached by the operators that torch's own compiler uses. Where they are missing, and under
`formulation("reference")`, the plain calls compute the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.inference.folding import Conv, with_zero_taps
from networks.kernels import ACTIVATIONS, is_fast, same_padding

LINEAR_ROWS = 1 << 14  # positions up to which a linear layer is faster than oneDNN's convolution
_SIZES = 4  # map sizes whose laid out weights an operation keeps
_Prepared = tuple[Tensor, list[int]]


def activate_(x: Tensor, activation: str) -> Tensor:
    """In place."""
    return ACTIVATIONS[activation].in_place(x)


def has_onednn(weight: Tensor) -> bool:
    """Whether oneDNN's convolution with an activation inside serves tensors like this one."""
    if weight.device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    if weight.dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype is torch.float32


def _onednn(
    x: Tensor, weight: Tensor, bias: Tensor, padding: list[int], stride: int, groups: int, activation: str
) -> Tensor:
    """Of frames [F, H, W, I]."""
    name, numbers = ACTIVATIONS[activation].onednn
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x.permute(0, 3, 1, 2), weight, bias, padding, [stride, stride], [1, 1], groups, name, numbers, ""
    )
    return y.permute(0, 2, 3, 1).contiguous()


def _packed(x: Tensor, weight: Tensor, padding: list[int], stride: int, groups: int) -> Tensor:
    """A weight laid out as oneDNN wants it for maps of the size of `x` [F, H, W, I]."""
    shape = list(x.permute(0, 3, 1, 2).shape)
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, [stride, stride], [1, 1], groups, shape
    )
    return packed


class Pointwise:
    """1x1 convolution with bias, and activation."""

    def __init__(self, conv: Conv, activation: str) -> None:
        self.weight, self.bias, self.activation = conv.weight, conv.bias, activation
        self.onednn = has_onednn(conv.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """[F, H, W, I] -> [F, H, W, O]."""
        if self.onednn and x.shape[0] * x.shape[1] * x.shape[2] > LINEAR_ROWS and is_fast(x):
            return _onednn(x, self.weight[:, :, None, None], self.bias, [0, 0], 1, 1, self.activation)
        return activate_(F.linear(x, self.weight, self.bias), self.activation)


class Spatial:
    """Depthwise convolution over height and width with SAME padding, and activation."""

    def __init__(self, conv: Conv, stride: int, activation: str) -> None:
        self.weight, self.bias, self.stride, self.activation = conv.weight[:, :, 0], conv.bias, stride, activation
        self.onednn = has_onednn(conv.weight)
        self.prepared: dict[tuple[int, int, bool], _Prepared] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """[F, H, W, C] -> [F, ceil(H / stride), ceil(W / stride), C]."""
        onednn = self.onednn and is_fast(x)
        weight, padding = self.prepared_for(x, onednn)
        if onednn:
            return _onednn(x, weight, self.bias, padding, self.stride, len(self.bias), self.activation)
        y = F.conv2d(x.permute(0, 3, 1, 2), weight, self.bias, self.stride, padding, groups=len(self.bias))
        return activate_(y, self.activation).permute(0, 2, 3, 1).contiguous()

    def prepared_for(self, x: Tensor, onednn: bool) -> _Prepared:
        """The weight as the convolution of a map of the size of `x` [F, H, W, C] takes it, and the padding."""
        key = (x.shape[1], x.shape[2], onednn)
        found = self.prepared.get(key)
        if found is None:
            leads, padding = _even_padding(x, self.weight, self.stride)
            weight = with_zero_taps(self.weight, leads).contiguous(memory_format=torch.channels_last)
            found = (_packed(x, weight, padding, self.stride, len(weight)) if onednn else weight), padding
            if len(self.prepared) >= _SIZES:
                self.prepared.clear()
            self.prepared[key] = found
        return found


def _even_padding(x: Tensor, weight: Tensor, stride: int) -> tuple[tuple[int, int], list[int]]:
    """Zero taps in front of a kernel [.., kh, kw] that make SAME padding of [.., H, W, C] even, and the padding."""
    edges = [same_padding(x.shape[i - 1], weight.shape[i], stride) for i in (-2, -1)]
    (top, bottom), (left, right) = edges
    return (bottom - top, right - left), [bottom, right]


class Temporal:
    """Depthwise convolution over frames, kernel [C, 1, kt, 1, 1], and activation."""

    def __init__(self, conv: Conv, activation: str) -> None:
        self.weight, self.bias, self.activation = conv.weight[..., 0], conv.bias, activation
        self.taps = [conv.weight[:, 0, i, 0, 0].contiguous() for i in range(conv.weight.shape[2])]

    def __call__(self, x_NTHWC: Tensor, padding: int = 0) -> Tensor:
        """Of joined frames [N, T, H, W, C] with so many frames of zeros on both sides -> [N, T', H, W, C]."""
        rows = x_NTHWC.flatten(2, 3).permute(0, 3, 1, 2)
        y = F.conv2d(rows, self.weight, self.bias, padding=(padding, 0), groups=len(self.bias))
        y = activate_(y, self.activation).permute(0, 2, 3, 1)
        return y.reshape(*y.shape[:2], *x_NTHWC.shape[2:])

    def one_frame(self, x_NTHWC: Tensor, before_NTHWC: Tensor) -> Tensor:
        """Of one frame and those before it, which need not be joined -> [N, 1, H, W, C]."""
        y = torch.addcmul(self.bias, x_NTHWC, self.taps[-1])
        for i, tap in enumerate(self.taps[:-1]):
            y.addcmul_(before_NTHWC[:, i : i + 1], tap)
        return activate_(y, self.activation)


class SpaceTime:
    """Depthwise convolution over frames, height and width, and activation; purely temporal ones may have a stride."""

    def __init__(self, conv: Conv, stride: int, activation: str) -> None:
        self.weight, self.bias, self.stride, self.activation = conv.weight, conv.bias, stride, activation
        self.temporal = Temporal(conv, activation) if conv.weight[0, 0, 0].numel() == 1 else None

    def __call__(self, x_NTHWC: Tensor, padding: int = 0) -> Tensor:
        """Of joined frames [N, T, H, W, C] with so many frames of zeros on both sides -> [N, T', H', W', C]."""
        if self.temporal is not None:
            return self.temporal(x_NTHWC[:, :, :: self.stride, :: self.stride], padding)
        leads, (rows, columns) = _even_padding(x_NTHWC, self.weight, self.stride)
        weight = with_zero_taps(self.weight, leads).contiguous(memory_format=torch.channels_last_3d)
        stride = (1, self.stride, self.stride)
        x = x_NTHWC.permute(0, 4, 1, 2, 3)
        y = F.conv3d(x, weight, self.bias, stride, (padding, rows, columns), groups=len(self.bias))
        # a small input on one thread takes another path in the library, which forgets the layout
        return activate_(y, self.activation).permute(0, 2, 3, 4, 1).contiguous()


class Stem:
    """First convolution, stride 2, and activation, from frames in any memory."""

    def __init__(self, conv: Conv, activation: str) -> None:
        self.weight = conv.weight[:, :, 0].contiguous(memory_format=torch.channels_last)
        self.bias, self.activation, self.onednn = conv.bias, activation, has_onednn(conv.weight)
        self.packed: Tensor | None = None

    def __call__(self, frames_FHWC: Tensor) -> Tensor:
        """[F, H, W, 3] -> [F, ceil(H / 2), ceil(W / 2), C]: padding, memory and dtype are changed in one copy."""
        count, height, width, channels = frames_FHWC.shape
        top, bottom = same_padding(height, self.weight.shape[2], 2)
        left, right = same_padding(width, self.weight.shape[3], 2)
        padded = self.weight.new_zeros(count, top + height + bottom, left + width + right, channels)
        padded[:, top : top + height, left : left + width].copy_(frames_FHWC)
        if self.onednn and is_fast(padded):
            return _onednn(padded, self.packed_for(padded), self.bias, [0, 0], 2, 1, self.activation)
        y = activate_(F.conv2d(padded.permute(0, 3, 1, 2), self.weight, self.bias, 2), self.activation)
        return y.permute(0, 2, 3, 1).contiguous()

    def packed_for(self, padded: Tensor) -> Tensor:
        """The weight as oneDNN takes it."""
        if self.packed is None:
            self.packed = _packed(padded, self.weight, [0, 0], 2, 1)
        return self.packed


def add_projected(x: Tensor, y: Tensor, weight_IO: Tensor, out: Tensor) -> Tensor:
    """Writes `x` plus the pointwise convolution of `y` to `out`, which may be `x`; [F, H, W, O] and [F, H, W, I]."""
    inputs, outputs = weight_IO.shape
    torch.addmm(x.reshape(-1, outputs), y.reshape(-1, inputs), weight_IO, out=out.view(-1, outputs))
    return out


def projected(x: Tensor, weight_IO: Tensor) -> Tensor:
    """Pointwise convolution [F, H, W, I] -> [F, H, W, O] without bias."""
    inputs, outputs = weight_IO.shape
    return torch.mm(x.reshape(-1, inputs), weight_IO).view(*x.shape[:3], outputs)


def frame_means(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean of each map, [F, H, W, C] -> [F, C], summed in `dtype`."""
    return x.sum((1, 2), dtype=dtype).mul_(1.0 / (x.shape[1] * x.shape[2]))
