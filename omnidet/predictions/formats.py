"""The forms in which predictions are written, by the name that `--formats` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from omnidet.data.label_files import coco, cvat, label_studio, labelme, voc, xml_text, yolo
from omnidet.data.label_files.labelled import Labelled

Each = Callable[[Labelled, Sequence[str]], str]
Whole = Callable[[Iterable[Labelled], Sequence[str]], Iterator[str]]

DRAWN, CROPS, JSONL, CSV, COCO = "drawn", "crops", "jsonl", "csv", "coco"
DEFAULT = (DRAWN, JSONL)


@dataclass(frozen=True)
class LabelFormat:
    """A format of annotations, which readers of datasets know too."""

    name: str
    folder: str
    """Of the files, one for each picture; or the file about all of them."""
    each: Each | None = None
    suffix: str = ""
    whole: Whole | None = None


LABELS = {
    found.name: found
    for found in (
        LabelFormat("coco", "annotations.json", whole=coco.whole),
        LabelFormat("yolo", "labels", yolo.each, yolo.SUFFIX),
        LabelFormat("voc", "Annotations", voc.each, voc.SUFFIX),
        LabelFormat("cvat", "annotations.xml", whole=cvat.whole),
        LabelFormat("labelme", "images", labelme.each, labelme.SUFFIX),
        LabelFormat("label-studio", "tasks.json", whole=label_studio.whole),
    )
}
NAMES = (DRAWN, CROPS, JSONL, CSV, *LABELS)


def checked(given: Sequence[str]) -> tuple[str, ...]:
    """The formats, each once. Raises ValueError for an unknown one."""
    found = tuple(dict.fromkeys(part for one in given for part in one.split(",") if part))
    for name in found:
        if name not in NAMES:
            raise ValueError(f"--formats {name}: give some of {', '.join(NAMES)}")
    if not found:
        raise ValueError(f"--formats is empty: give some of {', '.join(NAMES)}")
    return found


def check_texts(chosen: Sequence[str], paths: Iterable[str], names: Iterable[str]) -> None:
    """Raise ValueError for a picture or a name that one of the formats cannot spell, before any
    picture is looked at.
    """
    in_xml = [*(paths if {"voc", "cvat"} & set(chosen) else ())]
    in_xml += names if {"voc", "cvat", "label-studio"} & set(chosen) else ()
    for text in in_xml:
        xml_text.check(text)
