"""The user's own split: a share, a file, folds."""

from __future__ import annotations

import pytest

from omnidet.data.annotated import cut
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


@pytest.fixture
def prepared(folder: Folder) -> Folder:
    """Ten pictures in `train` and five in `test`, as YOLO."""
    folder.write("data.yaml", "names: [cat, dog]\n")
    for split, count in (("train", 10), ("test", 5)):
        for scene in folder.pictures(scenes(count, prefix=f"{split}_"), f"{split}/images"):
            folder.write(f"{split}/labels/{scene.stem}.txt", drawing.yolo(scene))
    return folder


def _cut(folder: Folder, **reading: object) -> tuple[set[str], set[str], str]:
    made = cut.cut(read(folder.root), ReadConfig(**reading))
    parts = [
        {p.path.relative_to(folder.root).as_posix() for p in m}
        for m in (made.train, made.evaluation)
    ]
    return parts[0], parts[1], made.why


def _names(folder: Folder) -> list[str]:
    return sorted(
        p.relative_to(folder.root).as_posix() for p in folder.root.rglob("images/*") if p.is_file()
    )


def test_a_share_comes_before_the_folders_own_split(prepared):
    train, held, why = _cut(prepared, val_share=0.5)
    assert len(train) + len(held) == 15
    assert 3 <= len(held) <= 12
    assert any(name.startswith("test/") for name in train) or len(held) > 5
    assert "0.5" in why


def test_every_picture_is_evaluated_in_one_fold(prepared):
    folds = [_cut(prepared, fold=f"{i}/4") for i in range(1, 5)]
    assert sorted(name for _, held, _ in folds for name in held) == _names(prepared)
    for train, held, _ in folds:
        assert not train & held
        assert len(train | held) == 15
    assert "fold 4 of 4" in folds[3][2]


@pytest.mark.parametrize("chosen", [{}, {"val_share": 0.5}, {"fold": "2/3"}])
def test_what_roboflow_made_of_one_picture_is_on_one_side(folder: Folder, chosen):
    folder.write("data.yaml", "names: [cat, dog]\n")
    for number, scene in enumerate(scenes(24)):
        scene.file = f"shot{number // 3}_jpg.rf.{number:032x}.jpg"
        folder.pictures([scene], "train/images")
        folder.write(f"train/labels/{scene.stem}.txt", drawing.yolo(scene))
    train, held, _ = _cut(folder, **chosen)
    assert len(train) + len(held) == 24
    assert held
    shots = [{name.partition(".rf.")[0] for name in part} for part in (train, held)]
    assert not shots[0] & shots[1]


def test_pictures_of_one_name_in_several_folders_are_several(folder: Folder):
    folder.write("data.yaml", "names: [cat, dog]\n")
    for number, scene in enumerate(scenes(6)):
        scene.file = "image.png"
        folder.pictures([scene], f"shot{number}")
        folder.write(f"shot{number}/image.txt", drawing.yolo(scene))
    train, held, _ = _cut(folder)
    assert (len(train | held), not train & held, bool(held)) == (6, True, True)


@pytest.mark.parametrize("style", ["{} {}", "{},{}", "{};{}", "{}\t{}", '"{}",{}'])
def test_a_file_says_where_each_picture_belongs(prepared, tmp_path, style):
    names = _names(prepared)
    parts = ["val" if i % 3 == 0 else "train" for i in range(len(names))]
    lines = ["# mine", *(style.format(*pair) for pair in zip(names, parts, strict=True))]
    (tmp_path / "split.txt").write_text("\n".join(lines) + "\n")
    train, held, why = _cut(prepared, split_file=str(tmp_path / "split.txt"))
    assert held == set(names[::3])
    assert train == set(names) - held
    assert "split.txt" in why


def test_headings_names_without_folder_or_ending_and_pictures_that_are_not_named(
    prepared, tmp_path
):
    names = _names(prepared)
    ending = names[0].rpartition("/")[2]
    stem = names[1].rpartition("/")[2].rpartition(".")[0]
    (tmp_path / "s.csv").write_text(f"path,split\n{ending},Validation\n{stem},eval\n")
    train, held, _ = _cut(prepared, split_file=str(tmp_path / "s.csv"))
    assert held == {names[1]}  # test comes before val, which is then trained on
    assert train == set(names) - held
    (tmp_path / "t.csv").write_text("".join(f"{name} train\n" for name in names[:4]))
    train, held, _ = _cut(prepared, split_file=str(tmp_path / "t.csv"))
    assert (train, held) == (set(names[:4]), set(names[4:]))
    (tmp_path / "u.csv").write_text(f"{names[0]} train\n{names[1]} val\n")
    train, held, why = _cut(prepared, split_file=str(tmp_path / "u.csv"))
    assert (train, held) == ({names[0]}, {names[1]})
    assert "13 pictures" in why


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("nowhere.png val\n", "line 1"),
        ("train/images/train_0.png vall\n", "vall"),
        ("", "names no picture"),
        ("train_0 train\ntrain_0 val\n", "line 2"),
    ],
)
def test_a_line_that_is_wrong_is_named(prepared, tmp_path, lines, value):
    first = _names(prepared)[5]
    lines = lines.replace("train/images/train_0.png", first)
    lines = lines.replace("train_0", first.rpartition("/")[2].rpartition(".")[0])
    (tmp_path / "split.txt").write_text(lines)
    with pytest.raises(ValueError, match=value):
        _cut(prepared, split_file=str(tmp_path / "split.txt"))


def test_a_file_that_is_not_there(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        _cut(prepared, split_file=str(tmp_path / "nowhere.txt"))


@pytest.mark.parametrize(
    "reading",
    [{"fold": "0/5"}, {"fold": "6/5"}, {"fold": "1/1"}, {"fold": "a/5"}, {"val_share": 1.0},
     {"val_share": 0.2, "fold": "1/5"}],
)  # fmt: skip
def test_settings_that_cut_nothing(reading):
    with pytest.raises(ValueError, match=r"retrain\.reading"):
        ReadConfig(**reading)


def test_more_folds_than_pictures(prepared):
    with pytest.raises(ValueError, match="16 folds"):
        _cut(prepared, fold="1/16")
