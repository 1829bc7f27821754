"""How the layers of a network compute, as data: everything but their number, widths and kernels.

The defaults are those of the published base networks; `STREAM` is the form of the published stream networks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from searchspace.clip import Kernel
from searchspace.schema import Fields, nearest, show

ACTIVATIONS = ("swish", "hard_swish", "relu6")
"""Names; `networks.kernels.activations` has what they compute."""

WORDS: dict[str, tuple[str, ...]] = {
    "convolution": ("3d", "2plus1d"),
    "squeeze_kind": ("3d", "2d", "2plus3d"),
    "activation": ACTIVATIONS,
    "gate": ("sigmoid", "hard_sigmoid", "hard_sigmoid_2021"),
    "dense_activation": ACTIVATIONS,
    "head_pool": ("3d", "2d", "none"),
}
SWITCHES = ("causal", "position_encoding")
NUMBERS = {"norm_momentum": (1e-6, 1.0), "norm_eps": (1e-12, 1.0)}
_ALWAYS_WRITTEN = ("activation", "gate")


def squeeze_width(channels: int, ratio: float = 0.25) -> int:
    """Hidden width of squeeze-excitation on `channels` pooled channels.

    Nearest multiple of 8, at least 8, and never below 0.9 of the exact value (the rule of MobileNetV3, as the
    reference code of MoViNets applies it).
    """
    exact = channels * ratio
    width = max(8, int(exact + 4) // 8 * 8)
    return width + 8 if width < 0.9 * exact else width


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """What the reference code makes configurable for a whole network.

    Attributes:
        causal: no frame sees a later one; such a network also runs frame by frame, with a state.
        convolution: of the depthwise kernels. "3d" is one convolution; "2plus1d" is a spatial one, BatchNorm and
            activation, then a temporal one where the kernel has more than one frame (the reference's `2plus1d` and
            `3d_2plus1d`, which compute the same).
        squeeze_kind: what squeeze-excitation sees. "3d": the mean over frames and map, in causal networks over the
            frames so far; "2d": each frame's own mean; "2plus3d": both, first the one over time, on twice the channels.
        position_encoding: adds sines of the frame's index to what squeeze-excitation sees; causal networks only.
        activation: behind every BatchNorm but the projections', and inside squeeze-excitation. "relu6" is what the
            authors' networks for int8 have.
        gate: the last function of squeeze-excitation. "hard_sigmoid" is relu6(x + 3) / 6, as the reference has it since
            2022; "hard_sigmoid_2021" is clip(0.2 x + 0.5, 0, 1), with which the released stream weights were trained.
        dense_activation: behind the dense layer; swish in the stream networks too, relu6 in those for int8.
        head_pool: what an answer is of. "3d": the whole clip, in causal networks the frames so far; "2d": each frame by
            itself; "none": each position of each frame's last map.
        norm_momentum, norm_eps: of BatchNorm; the momentum is the weight of the new value (1 - Keras' momentum).
    """

    causal: bool = False
    convolution: str = "3d"
    squeeze_kind: str = "3d"
    position_encoding: bool = False
    activation: str = "swish"
    gate: str = "sigmoid"
    dense_activation: str = "swish"
    head_pool: str = "3d"
    norm_momentum: float = 0.01
    norm_eps: float = 1e-3

    def __post_init__(self) -> None:
        for key, words in WORDS.items():
            value = getattr(self, key)
            if not isinstance(value, str) or value not in words:
                near = nearest(value, words) if isinstance(value, str) else ""
                raise ValueError(f"{key} is {show(value)}; allowed: {', '.join(words)}{near}")
        for key in SWITCHES:
            if type(getattr(self, key)) is not bool:
                raise ValueError(f"{key} is {show(getattr(self, key))}; allowed: true or false")
        for key, (low, high) in NUMBERS.items():
            value = getattr(self, key)
            if type(value) not in (int, float) or not low <= value <= high:
                raise ValueError(f"{key} is {show(value)}; allowed: a number from {low:g} to {high:g}")
        if self.position_encoding and not self.causal:
            raise ValueError(
                "position_encoding is True and causal is False; allowed: positions only in causal networks, which "
                "count frames from a start; set causal to true"
            )

    @property
    def answers_clips(self) -> bool:
        """Whether there is one answer a clip, [N, classes], and not one for each frame or position."""
        return self.head_pool == "3d"

    @property
    def pooled(self) -> int:
        """How many pooled vectors squeeze-excitation sees: 2 for "2plus3d", else 1."""
        return 2 if self.squeeze_kind == "2plus3d" else 1

    def parts(self, kernel: Kernel) -> tuple[Kernel, Kernel | None]:
        """The convolutions that a depthwise kernel is: one, or its spatial and then its temporal part."""
        if self.convolution == "2plus1d" and kernel.t > 1:
            return Kernel(1, kernel.h, kernel.w), Kernel(kernel.t, 1, 1)
        return kernel, None

    def squeeze_width(self, expand: int) -> int:
        """Hidden width of squeeze-excitation on `expand` channels by the reference's rule."""
        return squeeze_width(expand * self.pooled)

    def streaming(self, position_encoding: bool = False) -> Form:
        """The form of the published stream networks, with this one's BatchNorm constants and answers."""
        kept = {key: getattr(self, key) for key in ("norm_momentum", "norm_eps", "head_pool")}
        return dataclasses.replace(STREAM, position_encoding=position_encoding, **kept)

    def to_dict(self) -> dict[str, Any]:
        """Keys of an arch.json; those with the base networks' value are left out, but for `activation` and `gate`."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in _ALWAYS_WRITTEN or getattr(self, field.name) != field.default
        }

    @classmethod
    def read(cls, fields: Fields) -> Form:
        """Reads the keys of a form from the top of a file; missing ones have the base networks' value.

        Raises:
            ValueError: a value or a combination that is not allowed; names the key.
        """
        default = cls()
        values: dict[str, Any] = {key: fields.boolean(key, getattr(default, key)) for key in SWITCHES}
        values |= {key: fields.one_of(key, words, getattr(default, key)) for key, words in WORDS.items()}
        values |= {key: fields.number(key, *limits, getattr(default, key)) for key, limits in NUMBERS.items()}
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{fields.where}.{error}") from None


BASE = Form()
STREAM = Form(
    causal=True,
    convolution="2plus1d",
    squeeze_kind="2plus3d",
    activation="hard_swish",
    gate="hard_sigmoid_2021",
)
