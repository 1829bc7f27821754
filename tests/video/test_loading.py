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
from tests.video.conftest import write
from video import FolderSource, MotionSource, Request, batches, to_float

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


def test_a_worker_that_dies_twice_over_a_batch_ends_in_one_line() -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match=r"clip 0 of part 'weights' cannot be loaded, tried twice: its process died"):
        list(batches(_Dying(1, Clip(4, 16, 16, 5.0), sizes=SIZES), REQUESTS, workers=1, told=told.append))
    assert len(told) == 2 and all("was replaced" in line for line in told)


class _Unlucky(MotionSource):
    """Kills its process over one batch, as often as a file says; hangs where the file says so."""

    def __init__(self, mark: Path, hangs: bool = False) -> None:
        super().__init__(1, Clip(4, 16, 16, 5.0), sizes=SIZES)
        self.mark, self.hangs = mark, hangs

    def batch(self, part: str, indices: Any, *arguments: Any, **options: Any) -> Any:
        if part == "weights" and 16 in indices and not self.mark.exists():
            self.mark.touch()
            if self.hangs:
                time.sleep(600)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(part, indices, *arguments, **options)


@pytest.mark.parametrize(("workers", "hangs"), [(1, False), pytest.param(2, True, marks=pytest.mark.slow)])
def test_a_worker_that_dies_or_hangs_once_is_replaced_and_no_batch_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool, workers: int
) -> None:
    monkeypatch.setenv("MOVINAS_ITEM_SECONDS", "4" if hangs else "60")
    told: list[str] = []
    found = list(batches(_Unlucky(tmp_path / "mark", hangs), REQUESTS, workers=workers, told=told.append))
    assert len(told) == 1 and ("no sign of life" if hangs else "died") in told[0]
    expected = list(batches(source(), REQUESTS))
    assert len(found) == len(expected)
    for (clips, labels), (others, their_labels) in zip(found, expected, strict=True):
        assert torch.equal(clips, others) and torch.equal(labels, their_labels)


class _Hanging(FolderSource):
    def item(self, part: str, index: int, *arguments: Any, **options: Any) -> Any:
        if self.names(part)[index] == self.hangs_at:  # type: ignore[attr-defined]
            time.sleep(600)
        return super().item(part, index, *arguments, **options)


def test_the_video_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run", "sit"):
        for i in range(3):
            write(tmp_path / name / f"{i}.avi", 3, "mjpeg", pix_fmt="yuvj420p")
    monkeypatch.setenv("MOVINAS_ITEM_SECONDS", "3")
    data = _Hanging(tmp_path, Clip(2, 16, 16, 5.0))
    data.hangs_at = data.names("weights")[1]  # type: ignore[attr-defined]
    told: list[str] = []
    with pytest.raises(ValueError, match=f"{data.names('weights')[1]}.*no sign of life for 3 s"):
        list(batches(data, [Request("weights", [0, 1])], workers=1, told=told.append))
    assert data.names("weights")[1] in told[0]


def test_a_replaced_worker_is_a_warning_where_nobody_listens(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="was replaced at clip 16"):
        list(batches(_Unlucky(tmp_path / "mark"), REQUESTS, workers=1))


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
        "from video.scan import ScanCache, scan\n"
        "source = video.MotionSource(1, Clip(4, 16, 16, 5.0))\n"
        "requests = [video.Request('weights', [i, i + 1]) for i in range(4)]\n"
        "print(sum(len(labels) for _, labels in video.batches(source, requests, workers=1)))\n"
        "found = scan(ScanCache(Path('.')), ['pickle.py', 'av.py'], workers=2)\n"
        "print([bool(entry.info.error) for entry in found.values()])\n"
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
