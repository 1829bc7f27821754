"""What a word means, whatever lies in the working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchspace import find, is_published, published


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
