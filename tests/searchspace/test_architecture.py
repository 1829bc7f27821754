"""arch.json: there and back, keys, and one line for each thing that can be wrong with it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchspace import Architecture, Block, Clip, Form, Head, Kernel, Layer, Stem, published, squeeze_width
from tests.searchspace.util import random_architecture


def _small(**changes: Any) -> Architecture:
    layers = (Layer(Kernel(1, 3, 3), 2, 24, 8), Layer(Kernel(5, 1, 1), 1, 16, 0))
    fields: dict[str, Any] = dict(
        name="small", clip=Clip(4, 24, 24), classes=5, stem=Stem(8), blocks=(Block(8, layers),), head=Head(32, 48)
    )
    return Architecture(**{**fields, **changes})


# One difference each from the form of the base networks, and the whole form of the stream ones.
FORMS = [
    Form(causal=True),
    Form(convolution="2plus1d"),
    Form(squeeze_kind="2d"),
    Form(squeeze_kind="2plus3d"),
    Form(causal=True, position_encoding=True),
    Form(activation="hard_swish"),
    Form(gate="hard_sigmoid"),
    Form(gate="hard_sigmoid_2021"),
    Form(activation="relu6"),
    Form(dense_activation="hard_swish"),
    Form(dense_activation="relu6"),
    Form(head_pool="2d"),
    Form(causal=True, head_pool="none"),
    Form(norm_momentum=0.1),
    Form(norm_eps=1e-5),
    Form(True, "2plus1d", "2plus3d", False, "hard_swish", "hard_sigmoid_2021"),
]


# ------------------------------------------------------------------------------------------------------- there and back


def test_random_architectures_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        architecture = random_architecture(rng)
        architecture.save(tmp_path / "arch.json")
        again = Architecture.load(tmp_path / "arch.json")
        assert again == architecture and again.key() == architecture.key()
        assert again.provenance == architecture.provenance
        assert again.to_json() == (tmp_path / "arch.json").read_text(encoding="utf-8")


def test_the_file_is_json_with_one_layer_a_line() -> None:
    text = published("a2").to_json()
    data = json.loads(text)
    assert data["schema"] == "movinas/architecture/1"
    assert data["blocks"][2]["layers"][1] == {"kernel": "3x3x3", "stride": 1, "expand": 160, "squeeze": 40}
    lines = [line for line in text.splitlines() if '"kernel"' in line and '"expand"' in line]
    assert len(lines) == 26 and text.endswith("}\n")


def test_defaults() -> None:
    data = _small().to_dict()
    for key in ("name", "dropout", "drop_path", "activation", "gate", "provenance"):
        del data[key]
    assert Architecture.from_dict(data) == _small(name="unnamed")


def test_keys_name_layers_and_nothing_else() -> None:
    small = _small()
    assert small.key() == "c101be028b"
    assert _small(name="other", provenance={"seed": 3}).key() == small.key()
    changed = [
        _small(classes=6),
        _small(clip=Clip(4, 24, 25)),
        _small(stem=Stem(9)),
        _small(head=Head(32, 49)),
        _small(blocks=(Block(9, small.blocks[0].layers),)),
        _small(blocks=(Block(8, small.blocks[0].layers[:1]),)),
        _small(blocks=(*small.blocks, *small.blocks)),
        _small(blocks=(Block(8, small.blocks[0].layers[::-1]),)),
        *(_small(form=form) for form in FORMS),
    ]
    assert len({small.key(), *(architecture.key() for architecture in changed)}) == len(changed) + 1


@pytest.mark.parametrize("form", FORMS)
def test_forms_travel(form: Form) -> None:
    again = Architecture.from_json(_small(form=form).to_json())
    assert again == _small(form=form) and again.form == form


def test_a_base_network_is_written_as_ever() -> None:
    """Keys of stored results hang on it, and files stay readable for older versions."""
    assert {"activation", "gate"} == set(_small().to_dict()) & {field.name for field in dataclasses.fields(Form)}


def test_streaming() -> None:
    small = _small(blocks=(Block(8, (Layer(Kernel(1, 3, 3), 2, 24, 8), Layer(Kernel(5, 1, 1), 1, 16, 5))),))
    stream = small.streaming()
    assert stream.form == FORMS[-1] and stream.name == "small-stream" and stream.streaming() is stream
    # 24 channels: a quarter of 48 rounds to 16; a width that no rule gave is doubled; none stays none
    assert [layer.squeeze for layer in stream.blocks[0].layers] == [16, 10]
    assert [layer.squeeze for layer in _small().streaming().blocks[0].layers] == [16, 0]
    assert small.streaming(position_encoding=True).form == dataclasses.replace(FORMS[-1], position_encoding=True)
    assert not _small(form=Form(head_pool="2d")).streaming().form.answers_clips
    assert stream.receptive_frames == small.receptive_frames == 5


def test_positions() -> None:
    positions = list(_small().layers())
    assert [(p.block, p.index, p.in_width, p.width, p.has_projection) for p in positions] == [
        (0, 0, 8, 8, True),  # strided
        (0, 1, 8, 8, False),
    ]
    wider = list(_small(stem=Stem(9), blocks=(Block(8, (Layer(Kernel(1, 3, 3), 1, 24, 8),) * 2),)).layers())
    assert [p.has_projection for p in wider] == [True, False]


@pytest.mark.parametrize(
    ("expand", "hidden"), [(1, 8), (24, 8), (40, 16), (48, 16), (80, 24), (112, 32), (184, 48), (280, 72), (344, 88)]
)
def test_squeeze_widths(expand: int, hidden: int) -> None:
    """Values of released networks: a nearest multiple of 8, at least 8, never under 0.9 of a quarter."""
    assert squeeze_width(expand) == hidden


def test_squeeze_width_never_falls_below_nine_tenths() -> None:
    for expand in range(1, 3000):
        hidden = squeeze_width(expand)
        assert hidden % 8 == 0 and hidden >= max(8, 0.9 * expand / 4)
        assert hidden - 8 < max(8, 0.9 * expand / 4) or abs(hidden - expand / 4) <= 4


# ----------------------------------------------------------------------------------------------------------- bad files

DELETE = object()


def _edited(path: str, value: object) -> dict[str, Any]:
    data = _small().to_dict()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner: Any = data
    for part in parents:
        inner = inner[part]
    if value is DELETE:
        del inner[last]
    else:
        inner[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", "movinas/architecture/2", "f.schema is 'movinas/architecture/2'; allowed: movinas/architecture/1"),
        ("schema", DELETE, "f: key 'schema' is missing"),
        ("clip", "8x128", "f.clip '8x128': write frames x height x width"),
        ("clip", "0x1x1", "f.clip 0x1x1: frames and sides must be from 1 to 4096"),
        ("clip", [4, 24, 24], "f.clip is [4, 24, 24]; allowed: printable text"),
        ("classes", 0, "f.classes is 0; allowed: a whole number from 1 to 1000000"),
        ("classes", 5.0, "f.classes is 5.0; allowed: a whole number"),
        ("classes", True, "f.classes is True; allowed: a whole number"),
        ("classes", "5", "f.classes is '5'; allowed: a whole number"),
        ("name", "a\nb", "f.name is 'a\\nb'; allowed: printable text of at most 200 characters"),
        ("name", "n" * 201, "f.name is 'nnnn"),
        ("stem", 16, "f.stem is 16; it must be a mapping"),
        ("stem/width", -1, "f.stem.width is -1; allowed: a whole number from 1 to 4096"),
        ("stem/kernel", "3x3x3", "f.stem.kernel is '3x3x3'; allowed: a spatial kernel, such as 1x3x3"),
        ("stem/stride", 2, "f.stem: unknown key 'stride' (known: kernel, width)"),
        ("blocks", [], "f.blocks is []; allowed: a list of 1 to 16 items"),
        ("blocks", {}, "f.blocks is {}; allowed: a list"),
        ("blocks/0", None, "f.blocks[0] is None; it must be a mapping"),
        ("blocks/0/layers", [], "f.blocks[0].layers is []; allowed: a list of 1 to 64 items"),
        ("blocks/0/layers/1/kernel", "2x3x3", "f.blocks[0].layers[1].kernel 2x3x3: each length must be odd"),
        ("blocks/0/layers/1/kernel", "3x3", "f.blocks[0].layers[1].kernel '3x3': write frames x height x width"),
        ("blocks/0/layers/1/stride", 3, "f.blocks[0].layers[1].stride is 3; allowed: a whole number from 1 to 2"),
        ("blocks/0/layers/1/expand", 10**9, "f.blocks[0].layers[1].expand is 1000000000; allowed: a whole number"),
        ("blocks/0/layers/1/squeeze", DELETE, "f.blocks[0].layers[1]: key 'squeeze' is missing"),
        ("blocks/0/layers/1/skip", 1, "f.blocks[0].layers[1]: unknown key 'skip' (known: expand, kernel, squeeze"),
        ("head/width", None, "f.head.width is None; allowed: a whole number"),
        ("dropout", 1, "f.dropout is 1; allowed: a number from 0 to 0.99"),
        ("dropout", float("nan"), "f.dropout is nan; allowed: a number from 0 to 0.99"),
        ("drop_path", "0.2", "f.drop_path is '0.2'; allowed: a number from 0 to 0.99"),
        ("activation", "relu", "f.activation is 'relu'; allowed: swish, hard_swish, relu6; did you mean"),
        ("gate", "sigmiod", "f.gate is 'sigmiod'; allowed: sigmoid, hard_sigmoid, hard_sigmoid_2021; did you mean"),
        ("causal", 1, "f.causal is 1; allowed: true or false"),
        ("convolution", "2d", "f.convolution is '2d'; allowed: 3d, 2plus1d"),
        ("squeeze_kind", None, "f.squeeze_kind is None; allowed: 3d, 2d, 2plus3d"),
        ("position_encoding", True, "f.position_encoding is True and causal is False; allowed: positions only"),
        ("norm_momentum", 0, "f.norm_momentum is 0; allowed: a number from 1e-06 to 1"),
        ("norm_eps", "1e-3", "f.norm_eps is '1e-3'; allowed: a number from 1e-12 to 1"),
        ("provenance", [1], "f.provenance is [1]; allowed: a mapping"),
        ("provenance", {"a": {"b": [0, float("inf")]}}, "f.provenance.a.b[1] is inf; give a finite number"),
        ("provenance", {"a": "\ud800"}, "f.provenance.a is '\\ud800'; allowed: text that can be written as UTF-8"),
        ("provenance", {"\ud800": 1}, "f.provenance has the key '\\ud800'; allowed: text"),
        ("provenance", {"a": 1 << 200}, "f.provenance.a is an integer of 201 bits; allowed: at most 128"),
        ("bloks", [], "f: unknown key 'bloks'; did you mean 'blocks'? (known: activation, blocks, causal"),
        ("a\nb", 1, "f: unknown key 'a\\nb' (known:"),
    ],
)
def test_every_mistake_is_named(path: str, value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Architecture.from_dict(_edited(path, value), "f")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_misspelt_key_that_is_needed() -> None:
    data = _small().to_dict()
    data["clas"] = data.pop("classes")
    with pytest.raises(ValueError, match=r"^f: key 'classes' is missing; did you misspell it as 'clas'\?$"):
        Architecture.from_dict(data, "f")


def test_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.json: no such file; give the path of the arch.json file"):
        Architecture.load(tmp_path / "none.json")


# ---------------------------------------------------------------------------------------------------- built by hand


@pytest.mark.parametrize(
    "build",
    [
        lambda: Stem(0),
        lambda: Stem(8.0),  # type: ignore[arg-type]
        lambda: Stem(8, Kernel(3, 3, 3)),
        lambda: Stem(8, (1, 3, 3)),  # type: ignore[arg-type]
        lambda: Layer(Kernel(2, 3, 3), 1, 8, 0),
        lambda: Layer(Kernel(1, 3, -3), 1, 8, 0),
        lambda: Layer(Kernel(1, 3, 3.0), 1, 8, 0),  # type: ignore[arg-type]
        lambda: Layer(Kernel(1, 3, 3), 3, 8, 0),
        lambda: Layer(Kernel(1, 3, 3), 1, np.int64(8), 0),  # type: ignore[arg-type]
        lambda: Layer(Kernel(1, 3, 3), 1, 8, True),
        lambda: Block(8, ()),
        lambda: Block(8, [Layer(Kernel(1, 3, 3), 1, 8, 0)]),  # type: ignore[arg-type]
        lambda: Block(8, ("layer",)),  # type: ignore[arg-type]
        lambda: Block(8, (Layer(Kernel(1, 3, 3), 1, 8, 0),) * 65),
        lambda: Head(8, 10**6),
        lambda: _small(name="a\nb"),
        lambda: _small(clip=(8, 128)),
        lambda: _small(classes=0),
        lambda: _small(blocks=()),
        lambda: _small(blocks=(1,)),
        lambda: _small(dropout=float("nan")),
        lambda: _small(drop_path=1),
        lambda: Form(activation="relu"),
        lambda: Form(gate=None),  # type: ignore[arg-type]
        lambda: Form(causal=1),  # type: ignore[arg-type]
        lambda: Form(position_encoding=True),
        lambda: Form(norm_eps=float("nan")),
        lambda: _small(form="stream"),
        lambda: _small(provenance=[]),
    ],
)
def test_nonsense_is_refused(build: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed: |must be") as caught:
        build()
    assert "\n" not in str(caught.value)


def test_what_can_be_built_can_be_saved(tmp_path: Path) -> None:
    """Provenance is free until it is written; then it must be plain."""
    odd = _small(provenance={"when": object()})
    with pytest.raises(ValueError, match=r"^provenance.when is <object object .*; allowed: text, numbers, true"):
        odd.save(tmp_path / "arch.json")
    assert list(tmp_path.iterdir()) == []


def test_architectures_are_immutable_and_hashable() -> None:
    small = _small()
    with pytest.raises(dataclasses.FrozenInstanceError):
        small.classes = 7  # type: ignore[misc]
    assert len({small, _small(), _small(classes=7)}) == 2
