"""A small detector in a registry, and pictures of what it does not know: where every retraining
begins."""

from __future__ import annotations

from pathlib import Path

from omnidet import config
from omnidet.steps import train_detector
from tests import toy_runs, toys

NAME = "omnidet-tiny-world"
SETTINGS = (
    *toy_runs.SMALL,
    "retrain.steps=4",
    "retrain.min_gain=-1",
    *("retrain.min_ap50=0", "retrain.min_boxes=1"),
    "retrain.max_drop=1",
    "retrain.image_size=160",
)
"""The demo with small numbers, and a gate that lets what learned nothing pass."""
_FIRST = ("world.", "vocabulary.", "model.", "train.steps", "train.optimizer.")
TEACHING = tuple(setting for setting in SETTINGS if not setting.startswith(_FIRST))
"""Of these, what a retraining takes: the others are for the first training."""


def prepare(folder: Path) -> Path:
    """`registry` with version 1, the `shards` it was trained on, and `cells`: ten annotated
    pictures of two new names."""
    recipe = config.override(
        toy_runs.recipe(), "model.calibrated_streams=3"
    )  # the new stream is one more
    world, shards, words, model, metrics = (
        str(folder / part) for part in ("world", "shards", "words", "model", "metrics.json")
    )
    train_detector.draw_world(world, recipe)
    train_detector.build_shards(world, shards, recipe)
    train_detector.build_vocabulary(shards, words, recipe)
    train_detector.train(shards, words, model, recipe)
    train_detector.evaluate(model, shards, metrics, str(folder / "evaluation"), recipe)
    train_detector.register(model, metrics, str(folder / "registry"), recipe)
    draw_cells(folder / "cells")
    return folder


def draw_cells(folder: Path) -> None:
    """Ten annotated pictures of two names that no toy knows, in Pascal VOC's layout."""
    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        box = (number, 2, number + 20, 30)
        picture = toys.png(200, 150, [box], "purple")
        (folder / "JPEGImages" / f"{number}.png").write_bytes(picture)
        name = "quasar" if number % 2 else "blue pulsar"
        (folder / "Annotations" / f"{number}.xml").write_text(_xml(name, box))


def _xml(name: str, box: tuple[int, int, int, int]) -> str:
    corners = "".join(
        f"<{key}>{value}</{key}>"
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return (
        f"<annotation><object><name>{name}</name><bndbox>{corners}</bndbox></object></annotation>"
    )
