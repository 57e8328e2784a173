"""Flickr30K Entities: `Sentences/<id>.txt`, `Annotations/<id>.xml`, images, lists of ids.

https://github.com/BryanPlummer/flickr30k_entities. A phrase in a sentence is tagged with a chain,
whose boxes are in the xml: `[/EN#151/people two men] in [/EN#0/notvisual the background] .` Boxes
are xyxy in pixels.
"""

from __future__ import annotations

import functools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading.annotations import PIECE_UNITS, GroundTruth, Piece, Regions
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "flickr30k"
COLLECTION = "flickr30k"
IS_CURATED = True
LEAKING_SPLITS: dict[str, str] = {}
TAG = re.compile(r"\[/EN#(\d+)((?:/\w+)+) ([^\]]*)\]")
NOT_VISUAL = "0"
IMAGE_FOLDERS = ("flickr30k-images", "images")
SENTENCES, BOXES = "Sentences", "Annotations"


class _Image(NamedTuple):
    """What is read of an image; with other sentences or boxes, it is another piece."""

    id: str
    unrelated: frozenset[int]
    """Numbers of the sentences that do not describe it."""
    sentences: str | None
    boxes: str | None
    """Stamps of its files."""


@dataclass
class Boxes:
    """The content of one xml file."""

    width: int | None = None
    height: int | None = None
    of_chain: dict[str, list[tuple[str, list[float]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """The boxes of each chain, each with the position of its object in the file."""


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per image of the split, by ascending id.

    An id for which the copy under `root` has neither sentences nor image is not part of that copy
    and is skipped.
    """
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images per piece."""
    folder = DataFolder(root)
    listed = [{"id": image_id} for image_id in _listed(root, split)]
    unrelated, texts, boxes = _unrelated(folder), folder.stamps(SENTENCES), folder.stamps(BOXES)
    unique = [
        entry["id"] for entry in files.first_of_each(listed, SOURCE, "image", "record", quarantine)
    ]
    for batch in files.batched(sorted(unique, key=lambda i: (len(i), i)), size):
        members = [
            _Image(i, unrelated.get(i, frozenset()), texts.get(f"{i}.txt"), boxes.get(f"{i}.xml"))
            for i in batch
        ]
        yield functools.partial(_read_piece, folder, members)


def _read_piece(
    folder: DataFolder, images: list[_Image], quarantine: Quarantine
) -> Iterator[Record]:
    contents = folder.read_images(
        [[f"{place}/{image.id}.jpg" for place in IMAGE_FOLDERS] for image in images]
    )
    for (image_id, unrelated, *_), content in zip(images, contents, strict=True):
        sentences = folder.read(f"{SENTENCES}/{image_id}.txt")
        if content is None and sentences is None:
            continue
        if content is None or sentences is None:
            reason = "missing image file" if content is None else "missing sentence file"
            quarantine.reject(SOURCE, f"image {image_id}", reason)
            continue
        record = _record(
            image_id,
            content,
            sentences,
            folder.read(f"{BOXES}/{image_id}.xml"),
            unrelated,
            quarantine,
        )
        if record:
            yield record


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if the list of ids is missing."""
    _list_name(root, split)


def image_ids(root: str, split: str) -> set[str]:
    """All ids of the split list, whether or not this copy has their files."""
    return {f"{COLLECTION}:{image_id}" for image_id in _listed(root, split)}


def ground_truth(root: str, split: str) -> GroundTruth:
    """Every phrase with boxes of every sentence: what Flickr30K Entities counts.

    `omnidet score flickr30k` reads the same rows. A Record holds each distinct phrase of its image
    once, and no phrase of a sentence that does not describe the image.
    """
    folder = DataFolder(root)
    rows: list[dict[str, Any]] = []
    for image_id in sorted(dict.fromkeys(_listed(root, split)), key=lambda i: (len(i), i)):
        sentences, xml = (
            folder.read(f"{SENTENCES}/{image_id}.txt"),
            folder.read(f"{BOXES}/{image_id}.xml"),
        )
        rows += _sentences_with_boxes(image_id, sentences or b"", xml) if xml is not None else []
    return GroundTruth("", {}, json.dumps(rows, ensure_ascii=False).encode())


def _sentences_with_boxes(image_id: str, sentences: bytes, xml: bytes) -> Iterator[dict[str, Any]]:
    """One row per sentence with boxes; what `read` puts into quarantine gives no row."""
    try:
        of_chain = parse_boxes(xml).of_chain
    except ValueError:
        return
    lines = [line for line in sentences.decode("utf-8", "replace").split("\n") if line.strip()]
    for number, line in enumerate(lines):
        try:
            tags = parse_sentence(line)[1]
        except ValueError:
            continue
        boxes = [
            (words, [box for _, box in of_chain[chain]])
            for chain, words in tags
            if chain in of_chain
        ]
        if boxes:
            phrases = [{"phrase": words, "boxes": own} for words, own in boxes]
            yield {"image_id": image_id, "sentence_id": number, "phrases": phrases}


def parse_sentence(line: str) -> tuple[str, list[tuple[str, str]]]:
    """The plain sentence, and (chain, words) of its visual tags. ValueError for a tag left open."""
    text = files.plain(TAG.sub(lambda tag: tag[3], line))
    if "[/EN#" in text:
        raise ValueError(f"a tag is not closed in {line!r}: correct the sentence file")
    found = [(tag[1], files.plain(tag[3])) for tag in TAG.finditer(line)]
    return text, [(chain, words) for chain, words in found if chain != NOT_VISUAL and words]


def parse_boxes(content: bytes) -> Boxes:
    """The boxes of an xml file. ValueError if it is not in the format, or has a DOCTYPE."""
    tree = files.parse_xml(content)
    boxes = Boxes()
    width, height = tree.findtext("size/width"), tree.findtext("size/height")
    if width and height:
        boxes.width, boxes.height = int(width), int(height)
    for place, thing in enumerate(tree.iter("object")):
        for number, box in enumerate(
            thing.iter("bndbox")
        ):  # <scene> and <nobndbox> objects have none
            corners = [float(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for name in thing.iter("name"):
                boxes.of_chain[(name.text or "").strip()].append((f"{place}.{number}", corners))
    return boxes


def _list_name(root: str, split: str) -> str:
    for name in (f"{split}.txt", f"splits/{split}.txt"):
        if DataFolder(root).has(name):
            return name
    missing = storage.join(root, f"{split}.txt")
    raise FileNotFoundError(
        f"{missing} does not exist: put the split lists train.txt, val.txt, test.txt there"
    )


def _listed(root: str, split: str) -> list[str]:
    name = _list_name(root, split)
    ids = (DataFolder(root).read(name) or b"").decode("utf-8", "replace").split()
    strange = next((i for i in ids if not i.isdecimal() or not i.isascii()), None)
    if strange:
        raise ValueError(
            f"{storage.join(root, name)} is not a list of image ids: it holds {strange[:40]!r}"
        )
    return ids


def _unrelated(folder: DataFolder) -> dict[str, frozenset[int]]:
    """Image id -> numbers, from 1, of the sentences that do not describe the image."""
    for name in ("UNRELATED_CAPTIONS", "splits/UNRELATED_CAPTIONS"):
        content = folder.read(name)
        if content is not None:
            lines = [
                line.split()
                for line in content.decode("utf-8", "replace").splitlines()
                if not line.startswith("#")
            ]
            found: dict[str, set[int]] = defaultdict(set)
            for words in lines:
                if len(words) == 2 and words[1].isdecimal() and len(words[1]) < 10:
                    found[words[0]].add(int(words[1]))
            return {image_id: frozenset(numbers) for image_id, numbers in found.items()}
    return {}


def _record(
    image_id: str,
    content: bytes,
    sentences: bytes,
    xml: bytes | None,
    unrelated: frozenset[int],
    quarantine: Quarantine,
) -> Record | None:
    boxes = Boxes()
    if xml is not None:
        try:
            boxes = parse_boxes(xml)
        except ValueError as error:
            quarantine.reject(
                SOURCE, f"image {image_id} {image_id}.xml: {error}", "unreadable box file"
            )
            return None
    size = (
        (boxes.width, boxes.height) if boxes.width and boxes.height else files.image_size(content)
    )
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
        image_id=f"{COLLECTION}:{image_id}",
        boxes_xyxy=regions.boxes_xyxy,
        phrases=regions.phrases,
        phrase_boxes=regions.phrase_boxes,
        not_exhaustive=tuple(p for p in regions.phrases if p in partly),
        caption=files.join_captions(texts),
    )


def _sentences(
    image_id: str, content: bytes, unrelated: frozenset[int], quarantine: Quarantine
) -> tuple[list[str], list[tuple[str, str]]]:
    """The plain sentences of an image, and (chain, words) of all their tags."""
    texts, tags = [], []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if number in unrelated:
            continue
        try:
            text, found = parse_sentence(line)
        except ValueError:
            quarantine.reject(
                SOURCE, f"image {image_id} sentence {number}", "malformed sentence", "caption"
            )
            continue
        if not text:
            quarantine.reject(
                SOURCE, f"image {image_id} sentence {number}", "empty caption", "caption"
            )
            continue
        texts.append(text)
        tags += found
    return texts, tags


def _regions(tags: list[tuple[str, str]], boxes: Boxes) -> tuple[Regions, set[str]]:
    """The boxes with their phrases, and the phrases that also name something without a box.

    "A man" and "a man" are one phrase: as two, they would contradict each other where their boxes
    differ.
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
