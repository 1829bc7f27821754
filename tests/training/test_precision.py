"""What precision `auto` means, and what a search computes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.small import settings
from training.machine.precision import has_bfloat16, resolved
from training.search.search_config import SearchConfig
from training.search.search_problem import build
from training.search.supernet_steps import SupernetSteps

WITH = "processor : 0\nflags : fpu avx512f avx512_bf16 sse4_2\n"


def test_auto_is_bfloat16_where_it_pays(tmp_path: Path) -> None:
    new, old, missing = tmp_path / "new", tmp_path / "old", tmp_path / "missing"
    new.write_text(WITH)
    old.write_text(WITH.replace("avx512_bf16 ", ""))
    assert [has_bfloat16(path) for path in (new, old, missing)] == [True, False, False]
    assert resolved("auto", 64, "cpu", new) == "bfloat16"
    assert resolved("auto", 63, "cpu", new) == resolved("auto", 64, "cuda", new) == "float32"
    assert resolved("auto", 64, "cpu", old) == "float32"
    assert [resolved(name, 8, "cpu", old) for name in ("float32", "bfloat16")] == ["float32", "bfloat16"]


def test_a_configuration_records_what_was_chosen() -> None:
    config = SearchConfig.resolve(precision="auto", search_resolution=32)
    assert config.precision == "float32"
    assert SearchConfig.settled({"precision": "bfloat16"}) == {"precision": "bfloat16"}
    with pytest.raises(ValueError, match="precision"):
        SearchConfig.resolve(precision="float16")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_maps_have_the_precision_and_weights_float32(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from networks import layers

    seen: list[torch.dtype] = []
    original: Any = layers.depthwise
    monkeypatch.setattr(layers, "depthwise", lambda x, *rest: (seen.append(x.dtype), original(x, *rest))[1])
    problem = build(SearchConfig.resolve(**settings(tmp_path, precision=precision)))
    steps = SupernetSteps(problem)
    row = problem.space.decisions.sample(np.random.default_rng(0), 1)
    paths, _ = steps.paths(row, 0)
    clip = problem.train_clip
    clips = torch.randint(0, 256, (4, 3, clip.frames, clip.height, clip.width), dtype=torch.uint8)
    loss = steps.train(paths, [(clips, torch.arange(4) % problem.space.classes)], 0)
    assert loss > 0
    assert set(seen) == {getattr(torch, precision)}
    assert steps.logits(clips / 255, paths[0].architecture).dtype == torch.float32
    assert {p.dtype for p in steps.supernet.parameters()} == {torch.float32}
    gradient = steps.supernet.flat_weights.grad
    assert gradient is not None and gradient.dtype == torch.float32
