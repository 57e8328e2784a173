"""Shards built in parts, on one plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from omnidet.config import override
from omnidet.data import shards
from omnidet.data.sharding import plan_file
from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.recipe import Recipe
from omnidet.steps import train_detector
from tests.data.sources.handmade import box, coco_files, coco_image, write_laion

pytestmark = pytest.mark.slow


def _write_split(root: Path, split: str, ids: Sequence[int]) -> None:
    """A split in COCO's layout; `coco_files` writes only val2017."""
    coco_files(root, [coco_image(i) for i in ids], [box(i, i, 3) for i in ids])
    if split != "val2017":
        for name in ("annotations/instances_val2017.json", "val2017"):
            (root / name).rename(root / name.replace("val2017", split))


@pytest.fixture
def in_parts(tmp_path) -> Path:
    """A folder with a dataset whose training and evaluation images are all different."""
    _write_split(tmp_path / "data", "train2017", range(11, 17))
    _write_split(tmp_path / "data", "val2017", range(1, 3))
    return tmp_path


def _built(folder: Path, recipe: Recipe | None = None, **more: dict[str, str]) -> shards.Index:
    train_detector.build_shards_part(
        folder / "data", str(folder / "out"), recipe or coco_folder(), (1, 1), **more
    )
    return train_detector.merge_shards(str(folder / "out"))


def test_a_plan_serves_one_build(in_parts):
    """An image that became an evaluation image since the last build is in no training set."""
    assert shards.num_samples(_built(in_parts).shards("train/coco")) == 6
    again = train_detector.merge_shards(str(in_parts / "out"))  # a pipeline may repeat a step
    assert again.report["held_out"] == {}
    _write_split(in_parts / "data", "val2017", [1, 2, 11, 12])
    index = _built(in_parts)
    assert shards.num_samples(index.shards("train/coco")) == 4
    assert index.report["held_out"] == {"train/coco": {"coco val2017": 2}}
    write_laion(in_parts / "elsewhere")
    assert "train/laion" in _built(in_parts, paths={"laion": str(in_parts / "elsewhere")}).sets


def test_parts_with_other_settings_than_the_plan_are_refused(in_parts):
    out, plan = str(in_parts / "out"), in_parts / "out" / plan_file.NAME
    train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (1, 2))
    write_laion(in_parts / "elsewhere")
    paths = {"laion": str(in_parts / "elsewhere")}
    with pytest.raises(ValueError, match=rf"{plan} .*--path={{}}, not .*elsewhere"):
        train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (2, 2), paths)
    with pytest.raises(ValueError, match=r"--data=.*data, not .*elsewhere"):
        train_detector.build_shards_part(in_parts / "elsewhere", out, coco_folder(), (2, 2))
    smaller = override(coco_folder(), "shards.samples_per_shard=2")
    for call in (
        lambda: train_detector.build_shards_part(in_parts / "data", out, smaller, (2, 2)),
        lambda: train_detector.build_shard_set(
            in_parts / "data", out, "train/coco", smaller, part=(2, 2)
        ),
    ):
        with pytest.raises(ValueError, match=r"shards\.samples_per_shard=1000, not 2"):
            call()
    free = override(coco_folder(), "shards.workers=1", "shards.max_bad_share=0.5", "shards.parts=2")
    # These settings change no byte of the shards.
    train_detector.build_shards_part(f"{in_parts}/data/", out, free, (2, 2))
    assert shards.num_samples(train_detector.merge_shards(out).shards("train/coco")) == 6


def test_a_plan_for_other_data_than_there_is_now_is_refused(in_parts):
    out = str(in_parts / "out")
    train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (1, 2))
    write_laion(in_parts / "data/laion")
    with pytest.raises(ValueError, match=r"plan\.json .*data holds now"):
        train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (2, 2))
    (in_parts / "data/laion").rename(in_parts / "away")
    _write_split(in_parts / "data", "val2017", [1, 2, 11])
    with pytest.raises(ValueError, match=r"plan\.json .*data holds now"):
        train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (2, 2))


def test_a_recipe_of_real_data_draws_no_world(tmp_path):
    with pytest.raises(ValueError, match="tiny_world"):
        train_detector.draw_world(tmp_path / "world", coco_folder())
    assert not (tmp_path / "world").exists()
