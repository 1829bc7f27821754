"""Every public call that takes a clip takes it in every form: a `Clip`, `(8, 128, 128)`, `"8x128x128@5"`."""

import ast
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchspace
import video
from experiments.plots import network as network_picture
from scaling import time_estimate, trial
from scaling.family_base import find_base
from scaling.family_plan import training_clip
from scaling.scale_config import ScaleConfig
from searchspace import Budget, Clip, Ensemble, published
from searchspace.cost import clip_bytes, head_cost, layer_cost, stem_cost
from searchspace.cost_tables import SpaceCosts, tabulate
from tests.training.networks_of_seconds import architecture
from training.data_parts import select
from training.open_data import DATA, compare_data, open_source
from training.progress import Silent
from training.retrain import retrain_config
from training.retrain.retrain_config import RetrainConfig, resolve
from training.run import RunFolder
from training.search.budget_bounds import check_budgets
from training.search.search_config import SearchConfig
from video import crop, sampling
from video.asked import Files
from video.scene import frame_times

ROOT = Path(__file__).parents[2]
CLIP = Clip(4, 32, 16)
FORMS: tuple[Any, ...] = (CLIP, (4, 32, 16), [4, 32, 16], "4x32x16@5", "4x32x16")
NEEDS_A_FILE = {"read_views", "read_stream", "read_middle", "FolderSource", "_of_run", "fitting"}
"""Tried in tests/video and tests/training, where there are video files."""

SOURCE = video.MotionSource(0, CLIP, sizes={"weights": 4, "controller": 4, "rescoring": 4, "val": 4})
A0, RNG = published("a0"), np.random.default_rng
LAYER = next(A0.layers())
HOW = video.Augmentation(frame_rate_jitter=1)
BLACK = np.zeros((1, 90, 70, 3), np.uint8)

CALLS: dict[str, Callable[[Any], object]] = {
    "cost": lambda clip: searchspace.cost(A0, clip=clip),
    "member_costs": lambda clip: Ensemble.interleave([A0, A0], "pair").member_costs(clip),
    "stem_cost": lambda clip: stem_cost(8, A0.stem.kernel, clip),
    "layer_cost": lambda clip: layer_cost(LAYER.layer, 8, 8, clip, 16, 8),
    "clip_bytes": lambda clip: clip_bytes(clip),
    "last_map": lambda clip: A0.last_map(clip),
    "trained_as": lambda clip: A0.trained_as(clip).clip,
    "parts": lambda clip: list(A0.parts(clip)),
    "head_cost": lambda clip: head_cost(8, 16, 32, 10, clip, 2, 1),
    "tabulate": lambda clip: tabulate(searchspace.load("movinet"), clip).bounds("macs"),
    "SpaceCosts": lambda clip: SpaceCosts(*_parts(clip)).clip,
    "limit": lambda clip: Budget.parse("1M/frame").limit(clip),
    "echo": lambda clip: Budget.parse("1M/frame").echo(clip),
    "Architecture": lambda clip: dataclasses.replace(A0, clip=clip),
    "Ensemble": lambda clip: dataclasses.replace(Ensemble.interleave([architecture()] * 1, "one"), clip=_quarter(clip)),
    "MotionSource": lambda clip: video.MotionSource(0, clip).clip,
    "at": lambda clip: (SOURCE.at(clip).clip, select(SOURCE, 1).at(clip).clip, type(SOURCE.at(clip))),
    "uniform_steps": lambda clip: sampling.uniform_steps(9, clip).tolist(),
    "random_steps": lambda clip: sampling.random_steps(99, clip, RNG(0)).tolist(),
    "centre_window": lambda clip: crop.centre_window(90, 70, clip),
    "random_window": lambda clip: crop.random_window(90, 70, clip, RNG(0)),
    "decoded_side": lambda clip: crop.decoded_side(90, 70, clip),
    "times": lambda clip: HOW.times(9.0, 25.0, clip, RNG(0)).tolist(),
    "clip_of": lambda clip: dataclasses.replace(HOW, frames=3).clip_of(clip),
    "window": lambda clip: HOW.window(90, 70, clip, RNG(0)),
    "frame_times": lambda clip: frame_times(clip).tolist(),
    "render": lambda clip: SOURCE.scenes("val", [0]).render(clip).tolist(),
    "Files": lambda clip: Files([], clip).clip,
    "resized_side": crop.resized_side,
    "resized_scale": lambda clip: crop.resized_scale(90, 70, clip),
    "crop_like_reference": lambda clip: crop.crop_like_reference(
        np.zeros((1, 90, 70, 3), np.uint8), (90, 70), clip
    ).tolist(),
    "open_source": lambda clip: _opened(clip).clip,
    "saved_bytes": lambda clip: A0.saved_bytes(clip),
    "compare_data": lambda clip: _compared(clip),
    "find_base": lambda clip: find_base("a0", Path("none"), "1M", clip, 10).space.clip,
    "check_budgets": lambda clip: check_budgets(searchspace.load("movinet"), clip, [Budget.parse("9M")], 0).limits,
    "training_clip": lambda clip: training_clip(Clip(8, 64, 32), Clip(8, 64, 32), clip),
    "training_clip, own": lambda clip: training_clip(clip, clip, None),
    "open_data": lambda clip: trial.open_data(ScaleConfig(), clip).clip,
    "seconds_per_mac": lambda clip: time_estimate.seconds_per_mac(architecture(), clip, 1, 2) > 0,
    "picture": lambda clip: network_picture.picture([A0], clip).axes[0].get_title(),
    "SearchConfig": lambda clip: SearchConfig.resolve(clip=clip, search_resolution=16),
    "RetrainConfig": lambda clip: RetrainConfig(clip=clip, recipe=retrain_config.Recipe()),
    "ScaleConfig": lambda clip: ScaleConfig(clip=clip),
    "resolve": lambda clip: resolve(architecture(), {"clip": clip}).config,
    "comparable": lambda clip: retrain_config.comparable({"clip": clip}),
    "settled": lambda clip: SearchConfig.settled({"clip": clip}),
}


def _opened(clip: Any) -> video.Source:
    return open_source(None, clip, seed=0, group=None, workers=0, folder=None, progress=Silent())


def _compared(clip: Any) -> str:
    """What a run keeps of the built-in data."""
    with tempfile.TemporaryDirectory() as folder:
        config = {"data": None, "videos": None, "group": None, "seed": 0}
        compare_data(RunFolder(Path(folder), config, resumed=False), clip, Silent())
        return (Path(folder) / DATA).read_text()


def _parts(clip: Any) -> tuple[Any, ...]:
    costs = tabulate(searchspace.load("movinet"), CLIP)
    return costs._space, clip, costs._tables, costs._stem, costs._head


def _quarter(clip: Any) -> Any:
    """The clip of the one member, in the form of `clip`."""
    own = architecture().clip
    if isinstance(clip, str):
        return str(own)
    return own if isinstance(clip, Clip) else type(clip)((own.frames, own.height, own.width))


@pytest.mark.parametrize("name", CALLS)
def test_every_form_gives_the_same(name: str) -> None:
    forms = FORMS[:2] if name in ("seconds_per_mac", "find_base") else FORMS  # half a second each
    first, *others = (CALLS[name](form) for form in forms)
    assert first is not None and all(other == first for other in others)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("Ensemble",)])
def test_what_is_no_clip_is_refused(name: str) -> None:
    for wrong in ((4, 32), "4x32", 4.0, b"4x32x16"):
        with pytest.raises(ValueError, match="clip"):
            CALLS[name](wrong)


def _takers(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Public functions and methods with a parameter of the type Clip, and that type."""
    for owner in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")):
        for node in owner.body:
            if not isinstance(node, ast.FunctionDef) or (node.name[0] == "_" and node.name != "__init__"):
                continue
            name = owner.name if isinstance(owner, ast.ClassDef) and node.name == "__init__" else node.name
            for argument in (*node.args.args, *node.args.kwonlyargs):
                text = "" if argument.annotation is None else ast.unparse(argument.annotation).strip("'\"")
                if text.split(" | ")[0] in ("Clip", "ClipLike"):
                    yield name, text


def test_no_public_call_takes_one_form_only() -> None:
    """The commands of `nas` have read their clips by then; all other rooms are libraries."""
    found = set()
    for room in ("searchspace", "networks", "supernet", "controller", "video", "training", "scaling"):
        for file in sorted((ROOT / room).rglob("*.py")):
            for name, text in _takers(ast.parse(file.read_text())):
                assert text.startswith("ClipLike") or name == "of", f"{file}: {name} takes {text}, not ClipLike"
                found.add(name)
    assert found - NEEDS_A_FILE - {"of"} <= set(CALLS), "not tried above"
