"""Batches: memory format, order, independence of workers and of the user's working directory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import video
from searchspace.clip import Clip
from video import MotionSource, Request, batches, to_float

ROOT = Path(video.__file__).resolve().parents[1]
SIZES = {"weights": 64, "controller": 16, "rescoring": 16, "val": 16}


def source() -> MotionSource:
    return MotionSource(1, Clip(4, 16, 16, 5.0), sizes=SIZES)


REQUESTS = [Request("weights", list(range(i, i + 8)), epoch=0, training=True) for i in range(0, 64, 8)] + [
    Request("val", [3, 1, 2])
]


def test_batches_are_channels_last_and_in_order() -> None:
    data = source()
    for request, (clips, labels) in zip(REQUESTS, batches(data, REQUESTS), strict=True):
        assert clips.dtype == torch.uint8 and labels.dtype == torch.int64
        assert clips.shape == (len(request.indices), 3, 4, 16, 16)
        assert clips.is_contiguous(memory_format=torch.channels_last_3d)
        frames, expected = data.item(request.part, request.indices[1])
        assert torch.equal(clips[1].permute(1, 2, 3, 0), torch.from_numpy(frames)) and labels[1] == expected


def test_workers_change_nothing_and_requests_may_be_endless() -> None:
    def endless() -> "object":
        while True:
            yield from REQUESTS

    before = torch.random.get_rng_state()
    alone = list(batches(source(), REQUESTS))
    stream = batches(source(), endless(), workers=2)  # type: ignore[arg-type]
    for _ in range(2):
        for clips, labels in alone:
            others, their_labels = next(stream)
            assert torch.equal(clips, others) and torch.equal(labels, their_labels)
            assert others.is_contiguous(memory_format=torch.channels_last_3d)
    stream.close()  # type: ignore[attr-defined]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_to_float() -> None:
    clips, _ = next(batches(source(), REQUESTS))
    floats = to_float(clips)
    assert floats.dtype == torch.float32 and floats.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal((floats * 255).round().to(torch.uint8), clips)
    assert floats.min() >= 0.0 and floats.max() <= 1.0


def test_errors_in_a_worker_arrive_as_they_are() -> None:
    with pytest.raises(IndexError, match="outside part 'val'"):
        list(batches(source(), [*REQUESTS, Request("val", [16])], workers=1))


class _Dying(MotionSource):
    def batch(self, *arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_worker_is_told() -> None:
    with pytest.raises(RuntimeError, match="fewer workers"):
        list(batches(_Dying(1, Clip(4, 16, 16, 5.0), sizes=SIZES), REQUESTS, workers=1))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(
        "import itertools, multiprocessing, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import video\n"
        "from searchspace.clip import Clip\n"
        "source = video.MotionSource(1, Clip(4, 16, 16, 5.0))\n"
        "requests = (video.Request('weights', [0]) for _ in itertools.count())\n"
        "stream = video.batches(source, requests, workers=2)\n"
        "next(stream)\n"
        "print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert workers
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("options", [{"workers": -1}, {"prefetch": 0}])
def test_bad_counts_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="workers"):
        next(batches(source(), REQUESTS, **options))


def test_workers_ignore_modules_in_the_working_directory(tmp_path: Path) -> None:
    """A user's own packages of the same names, and of names that Python itself imports, stay unimported.

    The script needs no `if __name__ == "__main__"`: workers do not run it again.
    """
    place = tmp_path / "work"
    for name in ("video", "searchspace", "training", "networks"):
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text("raise SystemExit('the user\\'s package was imported')")
    for name in ("pickle", "numpy", "torch", "av"):
        (place / f"{name}.py").write_text("raise SystemExit('the user\\'s module was imported')")
    script = tmp_path / "script" / "main.py"
    script.parent.mkdir()
    script.write_text(
        "import sys\n"
        f"sys.path.append({str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "import video\n"
        "from searchspace.clip import Clip\n"
        "from video.scan import scan\n"
        "source = video.MotionSource(1, Clip(4, 16, 16, 5.0))\n"
        "requests = [video.Request('weights', [i, i + 1]) for i in range(4)]\n"
        "print(sum(len(labels) for _, labels in video.batches(source, requests, workers=1)))\n"
        "found = scan(Path('.'), ['pickle.py', 'av.py'], workers=2)\n"
        "print([bool(info.error) for info in found.values()])\n"
    )
    done = subprocess.run([sys.executable, "-P", str(script)], cwd=place, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["8", "[True, True]"], done.stderr


def test_import_is_cheap() -> None:
    heavy = "{'torch', 'av', 'numpy'}"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import video; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert set(video.__all__) <= set(dir(video)) | set(video._HOME)
    for name in video.__all__:
        assert getattr(video, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = video.nothing
