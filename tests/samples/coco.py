"""COCO's folder as people have it, with LVIS, RefCOCOg and RefCOCOS on the same images.

Image n shows n % 4 things of different categories: thing k is of category (n + k) % 5. So every
count in a test can be worked out by hand.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from tests.samples.pictures import HEIGHT, WIDTH, jpeg, write

Json = dict[str, Any]
Box = tuple[int, int, int, int]

TRAIN, VAL = range(1, 17), range(101, 109)
CAPTIONED_ONLY = 17
"""Image of train2017 that is only in the captions file."""
UNCAPTIONED = 16
CATEGORIES = (
    (1, "person", "red"),
    (3, "car", "blue"),
    (18, "dog", "yellow"),
    (58, "hot dog", "purple"),
    (62, "chair", "cyan"),
)
CROWDS = {5: 4, 6: 1, 102: 2}
"""Image -> place of the category of its crowd: not shown in 5 otherwise, shown in 6 and 102."""
LVIS_NAMES = {
    "bow_(weapon)": "r",
    "bow_(decorative_ribbons)": "r",
    "person": "f",
    "car_(automobile)": "f",
    "dog": "c",
    "hot_dog": "c",
    "chair": "f",
    "stop_sign": "c",
}
LVIS_IMAGES = range(101, 105)


def things(number: int) -> list[tuple[int, Box]]:
    """(place of the category, xywh) of what an image shows."""
    count = 0 if number == CAPTIONED_ONLY else number % 4
    return [
        ((number + k) % 5, (4 + 50 * k, 10 + number * 7 % 40, 42, 45 + 5 * k)) for k in range(count)
    ]


def annotation_id(number: int, place: int) -> int:
    """Id of a thing, the same in COCO and RefCOCOg."""
    return 100 * number + place


def picture(number: int) -> bytes:
    """The bytes of an image."""
    return jpeg(number, [(CATEGORIES[place][2], xywh) for place, xywh in things(number)])


def draw(root: Path) -> None:
    """All files below `root`."""
    for split, numbers in (("train2017", TRAIN), ("val2017", VAL)):
        captioned = [n for n in numbers if n != UNCAPTIONED]
        captioned += [CAPTIONED_ONLY] if split == "train2017" else []
        write(root / f"annotations/instances_{split}.json", _instances(split, list(numbers)))
        write(root / f"annotations/captions_{split}.json", _captions(split, captioned))
        for number in {*numbers, *captioned}:
            write(root / "images" / split / f"{number:012d}.jpg", picture(number))
    write(root / "annotations/lvis_v0.5_val.json", lvis())
    write(root / "annotations/refcocog_google_val.json", _google_excerpt())
    write(root / "annotations/refcocos.json", _expressions())
    write(root / "refcocog/refs(umd).p", pickle.dumps(_refs(), 2))
    write(root / "refcocog/instances.json", _instances("train2014", list(TRAIN)))


def image_entry(split: str, number: int) -> Json:
    return {
        "license": 1,
        "file_name": f"{number:012d}.jpg",
        "coco_url": f"http://images.cocodataset.org/{split}/{number:012d}.jpg",
        "height": HEIGHT,
        "width": WIDTH,
        "date_captured": "2013-11-20 22:56:00",
        "flickr_url": "http://farm9.staticflickr.com/1/2_z.jpg",
        "id": number,
    }


def _outline(xywh: Box) -> Json:
    x, y, w, h = map(float, xywh)
    return {
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
        "area": w * h,
        "bbox": [x, y, w, h],
    }


def _instances(split: str, numbers: list[int]) -> Json:
    annotations = []
    for number in numbers:
        for k, (place, xywh) in enumerate(things(number)):
            own = {"iscrowd": 0, "image_id": number, "category_id": CATEGORIES[place][0]}
            annotations.append({**_outline(xywh), **own, "id": annotation_id(number, k)})
        if number in CROWDS:
            own = {"image_id": number, "category_id": CATEGORIES[CROWDS[number]][0]}
            mask = {"segmentation": {"counts": [0, 400, 18800], "size": [HEIGHT, WIDTH]}}
            crowd = {**_outline((0, 100, 60, 20)), **mask, "iscrowd": 1}
            annotations.append({**crowd, **own, "id": 900_000_000_000 + number})
    return {
        "info": {"description": "drawn", "year": 2017},
        "licenses": [{"id": 1, "name": "none needed", "url": ""}],
        "images": [image_entry(split, number) for number in numbers],
        "annotations": annotations,
        "categories": [
            {"supercategory": "thing", "id": i, "name": name} for i, name, _ in CATEGORIES
        ],
    }


def _captions(split: str, numbers: list[int]) -> Json:
    annotations = []
    for number in numbers:
        named = [CATEGORIES[place][1] for place, _ in things(number)] or ["nothing"]
        for text in (f"A picture of {' and '.join(named)}.", f"Here is {named[0]}"):
            annotations.append({"image_id": number, "id": len(annotations) + 1, "caption": text})
    return {
        "info": {"description": "drawn", "year": 2017},
        "licenses": [],
        "images": [image_entry(split, number) for number in numbers],
        "annotations": annotations,
    }


def lvis() -> Json:
    """LVIS v0.5: the things of four images, two absent names in each, one name not exhaustive."""
    entries, annotations = [], []
    for number in LVIS_IMAGES:
        entry = image_entry("val2017", number) | {"file_name": f"COCO_val2014_{number:012d}.jpg"}
        partly = [3 + things(number)[0][0]] if number == 102 else []
        entry |= {"neg_category_ids": [1, 8], "not_exhaustive_category_ids": partly}
        entries.append(entry)
        for place, xywh in things(number):
            own = {"image_id": number, "id": len(annotations) + 1, "category_id": 3 + place}
            annotations.append({**_outline(xywh), **own})
    return {
        "categories": lvis_categories(),
        "info": {"description": "drawn", "year": 2017},
        "licenses": [],
        "images": entries,
        "annotations": annotations,
    }


def lvis_categories() -> list[Json]:
    """The categories of LVIS with all their fields."""
    return [
        {
            "name": name,
            "image_count": 1,
            "frequency": frequency,
            "synset": f"{name}.n.01",
            "def": "a drawn thing",
            "instance_count": 1,
            "id": i,
            "synonyms": [name],
        }
        for i, (name, frequency) in enumerate(LVIS_NAMES.items(), 1)
    ]


def _google_excerpt() -> Json:
    """Expressions for things in images of train2017; one thing's box is unknown."""
    sentences = [(1, 0, "red thing"), (2, 0, "left one"), (2, 1, "right one"), (3, 1, "middle")]
    refs = []
    for number, k, sentence in [*sentences, (7, 0, "no one knows where")]:
        place, xywh = things(number)[k]
        refs.append(
            {
                "ann_id": annotation_id(number, k),
                "image_id": number,
                "split_2017": "train2017",
                "file_name": f"{number:012d}.jpg",
                "file_name_2014": f"COCO_train2014_{number:012d}.jpg",
                "sentence": sentence,
                "refexp_ids": [number],
                "category_id": CATEGORIES[place][0],
                "category_name": CATEGORIES[place][1],
                "bbox": None if number == 7 else list(xywh),
            }
        )
    return {"dataset": "refcocog google val, drawn", "note": "", "refs": refs}


def _refs() -> list[Json]:
    """One ref for the first thing of each image from 9 on; two of them are of val."""
    refs = []
    for number in [n for n in TRAIN if n >= 9 and things(n)]:
        name = CATEGORIES[things(number)[0][0]][1]
        texts = [f"the {name} on the left", f"{name} of image {number}"]
        refs.append(
            {
                "ref_id": number,
                "ann_id": annotation_id(number, 0),
                "image_id": number,
                "category_id": CATEGORIES[things(number)[0][0]][0],
                "file_name": f"COCO_train2014_{number:012d}_{number}.jpg",
                "split": "val" if number >= 14 else "train",
                "sentences": [
                    {"raw": t, "sent": t, "tokens": t.split(), "sent_id": 10 * number + i}
                    for i, t in enumerate(texts)
                ],
                "sent_ids": [10 * number, 10 * number + 1],
            }
        )
    return refs


def _expressions() -> list[Json]:
    """RefCOCOS: two expressions for one thing, one that names nothing."""
    expressions = [
        (101, "the first thing", 0),
        (101, "the only thing", 0),
        (102, "the thing on the right", 1),
        (102, "a thing that is not here", None),
        (103, "the thing in the middle", 1),
    ]
    found = []
    for number, words, k in expressions:
        x, y, w, h = things(number)[k or 0][1]
        found.append(
            {
                "dataset": "refcocos_test",
                "text_type": "caption",
                "height": HEIGHT,
                "width": WIDTH,
                "normal_caption": words,
                "image": f"val2017/{number:012d}.jpg",
                "solution": None if k is None else [x, y, x + w, y + h],
                "categories": {"empty_case": k is None, "hops": "1"},
                "file_name": f"{number:012d}.jpg",
                "image_id": number,
            }
        )
    return found
