"""Lists of pictures say the split, whatever stands behind the names."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet.data.folder_formats.folder import Folder
from omnidet.data.folder_formats.lists import Lists, text_of


@pytest.fixture
def root(tmp_path):
    for name in ("a", "b", "my photo"):
        (tmp_path / "JPEGImages").mkdir(exist_ok=True)
        (tmp_path / "JPEGImages" / f"{name}.jpg").write_bytes(b"x")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    return tmp_path


def _lists(root: Path, **content: str) -> Lists:
    for name, text in content.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    return Lists(Folder(root))


@pytest.mark.parametrize("line", ["a", "a.jpg", "a  1", "a -1", "JPEGImages/a.jpg", "  a  "])
def test_a_line_names_a_picture(root, line):
    made = _lists(root, train=f"{line}\n", test="b\n")
    assert made.of(Path("JPEGImages/a.jpg")) == "train"
    assert made.of(Path("JPEGImages/b.jpg")) == "test"
    assert made.of(Path("JPEGImages/my photo.jpg"), None) == ""


@pytest.mark.parametrize("name", ["train_list", "trainval_ids", "list_train", "autosplit_train"])
def test_a_list_that_is_called_one(root, name):
    assert _lists(root, **{name: "a\n"}).of(Path("JPEGImages/a.jpg")) == "train"


@pytest.mark.parametrize("row", ["0 0.5 0.5 0.2 0.2", "b .5 5e-1 0.2 0.2 0.9"])
def test_the_label_of_a_photo_of_a_train_is_no_list(root, row):
    (root / "JPEGImages/0.jpg").write_bytes(b"y")
    assert _lists(root, train=f"{row}\n{row}\n").files == []


def test_a_name_with_blanks(root):
    assert _lists(root, val="my photo\n").of(Path("JPEGImages/my photo.jpg")) == "val"


def test_a_picture_of_several_lists_is_evaluated_on_and_said(root):
    made = _lists(root, train="a\nb\n", test="a\n")
    assert made.of(Path("JPEGImages/a.jpg")) == "test"
    assert any("1 (first: JPEGImages/a.jpg, taken for test)" in note for note in made.notes())


def test_train_and_val_together_contradict_neither(root):
    made = _lists(root, train="a\n", val="b\n", trainval="a\nb\n")
    assert made.of(Path("JPEGImages/b.jpg")) == "val"
    assert made.notes() == []


def test_a_picture_of_the_test_is_said_though_it_is_only_in_both_together(root):
    made = _lists(root, trainval="a\nb\n", test="b\n")
    assert any("1 (first: JPEGImages/b.jpg, taken for test)" in note for note in made.notes())


def test_a_picture_of_train_and_val_is_said(root):
    made = _lists(root, train="a\nb\n", val="b\n", trainval="a\nb\n")
    assert any("1 (first: JPEGImages/b.jpg, taken for val)" in note for note in made.notes())


def test_names_of_nothing_are_counted(root):
    made = _lists(root, train="a\nghost\n")
    assert any("1 picture that" in note for note in made.notes())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("kö\n".encode(), "kö\n"),
        ("kö\n".encode("utf-8-sig"), "kö\n"),
        ("kö\n".encode("utf-16"), "kö\n"),
        ("猫狗鸟\n".encode("gbk"), None),
    ],
)
def test_text_in_a_known_encoding_or_none(tmp_path, content, text):
    (tmp_path / "classes.txt").write_bytes(content)
    assert text_of(Folder(tmp_path), Path("classes.txt")) == text
