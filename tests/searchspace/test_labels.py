"""Files of labels: names in order, numbered or not; found beside weights; and what is wrong with them."""

from pathlib import Path

import pytest

from searchspace.labels import check_count, labels_beside, read_labels


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("run\nwalk\n", ("run", "walk")),
        ("  run  \r\nfall down\r\n\r\n", ("run", "fall down")),
        ("\ufeffrun\nwalk", ("run", "walk")),
        ("0 run\n1 fall down\n", ("run", "fall down")),
        ("0: run\n1: walk", ("run", "walk")),
        ("id,name\n0,run\n1,walk\n", ("run", "walk")),
        ('index,label\n0,"fall, then rise"\n1,walk\n', ("fall, then rise", "walk")),
        ("1 run\n2 walk\n", ("1 run", "2 walk")),  # not from 0: a part of the name
        ("100m run\n50m run", ("100m run", "50m run")),
        ("\n".join(f"{i:03d} class {i}" for i in range(12)), tuple(f"class {i}" for i in range(12))),
    ],
)
def test_names_in_order(text: str, names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert read_labels(tmp_path / "labels.txt") == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file of labels; it must have one name a line"),
        ("\n\n", "an empty file of labels"),
        ("run\nwalk\nrun\n", "label 'run' stands twice, as number 1 and 3"),
        ("run\n\nwalk\n", "label 2 is ''; allowed: printable text of 1 to 200 characters"),
        ("run\n" + "x" * 201, "label 2 is 'xxx"),
        ("run\x07\nwalk", "label 1 is 'run\\x07'"),
        ("\n".join(f"{i} {'x' * 190}{i}" for i in range(1, 1700)), "1,699 labels; allowed: 100,000, of 300,000"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(text)
    with pytest.raises(ValueError) as caught:
        read_labels(file)
    assert str(file) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file; give the path of the labels file"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(ValueError, match="is a folder"):
        read_labels(tmp_path)
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8 text, so no labels file"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(ValueError, match=r"x: 2 labels for a network of 3 classes; give one for each"):
        check_count(("a", "b"), 3, "x")


def test_labels_beside_weights(tmp_path: Path) -> None:
    """One that fits is taken; of several the one that begins as the weights do; else none, and it is said."""
    weights = tmp_path / "movinet.tflite"
    assert labels_beside(weights, 2) == (None, (), "")
    (tmp_path / "readme.txt").write_text("two\nlines\n")
    (tmp_path / "my_classification.txt").write_text("two\nlines\n")
    assert labels_beside(weights, 2) == (None, (), "")
    (tmp_path / "kinetics600_label_map.txt").write_text("run\nwalk\n")
    assert labels_beside(weights, 2) == (tmp_path / "kinetics600_label_map.txt", ("run", "walk"), "")
    assert labels_beside(weights, 3) == (None, (), "")
    (tmp_path / "Labels.csv").write_text("0,run\n1,walk\n")  # the same names once more
    assert labels_beside(weights, 2)[1] == ("run", "walk")
    (tmp_path / "classes.txt").write_text("sit\nstand\n")
    assert labels_beside(weights, 2)[2].startswith("several files of labels lie beside it (")
    (tmp_path / "movinet_labels.txt").write_text("up\ndown\n")
    assert labels_beside(weights, 2)[:2] == (tmp_path / "movinet_labels.txt", ("up", "down"))
    (tmp_path / "movinet.txt").write_text("left\nright\n")
    assert labels_beside(weights, 2)[0] is None
    (tmp_path / "broken_labels.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "movinet.txt").unlink()
    assert labels_beside(Path(weights), 2)[1] == ("up", "down")
