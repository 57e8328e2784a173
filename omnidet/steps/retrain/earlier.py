"""What the shards of earlier runs say of new data: what was trained on, evaluated on, and
annotated otherwise.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from omnidet.counted import counted
from omnidet.data import shards
from omnidet.data.reading.perceptual_hash import MAX_DISTANCE, perceptual_hash
from omnidet.data.sharding.held_out import HeldOut
from omnidet.recipes import retrain as variants
from omnidet.registry.versions import Version
from omnidet.schema import Record
from omnidet.steps.retrain import keeping
from omnidet.storage import Location


def seen(champion: Version | None, replay: Location | None) -> frozenset[int]:
    """Ids of the pictures that somebody annotated, and the champion or a version that it descends
    from was trained on: those to replay, and what the shards of each training say where they are at
    hand. Weights know what an earlier state held, too, and know it without a replay.
    """
    found = trained_on(shards.read_index(replay)) if replay else frozenset()
    line = keeping.line_of(champion)[0] if champion else []
    return found.union(*map(_seen_by, line))


def _seen_by(version: Version) -> frozenset[int]:
    place = str(version.provenance.get("shards", ""))
    if not place:
        return frozenset()
    try:
        index = shards.read_index(place)
        is_its_own = index.dataset_version == version.provenance.get("dataset_version")
        return trained_on(index) if is_its_own else frozenset()
    except (OSError, ValueError):  # out of reach, or what it names is gone or written over
        return frozenset()


def trained_on(index: shards.Index) -> frozenset[int]:
    """Ids of the pictures that somebody annotated, in all training sets of a shard folder."""
    prefix, found = f"{variants.SOURCE}:", set()
    for set_name in own_sets(index, "train/"):
        found |= {int(r.image_id.removeprefix(prefix)) for r in shards.texts(index, set_name)}
    return frozenset(found)


def held_out(index: shards.Index, name: str) -> HeldOut:
    """Ids of the evaluation images of a shard folder, and perceptual hashes of those of public
    datasets. Somebody's own pictures may all look alike, as those of one camera do.

    Args:
        name: the new dataset. Of an earlier state of it nothing is measured any more.
    """
    names: dict[str, str] = {}
    hashes: dict[str, Any] = {}
    for set_name in (s for s in index.sets if s.startswith("eval/") and s != f"eval/{name}"):
        for record in shards.records(index, set_name):
            names.setdefault(record.image_id, set_name)
            if _is_own(record) or record.image_id in hashes:
                continue
            if (own := perceptual_hash(record.image)) is not None:
                hashes[record.image_id] = own
    return HeldOut(names, np.array(list(hashes.values()), np.uint64), tuple(hashes))


def alike(index: shards.Index, name: str, old: shards.Index) -> str:
    """A line on the training pictures that look like somebody's own evaluation pictures of before;
    empty without one.
    """
    hashes = _hashes_of_own(old, own_sets(old, "eval/", name))
    if not hashes:
        return ""
    similar: Counter[str] = Counter()
    for own in _hashes_of_own(index, [f"train/{name}"])[f"train/{name}"]:
        for set_name, those in hashes.items():
            similar[set_name] += bool((np.bitwise_count(those ^ own) <= MAX_DISTANCE).any())
    return "".join(
        f"\n  train/{name}: {counted(count, 'picture')} like evaluation pictures of {other}, "
        f"trained on since those of one camera look alike: if they are copies, {other}'s numbers "
        "are too good"
        for other, count in ((n.removeprefix("eval/"), count) for n, count in similar.items())
        if count
    )


def _hashes_of_own(
    index: shards.Index, set_names: Iterable[str]
) -> dict[str, npt.NDArray[np.uint64]]:
    """Perceptual hashes of the pictures of each set."""
    found = {}
    for set_name in set_names:
        records = shards.records(index, set_name)
        hashes = [value for r in records if (value := perceptual_hash(r.image)) is not None]
        found[set_name] = np.array(hashes, np.uint64)
    return found


def own_sets(index: shards.Index, kind: str, name: str = "") -> list[str]:
    """The sets, `train/...` or `eval/...`, that hold what somebody annotated; a set is of one
    source.

    Args:
        name: a dataset that is left out: where its later state is built, its files may be gone.
    """
    return [
        set_name
        for set_name in index.sets
        if set_name.startswith(kind)
        and set_name != f"{kind}{name}"
        and any(map(_is_own, itertools.islice(shards.texts(index, set_name), 1)))
    ]


def _is_own(record: Record) -> bool:
    """Whether somebody annotated it: its id is a hash of the picture."""
    return record.image_id.startswith(f"{variants.SOURCE}:")


def annotated_otherwise(index: shards.Index, name: str, old: shards.Index) -> str:
    """A line on the training pictures that older sets, which are replayed, annotate otherwise;
    empty without one.
    """
    new = {r.image_id: _told(r) for r in shards.texts(index, f"train/{name}")}
    lines = ""
    for set_name in own_sets(old, "train/", name):
        other = set_name.removeprefix("train/")
        pairs = [
            (_told(r), new[r.image_id]) for r in shards.texts(old, set_name) if r.image_id in new
        ]
        count = sum(any(a[n] != b[n] for n in a.keys() & b.keys()) for a, b in pairs)
        if count:
            lines += (
                f"\n  train/{name}: {counted(count, 'picture')} of {other} annotated otherwise, "
                f"and both are taught: give --name {other} if this is a later state of it, which "
                "takes the place of the older"
            )
    return lines


def _told(record: Record) -> dict[str, list[tuple[float, ...]]]:
    """The boxes of each name that a record tells of, in whole pixels; none of an absent one."""
    boxes = [tuple(box) for box in np.round(record.boxes_xyxy).tolist()]
    told = zip(record.phrases, record.phrase_boxes, strict=True)
    shown = {phrase: sorted(boxes[i] for i in places) for phrase, places in told}
    return {phrase: [] for phrase in record.absent} | shown
