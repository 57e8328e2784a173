"""RefCOCOg: `refcocog/refs(umd).p` or `refs(google).p`, and `refcocog/instances.json`.

https://github.com/lichengunc/refer. Splits: `umd/train`, `umd/val`, `umd/test`, `google/train`,
`google/val`. The images are COCO train2014's, which are in train2017 and val2017 under the same
ids. Boxes are xywh. Report numbers on the umd splits: google's val shares images with its train.
Without a `refcocog/` folder, an excerpt `annotations/refcocog_{by}_{split}.json` is read.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading.annotations import PIECE_UNITS, Entry, Piece, Regions
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "refcocog"
COLLECTION = "coco"
IS_CURATED = True
LEAKING_SPLITS = {"google/train": "google", "google/val": "google"}
SPLITS = ("umd/train", "umd/val", "umd/test", "google/train", "google/val")
REF = {"ref_id": int, "ann_id": int, "image_id": int, "split": str, "sentences": list}
EXCERPT_REF = {"image_id": int, "ann_id": int, "sentence": str, "file_name": str}
INSTANCES = "refcocog/instances.json"
IMAGE = {"id": int, "width": int, "height": int}
ANNOTATION = {"id": int, "image_id": int}
REMEDY = "unpack RefCOCOg as `refcocog/` into the COCO root"


@dataclass(frozen=True)
class _Object:
    """One object with the sentences that name it."""

    image_id: int
    annotation_id: int
    sentences: tuple[str, ...]
    xywh: Any


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per image with the sentences of all its objects, by ascending image id."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images per piece."""
    grouped: dict[int, list[_Object]] = {}
    things, sizes = _load(root, split, quarantine)
    for thing in things:
        grouped.setdefault(thing.image_id, []).append(thing)
    # An object without sentences is in the quarantine already.
    named = (
        (image_id, found)
        for image_id, found in sorted(grouped.items())
        if any(thing.sentences for thing in found)
    )
    for batch in files.batched(named, size):
        yield functools.partial(
            _read_piece, DataFolder(root), [(i, found, sizes.get(i)) for i, found in batch]
        )


def _read_piece(
    folder: DataFolder,
    images: list[tuple[int, list[_Object], tuple[int, int] | None]],
    quarantine: Quarantine,
) -> Iterator[Record]:
    contents = folder.read_images([_image_names(image_id) for image_id, _, _ in images])
    for (image_id, found, known_size), content in zip(images, contents, strict=True):
        if content is None:
            quarantine.reject(SOURCE, f"image {image_id}", "missing image file")
            continue
        size = known_size or files.image_size(content)
        if isinstance(size, str):
            quarantine.reject(SOURCE, f"image {image_id}", size)
            continue
        regions = _regions(found, quarantine)
        if not regions.phrases:  # each of them is in the quarantine
            continue
        yield Record(
            image=content,
            width=size[0],
            height=size[1],
            source=SOURCE,
            image_id=f"{COLLECTION}:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if the refs are missing."""
    refs, excerpt = _files(split)
    folder = DataFolder(root)
    if not folder.has(excerpt):
        files.require(folder, refs, REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """COCO ids of all images that have an object in the split."""
    return {f"{COLLECTION}:{thing.image_id}" for thing in _load(root, split, Quarantine())[0]}


def ground_truth(root: str, split: str) -> None:
    """None: no official tool reads the files."""
    return


def _files(split: str) -> tuple[str, str]:
    """Names of the file of refs and of the excerpt of a split."""
    if split not in SPLITS:
        raise ValueError(f"refcocog has no split {split!r}: use one of {', '.join(SPLITS)}")
    by, part = split.split("/")
    return f"refcocog/refs({by}).p", f"annotations/refcocog_{by}_{part}.json"


def _load(
    root: str, split: str, quarantine: Quarantine
) -> tuple[list[_Object], dict[int, tuple[int, int]]]:
    """The objects of a split, and (width, height) by image id, which an excerpt does not give."""
    folder = DataFolder(root)
    refs_name, excerpt = _files(split)
    if not folder.has(refs_name) and folder.has(excerpt):
        content = files.load_json(folder, excerpt, REMEDY, {"refs": (*EXCERPT_REF, "bbox")})
        refs = files.entries(content, "refs", EXCERPT_REF, storage.join(root, excerpt))
        return [
            _Object(r["image_id"], r["ann_id"], (r["sentence"],), r.get("bbox")) for r in refs
        ], {}
    files.require(folder, refs_name, REMEDY)
    path, part = folder.path(refs_name), split.split("/")[1]
    refs = [
        ref
        for ref in files.checked(load_plain_pickle(path), "ref", REF, str(path))
        if ref["split"] == part
    ]
    keep = {"annotations": (*ANNOTATION, "bbox"), "images": tuple(IMAGE)}
    instances = files.load_json(folder, INSTANCES, REMEDY, keep)
    found = files.entries(instances, "annotations", ANNOTATION, storage.join(root, INSTANCES))
    boxes = {annotation["id"]: annotation for annotation in found}
    images = files.entries(instances, "images", IMAGE, storage.join(root, INSTANCES))
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    unique = files.first_of_each(refs, SOURCE, "ref", "phrase", quarantine, key="ref_id")
    return [_object(ref, boxes, sizes, str(path), quarantine) for ref in unique], sizes


def _object(
    ref: Entry,
    boxes: dict[int, Entry],
    sizes: dict[int, tuple[int, int]],
    path: str,
    quarantine: Quarantine,
) -> _Object:
    """The object of a ref.

    If its box is unknown, it has no sentences: the image belongs to the split all the same.
    """
    item = f"ref {ref['ref_id']} annotation {ref['ann_id']}"
    sentences = files.checked(
        ref["sentences"], f"sentences of ref {ref['ref_id']}", {"sent": str}, path
    )
    annotation = boxes.get(ref["ann_id"])
    if ref["image_id"] not in sizes:
        quarantine.reject(
            SOURCE, f"{item} of image {ref['image_id']}", "unknown image id", "phrase"
        )
    elif annotation is None:
        quarantine.reject(SOURCE, item, "unknown annotation id", "phrase")
    elif annotation["image_id"] != ref["image_id"]:
        quarantine.reject(SOURCE, item, "annotation of another image", "phrase")
    else:
        texts = tuple(sentence["sent"] for sentence in sentences)
        return _Object(ref["image_id"], ref["ann_id"], texts, annotation.get("bbox"))
    return _Object(ref["image_id"], ref["ann_id"], (), None)


def _regions(found: list[_Object], quarantine: Quarantine) -> Regions:
    regions = Regions()
    for thing in found:
        item, box = (
            f"image {thing.image_id} annotation {thing.annotation_id}",
            files.xywh_to_xyxy(thing.xywh),
        )
        if box is None and thing.sentences:
            quarantine.reject(SOURCE, item, "malformed box", "box")
        for sentence in thing.sentences if box else ():
            phrase = files.plain(sentence)
            if phrase and box:
                regions.add(phrase, thing.annotation_id, box)
            else:
                quarantine.reject(SOURCE, item, "empty phrase", "phrase")
    return regions


def _image_names(image_id: int) -> list[str]:
    stem = f"{image_id:012d}.jpg"
    return [f"train2014/COCO_train2014_{stem}", f"train2017/{stem}", f"val2017/{stem}"]


def load_plain_pickle(path: Path) -> list[Any]:
    """The list in a pickle file of plain containers, strings and numbers, as Python 2 wrote them.

    A pickle can name any function to be called: anything but plain data raises ValueError, and
    nothing is run.
    """
    try:
        content = path.read_bytes()
        _check_opcodes(hashlib.sha256(content).digest(), content)
        # Python 2 strings are bytes; latin1 takes any of them.
        data = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except _RefusedError as error:
        raise ValueError(
            f"{path} names {error}: refused, because refs hold only plain data; "
            "download the file again"
        ) from None
    # On garbage the unpickler raises more than UnpicklingError.
    except (
        pickle.UnpicklingError,
        EOFError,
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as e:
        raise ValueError(
            f"{path} is not a pickle of refs ({type(e).__name__}: {e}): download it again"
        ) from e
    if not isinstance(data, list):
        raise ValueError(
            f"{path} holds a {type(data).__name__} where a list of refs is expected: "
            "download it again"
        )
    return data


def _check_opcodes(digest: bytes, content: bytes) -> None:
    """Raise ValueError if the unpickler would take any amount of memory.

    It does so for a high index of its memo, up to which it makes room for all entries, and for a
    length that exceeds the file.
    """
    if digest in _checked:
        return
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= len(
            content
        ):
            raise ValueError(f"a memo of {argument} entries")
    _checked.add(digest)


_checked: set[bytes] = set()
"""Digests of files that this process has checked: a large one takes seconds and is read often."""


class _RefusedError(Exception):
    """A pickle asks for an import."""


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every import: lists, tuples, dicts, strings and numbers need none."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _RefusedError(f"the outside object {str(pid)[:80]!r}")
