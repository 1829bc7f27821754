"""What a word means, whatever lies in the working directory."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from searchspace import find, is_published, published
from searchspace.targets import (
    ArchitectureFile,
    ExportedFile,
    OtherFolder,
    PublishedName,
    RunPlace,
    Target,
    TrainedFolder,
    WeightsFile,
    at,
    resolve,
)
from searchspace.weights_header import with_metadata


def test_names_come_before_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or file called a0 must not change what `nas show a0` shows; `./a0` means it."""
    monkeypatch.chdir(tmp_path)
    Path("a0").mkdir()
    published("a2").save("a0/arch.json")
    published("t0").save("a3")
    assert find("a0") == published("a0") and find("A3", stream=True) == published("a3", stream=True)
    assert find("./a0") == find(Path("a0")) == find("a0/arch.json") == published("a2")
    assert find("./a3") == published("t0")
    assert find("./a3", stream=True) == published("t0").streaming()
    assert is_published("A6") and not is_published("./a6") and not is_published(Path("a6"))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("a00", r"network 'a00' is not known; did you mean 'a0'\? \(known: .* or give the path of an arch.json\)"),
        ("missing/arch.json", "missing/arch.json"),
        (".", r"holds neither a run nor an arch.json"),
    ],
)
def test_nothing_of_that_name(word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        find(word)


def trained(folder: Path) -> Path:
    """A folder that is known as that of a trained network."""
    folder.mkdir(parents=True)
    published("t0").save(folder / "arch.json")
    (folder / "checkpoint.json").write_text("{}")
    return folder


def weights(file: Path) -> Path:
    """A safetensors file without tensors, with an architecture in its header."""
    empty = struct.pack("<Q", 2) + b"{}"
    file.write_bytes(with_metadata(empty, {"architecture": published("t0").to_json()}))
    return file


def test_every_kind_of_thing_is_told_from_the_others(tmp_path: Path) -> None:
    place = tmp_path / "run"
    last = trained(place / "checkpoints" / "last")
    (place / "log.txt").touch()
    (tmp_path / "a.tflite").write_bytes(b"\0\0\0\0TFL3")
    published("t0").save(tmp_path / "arch.json")
    (tmp_path / "empty").mkdir()
    file = weights(tmp_path / "w.safetensors")
    renamed = weights(tmp_path / "w.bin")
    kinds: dict[Path, Target] = {
        place: TrainedFolder(place, last),
        place / "log.txt": TrainedFolder(place / "log.txt", last),
        last: TrainedFolder(last, last),
        last / "arch.json": TrainedFolder(last / "arch.json", last),
        file: WeightsFile(file),
        renamed: WeightsFile(renamed),
        tmp_path / "a.tflite": ExportedFile(tmp_path / "a.tflite"),
        tmp_path / "arch.json": ArchitectureFile(tmp_path / "arch.json"),
        tmp_path: ArchitectureFile(tmp_path),
        tmp_path / "empty": OtherFolder(tmp_path / "empty"),
    }
    for path, kind in kinds.items():
        assert at(path) == resolve(path) == resolve(str(path)) == kind and str(kind) == str(path)
        if not isinstance(kind, ExportedFile | OtherFolder):
            assert kind.architecture() == find(path) == published("t0")
            assert kind.architecture(stream=True).causal
        has_weights = isinstance(kind, TrainedFolder | WeightsFile)
        assert kind.weights == (path if has_weights else None)
    (place / "config.json").write_text('{"command": "retrain"}')
    assert at(place) == RunPlace(place, "retrain") and at(place).trained == last and at(place).weights == place
    best = trained(place / "checkpoints" / "best")
    assert at(place).trained == best
    for damaged in ("{", '{"command": "of another version"}'):  # the network is still there
        (place / "config.json").write_text(damaged)
        assert at(place) == TrainedFolder(place, best)
    assert isinstance(resolve("A0", tmp_path), PublishedName) and resolve("a0").weights is None
    assert resolve("run", tmp_path) == at("run", tmp_path) == at(place)


def test_a_run_stands_for_the_network_that_it_trained_or_trains_or_found(tmp_path: Path) -> None:
    def run(command: str, **config: object) -> Path:
        folder = tmp_path / command
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"command": command, **config}))
        return folder

    for command in ("retrain", "folds"):
        published("t0").save(run(command, stream=False) / "arch.json")
        assert find(tmp_path / command) == published("t0")
        run(command, stream=True)
        assert find(tmp_path / command) == published("t0").streaming()
    with pytest.raises(ValueError, match=r"search is not finished; go on with: nas search --resume --name search"):
        find(run("search"))
    assert at(tmp_path / "search").weights is None
    (tmp_path / "search" / "best").mkdir()
    published("a1").save(tmp_path / "search" / "best" / "arch.json")
    assert find(tmp_path / "search") == published("a1")
    (tmp_path / "search" / "checkpoints").mkdir()
    assert at(tmp_path / "search").weights == tmp_path / "search"  # shared ones
    with pytest.raises(ValueError, match=r"scale is a family; name one of its members, such as .*A2\.json"):
        find(run("scale"))
    with pytest.raises(ValueError, match="retrained holds the trainings of a family; name one of the runs in it"):
        find(run("retrained"))
    (run("retrain") / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: not JSON"):
        find(tmp_path / "retrain")
