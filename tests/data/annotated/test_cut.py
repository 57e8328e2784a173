"""What is trained on and what is evaluated on: as the folder says, else by names of files."""

from __future__ import annotations

from collections import Counter

import pytest

from omnidet.data.annotated import cut
from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


def _cut(folder: Folder, **counts: int) -> cut.Cut:
    """A YOLO folder with so many pictures in each split; `unnamed` has none."""
    folder.write("data.yaml", "names: [cat, dog]\n")
    for split, count in counts.items():
        below = "" if split == "unnamed" else f"{split}/"
        own = folder.pictures(scenes(count, prefix=f"{split}_"), f"{below}images")
        for scene in own:
            folder.write(f"{below}labels/{scene.stem}.txt", drawing.yolo(scene))
    return cut.cut(read(folder.root))


@pytest.mark.parametrize(
    ("counts", "train", "evaluation"),
    [
        ({"train": 4, "val": 2}, 4, 2),
        ({"train": 4, "val": 2, "test": 3}, 6, 3),
    ],
)
def test_the_splits_of_the_folder(folder, counts, train, evaluation):
    made = _cut(folder, **counts)
    assert (len(made.train), len(made.evaluation)) == (train, evaluation)
    assert not {p.opened.digest for p in made.train} & {p.opened.digest for p in made.evaluation}


def test_without_a_split_a_picture_keeps_its_side_when_the_dataset_grows(folder):
    first = {p.path.name for p in _cut(folder, unnamed=40).evaluation}
    assert 1 <= len(first) <= 20
    second = _cut(folder, unnamed=60)
    assert first <= {p.path.name for p in second.evaluation}
    assert "no split was found" in second.why


def test_a_small_folder_gives_the_evaluation_as_many_pictures_as_hold_five_boxes(
    folder, monkeypatch
):
    """Each picture holds one box or more, and the hash gives the evaluation none of them."""
    monkeypatch.setattr(cut.chosen_split, "share_of", lambda name: 0.5 + len(name) / 1000)
    made = _cut(folder, unnamed=12)
    boxes = [len(picture.boxes) for picture in made.evaluation]
    assert sum(boxes) >= cut.LEAST_BOXES > sum(boxes[:-1])


def test_half_of_the_pictures_at_most_are_evaluated_on_without_a_split(folder):
    made = _cut(folder, unnamed=3)
    assert (len(made.train), len(made.evaluation)) == (2, 1)


def test_one_picture_cannot_be_cut(folder):
    with pytest.raises(ValueError, match="one annotated picture"):
        _cut(folder, unnamed=1)


def test_the_report_counts_names_and_says_what_is_thin(folder):
    said = cut.describe(_cut(folder, train=6, val=1))
    for part in ("YOLO", "7 pictures", "read 7 boxes: 7 kept", "evaluated on val"):
        assert part in said
    assert "in no evaluation picture, AP not measured: " in said


def test_the_report_says_which_names_are_never_absent(folder):
    folder.write("data.yaml", "names: [cat, dog]\n")
    for split, per_picture in (("train", 2), ("val", 1)):
        for scene in folder.pictures(
            scenes(4, per_picture=per_picture, prefix=f"{split}_"), f"{split}/images"
        ):
            folder.write(f"{split}/labels/{scene.stem}.txt", drawing.yolo(scene))
    assert "every training picture shows 'cat', 'dog':" in cut.describe(cut.cut(read(folder.root)))
    (bare,) = folder.pictures(scenes(1, per_picture=0, prefix="bare_"), "train/images")
    folder.write(f"train/labels/{bare.stem}.txt", "")
    assert "every training picture" not in cut.describe(cut.cut(read(folder.root)))


def test_a_name_of_one_picture_is_said(folder):
    said = cut.describe(_cut(folder, train=2, val=2))
    assert "in one training picture, hardly learned: 'cat', 'dog'" in said


def test_of_many_names_with_too_little_a_line_lists_some():
    names = [f"part {number}" for number in range(50)]
    lines = list(cut._poor(names, Counter(names[1:]), Counter(names[:3])))
    assert [line.partition(":")[0].strip() for line in lines] == [
        "in no training picture, not learned",
        "in one training picture, hardly learned",
        "in no evaluation picture, AP not measured",
    ]
    assert lines[0].endswith(": 'part 0'")
    assert lines[1].endswith("'part 10' and 39 more names")


def test_what_a_detector_was_trained_on_is_no_evaluation_of_it(folder):
    made = _cut(folder, train=4, val=3)
    seen = made.evaluation[1]
    kept = cut.without_seen(made, {seen.opened.image_id, made.train[0].opened.image_id})
    assert [p.path for p in kept.evaluation] == [made.evaluation[n].path for n in (0, 2)]
    assert [p.path for p in kept.train] == [*(p.path for p in made.train), seen.path]
    said = cut.describe(kept).splitlines()[0]
    assert "1 of the 3 evaluation pictures" in said
    assert seen.path.name in said
    assert cut.without_seen(made, {1, 2}) is made


def test_an_evaluation_that_a_detector_was_trained_on_is_refused(folder):
    made = _cut(folder, train=4, val=3)
    with pytest.raises(ValueError, match=r"trained on 3 of the 3 .*val_.*--from photo-small"):
        cut.without_seen(made, {p.opened.image_id for p in made.evaluation})
