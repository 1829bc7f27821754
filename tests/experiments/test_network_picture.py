"""The picture of a network: a bar a layer, in the colour of its kernel; a dot for squeeze-excitation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib.image
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from experiments.plots import network
from experiments.plots.kernels import kernel_colours
from searchspace import Architecture, Block, Clip, Ensemble, Kernel, Layer, cost, load, published
from tests.experiments.conftest import Nas


def bars(axes: Axes) -> list[Rectangle]:
    return sorted((patch for patch in axes.patches if isinstance(patch, Rectangle)), key=lambda bar: bar.get_x())


def tops(architectures: list[Architecture | Ensemble], clip: Clip | None = None) -> tuple[list[Axes], list[Axes]]:
    """The panels of channels and those of multiply-accumulates, in reading order."""
    figure = network.picture(architectures, clip)
    return figure.axes[0::2], figure.axes[1::2]


@pytest.mark.parametrize("name", ["a0", "a2", "a5", "t0"])
def test_every_layer_is_a_bar_as_high_as_it_is_wide(name: str) -> None:
    architecture = published(name)
    ((top,), (below,)) = tops([architecture])
    positions = list(architecture.layers())
    stem, *layers, head = bars(top)
    assert (stem.get_height(), head.get_height()) == (architecture.stem.width, architecture.head.width)
    colours = kernel_colours(position.layer.kernel for position in positions)
    for bar, position in zip(layers, positions, strict=True):
        assert bar.get_height() == position.layer.expand
        assert to_hex(bar.get_facecolor()) == colours[position.layer.kernel]
    widths = [line.get_ydata()[0] for line in top.lines if line.get_linestyle() == "-"]
    assert widths == [block.width for block in architecture.blocks]
    assert sum(bar.get_height() for bar in bars(below)) == pytest.approx(cost(architecture).macs / 1e6)


def test_dots_stand_for_squeeze_excitation() -> None:
    whole = published("a2")
    first, *others = whole.blocks
    plain = tuple(dataclasses.replace(layer, squeeze=layer.squeeze * (i % 2)) for i, layer in enumerate(first.layers))
    architecture = dataclasses.replace(whole, blocks=(dataclasses.replace(first, layers=plain), *others))
    without = [not position.layer.squeeze for position in architecture.layers()]
    ((top,), _) = tops([architecture])
    dots = {round(float(line.get_xdata()[0]), 3) for line in top.lines if line.get_marker() == "o"}
    middles = [round(bar.get_x() + bar.get_width() / 2, 3) for bar in bars(top)[1:-1]]
    assert [middle not in dots for middle in middles] == without


def test_two_stand_side_by_side_on_the_same_scales() -> None:
    figure = network.picture([published("a0"), published("a2")])
    left, below, right, _ = figure.axes
    assert left.get_ylim() == right.get_ylim() and left.get_ylim()[1] > 640
    assert left.get_title(loc="left") == "a0" and right.get_title(loc="left") == "a2"
    figure.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in (left, right)]
    assert boxes[0].x1 < boxes[1].x0 and boxes[0].y0 == pytest.approx(boxes[1].y0)
    assert bars(below)[0].get_height() < below.get_ylim()[1]
    shares = [axes.get_window_extent().width / (axes.get_xlim()[1] - axes.get_xlim()[0]) for axes in (left, right)]
    assert shares[0] == pytest.approx(shares[1], rel=0.1)  # a bar is as wide in both


def test_an_ensemble_is_its_members_at_their_share_of_the_frames() -> None:
    a6 = published("a6")
    top, below = tops([a6, published("a5")])
    assert [len(bars(axes)) for axes in top] == [47 + 2, 59 + 2, 59 + 2]
    assert top[0].get_title(loc="left") == "a4, member 1 of 2: frames 0, 3, 6, ..."
    heights = [sum(bar.get_height() for bar in bars(axes)) for axes in below]
    assert heights[0] + heights[1] == pytest.approx(cost(a6).macs / 1e6)
    clip = Clip(24, 128, 128, 25)
    _, below = tops([a6], clip)
    total = sum(bar.get_height() for axes in below for bar in bars(axes))
    assert total == pytest.approx(cost(a6, clip).macs / 1e6)


def test_names_are_no_markup_and_stay_in_their_panel(tmp_path: Path) -> None:
    odd = dataclasses.replace(published("t0"), name=r"$\frac{$ <b>" + " long" * 30)
    network.draw([odd, odd], tmp_path / "x.png")
    figure = network.picture([odd, odd])
    figure.draw_without_rendering()
    left, right = figure.axes[0], figure.axes[2]
    words = [left.title, left._left_title, *left.texts]
    assert all(text.get_window_extent().x1 < right.get_window_extent().x0 for text in words if text.get_text())


@pytest.mark.parametrize("kernels", [("1x3x3",), ("tsm1x3x3", "1x15x15"), ("1x3x3", "tsm1x5x5", "5x1x1", "3x3x3")])
def test_the_key_of_a_small_network_fits(kernels: tuple[str, ...]) -> None:
    layers = tuple(Layer(Kernel.parse(kernel), 1, 24, 8) for kernel in kernels)
    figure = network.picture([dataclasses.replace(published("t0"), blocks=(Block(16, layers),))])
    figure.draw_without_rendering()
    (key,) = figure.legends
    assert len(key.get_texts()) == 3 + len(kernels)
    assert key.get_window_extent().x1 < figure.bbox.x1


def test_colours_are_the_same_beside_whatever_others() -> None:
    known = kernel_colours(load("movinet").kernels)
    assert len(set(known.values())) == 7
    for kernel, colour in known.items():
        assert kernel_colours([Kernel(1, 1, 1), Kernel(3, 5, 5), kernel])[kernel] == colour
        assert kernel_colours([Kernel(1, 3, 3, shift=True), kernel])[kernel] == colour
    shifts = kernel_colours([*known, Kernel(1, 5, 5, shift=True), Kernel(1, 3, 3, shift=True)])
    assert len(set(shifts.values())) == 9
    assert [str(kernel) for kernel in shifts if kernel.shift] == ["tsm1x3x3", "tsm1x5x5"]
    assert list(kernel_colours([Kernel(3, 3, 3), Kernel(5, 1, 1), Kernel(1, 5, 5), Kernel(1, 3, 3)])) == [
        Kernel(1, 3, 3), Kernel(1, 5, 5), Kernel(5, 1, 1), Kernel(3, 3, 3),
    ]  # fmt: skip


def test_show_names_the_picture_after_what_it_shows(nas: Nas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = dataclasses.replace(published("t0"), name="../x/ naïve: " + "y" * 150)
    odd.save("odd.json")
    dataclasses.replace(odd, name="☃").save("snow.json")
    for words, name in (
        (["a0", "--png"], "a0.png"),
        (["a0", "--png", "--stream"], "a0-stream.png"),
        (["t0", "a6", "--clip", "8x32x32@25", "--png"], "t0-a6.png"),
        (["odd.json", "snow.json", "--png"], "x-na-ve-" + "y" * 89 + "-unnamed.png"),
    ):
        answer = nas("show", *words)
        assert answer.code == 0 and f"wrote {name}" in "".join(answer.out.split("\n")), (answer.out, answer.err)
        (file,) = tmp_path.glob("*.png")
        assert file.name == name
        file.unlink()
    for words in (["--png", "a0"], ["a0", "--png", "a2"]):
        answer = nas("show", *words)
        message = f"'{words[-1]}': pictures are PNG files; give a name that ends in .png, or --png behind everything"
        assert answer.code == 2 and message in answer.err
    assert not list(tmp_path.glob("*.png"))


def test_show_draws(nas: Nas, tmp_path: Path, runs: Path) -> None:
    file = tmp_path / "both.png"
    answer = nas("show", "a0", runs / "one", "--png", file)
    assert answer.code == 0, answer.err
    assert f"wrote {file}" in answer.out and answer.out.splitlines()[-1].startswith("next: ")
    image = matplotlib.image.imread(file)[..., :3]
    assert image.shape[1] > image.shape[0] > 400 and 0.5 < image.mean() < 0.99
    for bad, message in (
        (["a0", "--png", "x.jpg"], "'x.jpg': pictures are PNG files; give a name that ends in .png"),
        ([runs / "half", "--png", file], "nothing to draw: the run has no winner yet"),
        (["a0", "--png", tmp_path / "none" / "x.png"], "no such file or folder"),
    ):
        answer = nas("show", *bad)
        assert answer.code == 2 and message in answer.err and len(answer.err.strip().splitlines()) == 1
