"""Flickr30K Entities: four images with five tagged sentences each, their boxes and lists of ids."""

from __future__ import annotations

from pathlib import Path

from tests.samples.pictures import jpeg, write

IDS = (36979, 65567, 81641, 134206)
BOXES = {1: (10, 20, 60, 110), 2: (80, 30, 140, 100)}
"""xyxy of a chain's box."""
SENTENCES = (
    "[/EN#1/people Two men] near [/EN#2/other a cup] on [/EN#3/scene a street] .",
    "[/EN#1/people/bodyparts Men] before [/EN#0/notvisual the background] .",
    "[/EN#2/other A cup] on [/EN#3/scene the street] , [/EN#1/people men] in [/EN#0/notvisual it].",
    "Nobody is tagged here .",
    "[/EN#2/other The cup] is full .",
)
"""The same five of each image; ten tags, two of which are not visual."""


def draw(root: Path) -> None:
    """All files below `root`. The lists also name ids that this copy does not have."""
    objects = "".join(
        f"<object><name>{chain}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for chain, (x0, y0, x1, y1) in BOXES.items()
    )
    objects += "<object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object>"
    size = "<size><width>160</width><height>120</height><depth>3</depth></size>"
    for number in IDS:
        write(root / f"Sentences/{number}.txt", "\n".join(SENTENCES) + "\n")
        xml = f"<annotation><filename>{number}.jpg</filename>{size}{objects}</annotation>"
        write(root / f"Annotations/{number}.xml", xml)
        things = [
            (colour, (x0, y0, x1 - x0, y1 - y0))
            for colour, (x0, y0, x1, y1) in zip(("orange", "green"), BOXES.values(), strict=True)
        ]
        write(root / f"images/{number}.jpg", jpeg(number, things))
    write(root / "splits/train.txt", "".join(f"{i}\n" for i in (*IDS, 148284, 178045)))
    write(root / "splits/val.txt", "205842\n")
    write(root / "splits/test.txt", "256063\n256064\n")
    comment = "# format: <imageID> <sentence number>\n"
    write(root / "splits/UNRELATED_CAPTIONS", f"{comment}{IDS[0]} 4\n")
