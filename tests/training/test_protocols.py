"""The protocols: which frames they see, that they agree where they must, and that nothing is left out."""

from pathlib import Path

import numpy as np
import pytest
import torch

import networks
import video
from networks import FusedMoViNet
from searchspace import Clip, Ensemble
from tests.networks.live_networks import randomise_
from tests.training.tiny import tiny
from tests.video.conftest import write
from training.evaluation.protocols import PROTOCOLS, Answer, judge
from video.asked import Files, Rendered
from video.labelled import labelled_videos

CLIP = Clip(8, 32, 32, 5.0)


def noise(index: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (height, width, 3)).astype(np.uint8)


def lossless(path: Path, frames: int, rate: int = 25) -> Path:
    return write(path, frames, "ffv1", rate, "bgr0", (40, 52), content=noise)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes: a video of exactly a clip's length, a longer and a shorter one, and a file that is no video."""
    root = tmp_path_factory.mktemp("videos")
    lossless(root / "a" / "exact.mkv", 40)
    lossless(root / "a" / "long.mkv", 97)
    lossless(root / "b" / "short.mkv", 12)
    (root / "b" / "broken.mp4").write_bytes(b"not a video")
    return root


def network(stream: bool) -> networks.Network:
    made = networks.create(tiny(3, stream))
    randomise_(made)
    return made.eval()


def files(folder: Path) -> Files:
    _, items, _ = labelled_videos(folder)
    return Files(items, CLIP)


def by_name(answers: tuple[Answer, ...]) -> dict[str, Answer]:
    return {Path(answer.name).stem: answer for answer in answers}


def test_stream_and_clip_agree_on_a_video_of_the_clip_s_length(folder: Path) -> None:
    causal = network(stream=True)
    clip, stream = (by_name(judge(causal, files(folder), p).answers) for p in ("clip", "stream"))
    np.testing.assert_allclose(clip["exact"].log_probabilities, stream["exact"].log_probabilities, atol=1e-5)
    assert stream["exact"].frames == 8 and stream["long"].frames == 19 and stream["short"].frames == 2
    assert np.abs(clip["long"].log_probabilities - stream["long"].log_probabilities).max() > 1e-4
    one, two = (judge(causal, Rendered(video.MotionSource(0, CLIP, sizes={"val": 5}), "val"), p) for p in
                ("clip", "stream"))  # fmt: skip
    for ours, theirs in zip(one.answers, two.answers, strict=True):
        np.testing.assert_allclose(ours.log_probabilities, theirs.log_probabilities, atol=1e-5)


def test_the_clip_is_the_reference_s(folder: Path) -> None:
    """Frames, resize, truncation and crop of the paper's evaluation, step by step with torch's own resize."""
    frames = video.read_frames(folder / "a" / "long.mkv")
    offset = (97 - 8 * 5) // 2
    chosen = torch.from_numpy(frames[offset : offset + 40 : 5]).permute(0, 3, 1, 2).float()
    side = round(32 * 8 / 7)
    resized = torch.nn.functional.interpolate(chosen, (side, int(52 * side / 40)), mode="bilinear").byte()
    top, left = (side - 32) // 2, (int(52 * side / 40) - 32) // 2
    crop = resized[:, :, top : top + 32, left : left + 32]
    ours = files(folder).clips(1, (video.views.CENTRE,))[0]
    assert np.abs(ours.astype(int) - crop.permute(0, 2, 3, 1).numpy()).max() <= 1
    assert (ours == crop.permute(0, 2, 3, 1).numpy()).mean() > 0.99
    made = network(stream=False)
    logits = made(crop.float().transpose(0, 1)[None] / 255)
    answer = by_name(judge(made, files(folder), "clip").answers)["long"]
    np.testing.assert_allclose(answer.log_probabilities, logits.log_softmax(1)[0].detach(), atol=1e-3)


def test_a_short_video_repeats(folder: Path) -> None:
    frames = files(folder).clips(3, (video.views.CENTRE,))[0]
    whole = next(iter(files(folder).stream(3)))
    assert len(whole) == 2
    step = [number % 12 for number in range(0, 40, 5)]  # 0, 5, 10, 3, ...
    short = folder / "b" / "short.mkv"
    (every,) = video.views.read_views(short, video.probe(short), Clip(12, 32, 32, 25.0))
    assert np.array_equal(frames, every[step])


def test_views_are_averaged_as_probabilities(folder: Path) -> None:
    made = network(stream=False)
    many = judge(made, files(folder), "multiclip", views=(2, 3), batch=4)
    assert many.views == 6
    spread = video.views.views(2, 3)
    assert [view.time for view in spread] == [0, 0, 0, 1, 1, 1] and [view.place for view in spread[:3]] == [0, 0.5, 1]
    clips = np.stack([files(folder).clips(1, (view,))[0] for view in spread])
    assert len(np.unique(clips, axis=0)) == 6 and np.array_equal(np.stack(files(folder).clips(1, spread)), clips)
    logits = made(video.to_float(torch.from_numpy(clips).permute(0, 4, 1, 2, 3)))
    answer = by_name(many.answers)["long"]
    np.testing.assert_allclose(np.exp(answer.log_probabilities), logits.softmax(1).mean(0).detach(), atol=1e-5)
    assert answer.frames == 48


def test_a_broken_file_is_a_row(folder: Path) -> None:
    for protocol in ("clip", "multiclip", "stream"):
        seen: list[tuple[int, int]] = []
        result = judge(
            network(True), files(folder), protocol, views=(2, 1), progress=lambda *at, seen=seen: seen.append(at)
        )
        assert [Path(answer.name).name for answer in result.answers] == [
            "exact.mkv", "long.mkv", "broken.mp4", "short.mkv"
        ]  # fmt: skip
        assert result.answers[2].error and result.answers[2].log_probabilities is None
        assert result.scores is not None and result.scores.clips == 3 and result.scores.labels.tolist() == [0, 0, 1]
        assert seen[-1] == (4, 4)


def test_batches_and_workers_change_nothing(folder: Path) -> None:
    made = network(stream=False)
    ones = [judge(made, files(folder), "clip", batch=n, workers=w) for n, w in ((1, 0), (3, 0), (2, 2))]
    for other in ones[1:]:
        for ours, theirs in zip(ones[0].answers, other.answers, strict=True):
            assert (ours.name, ours.error, ours.frames) == (theirs.name, theirs.error, theirs.frames)
            if not ours.error:
                np.testing.assert_allclose(ours.log_probabilities, theirs.log_probabilities, atol=1e-5)


def test_costs_follow_from_what_ran(folder: Path) -> None:
    import searchspace

    causal = network(stream=True)
    own = searchspace.cost(causal.architecture)
    clip, many, stream = (judge(causal, files(folder), p, views=(2, 1)) for p in ("clip", "multiclip", "stream"))
    assert clip.macs == own.macs and many.macs == 2 * own.macs
    assert stream.macs == pytest.approx(own.frame_macs * (8 + 19 + 2) / 3)
    assert stream.memory_bytes < clip.memory_bytes == many.memory_bytes == own.activation_bytes
    assert all(answer.seconds > 0 for answer in stream.answered)


def test_what_cannot_be_asked_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="not causal, so it cannot stream; allowed: clip, multiclip"):
        judge(network(False), files(folder), "stream")
    with pytest.raises(ValueError, match="'clips' is not known"):
        judge(network(False), files(folder), "clips")
    with pytest.raises(ValueError, match="views 0x3"):
        judge(network(False), files(folder), "multiclip", views=(0, 3))


def test_an_interrupted_evaluation_keeps_its_answers(folder: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    for protocol in ("clip", "stream"):
        result = judge(network(True), files(folder), protocol, batch=1, progress=stop)
        assert result.interrupted and [Path(answer.name).stem for answer in result.answers] == ["exact", "long"]


def ensemble() -> networks.Network:
    made = networks.create(Ensemble.interleave([tiny(3, True), tiny(3, True, seed=1)]))
    randomise_(made)
    return made.eval()


def test_ensembles_are_judged_as_one_network(folder: Path) -> None:
    made = ensemble()
    clip, stream = (by_name(judge(made, files(folder), p).answers) for p in ("clip", "stream"))
    np.testing.assert_allclose(clip["exact"].log_probabilities, stream["exact"].log_probabilities, atol=1e-5)


@pytest.mark.parametrize("kind", ["network", "ensemble"])
def test_a_fused_copy_answers_where_that_is_faster(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    causal = network(stream=True) if kind == "network" else ensemble()
    asked: list[str] = []
    compute = FusedMoViNet.compute

    def noted(self: FusedMoViNet, *args: object) -> object:
        asked.append("fused")
        return compute(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(FusedMoViNet, "compute", noted)
    for protocol in PROTOCOLS:
        fused = by_name(judge(causal, files(folder), protocol, views=(2, 1)).answers)
        assert asked, protocol
        asked.clear()
        with networks.formulation("reference"):
            plain = by_name(judge(causal, files(folder), protocol, views=(2, 1)).answers)
        assert not asked, protocol
        for name in ("exact", "long", "short"):
            np.testing.assert_allclose(fused[name].log_probabilities, plain[name].log_probabilities, atol=1e-5)
    judge(network(stream=False), files(folder), "clip")
    assert not asked  # at this size the plain network is faster
