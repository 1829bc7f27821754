"""Cost of the parts of a MoViNet in closed form, from their data alone.

Conventions, and their weakness. *MACs* are multiply-accumulates of convolutions and linear layers for one clip;
BatchNorm, activations, pooling, gating and additions are not counted (the MoViNet papers print this number as
"FLOPs"; fvcore counts the same plus BatchNorm, torch's flop counter twice the same). *Parameters* are the trainable
ones. *Activation bytes* are the peak of live float32 tensors while one clip runs through the network in inference,
the clip included, weights and temporaries inside a library call not: see `_layer_activation`. It is what the
network holds in its CPU formulations; the plain library calls of other devices copy a map to pad it unevenly, which
adds up to a fifth at 128 pixels. *State bytes* are what a causal network carries from frame to frame of one stream,
float32, without its integer counters; activation bytes leave it out. *Frame MACs* are those of one more frame of a
causal network, whose dense layers run at every frame and in a clip only once. Time on a device follows none of these
exactly.
"""

from __future__ import annotations

from searchspace.clip import Clip, ClipLike, Kernel
from searchspace.form import BASE, Form
from searchspace.layer_specs import Head, Layer, Stem
from searchspace.quantities import Cost, Part, count_more

FLOAT_BYTES = 4
RGB = 3
GATED_POSITIONS = 256
"""Positions of a gate from which on it scales the projection's few weights instead of the wide map: that is faster, and
saves a copy of the map (`networks.kernels.ops` has the measurement)."""


def halve(size: int, stride: int) -> int:
    """Output size of SAME padding: ceil(size / stride)."""
    return -(-size // stride)


def stem_cost(width: int, kernel: Kernel, clip: ClipLike, form: Form = BASE) -> Cost:
    """Convolution with spatial stride 2, BatchNorm, activation."""
    clip = Clip.of(clip)
    positions = clip.frames * halve(clip.height, 2) * halve(clip.width, 2)
    weights = RGB * width * kernel.taps
    counted = Cost(
        macs=positions * weights,
        params=weights + 2 * width,
        activation_bytes=clip_bytes(clip) + FLOAT_BYTES * 2 * positions * width,
        state_bytes=0,
        frame_macs=positions * weights // clip.frames if form.causal else 0,
        clip=clip,
    )
    return count_more(Part(Stem(width, kernel), RGB, width, clip, clip.height, clip.width, form), counted)


def layer_cost(
    layer: Layer, in_width: int, out_width: int, clip: ClipLike, height: int, width: int, form: Form = BASE
) -> Cost:
    """One bottleneck whose input map is `height` x `width` (spec: order of operations of the reference network)."""
    clip = Clip.of(clip)
    area = height * width
    before = clip.frames * area
    out_area = halve(height, layer.stride) * halve(width, layer.stride)
    after = clip.frames * out_area
    expand, kernel, squeeze = layer.expand, layer.kernel, layer.squeeze
    first, second = form.parts(kernel)
    split = second is not None
    taps = first.taps + (second.taps if second is not None else 0)
    macs = before * in_width * expand + after * expand * taps + after * expand * out_width
    params = in_width * expand + expand * taps + expand * out_width
    params += 2 * expand + 2 * expand * (1 + split) + 2 * out_width + 1  # BatchNorms and the residual scalar
    buffer = expand * (kernel.t - 1) * (out_area if split else area) if form.causal else 0
    state = buffer + (kernel.shifted(expand) * area if form.causal else 0)
    gates = clip.frames if form.causal or form.squeeze_kind != "3d" else 1
    if squeeze:
        weights = (form.pooled + 1) * expand * squeeze
        macs += gates * weights
        params += weights + squeeze + expand + form.position_encoding
        state += expand if form.causal and form.squeeze_kind != "2d" else 0
    if layer.stride != 1 or in_width != out_width:
        macs += after * in_width * out_width
        params += in_width * out_width + 2 * out_width
    gated_map = squeeze > 0 and after // gates < GATED_POSITIONS
    peak = _layer_activation(layer, in_width, out_width, before, after, buffer, split, gated_map)
    counted = Cost(
        macs=macs,
        params=params,
        activation_bytes=clip_bytes(clip) + FLOAT_BYTES * peak,
        state_bytes=FLOAT_BYTES * state,
        frame_macs=macs // clip.frames if form.causal else 0,
        clip=clip,
    )
    return count_more(Part(layer, in_width, out_width, clip, height, width, form), counted)


def _layer_activation(
    layer: Layer, in_width: int, out_width: int, before: int, after: int, buffer: int, split: bool, gated_map: bool
) -> int:
    """Peak of live floats in a bottleneck: the layer's input (kept for the skip), and the step's own.

    Each step reads one tensor and writes one, and keeps what a later step needs:

    - expansion, BatchNorm, activation: two tensors of `expand` channels at input size;
    - depthwise, BatchNorm, activation: the expanded input, and two of `expand` channels at output size; where the
      convolution in time stands alone, its input too; in causal networks its input with the buffer in front; and the
      shifted copy of the expanded input where there is a temporal shift;
    - squeeze-excitation: one of `expand` channels at output size, which lives to the end of the layer; on small maps
      the gated one too;
    - projection and BatchNorm: its input and two of `out_width` channels;
    - sum: the plain `expand` channels, branch, skip and their sum (the identity skip is the input), and the pooled
      input where the layer is strided.

    The pooled vectors of squeeze-excitation are left out.
    """
    wide_in, wide_out, narrow = layer.expand * before, layer.expand * after, out_width * after
    gated = (1 + gated_map) * wide_out
    joined = wide_out + 2 * narrow
    if layer.stride != 1 or in_width != out_width:
        joined += narrow + (in_width * after if layer.stride != 1 else 0)
    convolved = wide_in + 2 * wide_out
    if split or buffer or layer.kernel.shift:
        convolved += (wide_out if split else wide_in) + buffer
    return in_width * before + max(2 * wide_in, convolved, gated + 2 * narrow, joined)


def head_cost(
    in_width: int, head: int, hidden: int, classes: int, clip: ClipLike, height: int, width: int, form: Form = BASE
) -> Cost:
    """Pointwise convolution, BatchNorm, pool, dense layer with bias, classifier with bias, once for each answer."""
    clip = Clip.of(clip)
    positions = clip.frames * height * width
    dense = head * hidden + hidden * classes
    answers = {"3d": 1, "2d": clip.frames, "none": positions}[form.head_pool]
    peak = positions * (in_width + 2 * head)
    if not form.answers_clips:  # each step reads one tensor and writes one; a single answer's are left out
        peak = max(peak, answers * (head + hidden), answers * 2 * hidden, answers * (hidden + classes))
    counted = Cost(
        macs=positions * in_width * head + answers * dense,
        params=in_width * head + 2 * head + head * hidden + hidden + hidden * classes + classes,
        activation_bytes=clip_bytes(clip) + FLOAT_BYTES * peak,
        state_bytes=FLOAT_BYTES * head if form.causal and form.answers_clips else 0,
        frame_macs=height * width * in_width * head + max(1, answers // clip.frames) * dense if form.causal else 0,
        clip=clip,
    )
    return count_more(Part(Head(head, hidden), in_width, head, clip, height, width, form, classes), counted)


def clip_bytes(clip: ClipLike) -> int:
    """Of a float32 clip."""
    clip = Clip.of(clip)
    return FLOAT_BYTES * RGB * clip.frames * clip.height * clip.width
