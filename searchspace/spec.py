"""What every network's data answers, whatever its family: MoViNets, ensembles of networks, and those of plugins.

A family is a class that inherits `NetworkSpec` and is given to `register`; its arch.json names it by the key `family`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from searchspace.clip import MAX_FRAMES, Clip, ClipLike
from searchspace.cost import FLOAT_BYTES
from searchspace.layer_specs import check_kind, check_whole
from searchspace.plugins import brought
from searchspace.quantities import Cost, Part
from searchspace.schema import Fields, nearest, parse_json, write_atomically
from searchspace.weights_header import read_arch_json

DEFAULT = "movinet"
"""The family whose arch.json may leave the key out, as keys of architectures do."""


class NetworkSpec:
    """A network as plain immutable data, a frozen dataclass of `name`, `clip`, `classes`, `provenance` and its layers.

    Attributes:
        family: its name in arch.json.
        schema: of its arch.json, with a version.
    """

    family: ClassVar[str]
    schema: ClassVar[str]

    if TYPE_CHECKING:  # fields or properties of the families

        @property
        def name(self) -> str:
            """For people."""

        @property
        def clip(self) -> Clip:
            """The shape that it is meant for; pre-processing follows from it (RGB in [0, 1])."""

        @property
        def classes(self) -> int:
            """Outputs of the classifier."""

        @property
        def provenance(self) -> Mapping[str, Any]:
            """Where it came from; never needed to build it."""

        @property
        def members(self) -> tuple[Member, ...]:
            """The networks of an ensemble; a single network is an ensemble of one (the default)."""

        @property
        def causal(self) -> bool:
            """Whether no frame sees a later one, so that the network also runs frame by frame (default: no)."""

        @property
        def answers_clips(self) -> bool:
            """Whether there is one answer a clip, and not one a frame or position (the default)."""

        @property
        def receptive_frames(self) -> int:
            """Frames that one output sees at most, before pooling (default: the clip's)."""

    def parts(self, clip: ClipLike) -> Iterator[tuple[Part, Cost]]:
        """Each part from input to output, and what it costs at a clip; costs add up to the network's."""
        raise NotImplementedError

    def cost(self, clip: ClipLike | None = None) -> Cost:
        """What it costs at a clip, by default its own."""
        first, *others = (cost for _, cost in self.parts(self.clip if clip is None else clip))
        return sum(others, start=first)

    def saved_bytes(self, clip: ClipLike) -> int:
        """Activations of one clip that a training step keeps for its backward pass, float32, about (our choice)."""
        return 4 * self.cost(clip).activation_bytes

    def weight_bytes(self) -> int:
        """Weights and BatchNorm's moving statistics, float32, about."""
        return FLOAT_BYTES * self.cost().params

    def last_map(self, clip: ClipLike) -> tuple[int, int]:
        """Height and width of the smallest map that BatchNorm normalises; 2 x 2 where a family does not say."""
        return 2, 2

    def member_costs(self, clip: ClipLike | None = None) -> list[Cost]:
        """Cost of each member at its share of a clip."""
        return [self.cost(clip)]

    def lines(self) -> list[str]:
        """What it is made of, for people: one line a block."""
        return [f"{part.name or number}: {part.what}" for number, (part, _) in enumerate(self.parts(self.clip), 1)]

    def form_text(self) -> str:
        """How it computes, for people."""
        return f"{'causal' if self.causal else 'whole clips'}, family {self.family}"

    def depth_text(self) -> str:
        """How deep it is, for people."""
        return f"{sum(1 for _ in self.parts(self.clip))} parts"

    def state_shapes(self, height: int, width: int) -> Mapping[str, tuple[int, ...]]:
        """Shape of each tensor of one stream of frames, without the batch; counters are ().

        Raises:
            ValueError: the network is not causal, or a size below 1.
        """
        raise self.not_causal()

    def not_causal(self) -> ValueError:
        """Builds (not raises) the error for a stream through a network that takes whole clips."""
        return ValueError(
            f"network {self.name!r} is not causal and has no state; call it with whole clips, or create its "
            "causal form with stream=True"
        )

    def streaming(self, position_encoding: bool = False) -> Self:
        """The network in its causal form; raises `ValueError` where its family has none."""
        if self.causal:
            return self
        raise ValueError(f"network {self.name!r}: family {self.family} has no causal form; leave stream out")

    def with_classes(self, classes: int) -> Self:
        """The network with another number of classes; raises `ValueError` below 1."""
        if classes < 1:
            raise ValueError(f"{classes} classes: must be at least 1")
        return dataclasses.replace(self, classes=classes)  # type: ignore[type-var]  # families are dataclasses

    def trained_as(
        self, clip: ClipLike, classes: int | None = None, dropout: float | None = None, drop_path: float | None = None
    ) -> Self:
        """The network as a training has it.

        Args:
            clip: that it trains on.
            classes: of the data; None for its own.
            dropout, drop_path: rates, of families that have them; None for their own.
        """
        changed = dataclasses.replace(self, clip=Clip.of(clip))  # type: ignore[type-var]  # families are dataclasses
        return changed if classes is None else changed.with_classes(classes)

    def from_origin(self, provenance: Mapping[str, Any]) -> Self:
        """The network with another provenance."""
        return dataclasses.replace(self, provenance=provenance)  # type: ignore[type-var]  # families are dataclasses

    def with_gate(self, gate: str) -> Self:
        """The network with another gate of squeeze-excitation; raises `ValueError` where its family has none."""
        raise ValueError(f"network {self.name!r}: family {self.family} has no gate to choose")

    @property
    def computes(self) -> Mapping[str, object]:
        """Settings of how it computes, which its weights were trained with; other values make other answers."""
        return {}

    def map(self, change: Callable[[Any], Any]) -> Self:
        """The network with every member changed."""
        return change(self)  # type: ignore[no-any-return]

    def stride(self, member: int) -> int:
        """Every how many frames of the clip a member takes one."""
        return 1

    def frames(self, member: int, frames: int) -> int:
        """How many of the first `frames` frames a member takes."""
        return len(range(self.members[member].offset, frames, self.stride(member)))

    def size(self, member: int, height: int, width: int) -> tuple[int, int]:
        """What a member sees of frames of a size."""
        return height, width

    def key(self) -> str:
        """Ten hexadecimal digits that name what is computed (not the name, nor the provenance)."""
        left_out = {"name", "provenance", *(["family"] if self.family == DEFAULT else [])}  # which came after the keys
        data = {key: value for key, value in self.to_dict().items() if key not in left_out}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]

    def to_dict(self) -> dict[str, Any]:
        """The content of an arch.json, the family among it."""
        raise NotImplementedError

    def to_json(self) -> str:
        """The text of an arch.json."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes arch.json to a temporary file and renames it."""
        write_atomically(path, self.to_json())

    @classmethod
    def from_dict(cls, data: object, where: str = "arch.json") -> Self:
        """Reads the content of an arch.json; raises `ValueError` that names key, value and what is allowed."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, text: str, where: str = "arch.json") -> Self:
        """Reads an arch.json of this family.

        Args:
            text: the file's content.
            where: what errors call it.

        Raises:
            ValueError: not JSON, a key unknown or twice, or a value that is not allowed; names key, value, remedy.
        """
        return cls.from_dict(parse_json(text, where), where)


def _members(self: NetworkSpec) -> tuple[Member, ...]:
    return (Member(self, 0),)


# Defaults that a family may replace by a field: properties of a base class would stand in the way of fields.
_DEFAULTS: dict[str, property] = {
    "members": property(_members),
    "causal": property(lambda self: False),
    "answers_clips": property(lambda self: True),
    "receptive_frames": property(lambda self: self.clip.frames),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One network of an ensemble.

    Attributes:
        architecture: the network; its clip says which frame rate, duration and size it is meant for.
        offset: index of its first frame in the ensemble's clip.
    """

    architecture: NetworkSpec
    offset: int

    def __post_init__(self) -> None:
        check_kind(self.architecture, NetworkSpec, "architecture of a member")
        check_whole(self.offset, 0, MAX_FRAMES, "offset of a member")


def cost(architecture: NetworkSpec, clip: ClipLike | None = None) -> Cost:
    """Counts an architecture.

    Args:
        architecture: what to count; an ensemble as a whole, each member at its share of the frames.
        clip: frames, height and width to count at, in any form that `Clip.of` takes; by default the architecture's
            own.

    Returns:
        MACs per clip and per frame, parameters, peak activation bytes and state bytes.
    """
    return architecture.cost(clip)


FAMILIES: dict[str, type[NetworkSpec]] = {}
"""The families by name."""


def family(kind: type[NetworkSpec]) -> type[NetworkSpec]:
    """Adds a family of ours, with the defaults of what it does not define."""
    for name, default in _DEFAULTS.items():
        fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # families are dataclasses
        if name not in fields and name not in vars(kind):
            setattr(kind, name, default)
    FAMILIES[kind.family] = kind
    return kind


def register(kind: type[NetworkSpec]) -> type[NetworkSpec]:
    """Adds a family of a plugin; `networks.register` says how its network is built.

    Raises:
        ValueError: the name is taken, or the class is no frozen dataclass.
    """
    if kind.family in FAMILIES:
        raise ValueError(f"family {kind.family!r}: there is one of this name; give another")
    if not dataclasses.is_dataclass(kind) or not kind.__dataclass_params__.frozen:
        raise ValueError(f"family {kind.family!r}: {kind.__name__} must be a frozen dataclass")
    brought("family", kind.family)
    return family(kind)


def read_spec(text: str, where: str = "arch.json") -> NetworkSpec:
    """Reads an arch.json of any family.

    Raises:
        ValueError: a family that is not known, or as `NetworkSpec.from_json`.
    """
    return spec_of(parse_json(text, where), where)


def spec_of(data: object, where: str = "arch.json") -> NetworkSpec:
    """Reads the content of an arch.json of any family; see `read_spec`."""
    top = Fields(data, where)
    if not top.has("family"):  # older than the key
        schemas = {kind.schema: kind for kind in FAMILIES.values()}
        return schemas[top.one_of("schema", schemas)].from_dict(data, where)
    name = top.text("family")
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ValueError(f"{where}.family is {name!r}{nearest(name, FAMILIES)}; known: {known}; a plugin may bring it")
    return FAMILIES[name].from_dict(data, where)


def load_spec(path: str | os.PathLike[str]) -> NetworkSpec:
    """Loads an arch.json of any family, or the one in the header of a safetensors file.

    Raises:
        ValueError: as `read_spec` does, or where there is no such file or no architecture in it.
    """
    return read_spec(*read_arch_json(path))
