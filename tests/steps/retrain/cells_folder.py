"""Ten annotated pictures of one camera, split and built in several ways."""

from __future__ import annotations

from pathlib import Path

from omnidet.data.annotated.config import ReadConfig
from omnidet.recipes.recipe import Recipe
from omnidet.steps import retrain
from tests import taught, toys


def draw(folder: Path, colour: str = "red", moved: tuple[int, ...] = ()) -> Path:
    """As Pascal VOC. The boxes of the pictures `moved` are annotated some pixels off."""
    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        box = (number, 2, number + 20, 30)
        (folder / f"JPEGImages/{number}.png").write_bytes(toys.png(200, 150, [box], colour))
        told = (number + 5, *box[1:]) if number in moved else box
        (folder / f"Annotations/{number}.xml").write_text(taught._xml("quasar", told))
    return folder


def build(
    folder: Path, name: str, split: ReadConfig, replay: str | None, recipe: Recipe
) -> tuple[str, str]:
    """Read it and build its shards under a name; gives their place and what was said."""
    into = f"{folder}_as_{name}"
    said = retrain.read(str(folder), f"{into}_read", "abc", split, replay)
    places = (f"{into}_new", f"{into}_shards")
    said += retrain.build_shards(f"{into}_read", replay, *places, recipe, name)
    return places[1], said


def split(folder: Path, *evaluated: int) -> ReadConfig:
    """The split of the ten, in a file in `folder`."""
    lines = [f"{number} {'val' if number in evaluated else 'train'}" for number in range(10)]
    (folder / "split.txt").write_text("\n".join(lines))
    return ReadConfig(split_file=str(folder / "split.txt"))
