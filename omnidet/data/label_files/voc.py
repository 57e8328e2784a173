"""Pascal VOC: one xml a picture. Corners count from 1, the last pixel included;
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf

Corners are written to a hundredth of a pixel, where people write whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree

from omnidet.data.label_files.labelled import Labelled
from omnidet.data.label_files.xml_text import text_of

SUFFIX = ".xml"


def each(picture: Labelled, names: Sequence[str]) -> str:  # noqa: ARG001  # names stand in it
    """The annotation of a picture."""
    path = PurePosixPath(picture.path)
    root = ElementTree.Element("annotation")
    _add(root, "folder", path.parent.name)
    _add(root, "filename", path.name)
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
        _add(size, tag, value)
    _add(root, "segmented", 0)
    for place, ((x0, y0, x1, y1), name) in enumerate(
        zip(picture.boxes, picture.names, strict=True)
    ):
        thing = ElementTree.SubElement(root, "object")
        _add(thing, "name", name)
        for tag, text in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            _add(thing, tag, text)
        if picture.scores is not None:
            _add(thing, "confidence", f"{picture.scores[place]:.6f}")
        frame = ElementTree.SubElement(thing, "bndbox")
        # Edges that count from 0 -> pixels that count from 1: only the near corner moves.
        corners = (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1))
        for tag, corner in corners:
            _add(frame, tag, f"{corner:.2f}".rstrip("0").rstrip("."))
    return text_of(root)


def _add(parent: ElementTree.Element, tag: str, text: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(text)
