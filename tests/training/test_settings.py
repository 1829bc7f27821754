"""Every field of every configuration refuses what it cannot be, in a sentence, when it is made."""

import dataclasses
import typing
from pathlib import Path
from typing import Any

import pytest

from scaling.scale_config import ScaleConfig
from tests.training.networks_of_seconds import architecture
from training.fit import FitConfig
from training.recipe import SECTIONS, Recipe
from training.retrain.retrain_config import RetrainConfig, comparable, resolve
from training.search.search_config import SearchConfig
from video.motion_classes import MotionRanges

MAKERS: dict[type[Any], Any] = {
    SearchConfig: SearchConfig.resolve,
    RetrainConfig: lambda **given: RetrainConfig(**{"recipe": Recipe(), **given}),
    ScaleConfig: ScaleConfig,
    FitConfig: FitConfig,
    Recipe: Recipe,
    MotionRanges: MotionRanges,
    **{section: section for section in SECTIONS.values()},
}
FIELDS = [(kind, field.name) for kind in MAKERS for field in dataclasses.fields(kind)]
WRONG: tuple[Any, ...] = (object(), "no such word", 5, -1, 1.5, True, float("nan"), None, [], {}, [object()], ("a", 2))


def fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of an annotated type; whole numbers are numbers, truth is not."""
    if typing.get_origin(wanted) in (typing.Union, type(int | None)):
        return any(fits(value, part) for part in typing.get_args(wanted))
    if typing.get_origin(wanted) is typing.Literal:
        return value in typing.get_args(wanted)
    if typing.get_origin(wanted) is tuple:
        return isinstance(value, tuple | list)
    if wanted is type(None):
        return value is None
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}.{name}" for kind, name in FIELDS])
def test_a_value_of_another_kind_is_refused(kind: type[Any], name: str) -> None:
    wanted = typing.get_type_hints(kind)[name]
    for value in WRONG:
        try:
            made = MAKERS[kind](**{name: value})
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert fits(value, wanted), f"{name}={value!r} is taken for {wanted}"
            assert name == "recipe" or fits(getattr(made, name), wanted)


def test_what_the_command_line_would_not_give_is_refused_from_python() -> None:
    for settings in ({"stream": "no"}, {"teacher": 5}, {"init": 5}, {"group": 3}, {"data": 7}, {"recipe": 5}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            resolve(architecture(), {"data": None, **settings})


def test_paths_and_clips_are_stored_as_text_and_compared_as_it(tmp_path: Path) -> None:
    given = {"data": tmp_path, "init": tmp_path / "a.safetensors", "clip": (4, 16, 16)}
    config = resolve(architecture(), given).config
    assert config.data == str(tmp_path) and config.init == str(tmp_path / "a.safetensors")
    assert config.clip == "4x16x16@5"
    assert comparable(given).items() <= config.to_dict().items()
    search = SearchConfig.resolve(data=tmp_path, clip=(4, 32, 32), space=tmp_path / "s.yaml", budgets="5M")
    assert (search.data, search.clip, search.space) == (str(tmp_path), "4x32x32@5", str(tmp_path / "s.yaml"))
    assert search.budgets == ("5M",)
    assert ScaleConfig(base=tmp_path, clip=[4, 32, 32], data=tmp_path).clip == "4x32x32@5"  # type: ignore[arg-type]
