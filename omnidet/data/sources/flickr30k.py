"""Flickr30K Entities: `Sentences/<id>.txt`, `Annotations/<id>.xml`, the images, and a list of ids a split.

https://github.com/BryanPlummer/flickr30k_entities. A phrase in a sentence is tagged with a chain, the chain's boxes stand
in the xml: `[/EN#151/people two men] in [/EN#0/notvisual the background] .` Boxes are xyxy in pixels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from omnidet.data import annotations as files
from omnidet.data.annotations import Regions
from omnidet.data.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "flickr30k"
TAG = re.compile(r"\[/EN#(\d+)((?:/\w+)+) ([^\]]*)\]")
NOT_VISUAL = "0"
IMAGE_FOLDERS = ("flickr30k-images", "images")


@dataclass
class Boxes:
    """What one xml file says."""

    width: int | None = None
    height: int | None = None
    of_chain: dict[str, list[tuple[str, list[float]]]] = field(default_factory=lambda: defaultdict(list))
    """For each chain its boxes, each with the place of its object in the file."""


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record an image of the split, by ascending id.

    Ids of which the copy under `root` has neither sentences nor image are no part of it and are passed over.
    """
    listed = [{"id": image_id} for image_id in _listed(root, split)]
    unrelated = _unrelated(root)
    unique = [entry["id"] for entry in files.first_of_each(listed, SOURCE, "image", "record", quarantine)]
    for image_id in sorted(unique, key=lambda i: (len(i), i)):
        sentences = Path(root, "Sentences", f"{image_id}.txt")
        image = files.find_image(root, [f"{folder}/{image_id}.jpg" for folder in IMAGE_FOLDERS])
        if image is None and not sentences.is_file():
            continue
        if image is None or not sentences.is_file():
            reason = "missing image file" if image is None else "missing sentence file"
            quarantine.reject(SOURCE, f"image {image_id}", reason)
            continue
        record = _record(root, image_id, image, sentences, unrelated, quarantine)
        if record:
            yield record


def image_ids(root: str, split: str) -> set[str]:
    """Every id of the split list, whether this copy holds its files or not."""
    return {f"flickr30k:{image_id}" for image_id in _listed(root, split)}


def ground_truth(root: str, split: str) -> None:  # noqa: ARG001  (the protocol of a source)
    """None: no official tool reads a file."""
    return


def parse_sentence(line: str) -> tuple[str, list[tuple[str, str]]]:
    """The plain sentence, and the (chain, words) of its visual tags. ValueError where a tag is not closed."""
    text = files.plain(TAG.sub(lambda tag: tag[3], line))
    if "[/EN#" in text:
        raise ValueError(f"a tag is not closed in {line!r}: mend the sentence file")
    found = [(tag[1], files.plain(tag[3])) for tag in TAG.finditer(line)]
    return text, [(chain, words) for chain, words in found if chain != NOT_VISUAL and words]


def parse_boxes(content: bytes) -> Boxes:
    """The boxes of an xml file. ValueError for what is not in the format, and for a DOCTYPE."""
    try:
        tree = ElementTree.fromstring(content, ElementTree.XMLParser(target=_NoDoctype()))
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML ({error})") from error
    boxes = Boxes()
    width, height = tree.findtext("size/width"), tree.findtext("size/height")
    if width and height:
        boxes.width, boxes.height = int(width), int(height)
    for place, thing in enumerate(tree.iter("object")):
        for number, box in enumerate(thing.iter("bndbox")):  # <scene> and <nobndbox> objects have none
            corners = [float(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for name in thing.iter("name"):
                boxes.of_chain[(name.text or "").strip()].append((f"{place}.{number}", corners))
    return boxes


class _NoDoctype(ElementTree.TreeBuilder):
    """The files have no DOCTYPE, and only a DOCTYPE can declare entities that expand to gigabytes."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002
        raise ValueError("a DOCTYPE, which these files do not have")


def _listed(root: str, split: str) -> list[str]:
    for path in (Path(root, f"{split}.txt"), Path(root, "splits", f"{split}.txt")):
        if path.is_file():
            ids = path.read_text(encoding="utf-8").split()
            strange = next((i for i in ids if not i.isdecimal()), None)
            if strange:
                raise ValueError(f"{path} is not a list of image ids: it holds {strange[:40]!r}")
            return ids
    raise FileNotFoundError(f"{Path(root, split)}.txt does not exist: put the split lists train.txt, val.txt, test.txt there")


def _unrelated(root: str) -> set[tuple[str, int]]:
    """(image id, sentence number from 1) of sentences that do not describe their image."""
    for path in (Path(root, "UNRELATED_CAPTIONS"), Path(root, "splits", "UNRELATED_CAPTIONS")):
        if path.is_file():
            lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
            return {(words[0], int(words[1])) for words in lines if len(words) == 2 and words[1].isdecimal()}
    return set()


def _record(
    root: str, image_id: str, image: Path, sentences: Path, unrelated: set[tuple[str, int]], quarantine: Quarantine
) -> Record | None:
    xml, content, boxes = Path(root, "Annotations", f"{image_id}.xml"), image.read_bytes(), Boxes()
    if xml.is_file():
        try:
            boxes = parse_boxes(xml.read_bytes())
        except ValueError as error:
            quarantine.reject(SOURCE, f"image {image_id} {xml.name}: {error}", "unreadable box file")
            return None
    size = (boxes.width, boxes.height) if boxes.width and boxes.height else files.image_size(content)
    if isinstance(size, str):
        quarantine.reject(SOURCE, f"image {image_id}", size)
        return None
    texts, tags = _sentences(image_id, sentences, unrelated, quarantine)
    regions, partly = _regions(tags, boxes)
    return Record(
        image=content,
        width=size[0],
        height=size[1],
        source=SOURCE,
        image_id=f"flickr30k:{image_id}",
        boxes_xyxy=regions.boxes_xyxy,
        phrases=regions.phrases,
        phrase_boxes=regions.phrase_boxes,
        not_exhaustive=tuple(p for p in regions.phrases if p in partly),
        caption=files.join_captions(texts),
    )


def _sentences(
    image_id: str, path: Path, unrelated: set[tuple[str, int]], quarantine: Quarantine
) -> tuple[list[str], list[tuple[str, str]]]:
    """The plain sentences of an image, and their (chain, words)."""
    texts, tags = [], []
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
        if (image_id, number) in unrelated:
            continue
        try:
            text, found = parse_sentence(line)
        except ValueError:
            quarantine.reject(SOURCE, f"image {image_id} sentence {number}", "malformed sentence", "caption")
            continue
        if not text:
            quarantine.reject(SOURCE, f"image {image_id} sentence {number}", "empty caption", "caption")
            continue
        texts.append(text)
        tags += found
    return texts, tags


def _regions(tags: list[tuple[str, str]], boxes: Boxes) -> tuple[Regions, set[str]]:
    """The boxes with their phrases, and the phrases that also name something without a box.

    "A man" and "a man" are one phrase: as two they would contradict each other where their boxes differ.
    """
    regions, partly = Regions(), set()
    spelling: dict[str, str] = {}
    for chain, words in tags:
        phrase = spelling.setdefault(words.lower(), words)
        for key, corners in boxes.of_chain.get(chain, []):
            regions.add(phrase, key, corners)
        if chain not in boxes.of_chain:
            partly.add(phrase)
    return regions, partly
