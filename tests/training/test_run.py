"""Run folders: names, locks, what a resume accepts and refuses."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training import run
from training.run import run_folder


def _hold(path, entered, leave):
    with run.RunFolder(path, {}, True):
        entered.set()
        leave.wait(30)


def test_numbers_go_up_and_nothing_is_overwritten(tmp_path):
    assert run.create(tmp_path, None, "search", {"seed": 1}).path.name == "search-1"
    assert run.create(tmp_path, None, "search", {"seed": 2}).path.name == "search-2"
    with pytest.raises(ValueError, match="exists; go on with it by --resume"):
        run.create(tmp_path, "search-1", "search", {})
    assert json.loads((tmp_path / "search-1" / "config.json").read_text()) == {"command": "search", "seed": 1}


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "two\nlines", "zero\u200bwidth", "a" * 198, "caf\udce9"])
def test_a_name_that_is_no_run_s_is_refused_before_there_is_a_folder(tmp_path, name):
    with pytest.raises(ValueError, match=r"^run name "):
        run.create(tmp_path / "runs", name, "search", {})
    assert not (tmp_path / "runs").exists()


def test_a_folder_in_use_is_refused_and_a_dead_owner_is_not(tmp_path):
    folder = run.create(tmp_path, "a", "search", {})
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Event(), context.Event()
    owner = context.Process(target=_hold, args=(folder.path, entered, leave))
    owner.start()
    try:
        assert entered.wait(60)
        with pytest.raises(ValueError, match=f"in use by process {owner.pid}"), run.RunFolder(folder.path, {}, True):
            pass
    finally:
        owner.kill()
        owner.join()
    with run.RunFolder(folder.path, {}, True):
        pass


DIES = """
import os, signal, sys
from pathlib import Path
from training import run
from training.run import run_folder
left, write = int(sys.argv[2]), run_folder.write_atomically
def write_and_die(*args):
    global left
    write(*args)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
run_folder.write_atomically = write_and_die
run.create(Path(sys.argv[1]), sys.argv[3] or None, "retrain", {"seed": 1}, {"arch.json": "{}"})
"""


@pytest.mark.parametrize("files", [1, 2, 3])
@pytest.mark.parametrize("name", ["a", ""])
def test_a_kill_while_a_folder_is_filled_leaves_no_run(tmp_path, files, name):
    command = [sys.executable, "-c", DIES, str(tmp_path), str(files), name]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (left,) = tmp_path.iterdir()
    assert (left / "config.json").exists() and left.name.startswith(run_folder.STARTING)
    assert run.resume(tmp_path, name or None, "retrain", {}) is None
    again = run.create(tmp_path, name or None, "retrain", {"seed": 1}, {"arch.json": "{}"})
    assert again.path.name == (name or "retrain-1")
    assert {"config.json", "environment.json", "arch.json"} == {file.name for file in again.path.iterdir()}
    with pytest.raises(ValueError, match=r"'starting' is no file, no run in"):
        run.accept("show", "starting", tmp_path)


def test_two_that_start_at_once_get_folders_of_their_own(tmp_path, monkeypatch):
    """Another process takes the number between the look and the renaming."""
    exists = Path.exists

    def taken(path):
        answer = exists(path)
        if path.name == "search-1" and not answer:
            (path / "theirs").mkdir(parents=True)
        return answer

    monkeypatch.setattr(Path, "exists", taken)
    assert run.create(tmp_path, None, "search", {}).path.name == "search-2"
    assert [file.name for file in (tmp_path / "search-1").iterdir()] == ["theirs"]


def test_resume_compares_what_was_given(tmp_path):
    run.create(tmp_path, "a", "search", {"seed": 1, "steps": 10})
    again = run.resume(tmp_path, "a", "search", {"seed": 1})
    assert again is not None and again.resumed and again.config == {"seed": 1, "steps": 10}
    with pytest.raises(ValueError, match="steps: 10 in the run, 20 now"):
        run.resume(tmp_path, "a", "search", {"steps": 20, "seed": 1})
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        run.resume(tmp_path, "a", "search", {"step": 10})


def test_resume_without_a_name_takes_the_newest_of_the_command(tmp_path):
    import os

    for number, (name, command) in enumerate([("a", "search"), ("b", "search"), ("c", "scale")]):
        folder = run.create(tmp_path, name, command, {})
        os.utime(folder.path / "config.json", (1000 + number, 1000 + number))
    found = run.resume(tmp_path, None, "search", {})
    assert found is not None and found.path.name == "b"


def test_resume_where_nothing_is_yet_and_where_something_else_is(tmp_path):
    assert run.resume(tmp_path / "runs", None, "search", {}) is None
    assert run.resume(tmp_path, "none", "search", {}) is None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="not a run of nas search"):
        run.resume(tmp_path, "mine", "search", {})
    run.create(tmp_path, "other", "scale", {})
    with pytest.raises(ValueError, match="not a run of nas search"):
        run.resume(tmp_path, "other", "search", {})


def test_a_damaged_config_is_an_error_that_names_it(tmp_path):
    folder = run.create(tmp_path, "a", "search", {})
    (folder.path / "config.json").write_text('{"command": "search", ')
    with pytest.raises(ValueError, match=r"config\.json: not JSON"):
        run.resume(tmp_path, "a", "search", {})


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path):
    folder = run.create(tmp_path, "a", "search", {})
    precious = tmp_path / "precious.txt"
    precious.write_text("my thesis")
    lock = folder.path / "lock"

    def refused():
        with pytest.raises(ValueError, match=r"a/lock is not the lock of a run but a link, or something else"), folder:
            pass

    lock.symlink_to(precious)
    refused()
    lock.unlink()
    lock.symlink_to(tmp_path / "nothing")
    refused()
    assert not (tmp_path / "nothing").exists()
    lock.unlink()
    lock.mkdir()
    refused()
    lock.rmdir()
    os.mkfifo(lock)
    refused()
    lock.unlink()
    lock.write_text("word " * 1000)
    refused()
    lock.unlink()
    with folder:
        assert lock.read_text().startswith("process ")
    assert precious.read_text() == "my thesis"


@pytest.mark.parametrize("name", ["../x", "x/../../y", ".", "..", "", "/tmp"])
def test_a_name_that_leads_elsewhere_is_refused_on_resume_too(tmp_path, name):
    run.create(tmp_path, "x", "search", {})
    with pytest.raises(ValueError, match="must be a single folder name"):
        run.resume(tmp_path / "runs", name, "search", {})
