"""The command line: help, mistakes, exit codes, and nothing heavy before it is needed."""

import errno
import subprocess
import sys

import pytest

from experiments import cli
from experiments.cli import COMMANDS
from experiments.errors import explain
from tests.experiments.conftest import Nas
from training.machine.interrupt import Interrupted

HEAVY = ("torch", "matplotlib", "pandas", "ray", "optuna", "av")


def nas_process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "experiments.cli", *words], capture_output=True, text=True)


def one_line_error(answer_err: str) -> str:
    lines = answer_err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nas: error: "), answer_err
    return lines[0]


def test_help_lists_every_command(nas: Nas) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        answer = nas(*words)
        assert answer.code == 0
        for name, text in COMMANDS.items():
            assert name in answer.out and text in answer.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_ends_with_an_example(nas: Nas, command: str) -> None:
    answer = nas(*command.split(), "--help")
    assert answer.code == 0
    examples = answer.out.split("\nexample:\n")[1].splitlines()
    assert examples[0].strip().startswith(f"nas {command}")
    assert all(line.strip().startswith("nas ") for line in examples)


def test_group_of_commands_lists_its_own(nas: Nas) -> None:
    answer = nas("data")
    assert answer.code == 0
    assert "data demo" in answer.out and "data check" in answer.out and "search" not in answer.out


def test_version(nas: Nas) -> None:
    assert nas("--version").out.startswith("nas ")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["serach"], "did you mean 'search'?"),
        (["Cost"], "did you mean 'cost'?"),
        (["data", "chekc"], "did you mean 'check'?"),
        (["--vresion"], "did you mean '--version'?"),
        (["search", "--bugdet", "600M"], "did you mean '--budget'?"),
        (["search", "--search_resolution=64"], "did you mean '--search-resolution'?"),
        (["search", "--budge", "600M"], "did you mean '--budget'?"),  # no abbreviations
        (["search", "--searcher", "evoluton"], "did you mean 'evolution'?"),
        (["search", "--space", "movinett"], "did you mean 'movinet'?"),
        (["search", "--set", "lerning_rate=0.1"], "did you mean 'learning_rate'?"),
        (["show", "a9"], "did you mean 'a"),
        (["cost", "A2", "--jsn"], "did you mean '--json'?"),
    ],
)
def test_the_nearest_name_is_named(nas: Nas, words: list[str], meant: str) -> None:
    answer = nas(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert meant in one_line_error(answer.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", "--budget", "lots"], "600MFLOPs"),
        (["search", "--budget", "20ms"], "measured device"),
        (["search", "--budget", "1M"], "cheapest"),
        (["search", "--budget", "90G"], "dearest"),
        (["search", "--clip", "8x128"], "8x128x128@5"),
        (["search", "--steps", "0"], "must be from 1"),
        (["search", "--steps", "many"], "not a whole number"),
        (["search", "--seed", "-1"], "at least 0"),
        (["search", "--data", "/no/such/folder"], "/no/such/folder"),
        (["search", "--data", "x", "--group", "("], "not a regular expression"),
        (["search", "--group", "(a)"], "--data"),
        (["search", "--name", "a/b"], "single folder name"),
        (["search", "--name", "two\nlines", "--dry-run"], "holds a line break"),
        (["search", "--name", "zero\u200bwidth", "--dry-run"], "a character without width"),
        (["search", "--name", "a" * 198, "--dry-run"], "has 198 characters (198 bytes); allowed: at most 100"),
        (["scale", "movinet", "--name", "caf\udce9", "--dry-run"], "what is no UTF-8"),
        (["search", "--set", "beta"], "KEY=VALUE"),
        (["search", "--set", "beta=much"], "setting.beta is 'much'"),
        (["search", "--set", "beta=nan"], "setting.beta is nan"),
        (["search", "--steps", "5", "--set", "steps=6"], "twice"),
        (["search", "extra"], "unexpected 'extra'"),
        (["search", "--search-resolution", "256"], "search_resolution"),
        (["space", "my.yaml"], "no such file"),
        (["cost"], "ARCH"),
        (["show", "a0", "a1", "a2"], "two to compare"),
        (["plot", "a2"], "nas show"),
        (["benchmark"], "--table"),
        (["benchmark", "--table", "/no/such.csv"], "no such file"),
        (["data", "check", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(nas: Nas, words: list[str], said: str) -> None:
    answer = nas(*words)
    assert answer.code == 2
    assert said in one_line_error(answer.err)


def test_a_mistake_in_a_process_of_its_own() -> None:
    result = nas_process("search", "--budget", "1M")
    assert result.returncode == 2
    assert "below the cheapest network" in one_line_error(result.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["search", "--help"],
        ["search", "--budget", "1M"],
        ["space", "movinet"],
        ["show", "a2"],
        ["cost", "a2"],
        ["benchmark", "--table", "none.csv"],
        ["scale", "--help"],
        ["scale", "movinet", "--coeffs", "1.2,1.2"],
        ["scale", "movinet", "--targets", "1M"],
        ["serach"],
    ],
)
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    code = (
        "import sys; from experiments.cli import main; main(sys.argv[1:]); "
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "HEAVY []"


def test_help_imports_no_numpy_either() -> None:
    code = "import sys; from experiments.cli import main; main(['--help']); print('numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"


def test_a_reader_that_stops_reading_is_no_error() -> None:
    command = f"{sys.executable} -m experiments.cli space movinet | head -1"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "space movinet\n"


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(words: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", run)


class OutOfMemoryError(RuntimeError):
    """As torch.OutOfMemoryError is: known by its name alone, since torch is not imported."""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted(143, "stopped at step 7, saved"), 143, "stopped at step 7, saved"),
        (MemoryError(), 2, "lower --search-resolution"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), 2, "lower --search-resolution"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), 2, "lower --search-resolution"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 2, "lower --search-resolution"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 2, "runs/x: no permission"),
        (ModuleNotFoundError("No module named 'av'", name="av"), 2, "pip install av"),
        (ValueError("two\nlines"), 2, "two lines"),
    ],
)
def test_what_a_failure_means(
    nas: Nas, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    failing(monkeypatch, error)
    answer = nas("search")
    assert answer.code == code
    assert len(answer.err.splitlines()) == 1 and said in answer.err


def test_our_own_bugs_keep_their_traceback(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explain(ModuleNotFoundError("No module named 'training.gone'", name="training.gone")) is None
    failing(monkeypatch, AssertionError("an invariant"))
    with pytest.raises(AssertionError, match="an invariant"):
        nas("cost", "a2")
