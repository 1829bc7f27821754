"""Pictures of runs: they hold what they should, and nothing in a run can become markup."""

import dataclasses
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from experiments.plots import front_picture as front
from experiments.plots import html
from experiments.plots import policy_picture as policy
from experiments.plots.front_data import MAX_LOOKS, FrontPicture, gather
from searchspace import Architecture, Clip, cost, published, published_names
from searchspace.stored import read_records
from tests.experiments.conftest import Nas
from tests.experiments.runs import made_up_run
from training.run import SearchRun


class Page(HTMLParser):
    """What a browser would see of a page: its elements, and the data in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, text: str) -> None:
        if self._inside == "script":
            self.scripts.append(text)


@pytest.fixture(scope="session")
def one(runs: Path) -> SearchRun:
    return SearchRun.open(runs / "one")


@pytest.fixture(scope="session")
def picture(one: SearchRun) -> FrontPicture:
    return gather([one])


def pixels(path: Path) -> np.ndarray:
    return matplotlib.image.imread(path)[..., :3]


def has_colour(image: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return bool((np.abs(image - wanted).max(axis=-1) < 0.02).sum() > 20)


def test_the_run_is_read_as_other_tools_read_it(one: SearchRun) -> None:
    table = pd.read_csv(one.folder / "pareto.csv", dtype={"choices": str})
    assert [p.macs for p in one.front] == sorted(table["macs"])
    assert sum(p.winner for p in one.front) == 1
    for point in one.front:
        architecture = one.describe(point.choices)
        assert architecture is not None
        assert cost(architecture, one.clip).macs == point.macs
        if point.path:
            assert Architecture.load(one.folder / point.path).key() == architecture.key()
    assert [look.macs for look in one.looks] == [r["macs"] for r in read_records(one.folder / "ledger.jsonl")]
    assert one.steps == list(pd.read_csv(one.folder / "metrics.csv")["step"])[-1]


def test_a_torn_last_line_is_left_out(one: SearchRun, tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(one.folder, folder)
    with open(folder / "ledger.jsonl", "a") as file:
        file.write('{"step": 1, "archit')
    assert len(SearchRun.open(folder).looks) == len(one.looks)


def test_the_picture_holds_the_run(picture: FrontPicture, one: SearchRun) -> None:
    (series,) = picture.series
    assert len(series.points) == len(one.front)
    assert series.winner is not None and series.winner.copy == str(one.folder / "best" / "arch.json")
    assert picture.target == 600e6
    assert picture.chance == pytest.approx(1 / 18)
    assert dict(picture.published) == {
        name: cost(published(name), Clip(8, 128, 128)).macs for name in published_names()
    }
    low, high = picture.costs
    assert all(low < point.x < high for point in series.points)
    stairs = series.staircase
    assert stairs == sorted(stairs) and [y for _, y in stairs] == sorted({y for _, y in stairs})
    front_points = [p for p in series.points if p.scored.on_front]
    for x, y in stairs:
        assert max(p.scored.accuracy for p in front_points if p.x <= x) == y


def test_many_looks_are_thinned_evenly(one: SearchRun, tmp_path: Path) -> None:
    folder = tmp_path / "long"
    shutil.copytree(one.folder, folder)
    line = (folder / "ledger.jsonl").read_text().splitlines()[0]
    record = json.loads(line)
    with open(folder / "ledger.jsonl", "w") as file:
        for step in range(5 * MAX_LOOKS + 1):
            file.write(json.dumps(record | {"step": step, "macs": 1000 + step}) + "\n")
    (series,) = gather([SearchRun.open(folder)]).series
    assert series.looks_in_all == 5 * MAX_LOOKS + 1
    assert MAX_LOOKS / 2 < len(series.looks) <= MAX_LOOKS
    assert set(np.diff([x for x, _ in series.looks])) == {6}


def test_png_of_the_front(picture: FrontPicture, tmp_path: Path) -> None:
    front.draw(picture, tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    assert image.shape[0] > 600 and image.shape[1] > 1000
    assert has_colour(image, picture.series[0].colour)
    bare = dataclasses.replace(picture, series=(dataclasses.replace(picture.series[0], colour="#00ff00"),))
    front.draw(bare, tmp_path / "b.png")
    assert not has_colour(pixels(tmp_path / "b.png"), picture.series[0].colour)
    assert [item.name for item in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]  # no temporary file is left


def test_page_embeds_the_data(picture: FrontPicture, tmp_path: Path) -> None:
    html.draw(picture, tmp_path / "pareto.html")
    page = Page((tmp_path / "pareto.html").read_text())
    (series,) = page.data["series"]
    assert [p["macs"] for p in series["points"]] == [p.scored.macs for p in picture.series[0].points]
    winner = next(p for p in series["points"] if p["winner"])
    assert winner["copy"].endswith("best/arch.json")
    assert len(winner["lines"]) == 5 and "wide:" in winner["lines"][0]
    assert all(p["low"] <= p["accuracy"] <= p["high"] for p in series["points"])
    assert page.data["published"][0] == ["a0", dict(picture.published)["a0"]]


def test_page_needs_nothing_but_itself(picture: FrontPicture, tmp_path: Path) -> None:
    html.draw(picture, tmp_path / "pareto.html")
    text = (tmp_path / "pareto.html").read_text()
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "href"} & set(attributes)
    rest = text.replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
    assert "http" not in rest.replace("http-equiv", "") and "@import" not in rest and "url(" not in rest
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"]
    assert "innerHTML" not in text and "document.write" not in text


def test_nothing_in_a_run_becomes_markup(one: SearchRun, tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script><!--\u2028&amp;"
    picture = gather([one])
    evil = dataclasses.replace(
        picture, title=name, caption=name, series=(dataclasses.replace(picture.series[0], name=name),)
    )
    html.draw(evil, tmp_path / "evil.html")
    text = (tmp_path / "evil.html").read_text()
    page = Page(text)
    assert page.data["title"] == page.data["series"][0]["name"] == name
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    assert "alert(1)</script>" not in text and "\u2028" not in text


def test_several_runs(nas: Nas, runs: Path, tmp_path: Path) -> None:
    answer = nas("plot", runs / "one", "two", "--runs", runs, "-o", tmp_path / "both")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == f"next: open {tmp_path / 'both.html'} in a browser"
    page = Page((tmp_path / "both.html").read_text())
    assert [series["name"] for series in page.data["series"]] == ["one", "two"]
    assert len({series["colour"] for series in page.data["series"]}) == 2
    image = pixels(tmp_path / "both.png")
    assert all(has_colour(image, series["colour"]) for series in page.data["series"])


def test_what_cannot_share_a_picture(nas: Nas, runs: Path, one: SearchRun, tmp_path: Path) -> None:
    assert "twice" in nas("plot", runs / "one", runs / "one").err
    assert "not finished" in nas("plot", runs / "half").err
    other = made_up_run(tmp_path / "other", steps=30, clip="16x64x64@5")
    answer = nas("plot", runs / "one", other)
    assert answer.code == 2 and "8x128x128@5" in answer.err and "16x64x64@5" in answer.err
    same_name = tmp_path / "again" / "one"
    shutil.copytree(one.folder, same_name)
    assert [series.name for series in gather([one, SearchRun.open(same_name)]).series] == [
        str(one.folder),
        str(same_name),
    ]


def test_a_run_whose_space_is_gone_is_drawn_without_layers(one: SearchRun, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(one.folder, folder)
    config = json.loads((folder / "config.json").read_text()) | {"space": "/gone/my.yaml"}
    (folder / "config.json").write_text(json.dumps(config))
    picture = gather([SearchRun.open(folder)])
    assert all(point.text == () for point in picture.series[0].points)
    html.draw(picture, tmp_path / "x.html")


def test_plot_of_one_run_goes_into_its_folder(nas: Nas, one: SearchRun, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(one.folder, folder)
    assert nas("plot", folder).code == 0
    for name in ("pareto.png", "policy.png"):
        assert pixels(folder / name).std() > 0.05
    assert Page((folder / "pareto.html").read_text()).data["series"][0]["name"] == "mine"


def test_the_policys_maps_follow_the_probabilities(one: SearchRun) -> None:
    space, moments = one.space, one.policy
    active = policy._active(space, moments)
    layers = policy._layers(space)
    assert active.shape == (len(layers), len(moments))
    firsts = [i for i, (_, index) in enumerate(layers) if index == 0]
    assert active[firsts] == pytest.approx(np.ones((5, len(moments))))  # every block has at least one layer
    deep = moments[-1].probabilities["blocks/1/depth"]
    assert active[layers.index((1, 4)), -1] == pytest.approx(sum(deep[4:]), abs=1e-4)
    expected = policy._depths(space, moments)
    assert expected[1, -1] == pytest.approx(sum(p * (i + 1) for i, p in enumerate(deep)), abs=1e-3)
    widths = policy._widths(space, moments)
    assert widths[2, 0] == pytest.approx(np.dot(moments[0].probabilities["blocks/2/width"], [0.75, 1, 1.25]), abs=1e-4)
    image = policy._kernels(space, moments, active)
    sure = [dataclasses.replace(moments[-1], probabilities=dict(moments[-1].probabilities))]
    sure[0].probabilities["blocks/0/layers/0/kernel"] = [0, 0, 0, 0, 0, 1, 0]
    colour = policy._colours(space)[space.blocks[0].kernels[5]]
    assert policy._kernels(space, sure, active[:, -1:])[0, 0] == pytest.approx(colour, abs=1e-6)
    assert ((image >= 0) & (image <= 1)).all()


def test_kernels_have_colours_of_their_own(one: SearchRun) -> None:
    colours = list(policy._colours(one.space).values())
    gaps = [np.abs(a - b).sum() for i, a in enumerate(colours) for b in colours[:i]]
    assert min(gaps) > 0.2


def test_no_policy_yet(one: SearchRun, tmp_path: Path) -> None:
    folder = tmp_path / "young"
    shutil.copytree(one.folder, folder)
    (folder / "policy.jsonl").unlink()
    with pytest.raises(ValueError, match="no record of its policy yet"):
        policy.draw(SearchRun.open(folder), tmp_path / "x.png")


@pytest.mark.parametrize("name", ["$x$", "a $_{ b $", r"$\frac$"])
def test_dollars_in_names_are_no_formula(nas: Nas, runs: Path, tmp_path: Path, name: str) -> None:
    """Two of them are mathematics to matplotlib, unless it is told otherwise."""
    from experiments.plots import confusion

    confusion.draw([[3, 1], [0, 2]], [name, "b"], tmp_path / "confusion.png", f"{name}: 83 %")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    shutil.copytree(runs / "one", tmp_path / name)
    assert nas("plot", tmp_path / name).code == 0
    assert nas("plot", tmp_path / name, runs / "two", "-o", tmp_path / "both").code == 0
