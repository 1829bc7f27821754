"""`nas scale`: what it says, what it draws, and what it refuses."""

import json
from pathlib import Path

import pytest

from experiments.plots import family as picture
from experiments.text import scale_text
from scaling import family_folder
from scaling.coefficients import Coefficients
from scaling.scale_config import ScaleConfig
from scaling.scale_family import open_base
from tests.experiments.conftest import Nas
from tests.training.small import SPACE

POINTS = [
    ("trial", 0, -1, 0.30), ("trial", 0, 1, 0.50), ("trial", 1, -1, 0.28), ("trial", 1, 1, 0.41),
    ("member", 0, 0, 0.42), ("member", 0, -2, 0.20),
    *[("single", number, e, 0.3 + 0.02 * number + 0.05 * e) for number in range(4) for e in (-1, 1)],
]  # fmt: skip


def made_up_points() -> list[dict]:
    """Accuracies of networks that nobody trained."""
    cost = {"macs": 600e6, "params": 3e6, "state_bytes": 0}
    return [
        {
            "kind": kind,
            "number": number,
            "exponent": exponent,
            "network": 0,
            "clips": 1000,
            "seed": 0,
            "cost": {name: value * 2.0**exponent for name, value in cost.items()},
            "accuracy": accuracy,
            "held_out": 512,
        }
        for kind, number, exponent, accuracy in POINTS
    ]


def test_given_coefficients_from_the_command_line(nas: Nas, tmp_path: Path) -> None:
    words = ("scale", "movinet", "--coeffs", "1.2,1.1,1.1,1.2", "--members", "A1:A3", "--runs", tmp_path)
    answer = nas(*words)
    assert answer.code == 0, answer.err
    assert "their product by the formula is 2.108" in answer.out
    assert "A1 286.8 M" in answer.out and "published A2 to A5" in answer.out
    folder = tmp_path / "scale-1"
    assert f"nas show {folder}/A1.json {folder}/A3.json" in answer.out
    assert nas("show", folder / "A1.json").code == 0
    assert nas("space", folder / "A3.yaml").code == 0
    assert f"{folder} is a family; name one of its members" in nas("show", folder).err
    again = nas("scale", "--resume", "--runs", tmp_path, "--json")
    assert json.loads(again.out)["coefficients"]["depth"] == 1.2
    assert "is finished" in again.err


def test_without_a_base_it_says_what_it_takes(nas: Nas, tmp_path: Path, runs: Path) -> None:
    words = ("scale", "--coeffs", "1.2,1.1,1.1,1.2", "--dry-run")
    answer = nas(*words, "--runs", tmp_path)
    assert "taking the space movinet" in answer.out and "nothing was written" in answer.out
    assert list(tmp_path.iterdir()) == []
    answer = nas(*words, "--runs", runs, "--clip", "8x128x128@5")
    assert "taking the newest finished search" in answer.out or "space.yaml" in answer.err


def test_a_search_says_how_long_it_will_take(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SPACE)
    words = ("--budget", "2M", "--clip", "4x32x32@5", "--search-resolution", "16", "--trials", "3", "--dry-run")
    answer = nas("scale", tmp_path / "small.yaml", *words, "--runs", tmp_path / "runs", "--workers", "2")
    assert answer.code == 0, answer.err
    # Three trials and one of them further, three second seeds, four single dimensions, of two networks each; A0 and A2.
    assert "estimate: 24 trainings in 2 processes, 1 thread(s) each: about" in answer.out
    assert "rungs of 2,000, 4,000 training clips" in answer.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--coeffs", "1.2,1.1"], "write depth, width"),
        (["--coeffs", "random", "--targets", "1M,2M,3M,4M,5M,6M"], "below the cheapest network"),
        (["--coeffs", "1.2,1.1,1.1,1.2", "--trials", "3"], "--trials is for --coeffs random"),
        (["--members", "A9:A1"], "range such as A0:A5"),
        (["--target-ratio", "1"], "from 1.1 to 10"),
        (["--sampler", "tpee"], "did you mean 'tpe'"),
        (["--group", "(a)"], "--data"),
        (["--trails", "3"], "did you mean '--trials'"),
        (["--data", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_mistakes(nas: Nas, tmp_path: Path, words: list[str], said: str) -> None:
    answer = nas("scale", "movinet", *words, "--runs", tmp_path)
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1 and said in answer.err
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_of_the_whole_matches_what_is_planned() -> None:
    config = ScaleConfig()
    assert config.rungs == (2000, 4000)
    base = open_base(config, Path("runs"))
    from scaling.time_estimate import TimeEstimate

    lines = scale_text.expected(config, base, 2, None, TimeEstimate(124, 3600.0))
    assert "trials: 32" in lines[0] and "the base trains at 8x32x32@5" in lines[0]
    assert "about 60 min" in lines[1]


def test_networks_far_dearer_than_their_share_at_small_clips_are_told() -> None:
    found = family_folder.Family(Path("runs"), Coefficients(1.2, 1.1, 1.1, 1.2), (), {})
    found.data["proxies"] = {
        "A1": {"least": 20e6, "most": 23e6, "share": 19e6},
        "A3": {"least": 76e6, "most": 132e6, "share": 78e6},
    }
    (line,) = scale_text.proxy_notes(found)
    assert "networks of A3 cost 76.0 M to 132.0 M" in line and "where 78.0 M would be in proportion" in line


def test_the_picture(nas: Nas, tmp_path: Path) -> None:
    assert nas("scale", "movinet", "--coeffs", "1.2,1.1,1.1,1.2", "--runs", tmp_path).code == 0
    found = family_folder.load(tmp_path / "scale-1")
    found.data.update(
        points=made_up_points(),
        picture_clips=1000,
        chosen=0,
        verdict={"text": "choice supported: of course"},
        proxies={},
    )
    points, singles, others = picture._points(found, "macs", {})
    assert [point[0] for point in points] == [-2, -1, 0, 1]
    assert points[3] == (1, 1200e6, 0.5, 512)
    assert {name: len(curve) for name, curve in singles.items()} == dict.fromkeys(singles, 2)
    assert len(others) == 2
    for axis, name in (("macs", "family.png"), ("params", "family-params.png")):
        path = picture.draw(found, axis)
        assert path.name == name and path.read_bytes().startswith(b"\x89PNG")
    timed, nothing, none = picture._points(found, "latency", {"A1": 3.0, "A3": 9.0})
    assert [(point[0], point[1]) for point in timed] == [(-1, 3.0), (1, 9.0)]
    assert not none and not any(nothing.values())
    path = picture.draw(found, picture.LATENCY, {"A1": 3.0, "A3": 9.0, "A5": 40.0})
    assert path.name == "family-latency.png" and path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,ms\nA2,3\n", "no column 'milliseconds' (it begins with 'name,ms')"),
        ("name,milliseconds\nA2,fast\n", "line 2: 'fast' is not a positive number"),
        ("name,milliseconds\nA2,-3\n", "line 2: '-3' is not a positive number"),
        ("name,milliseconds\nA2\n", "line 2: None is not a positive number"),
        ("name,milliseconds\nA2,3\nA2,4\n", "line 3: 'A2' is there twice"),
        ("name,milliseconds\nB2,3\n", "has none of A0, A1, A2"),
        ("", "no column 'name' (it is empty)"),
        (None, "No such file"),
    ],
)
def test_latency_tables_that_cannot_be_read(nas: Nas, tmp_path: Path, text: str | None, said: str) -> None:
    table = tmp_path / "table.csv"
    if text is not None:
        table.write_text(text)
    answer = nas("scale", "movinet", "--latency", table, "--runs", tmp_path / "runs")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1 and said in answer.err
    assert not (tmp_path / "runs").exists()
