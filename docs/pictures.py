"""Make the pictures of the documentation from a finished `make demo`: `python docs/pictures.py`.

`free-words.png` shows what the detector finds; the others are screenshots of the report, which need
Chromium.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
QUESTIONS = {
    "000000000751": ("white heart", "dog below heart"),
    "000000061686": ("yellow hot dog", "red cross", "dog below moon"),
    "000000034450": ("purple ring", "white cross", "cross right of ring"),
}
"""Scenes of the demo's evaluation set, and the words that each is searched for."""
COLOURS = ("#d81b60", "#1565c0", "#2e7d32")
SCALE = 3
GAP = 12
WIDTH = 1000
"""Of the report's window, pixels."""
SHOTS = {
    "report-top": ("h1", "#published h2"),
    "report-benchmark": ("#section-1 h2", "#section-1 h3.sub"),
}
"""Part of the report by the elements that it begins with and ends before."""
COLOURS_OF_SHOT = 64
"""Enough for flat areas and text; a third of the size."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all pictures, or those of `--only`."""
    parser = argparse.ArgumentParser(
        description="Make the documentation's pictures from a finished demo."
    )
    parser.add_argument(
        "--demo",
        type=Path,
        default=ROOT,
        help="clone in which `make demo` has run (default: this one)",
    )
    parser.add_argument("--only", choices=["free-words", "report"], help="make these alone")
    options = parser.parse_args(arguments)
    IMAGES.mkdir(exist_ok=True)
    if options.only != "report":
        free_words(options.demo, IMAGES / "free-words.png")
    if options.only != "free-words":
        report(options.demo / "runs" / "demo" / "report.html", IMAGES)


def free_words(demo: Path, out: Path) -> None:
    """Scenes side by side with what the demo's detector finds in them."""
    from omnidet.inference.detector import OmniDet

    folder = demo / "runs" / "demo" / "model"
    if not folder.is_dir():
        raise SystemExit(f"{folder} does not exist: run `make demo`, or name its clone with --demo")
    detector = OmniDet.from_pretrained(folder)
    panels = []
    for name, words in QUESTIONS.items():
        content = (demo / "data" / "world" / "coco" / "val2017" / f"{name}.jpg").read_bytes()
        (found,) = detector.detect([content], words, threshold=detector.threshold)
        scene = Image.open(demo / "data" / "world" / "coco" / "val2017" / f"{name}.jpg")
        boxes = [
            (box.tolist(), words[i], COLOURS[i])
            for box, i in zip(found.boxes_xyxy, found.phrase, strict=True)
        ]
        panels.append(_panel(scene, boxes))
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    row = Image.new("RGB", (width, max(panel.height for panel in panels)), "white")
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width + GAP
    row.save(out, optimize=True)


def report(page: Path, folder: Path) -> None:
    """Screenshots of the parts of a report."""
    from tests.browser import browser, program

    if not page.is_file():
        raise SystemExit(f"{page} does not exist: run `make demo`, or name its clone with --demo")
    if not program():
        raise SystemExit(
            "the screenshots need chromium: install it, or make the others with --only free-words"
        )
    with tempfile.TemporaryDirectory() as scratch, browser(Path(scratch) / "profile") as tab:
        tab.open(page, WIDTH)
        whole = Path(scratch) / "whole.png"
        tab.screenshot(whole)
        for name, (first, last) in SHOTS.items():
            top, bottom = (
                tab.run(f"document.querySelector('{at}').getBoundingClientRect().top")
                for at in (first, last)
            )
            part = Image.open(whole).crop((0, max(0, round(top) - 32), WIDTH, round(bottom) - 16))
            part.quantize(COLOURS_OF_SHOT, dither=Image.Dither.NONE).save(
                folder / f"{name}.png", optimize=True
            )


def _panel(scene: Image.Image, boxes: Sequence[tuple[list[float], str, str]]) -> Image.Image:
    """One scene, enlarged, with boxes and their words."""
    panel = scene.convert("RGB").resize(
        (scene.width * SCALE, scene.height * SCALE), Image.Resampling.NEAREST
    )
    canvas, font = ImageDraw.Draw(panel), ImageFont.load_default(17)
    for corners, words, colour in boxes:
        x0, y0, x1, y1 = (value * SCALE for value in corners)
        canvas.rectangle((x0, y0, x1, y1), outline=colour, width=3)
        _, top, right, bottom = canvas.textbbox((0, 0), words, font=font)
        width, height = right + 10, bottom - top + 10
        left = min(max(0, x0 - 1), panel.width - width)
        label = y0 - height if y0 >= height else min(y1, panel.height - height)
        canvas.rectangle((left, label, left + width, label + height), fill=colour)
        canvas.text((left + 5, label + 5 - top), words, fill="white", font=font)
    return panel


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # for tests/browser.py
    main()
