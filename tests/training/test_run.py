"""Run folders: names, locks, what a resume accepts and refuses."""

import json
import multiprocessing

import pytest

from training import run


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


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", ""])
def test_a_name_is_one_folder(tmp_path, name):
    with pytest.raises(ValueError, match="single folder name"):
        run.create(tmp_path, name, "search", {})


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
    (tmp_path / "empty").mkdir()
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
