"""`nas evaluate` and `nas predict`: tables, files, broken videos, and every refusal."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas
import pytest
from pyarrow import parquet

import networks
from searchspace import published
from tests.experiments.conftest import Nas
from tests.training.tiny import trained_run
from tests.video.conftest import write


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of two validation videos, one of them broken."""
    root = tmp_path_factory.mktemp("data")
    for label, name in enumerate("abc"):
        for i in range(2):
            write(root / "train" / name / f"{i}.mkv", 8, "ffv1", 10, "bgr0")
            write(root / "val" / name / f"{i}.mkv", 10 + 5 * label, "ffv1", 10, "bgr0")
    (root / "val" / "b" / "1.mkv").write_bytes(b"broken")
    return root


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return trained_run(tmp_path / "runs" / "x")


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("nas: error: ")]
    assert len(lines) == 1, err
    return lines[0]


def test_all_protocols_in_one_table_with_their_files(nas: Nas, run: Path, data: Path) -> None:
    answer = nas("evaluate", run, "--data", data, "--views", "2x3", "--workers", 0)
    assert answer.code == 0, answer.err
    for word in ("clip", "multiclip, 6", "stream", "top-5", "ECE", "no answer: val/b/1.mkv", "next: nas predict"):
        assert word in answer.out
    assert "1 of 6 files do not decode" in answer.err and "stream: 6 of 6" in answer.err
    folder = run / "evaluation-1"
    assert {file.name for file in folder.iterdir()} == {
        "evaluation.json", "confusion.png", "mistakes.png",
        *(f"{kind}-{name}" for kind, endings in (("videos", ("csv", "parquet")), ("classes", ("csv",)))
          for name in (f"{p}.{e}" for p in ("clip", "multiclip", "stream") for e in endings)),
    }  # fmt: skip
    rows = list(csv.DictReader((folder / "videos-clip.csv").read_text().splitlines()))
    assert len(rows) == 6 and rows[3]["video"] == "val/b/1.mkv" and rows[3]["class"] == "b" and rows[3]["error"]
    assert rows[3]["answer"] == "" == rows[3]["correct"]
    record = json.loads((folder / "evaluation.json").read_text())
    clip, multiclip, stream = record["protocols"]
    assert clip["accuracy"] == sum(row["correct"] == "1" for row in rows) / 5 and clip["errors"] == 1
    assert multiclip["macs"] == 6 * clip["macs"] and stream["memory_bytes"] < clip["memory_bytes"]
    frame = pandas.read_parquet(folder / "videos-clip.parquet")
    assert frame["video"].tolist() == [row["video"] for row in rows]
    good = frame[frame["error"].isna()]
    assert np.allclose([sum(row) for row in good["probabilities"]], 1) and frame["probabilities"][3] is None
    assert [("abc"[int(np.argmax(row))]) for row in good["probabilities"]] == good["answer"].tolist()
    metadata = parquet.read_schema(folder / "videos-clip.parquet").metadata
    assert json.loads(metadata[b"classes"]) == ["a", "b", "c"]
    classes = list(csv.DictReader((folder / "classes-clip.csv").read_text().splitlines()))
    assert [row["videos"] for row in classes] == ["2", "1", "2"]
    assert sum(int(row["correct"]) for row in classes) == round(5 * clip["accuracy"])


def test_nothing_is_overwritten(nas: Nas, run: Path, data: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert nas("evaluate", run, "--data", data, "--protocol", "clip", "--workers", 0).code == 0
    assert (run / "evaluation-2" / "videos-clip.csv").exists()
    out = tmp_path / "given"
    answer = nas("evaluate", run, "--data", data, "--protocol", "clip", "--workers", 0, "--out", out, "--json")
    assert json.loads(answer.out)["folder"] == str(out)
    again = nas("evaluate", run, "--data", data, "--out", out)
    assert again.code == 2 and "nothing is overwritten" in one_line(again.err)


def test_a_network_that_is_not_causal_is_judged_by_clips(nas: Nas, tmp_path: Path, data: Path) -> None:
    run = trained_run(tmp_path / "base", stream=False)
    answer = nas("evaluate", run, "--data", data, "--workers", 0, "--views", "1x1", "--json")
    assert [one["protocol"] for one in json.loads(answer.out)["protocols"]] == ["clip", "multiclip"]
    refused = nas("evaluate", run, "--data", data, "--workers", 0, "--protocol", "stream")
    assert refused.code == 2 and "not causal" in one_line(refused.err)


@pytest.mark.parametrize("words", [["evaluate"], ["predict", "video.mp4"]])
def test_a_checkpoint_that_is_none_says_what_to_do(nas: Nas, tmp_path: Path, words: list[str]) -> None:
    command, *rest = words
    video = [write(tmp_path / name, 4, "ffv1", 10, "bgr0", container="matroska") for name in rest]
    gone = nas(command, tmp_path / "none", *video)
    assert gone.code == 2 and "no such file or folder" in one_line(gone.err)
    (tmp_path / "arch").mkdir()
    published("t0").save(tmp_path / "arch" / "arch.json")
    untrained = nas(command, tmp_path / "arch", *video)
    assert untrained.code == 2 and "holds no trained weights; train it with: nas retrain" in one_line(untrained.err)
    (tmp_path / "foreign.pt").write_bytes(b"\x80\x02}q\x00.")
    foreign = nas(command, tmp_path / "foreign.pt", *video)
    assert foreign.code == 2 and "nas import" in one_line(foreign.err)


def test_wrong_data_is_named(nas: Nas, run: Path, data: Path, tmp_path: Path) -> None:
    for name in ("d", "e"):
        write(tmp_path / "other" / name / "0.mkv", 4, "ffv1", 10, "bgr0")
    for words, said in (
        ((), "does not say what it was trained on"),
        (("--data", tmp_path / "none"), "does not exist"),
        (("--data", tmp_path / "other"), "class 'd' and 1 more of the data's 2 is not among the 3"),
        (("--data", data, "--videos", data), "goes with an annotation file"),
        (("--data", data, "--views", "10by3"), "such as 10x3"),
        (("--data", data, "--views", "50x3"), "at most 100"),
        (("--data", data, "--protocol", "clips"), "did you mean 'clip'"),
        (("--data", data, "--device", "tpu"), "device 'tpu' is not known"),
    ):
        answer = nas("evaluate", run, "--workers", 0, *words)
        assert answer.code == 2 and said in one_line(answer.err), answer.err
    assert not [folder for folder in run.glob("evaluation-*") if folder.is_dir()]


def test_predictions_as_table_csv_and_json(nas: Nas, run: Path, data: Path) -> None:
    video = data / "val" / "a" / "0.mkv"
    table = nas("predict", run, video)
    assert table.code == 0 and all(f" {name} " in table.out for name in "abc") and "next: nas evaluate" in table.out
    found = json.loads(nas("predict", run, video, "--format", "json", "--top", 2).out)
    assert found[0]["video"] == str(video) and found[0]["frames"] == 4 and len(found[0]["classes"]) == 2
    rows = list(csv.DictReader(io.StringIO(nas("predict", run, video, "--format", "csv").out)))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert [row["class"] for row in rows[:2]] == [one["class"] for one in found[0]["classes"]]
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1, abs=1e-4)
    streamed = json.loads(nas("predict", run, video, "--format", "json", "--stream").out)
    assert streamed[0]["frames"] == 5  # the whole second, not the clip of four


def test_a_broken_video_is_a_row_and_exit_code_2(nas: Nas, run: Path, data: Path) -> None:
    for form in ("table", "csv", "json"):
        answer = nas("predict", run, data / "val" / "b", "--format", form)
        assert answer.code == 2 and "1 of 2 could not be read" in answer.err
        assert "Invalid" in answer.out and "0.mkv" in answer.out


def test_weights_with_their_architecture_are_enough(nas: Nas, run: Path, data: Path, tmp_path: Path) -> None:
    networks.save_weights(networks.load(run).network, tmp_path / "w.safetensors")
    answer = nas("predict", tmp_path / "w.safetensors", data / "val" / "a" / "0.mkv", "--format", "json")
    assert {one["class"] for one in json.loads(answer.out)[0]["classes"]} == {"0", "1", "2"}


def test_commands_that_take_an_architecture_take_a_trained_network(nas: Nas, run: Path) -> None:
    best = run / "checkpoints" / "best"
    for path in (run, best, best / "arch.json", best / "model.safetensors", best / "checkpoint.json"):
        for command in ("show", "cost"):
            answer = nas(command, path)
            assert answer.code == 0 and "tiny-0" in answer.out, (command, path, answer.err)


def test_refusals_come_without_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from experiments.cli import main; main(sys.argv[1:]); "
        "print([name for name in ('torch', 'matplotlib', 'pandas', 'av') if name in sys.modules])"
    )
    views = ["evaluate", ".", "--views", "x"]
    for words in (["evaluate", "none"], ["predict", "none", "x.mp4"], ["report", "none"], views):
        result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == "[]", words


def test_an_interrupt_keeps_the_rows_so_far(nas: Nas, run: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    from experiments.plots.live import Live

    def phase(_: Live, title: str, done: int, total: int) -> None:
        if (title, done) == ("stream", 2):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Live, "phase", phase)
    answer = nas("evaluate", run, "--data", data, "--workers", 0, "--views", "1x1")
    assert answer.code == 130 and "stopped after 2 of 6 videos of stream; their rows are in" in answer.err
    rows = (run / "evaluation-1" / "videos-stream.csv").read_text().splitlines()
    assert len(rows) == 3 and len((run / "evaluation-1" / "videos-clip.csv").read_text().splitlines()) == 7
