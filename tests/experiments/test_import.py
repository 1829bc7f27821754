"""`nas import` from the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import networks
import searchspace
from searchspace import BASE, STREAM, Architecture
from tests.experiments.conftest import Nas
from tests.networks.small_reference import ASSETS, small_reference
from tests.networks.weights.other_projects import live_port


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an arch.json and weights of the port for it."""
    monkeypatch.chdir(tmp_path)
    small_reference(BASE).save("arch.json")
    torch.save(live_port(small_reference(BASE)).state_dict(), "port.pth")
    return tmp_path


def test_import_writes_a_file_that_says_what_it_is(nas: Nas, small: Path) -> None:
    answer = nas("import", "port.pth", "--arch", "arch.json", "-o", "mine.safetensors")
    assert answer.code == 0
    assert "read     port.pth: a torch file with 109 tensors named as by MoViNet-pytorch" in answer.out
    assert "5 classes, gate sigmoid" in answer.out
    assert answer.out.splitlines()[-1] == "next: nas show mine.safetensors"
    assert Architecture.load("mine.safetensors").provenance["weights"]["file"] == "port.pth"
    assert networks.create("mine.safetensors", weights="mine.safetensors").architecture.classes == 5
    assert nas("show", "mine.safetensors").code == 0
    again = nas("import", "mine.safetensors", "--classes", "9", "-o", "nine.safetensors")
    assert "replaced the classifier of 5 classes by a new one of 9" in again.out


def test_import_of_tensorflow(nas: Nas, small: Path) -> None:
    small_reference(STREAM).save("stream.json")
    answer = nas("import", str(ASSETS), "--arch", "stream.json", "--gate", "hard_sigmoid")
    assert answer.code == 2 and "4 of no layer: scale" not in answer.err
    assert "block0_layer0/bneck/se/scale" in answer.err  # its positional encoding, which this network has not
    small_reference().save("positions.json")
    answer = nas("import", str(ASSETS), "--arch", "positions.json")
    assert answer.code == 0 and "wrote    small.safetensors" in answer.out and "gate hard_sigmoid" in answer.out


def test_the_gate_that_was_assumed_stands_in_a_line_of_its_own(
    nas: Nas, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of stream weights from elsewhere, whose file cannot say it; a file of ours does, and so may the user."""
    small_reference().save("positions.json")

    def lines(*words: object) -> list[str]:
        answer = nas("import", *words)
        assert answer.code == 0, answer.err
        return [line for line in answer.out.splitlines() if line.startswith("gate ")]

    (line,) = lines(ASSETS, "--arch", "positions.json", "-o", "a.safetensors")
    assert line.startswith("gate     hard_sigmoid was assumed") and "positions.json has this one" in line
    assert line.endswith("give --gate sigmoid or --gate hard_sigmoid_2021")
    assert not lines(ASSETS, "--arch", "positions.json", "--gate", "hard_sigmoid", "-o", "b.safetensors")
    assert not lines("a.safetensors", "-o", "c.safetensors")
    assert not lines("port.pth", "--arch", "arch.json", "-o", "d.safetensors")  # not causal
    torch.save(live_port(searchspace.published("t0", stream=True)).state_dict(), "t0.pth")
    (line,) = lines("t0.pth", "--arch", "t0", "--stream", "-o", "e.safetensors")
    assert line.startswith("gate     hard_sigmoid_2021 was assumed") and "were released with this one" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.pth", "--arch", "a0"], "nothing.pth: no such file or folder"),
        (["port.pth", "--arch", "a9"], "'a9' is no file, no run in runs/, and no published network"),
        (["port.pth", "--arch", "a0", "-o", "port.pth"], "port.pth exists; give another name with -o"),
        (["port.pth", "--arch", "a0", "-o", "no/where.safetensors"], "no: no such folder"),
        (["port.pth", "--stream"], "--stream goes with --arch"),
        (["port.pth", "--arch", "a0", "--gate", "hard_sigmoid_2022"], "did you mean 'hard_sigmoid_2021'?"),
        (["port.pth", "--arch", "a0", "--classes", "0"], "0 must be from 1 to"),
    ],
)
def test_mistakes_are_answered_without_torch(words: list[str], said: str, small: Path) -> None:
    program = (
        "import sys; from experiments import cli; code = cli.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", f"{program}; sys.exit(code)", "import", *words]
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.run(command, capture_output=True, text=True, cwd=small, env=path)
    assert answer.returncode == 2 and said in answer.stderr and len(answer.stderr.splitlines()) == 1, answer.stderr


def test_weights_of_another_network(nas: Nas, small: Path) -> None:
    answer = nas("import", "port.pth", "--arch", "a0")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1
    assert "does not fit a0: " in answer.err and "missing: " in answer.err
    assert not (small / "a0.safetensors").exists()
