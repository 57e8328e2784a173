"""The tiny world as COCO, LVIS and RefCOCOg: three sets of annotations of the same images, by the same ids, as in reality."""

from __future__ import annotations

import itertools
import json
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.data.tiny_world import words as words
from omnidet.data.tiny_world.scenes import SEEN_PAIRS, Picture, Scene

Json = dict[str, Any]

CATEGORY_IDS = dict(
    zip(
        (
            "circle",
            "square",
            "triangle",
            "star",
            "cross",
            "heart",
            "ring",
            "moon",
            "dog",
            "hot dog",
        ),
        (1, 2, 3, 5, 6, 8, 9, 11, 18, 58),  # with gaps, as COCO's
        strict=True,
    )
)
LVIS_IDS = {pair: i for i, pair in enumerate(SEEN_PAIRS, start=1)}
UNKNOWN_ID = 999_999_999
_NUM_NEGATIVES = 12


@dataclass(frozen=True)
class CocoImage:
    """One image of COCO and the part it plays."""

    image_id: int
    role: str
    """train; val; refcocog_val and refcocog_test, lvis_val: in train2017 and held out; else what is wrong with its file."""
    picture: Picture

    @property
    def split(self) -> str:
        return "val2017" if self.role == "val" else "train2017"

    @property
    def file_name(self) -> str:
        return f"{self.image_id:012d}.jpg"

    @property
    def is_held_out(self) -> bool:
        return self.role in ("val", "lvis_val", "refcocog_val", "refcocog_test")


def write_coco(
    root: Path, rng: np.random.Generator, images: Sequence[CocoImage], num_broken: int
) -> Json:
    """All annotation files below `root`; returns what was planted, for `world.json`."""
    annotations = _instances(images)
    planted: dict[str, Counter[str]] = {name: _file_damage(images) for name in ("coco", "lvis")}
    for split in ("train2017", "val2017"):
        of_split = [image for image in images if image.split == split]
        ids = {image.image_id for image in of_split}
        instances = _frame(of_split, [a for a in annotations if a["image_id"] in ids])
        instances["categories"] = _coco_categories()
        texts = _frame(of_split, _captions(rng, of_split))
        if split == "train2017":
            planted["coco"] += _plant(rng, instances, of_split, num_broken)
            planted["coco"] += _plant_empty_captions(rng, texts, of_split, num_broken)
        _write_json(root / "annotations" / f"instances_{split}.json", instances)
        _write_json(root / "annotations" / f"captions_{split}.json", texts)
    lvis_train = _lvis_train_images(images)
    lvis_val = [image for image in images if image.role in ("val", "lvis_val")]
    train, val = (_lvis(rng, of_split) for of_split in (lvis_train, lvis_val))
    train["categories"] = val["categories"] = _lvis_categories(train["annotations"])
    planted["lvis"] += _plant(rng, train, lvis_train, num_broken)
    _write_json(root / "annotations" / "lvis_v1_train.json", train)
    _write_json(root / "annotations" / "lvis_v1_val.json", val)
    refs, expressions, planted["refcocog"] = _refs(rng, images, annotations, num_broken)
    _write_refcocog(root / "refcocog", refs, images, annotations)
    held_out_refs = [image for image in images if image.role in ("refcocog_val", "refcocog_test")]
    return {
        "images": {
            split: sum(image.split == split for image in images)
            for split in ("train2017", "val2017")
        },
        "usable": sum(image.role == "train" for image in images),
        "broken": {name: dict(sorted(counts.items())) for name, counts in planted.items()},
        "expressions": expressions,
        "leaks": {
            "refcocog held out in coco train": len(held_out_refs),
            "refcocog held out in lvis train": sum(image.is_held_out for image in lvis_train),
            "lvis val in coco train": sum(image.role == "lvis_val" for image in images),
        },
    }


def _write_json(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _frame(images: Sequence[CocoImage], annotations: list[Json]) -> Json:
    """The part that COCO's files have in common."""
    return {
        "info": {
            "description": "tiny world, drawn by OmniDet",
            "url": "",
            "version": "1.0",
            "year": 2017,
            "contributor": "OmniDet",
            "date_created": "2017/09/01",
        },
        "licenses": [
            {
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
                "id": 1,
                "name": "Apache License 2.0",
            }
        ],
        "images": [_image_entry(image) for image in images],
        "annotations": annotations,
    }


def _image_entry(image: CocoImage) -> Json:
    return {
        "license": 1,
        "file_name": image.file_name,
        "coco_url": f"http://images.cocodataset.org/{image.split}/{image.file_name}",
        "height": image.picture.scene.image_size,
        "width": image.picture.scene.image_size,
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": f"http://farm9.staticflickr.com/0000/{image.image_id}_z.jpg",
        "id": image.image_id,
    }


def _coco_categories() -> list[Json]:
    parents = {"dog": "animal", "hot dog": "food"}
    return [
        {"supercategory": parents.get(name, "shape"), "id": i, "name": name}
        for name, i in CATEGORY_IDS.items()
    ]


def _instances(images: Sequence[CocoImage]) -> list[Json]:
    """The things of each image in the order of drawing, then its crowd."""
    found: list[Json] = []
    for image in images:
        scene = image.picture.scene
        for thing in scene.things:
            found.append(
                {
                    **_outline(thing.box_xyxy, thing.area),
                    "iscrowd": 0,
                    "category_id": CATEGORY_IDS[thing.shape],
                }
            )
            found[-1] |= {"image_id": image.image_id, "id": 1000 + 7 * len(found)}
        if scene.crowd:
            size = [scene.image_size, scene.image_size]
            crowd = _outline(scene.crowd.box_xyxy, scene.crowd.area)
            crowd |= {
                "segmentation": {"counts": list(scene.crowd.run_lengths), "size": size},
                "iscrowd": 1,
            }
            crowd |= {"category_id": CATEGORY_IDS[scene.crowd.shape], "image_id": image.image_id}
            found.append(
                {**crowd, "id": 900_100_000_000 + len(found)}
            )  # COCO's crowds have such ids
    return found


def _outline(box_xyxy: tuple[int, int, int, int], area: int) -> Json:
    x0, y0, x1, y1 = map(float, box_xyxy)
    return {
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        "area": float(area),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }


def _captions(rng: np.random.Generator, images: Sequence[CocoImage]) -> list[Json]:
    found: list[Json] = []
    for image in images:
        for text in words.captions(rng, image.picture.scene):
            found.append({"image_id": image.image_id, "id": 37 + len(found), "caption": text})
    return found


def allows_both_kinds(scene: Scene) -> bool:
    """Whether some thing can be referred to plainly and by a relation: a val image of RefCOCOg needs that."""
    return scene.crowd is None and any(
        words.plain_expressions(scene, i) and words.relational_expressions(scene, i)
        for i in range(len(scene.things))
    )


def _file_damage(images: Sequence[CocoImage]) -> Counter[str]:
    return Counter(
        image.role for image in images if image.role != "train" and not image.is_held_out
    )


def _plant(
    rng: np.random.Generator, content: Json, images: Sequence[CocoImage], number: int
) -> Counter[str]:
    """Add `number` broken entries of each kind, all of them to usable training images."""
    usable = {image.image_id for image in images if image.role == "train"}
    annotations = content["annotations"]
    sound = [a for a in annotations if a["image_id"] in usable and not a.get("iscrowd")]
    order = itertools.cycle(rng.permutation(len(sound)).tolist())
    free_id = max(a["id"] for a in annotations) + 1
    counts: Counter[str] = Counter()
    changes: dict[str, Json] = {
        "zero-size box": {"bbox": [30.0, 40.0, 0.0, 12.0], "area": 0.0},
        "box outside the image": {"bbox": [4000.0, 10.0, 20.0, 20.0]},
        "box with a number that is not finite": {"bbox": [float("nan"), 10.0, 20.0, 20.0]},
        "box larger than the image": {"bbox": [-500.0, -500.0, 1e6, 1e6]},
        "unknown image id": {"image_id": UNKNOWN_ID},
        "unknown category id": {"category_id": UNKNOWN_ID},
    }
    for kind, change in changes.items():
        for _ in range(number):
            annotations.append({**sound[next(order)], **change, "id": free_id})
            free_id += 1
            counts[kind] += 1
    for _ in range(number):
        annotations.append(dict(sound[next(order)]))
        counts["duplicate annotation id"] += 1
    entries = [entry for entry in content["images"] if entry["id"] in usable]
    for i in rng.permutation(len(entries))[:number].tolist():
        content["images"].append(dict(entries[i]))
        counts["duplicate image id"] += 1
    return counts


def _plant_empty_captions(
    rng: np.random.Generator, content: Json, images: Sequence[CocoImage], number: int
) -> Counter[str]:
    usable = [image.image_id for image in images if image.role == "train"]
    free_id = max(a["id"] for a in content["annotations"]) + 1
    for i in range(number):
        image_id = usable[int(rng.integers(len(usable)))]
        content["annotations"].append(
            {"image_id": image_id, "id": free_id + i, "caption": " " * (i % 2)}
        )
    return Counter({"empty caption": number})


def _lvis_train_images(images: Sequence[CocoImage]) -> list[CocoImage]:
    """Those of train2017 without LVIS' own val images; every second of the RefCOCOg images that are held out is among them."""
    held_out = [
        image.image_id for image in images if image.role in ("refcocog_val", "refcocog_test")
    ]
    left_out = set(held_out[1::2])
    return [
        i
        for i in images
        if i.split == "train2017" and i.role != "lvis_val" and i.image_id not in left_out
    ]


def _lvis(rng: np.random.Generator, images: Sequence[CocoImage]) -> Json:
    content = _frame(images, [])
    for entry, image in zip(content["images"], images, strict=True):
        del entry["file_name"]  # LVIS v1 names the file by its coco_url only
        boxed, negative, not_exhaustive = _federate(rng, image.picture.scene)
        entry["neg_category_ids"], entry["not_exhaustive_category_ids"] = negative, not_exhaustive
        for category_id, members in boxed.items():
            for i in members:
                thing = image.picture.scene.things[i]
                annotation = {
                    **_outline(thing.box_xyxy, thing.area),
                    "image_id": image.image_id,
                    "category_id": category_id,
                }
                content["annotations"].append({**annotation, "id": len(content["annotations"]) + 1})
    return content


def _federate(
    rng: np.random.Generator, scene: Scene
) -> tuple[dict[int, tuple[int, ...]], list[int], list[int]]:
    """Which categories LVIS boxes in the image, which are verified absent, and which are not boxed exhaustively."""
    present = {
        LVIS_IDS[pair]: g.members
        for g in words.groups(scene)
        if (pair := (g.colour, g.shape)) in LVIS_IDS
    }
    boxed = {category_id: members for category_id, members in present.items() if rng.random() < 0.7}
    many = [category_id for category_id, members in boxed.items() if len(members) > 1]
    not_exhaustive = []
    if many and rng.random() < 0.14:  # makes about 5 % of all images
        chosen = many[int(rng.integers(len(many)))]
        boxed[chosen] = boxed[chosen][: int(rng.integers(1, len(boxed[chosen])))]
        not_exhaustive = [chosen]
    taken = set(present) | (
        {LVIS_IDS[scene.crowd.colour, scene.crowd.shape]} if scene.crowd else set()
    )
    absent = [i for i in LVIS_IDS.values() if i not in taken]
    # A hot dog is where "dog" has to be learnt as absent.
    dogs = {
        LVIS_IDS[thing.colour, "dog"] for thing in scene.things if thing.shape == "hot dog"
    } - taken
    others = [i for i in rng.permutation(absent).tolist() if i not in dogs]
    return boxed, sorted([*dogs, *others[: _NUM_NEGATIVES - len(dogs)]]), not_exhaustive


def _lvis_categories(annotations: list[Json]) -> list[Json]:
    boxes = Counter(a["category_id"] for a in annotations)
    images = Counter(
        category_id for category_id, _ in {(a["category_id"], a["image_id"]) for a in annotations}
    )
    found = []
    for (colour, shape), i in LVIS_IDS.items():
        name = f"{colour} {shape}".replace(" ", "_")
        found.append(
            {
                "image_count": images[i],
                "synonyms": [name],
                "def": f"a {shape} of {colour} colour",
                "id": i,
                "synset": f"{name}.n.01",
                "name": name,
                "frequency": "r" if images[i] <= 10 else "c" if images[i] <= 100 else "f",
                "instance_count": boxes[i],
            }
        )
    return found


def _refs(
    rng: np.random.Generator, images: Sequence[CocoImage], annotations: list[Json], num_broken: int
) -> tuple[list[Json], Json, Counter[str]]:
    """The refs, how many expressions there are by split and kind, and the broken ones."""
    of_image: dict[int, list[Json]] = {}
    for annotation in annotations:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    train = [
        i
        for i in images
        if i.role == "train" and i.picture.scene.things and not i.picture.scene.crowd
    ]
    chosen = {
        train[i].image_id for i in rng.permutation(len(train))[: round(0.6 * len(train))].tolist()
    }
    refs: list[Json] = []
    counts: dict[str, Counter[str]] = {split: Counter() for split in ("train", "val", "test")}
    for image in images:
        split = "train" if image.image_id in chosen else image.role.removeprefix("refcocog_")
        if split not in counts or (
            image.image_id not in chosen and not image.role.startswith("refcocog")
        ):
            continue
        for target, texts in _expressions(rng, image.picture.scene, split):
            refs.append(_ref(of_image[image.image_id][target], len(refs), texts, split))
            counts[split].update(
                "relational" if any(r in text for r in words.RELATIONS) else "plain"
                for text in texts
            )
    broken: Counter[str] = Counter()
    usable = [ref for ref in refs if ref["split"] == "train"]
    for kind, change in {
        "unknown image id": {"image_id": UNKNOWN_ID, "ann_id": UNKNOWN_ID},
        "unknown annotation id": {"ann_id": UNKNOWN_ID},
        "empty caption": None,
    }.items():
        for _ in range(num_broken):
            ref = usable[int(rng.integers(len(usable)))]
            annotation = {
                "id": ref["ann_id"],
                "image_id": ref["image_id"],
                "category_id": ref["category_id"],
            }
            texts = [ref["sentences"][0]["sent"]] if change else [""]
            refs.append({**_ref(annotation, len(refs), texts, "train"), **(change or {})})
            broken[kind] += 1
    return refs, {split: dict(sorted(kinds.items())) for split, kinds in counts.items()}, broken


def _ref(annotation: Json, ref_id: int, texts: Sequence[str], split: str) -> Json:
    sentences = [
        {
            "tokens": text.split(),
            "raw": text.capitalize() + ".",
            "sent_id": 3 * ref_id + i,
            "sent": text,
        }
        for i, text in enumerate(texts)
    ]
    return {
        "sent_ids": [sentence["sent_id"] for sentence in sentences],
        "file_name": f"COCO_train2014_{annotation['image_id']:012d}_{annotation['id']}.jpg",
        "ann_id": annotation["id"],
        "ref_id": ref_id,
        "image_id": annotation["image_id"],
        "split": split,
        "sentences": sentences,
        "category_id": annotation["category_id"],
    }


def _expressions(rng: np.random.Generator, scene: Scene, split: str) -> list[tuple[int, list[str]]]:
    """Targets of the scene, with what is said of each."""
    if split == "test":
        # Both words are needed: another thing has the target's colour and a third its shape.
        whole = [
            text for text in words.plain_expressions(scene, 0) if scene.things[0].colour in text
        ]
        return [(0, [_plain(rng, whole)])]
    found: list[tuple[int, list[str]]] = []
    number = 2 if split == "train" and rng.random() < 0.6 else 1
    for target in rng.permutation(len(scene.things)).tolist():
        if len(found) == number:
            break
        plain, related = (
            words.plain_expressions(scene, target),
            words.relational_expressions(scene, target),
        )
        if split == "val":
            texts = [_plain(rng, plain), _related(rng, related)] if plain and related else []
        else:
            wanted = int(rng.integers(1, 4))
            texts = [
                _related(rng, related)
                for _ in range(wanted)
                if related and (not plain or rng.random() < 0.6)
            ]
            texts += [_plain(rng, plain) for _ in range(wanted - len(texts)) if plain]
        if texts:
            found.append((target, list(dict.fromkeys(texts))))
    return found


def _plain(rng: np.random.Generator, texts: Sequence[str]) -> str:
    text = texts[int(rng.integers(len(texts)))]
    return (text, f"the {text}", words.counted(text))[int(rng.integers(3))]


def _related(rng: np.random.Generator, candidates: Sequence[words.Relation]) -> str:
    """One of the candidates, rather one that cannot be answered without its relation."""
    needed = [c for c in candidates if c.is_needed]
    pool = needed if needed and rng.random() < 0.7 else candidates
    chosen = pool[int(rng.integers(len(pool)))]
    the = "the " if rng.random() < 0.5 else ""
    return f"{the}{chosen.head} {chosen.relation} {the}{chosen.landmark}"


def _write_refcocog(
    folder: Path, refs: list[Json], images: Sequence[CocoImage], annotations: list[Json]
) -> None:
    ids = {ref["image_id"] for ref in refs}
    content = _frame(
        [image for image in images if image.image_id in ids],
        [a for a in annotations if a["image_id"] in ids],
    )
    content["categories"] = _coco_categories()
    for entry in content["images"]:  # RefCOCOg speaks of COCO's 2014 files
        entry["file_name"] = f"COCO_train2014_{entry['id']:012d}.jpg"
        entry["coco_url"] = f"http://images.cocodataset.org/train2014/{entry['file_name']}"
    _write_json(folder / "instances.json", content)
    # Through JSON, so that no object is shared and the pickle does not depend on which process made a string.
    (folder / "refs(umd).p").write_bytes(pickle.dumps(json.loads(json.dumps(refs)), protocol=2))
