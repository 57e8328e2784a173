"""The pictures of the documentation: how they are drawn, and that the committed ones are small."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from docs import pictures

ROOT = Path(__file__).parents[2]


def test_a_scene_is_enlarged_and_its_boxes_are_labelled():
    scene = Image.new("RGB", (64, 64), "black")
    panel = pictures._panel(scene, [([20.0, 30.0, 40.0, 50.0], "red star", "#ff0000")])
    assert panel.size == (64 * pictures.SCALE, 64 * pictures.SCALE)
    assert panel.getpixel((20 * pictures.SCALE, 45 * pictures.SCALE)) == (255, 0, 0)  # the box
    assert panel.getpixel((30 * pictures.SCALE, 40 * pictures.SCALE)) == (0, 0, 0)  # what is in it
    label = panel.crop((20 * pictures.SCALE, 0, panel.width, 30 * pictures.SCALE - 2))
    assert {(255, 0, 0), (255, 255, 255)} <= {colour for _, colour in label.getcolors(1 << 16)}


@pytest.mark.parametrize("box", [[0.0, 0.0, 8.0, 8.0], [56.0, 56.0, 64.0, 64.0]])
def test_a_label_stays_in_the_scene(box):
    panel = pictures._panel(Image.new("RGB", (64, 64)), [(box, "a long label", "#00ff00")])
    green = sum(count for count, colour in panel.getcolors(1 << 16) if colour == (0, 255, 0))
    assert green > 1000


@pytest.mark.parametrize("only", ["free-words", "report"])
def test_without_a_demo_the_remedy_is_named(tmp_path, only):
    with pytest.raises(SystemExit, match="make demo"):
        pictures.main(["--demo", str(tmp_path), "--only", only])


def test_the_committed_pictures_are_those_of_the_script_and_small():
    found = {path.name: path.stat().st_size for path in pictures.IMAGES.iterdir()}
    drawn = {"free-words.png", *(f"{name}.png" for name in pictures.SHOTS)}
    by_benchmarks = {"recipe-results.svg", "photographs.svg"}
    assert set(found) == drawn | by_benchmarks
    assert all(size < 150_000 for size in found.values()), found
