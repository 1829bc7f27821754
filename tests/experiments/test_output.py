"""Nothing that happens to the standard streams ends work: a closed pipe, a closed stream, a poor encoding."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from experiments import output
output.protect()
for number in range(20_000):
    print(f"line {number} of a long job", flush=number % 100 == 0)
    print("told", file=sys.stderr)
Path(sys.argv[1]).write_text("done")
"""


def run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which $PYTHON is this interpreter; the exit code is that of the first command that fails."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHON": sys.executable, **environment},
    )


@pytest.mark.parametrize("ends", ["| head -1", "2>&1 | head -1", "> /dev/null 2> >(head -1)", ">&- 2>&-"])
def test_a_reader_that_is_gone_ends_no_work(ends: str, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(SCRIPT)
    done = run(f"$PYTHON {tmp_path}/job.py {tmp_path}/result {ends}", PYTHONPATH=os.getcwd())
    assert done.returncode == 0
    assert (tmp_path / "result").read_text() == "done"
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_a_terminal_that_is_gone_ends_no_work(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(SCRIPT)
    ours, theirs = pty.openpty()
    command = [sys.executable, str(tmp_path / "job.py"), str(tmp_path / "result")]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "PYTHONPATH": os.getcwd()})
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    assert process.wait() == 0
    assert (tmp_path / "result").read_text() == "done"


def test_a_full_disk_behind_standard_output_is_an_error() -> None:
    done = run("$PYTHON -m experiments.cli cost a0 > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("nas: error: the disk is full") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["ascii", "the C locale"],
)
def test_characters_that_the_output_lacks_are_replaced(environment: dict[str, str], tmp_path: Path) -> None:
    done = run("$PYTHON -m experiments.cli show a0", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout and "next: nas cost a0" in done.stdout


def test_json_is_escaped_where_the_output_lacks_characters() -> None:
    imports = "from experiments import output; from experiments.text import terminal"
    code = f"{imports}; output.protect(); terminal.print_json({{'class': 'naïve ☃'}})"
    done = run(f'$PYTHON -c "{code}"', PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout) == {"class": "naïve ☃"}


@pytest.mark.parametrize(("number", "code", "told"), [(2, 130, "interrupted"), (15, 143, "stopped by SIGTERM")])
def test_a_signal_of_which_a_library_makes_its_own_error_is_told_as_one(number: int, code: int, told: str) -> None:
    script = f"""
import signal, sys
from experiments import cli
def run(words):
    try:
        signal.raise_signal({number})
    except KeyboardInterrupt:
        pass
    raise ValueError("could not determine the shape of an object")
cli._run = run
sys.exit(cli.main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, f"nas: {told}\n")
