"""CVAT for images 1.1: one xml with an `<image>` for each picture;
https://docs.cvat.ai/docs/manual/advanced/xml_format/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from omnidet.data.label_files.labelled import Labelled
from omnidet.data.label_files.xml_text import text_of


def whole(pictures: Iterable[Labelled], names: Sequence[str]) -> Iterator[str]:
    """The file that CVAT takes with "Upload annotations" in a task of these pictures."""
    task = ElementTree.Element("meta")
    labels = ElementTree.SubElement(ElementTree.SubElement(task, "task"), "labels")
    for name in names:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "attributes")
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    yield text_of(task)
    for number, picture in enumerate(pictures):
        size = {"width": str(picture.width), "height": str(picture.height)}
        image = ElementTree.Element("image", {"id": str(number), "name": picture.path, **size})
        for corners, name in zip(picture.boxes, picture.names, strict=True):
            sides = zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
            box = {key: f"{value:.2f}" for key, value in sides}
            source = "manual" if picture.scores is None else "auto"
            about = {"label": name, "source": source, "occluded": "0"}
            ElementTree.SubElement(image, "box", {**about, **box, "z_order": "0"})
        yield text_of(image)
    yield "</annotations>\n"
