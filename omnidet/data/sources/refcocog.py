"""RefCOCOg: `refcocog/refs(umd).p` or `refs(google).p`, and `refcocog/instances.json`, as in https://github.com/lichengunc/refer.

Splits: `umd/train`, `umd/val`, `umd/test`, `google/train`, `google/val`. The images are COCO train2014's, which stand in
train2017 and val2017 under the same ids. Boxes are xywh. The umd split is the one to report: google's val shares images
with its train. Where there is no `refcocog/` folder, an excerpt `annotations/refcocog_{by}_{split}.json` is read.
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
    """One Record an image with the sentences of all its objects in this split, by ascending image id."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` images a piece."""
    grouped: dict[int, list[_Object]] = {}
    things, sizes = _load(root, split, quarantine)
    for thing in things:
        grouped.setdefault(thing.image_id, []).append(thing)
    # An object without sentences stands in the quarantine already.
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
    for (image_id, found, told), content in zip(images, contents, strict=True):
        if content is None:
            quarantine.reject(SOURCE, f"image {image_id}", "missing image file")
            continue
        size = told or files.image_size(content)
        if isinstance(size, str):
            quarantine.reject(SOURCE, f"image {image_id}", size)
            continue
        regions = _regions(found, quarantine)
        if not regions.phrases:  # likewise
            continue
        yield Record(
            image=content,
            width=size[0],
            height=size[1],
            source=SOURCE,
            image_id=f"coco:{image_id}",
            boxes_xyxy=regions.boxes_xyxy,
            phrases=regions.phrases,
            phrase_boxes=regions.phrase_boxes,
        )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError where the refs are missing."""
    refs, excerpt = _files(split)
    folder = DataFolder(root)
    if not folder.has(excerpt):
        files.require(folder, refs, REMEDY)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of every image that has an object in the split: COCO ids."""
    return {f"coco:{thing.image_id}" for thing in _load(root, split, Quarantine())[0]}


def ground_truth(root: str, split: str) -> None:
    """None: no official tool reads a file."""
    return


def _files(split: str) -> tuple[str, str]:
    """The refs of a split, and its excerpt."""
    if split not in SPLITS:
        raise ValueError(f"refcocog has no split {split!r}: use one of {', '.join(SPLITS)}")
    by, part = split.split("/")
    return f"refcocog/refs({by}).p", f"annotations/refcocog_{by}_{part}.json"


def _load(
    root: str, split: str, quarantine: Quarantine
) -> tuple[list[_Object], dict[int, tuple[int, int]]]:
    """The objects of a split, and (width, height) by image id, which is empty for an excerpt."""
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
    """The object of a ref, without sentences where its box is unknown: the image is in the split all the same."""
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
    """The list in a pickle file of plain containers, strings and numbers, written by Python 2.

    A pickle can name any function to be called, so anything but plain data raises ValueError and nothing runs.
    """
    try:
        content = path.read_bytes()
        _check_opcodes(hashlib.sha256(content).digest(), content)
        # Python 2 strings are bytes; latin1 takes any of them.
        data = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except _RefusedError as error:
        raise ValueError(
            f"{path} names {error}: refused, as refs hold only plain data; fetch the file anew"
        ) from None
    # What the unpickler raises on garbage is not one type: pickle.UnpicklingError, EOFError, KeyError, IndexError, ...
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
            f"{path} is not a pickle of refs ({type(e).__name__}: {e}): fetch it anew"
        ) from e
    if not isinstance(data, list):
        raise ValueError(
            f"{path} holds a {type(data).__name__}: a list of refs is expected; fetch it anew"
        )
    return data


def _check_opcodes(digest: bytes, content: bytes) -> None:
    """Raise ValueError for what would have the unpickler take any amount of memory.

    That is a place in its memo that no pickle of this size needs, before which it makes room for all others, and a length of
    which the file does not have the bytes.
    """
    if digest in _checked:
        return
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= len(
            content
        ):
            raise ValueError(f"a memo of {argument} places")
    _checked.add(digest)


_checked: set[bytes] = set()
"""Files that this process has looked through: a large one takes seconds and is read several times."""


class _RefusedError(Exception):
    """A pickle names something to import."""


class _PlainUnpickler(pickle.Unpickler):
    """Lists, tuples, dicts, strings and numbers need no import, so every import is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _RefusedError(f"the outside object {str(pid)[:80]!r}")
