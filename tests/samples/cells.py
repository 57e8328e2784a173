"""Pascal VOC xml in the layout of BCCD's blood cells: three names, a split, a box without area."""

from __future__ import annotations

from pathlib import Path

from tests.samples.pictures import jpeg, write

SPLITS = {"train": (0, 1, 2), "val": (3,), "trainval": (0, 1, 2, 3), "test": (4, 5)}
CELLS = (("RBC", (5, 5, 45, 45)), ("WBC", (60, 10, 120, 70)), ("Platelets", (130, 90, 150, 110)))


def draw(root: Path) -> None:
    """Six images with three cells each; the first one has a fourth cell without area."""
    for number in range(6):
        name = f"BloodImage_{number:05d}"
        cells = [*CELLS, ("RBC", (50, 50, 50, 50))] if number == 0 else list(CELLS)
        objects = "".join(
            f"<object><name>{cell}</name><pose>Unspecified</pose><truncated>0</truncated>"
            f"<difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
            f"<ymax>{y1}</ymax></bndbox></object>"
            for cell, (x0, y0, x1, y1) in cells
        )
        size = "<size><width>160</width><height>120</height><depth>3</depth></size>"
        xml = (
            f"<annotation><folder>JPEGImages</folder><filename>{name}.jpg</filename>{size}{objects}"
        )
        write(root / f"Annotations/{name}.xml", f"{xml}</annotation>")
        things = [
            (colour, (x0, y0, x1 - x0, y1 - y0))
            for colour, (_, (x0, y0, x1, y1)) in zip(("red", "white", "blue"), CELLS, strict=True)
        ]
        write(root / f"JPEGImages/{name}.jpg", jpeg(7000 + number, things))
    for split, numbers in SPLITS.items():
        lines = "".join(f"BloodImage_{number:05d}\n" for number in numbers)
        write(root / f"ImageSets/Main/{split}.txt", lines)
