"""The tiny world as RefCOCOg: expressions for objects, some plain and some with a relation."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnidet.data.tiny_world import expressions, words
from omnidet.data.tiny_world.coco_entries import (
    UNKNOWN_ID,
    CocoImage,
    Json,
    categories,
    frame,
    write_json,
)
from omnidet.data.tiny_world.scenes import Scene


def allows_both_kinds(scene: Scene) -> bool:
    """Whether a thing has both a plain and a relational expression, as RefCOCOg val requires."""
    return scene.crowd is None and any(
        expressions.plain_expressions(scene, i) and expressions.relational_expressions(scene, i)
        for i in range(len(scene.things))
    )


def refs(
    rng: np.random.Generator, images: Sequence[CocoImage], annotations: list[Json], num_broken: int
) -> tuple[list[Json], Json, Counter[str]]:
    """The refs, the number of expressions by split and kind, and the number of broken refs."""
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
    made: list[Json] = []
    counts: dict[str, Counter[str]] = {split: Counter() for split in ("train", "val", "test")}
    for image in images:
        split = "train" if image.image_id in chosen else image.role.removeprefix("refcocog_")
        if split not in counts or (
            image.image_id not in chosen and not image.role.startswith("refcocog")
        ):
            continue
        for target, texts in _expressions(rng, image.picture.scene, split):
            made.append(_ref(of_image[image.image_id][target], len(made), texts, split))
            counts[split].update(
                "relational" if any(r in text for r in expressions.RELATIONS) else "plain"
                for text in texts
            )
    broken: Counter[str] = Counter()
    usable = [ref for ref in made if ref["split"] == "train"]
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
            made.append({**_ref(annotation, len(made), texts, "train"), **(change or {})})
            broken[kind] += 1
    return made, {split: dict(sorted(kinds.items())) for split, kinds in counts.items()}, broken


def write(
    folder: Path, refs: list[Json], images: Sequence[CocoImage], annotations: list[Json]
) -> None:
    """Write the pickle of refs and the file of their boxes."""
    ids = {ref["image_id"] for ref in refs}
    content = frame(
        [image for image in images if image.image_id in ids],
        [a for a in annotations if a["image_id"] in ids],
    )
    content["categories"] = categories()
    for entry in content["images"]:  # RefCOCOg uses COCO's files of 2014
        entry["file_name"] = f"COCO_train2014_{entry['id']:012d}.jpg"
        entry["coco_url"] = f"http://images.cocodataset.org/train2014/{entry['file_name']}"
    write_json(folder / "instances.json", content)
    # Through JSON: no object is shared, so the pickle does not depend on which process made one.
    (folder / "refs(umd).p").write_bytes(pickle.dumps(json.loads(json.dumps(refs)), protocol=2))


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
    """Targets in the scene, with the expressions for each."""
    if split == "test":
        # Both words are needed: another thing has the target's colour, and a third its shape.
        whole = [
            text
            for text in expressions.plain_expressions(scene, 0)
            if scene.things[0].colour in text
        ]
        return [(0, [_plain(rng, whole)])]
    found: list[tuple[int, list[str]]] = []
    number = 2 if split == "train" and rng.random() < 0.6 else 1
    for target in rng.permutation(len(scene.things)).tolist():
        if len(found) == number:
            break
        plain, related = (
            expressions.plain_expressions(scene, target),
            expressions.relational_expressions(scene, target),
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


def _related(rng: np.random.Generator, candidates: Sequence[expressions.Relation]) -> str:
    """One of the candidates, preferably one that needs its relation."""
    needed = [c for c in candidates if c.is_needed]
    pool = needed if needed and rng.random() < 0.7 else candidates
    chosen = pool[int(rng.integers(len(pool)))]
    the = "the " if rng.random() < 0.5 else ""
    return f"{the}{chosen.head} {chosen.relation} {the}{chosen.landmark}"
