"""The files of a drawn world, read without the adapters, for the tests of this room."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from webdataset import tariterators

from omnidet.data.tiny_world.coco_entries import UNKNOWN_ID
from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.tiny_world.scenes import Thing
from omnidet.data.tiny_world.sprites import COLOURS, HELD_OUT_PAIRS, SHAPES

SMALL = TinyWorld(
    train_images=120,
    val_images=16,
    lvis_val_from_train=3,
    refcocog_val_images=12,
    refcocog_test_images=12,
    flickr30k_train=24,
    flickr30k_val=4,
    flickr30k_test=4,
    laion_images=24,
    cc12m_samples=24,
    web_copies=3,
)


BAD_BOXES = (
    "zero-size box",
    "box outside the image",
    "box with a number that is not finite",
    "box larger than the image",
)


def annotations(world: Path, name: str):
    return json.loads((world / "coco/annotations" / name).read_text())


def read_refs(world: Path):
    return pickle.loads((world / "coco/refcocog/refs(umd).p").read_bytes())


def held_out_ids(world: Path) -> set[int]:
    """What the leak filter must find, by the files alone."""
    refs = {ref["image_id"] for ref in read_refs(world) if ref["split"] in ("val", "test")}
    return refs | {image["id"] for image in annotations(world, "lvis_v1_val.json")["images"]}


def names_held_out_pair(text: str) -> bool:
    return any(
        re.search(rf"\b{colour}[\s_]+{shape}s?\b", text.lower()) for colour, shape in HELD_OUT_PAIRS
    )


def file_hashes(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def is_sound(annotation) -> bool:
    x, y, width, height = annotation["bbox"]
    is_known = annotation["image_id"] != UNKNOWN_ID and annotation["category_id"] != UNKNOWN_ID
    return (
        is_known
        and width > 0
        and height > 0
        and 0 <= x <= x + width <= 128
        and 0 <= y <= y + height <= 128
    )


def by_id(entries):
    return {entry["id"]: entry for entry in entries}


def damage(content: bytes | None) -> str:
    """What is wrong with an image file."""
    if content is None:
        return "missing image"
    try:
        Image.open(io.BytesIO(content)).load()
    except Image.DecompressionBombError:
        return "image too large"
    except OSError as error:
        return "truncated image" if "truncated" in str(error) else str(error)
    return ""


def colour_in_box(path: Path, bbox) -> str:
    """The colour of most of the pixels that are close to one of the palette."""
    x, y, w, h = map(int, bbox)
    patch = np.asarray(Image.open(path))[y : y + h, x : x + w].astype(int).reshape(-1, 3)
    distance = np.abs(patch[:, None] - np.array(list(COLOURS.values()))).sum(2)
    return list(COLOURS)[
        Counter(distance.argmin(1)[distance.min(1) < 75].tolist()).most_common(1)[0][0]
    ]


def parse(text: str) -> dict[str, str]:
    """Words of a description: a second implementation of the grammar."""
    match = re.fullmatch(
        rf"(?:the |an? )?(?:(small|large) )?(?:({'|'.join(COLOURS)}) )?({'|'.join(SHAPES)})", text
    )
    assert match, text
    return {
        key: word
        for key, word in zip(("size", "colour", "shape"), match.groups(), strict=True)
        if word
    }


def things_of_images(world: Path) -> dict[int, list[Thing]]:
    """What is in the images: shape by COCO, size by the box, colour by the pixels."""
    content = annotations(world, "instances_train2017.json")
    names = {c["id"]: c["name"] for c in content["categories"]}
    found = {}
    for a in {a["id"]: a for a in content["annotations"] if is_sound(a)}.values():
        path = world / "coco/train2017" / f"{a['image_id']:012d}.jpg"
        if not path.exists() or damage(path.read_bytes()):
            continue
        x, y, w, h = map(int, a["bbox"])
        colour = colour_in_box(path, a["bbox"])
        size = "small" if max(w, h) < 30 else "large"
        thing = Thing(colour, names[a["category_id"]], size, (x, y, x + w, y + h), int(a["area"]))
        found.setdefault(a["image_id"], []).append(thing)
    return found


def fits(thing: Thing, description: dict[str, str]) -> bool:
    return all(getattr(thing, key) == word for key, word in description.items())


def cc12m_samples(world):
    """By webdataset's own reader, on files that are opened here: it leaves its own ones open."""
    samples = []
    for path in sorted((world / "cc12m").glob("*.tar")):
        with path.open("rb") as stream:
            files = tariterators.tar_file_expander([{"url": path.name, "stream": stream}])
            samples += list(tariterators.group_by_keys(files))
    return samples
