"""What the parts of a build wrote -> sets -> one shard folder, and the report for people."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omnidet import storage
from omnidet.config import require
from omnidet.counted import counted
from omnidet.data import shards
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding.pieces import PARTS, PIECES

QUARANTINE = "quarantine.jsonl"
WRITTEN = (storage.INDEX_NAME, QUARANTINE, "plan.json", "train/", "eval/")
"""What stands in a shard folder."""
REFUSED = "refused"
"""File beside the receipts of a set that was refused."""


def finish_set(out: str, set_name: str) -> dict[str, Any]:
    """Make a set of what its parts wrote: its index, whose content is returned, and the list of
    what was refused.

    Writes nothing if the set is finished already.

    Raises:
        FileNotFoundError: if a part is missing.
        ValueError: if parts do not fit together, too many records were refused, or none is left.
    """
    location = storage.join(out, set_name)
    with contextlib.suppress(FileNotFoundError):
        known: dict[str, Any] = json.loads(
            storage.read_text(storage.join(location, storage.INDEX_NAME))
        )
        return known
    parts = _parts(location, set_name)
    done = sorted(
        (piece for part in parts for piece in part["pieces"]),
        key=lambda piece: int(piece["number"]),
    )
    quarantine, source = Quarantine(parts[0]["max_bad_share"]), parts[0]["source"]
    dropped, names = Counter[str](), Counter[str]()
    for content in (parts[0], *done):  # every part has found the faults of the split as a whole
        quarantine.counts.update(content["counts"])
        quarantine.lines += content["quarantine"]
        dropped.update(content.get("held_out", {}))
        names.update(content.get("names", {}))
    members = [shards.Shard(**shard) for piece in done for shard in piece["shards"]]
    with _noted(location, quarantine.max_share if members or dropped else 1.0):
        quarantine.check_share(source, shards.num_samples(members))
        # A set whose images are all held out is finished: the report says so, and training refuses
        # it.
        require(
            bool(members or dropped),
            f"{set_name}: {source} holds no usable image: repair or complete the dataset, or "
            "remove it (from the data folder if it is optional, else from the recipe)",
        )
    content = {
        "shards": [dataclasses.asdict(shard) for shard in members],
        "ground_truth": parts[0]["ground_truth"],
        "held_out": dict(sorted(dropped.items())),
        "names": dict(sorted(names.items())) if len(names) <= shards.MAX_COUNTED_NAMES else {},
        "quarantined": dict(sorted(quarantine.counts.items())),
        "account": parts[0].get("account"),
    }
    storage.write_text(
        storage.join(location, QUARANTINE), "".join(line + "\n" for line in quarantine.lines)
    )
    storage.write_text(
        storage.join(location, storage.INDEX_NAME),
        json.dumps(content, indent=1, ensure_ascii=False) + "\n",
    )
    return content


@contextmanager
def _noted(location: str, max_bad_share: float) -> Iterator[None]:
    """Note that a set is refused, and with which share allowed."""
    try:
        yield
    except ValueError:
        storage.write_text(storage.join(location, PIECES, REFUSED), json.dumps(max_bad_share))
        raise


def was_refused(location: str, max_bad_share: float) -> bool:
    """Whether a set was refused with no less allowed than now: then only other data can help, and
    pieces that refused some are worth reading again.
    """
    note = storage.join(location, PIECES, REFUSED)
    return storage.exists(note) and max_bad_share <= float(json.loads(storage.read_text(note)))


def merge(out: str, set_names: Sequence[str]) -> None:
    """Write the index over the sets in `out`, which are finished or finished now: only now is the
    folder whole.

    Two runs of a pipeline may build the same folder at once. The index of a set is gone again when
    the other one begins with the set, whose parts are still there.
    """
    sets: dict[str, tuple[shards.Shard, ...]] = {}
    truths: dict[str, Mapping[str, Any]] = {}
    dropped: dict[str, Any] = {}
    names: dict[str, Mapping[str, int]] = {}
    quarantined: Counter[str] = Counter()
    accounts: dict[str, Any] = {}
    lines: list[str] = []
    for name in set_names:
        content = finish_set(out, name)
        lines.append(storage.read_text(storage.join(out, name, QUARANTINE)))
        sets[name] = tuple(
            shards.Shard(**{**shard, "path": f"{name}/{shard['path']}"})
            for shard in content["shards"]
        )
        quarantined += Counter(content["quarantined"])
        if content["held_out"]:
            dropped[name] = content["held_out"]
        if content.get("account"):
            accounts[name.partition("/")[2]] = content["account"]
        if name.startswith("train/") and content.get("names"):
            names[name] = content["names"]
        _clear(out, name, content)
        if content["ground_truth"]:
            truths[name] = {
                **content["ground_truth"],
                "file": f"{name}/{content['ground_truth']['file']}",
            }
    storage.write_text(storage.join(out, QUARANTINE), "".join(lines))
    report = {"held_out": dropped, "quarantined": dict(sorted(quarantined.items()))}
    if accounts:
        report["accounts"] = accounts
    shards.write_index(out, sets, truths, report, names)


def describe(index: shards.Index) -> str:
    """The report of a build, for people."""
    lines = [f"data version {index.dataset_version[:12]}"]
    for name, members in index.sets.items():
        size = sum(m.size_bytes for m in members)
        count = shards.num_samples(members)
        lines.append(f"  {name:24} {count:8} images in {len(members)} shards, {size / 1e6:.1f} MB")
    for name, counts in index.report["held_out"].items():
        lines += [
            f"  {name}: {counted(count, 'image')} held out: {reason}"
            for reason, count in counts.items()
        ]
    lines += [
        f"  quarantined: {count} x {reason}"
        for reason, count in index.report["quarantined"].items()
    ]
    return "\n".join(lines)


def part_file(part: tuple[int, int]) -> str:
    """Name of the file that part i of n writes."""
    return f"{part[0]}-of-{part[1]}.json"


def remove_parts_of_other_cuts(location: str, total: int) -> None:
    """Remove what a build with another number of parts left: its shards have the same names."""
    for file in _part_files(location):
        if not file.endswith(f"-of-{total}.json"):
            storage.remove(storage.join(location, PARTS, file))


def _parts(location: str, set_name: str) -> list[dict[str, Any]]:
    """What all parts of a set wrote, by number. Raises ValueError if they were not built alike."""
    found = {
        _part_name(file): storage.join(location, PARTS, file) for file in _part_files(location)
    }
    for total in sorted({int(name.split("/")[1]) for name in found}):
        names = [f"{i}/{total}" for i in range(1, total + 1)]
        if found.keys() >= set(names):
            parts = [json.loads(storage.read_text(found[name])) for name in names]
            for name, part in zip(names, parts, strict=True):
                require(
                    part.get("made_with") == parts[0].get("made_with"),
                    f"{set_name}: part {name} was built from other data or with other settings "
                    f"than part {names[0]}: build the parts again with the same --data, --path "
                    "and --set",
                )
            return parts
    raise FileNotFoundError(
        f"{set_name}: parts are missing (built: {', '.join(found) or 'none'}): "
        "build the others first"
    )


def _part_files(location: str) -> list[str]:
    return [
        name for name in storage.list_files(storage.join(location, PARTS)) if name.endswith(".json")
    ]


def _part_name(file: str) -> str:
    """`1-of-2.json` the way people write it: 1/2."""
    return file.removesuffix(".json").replace("-of-", "/")


def _clear(out: str, set_name: str, content: Mapping[str, Any]) -> None:
    """Remove what a set needed only while it was built, and what an earlier build left."""
    location = storage.join(out, set_name)
    kept = {storage.INDEX_NAME, QUARANTINE, *(shard["path"] for shard in content["shards"])}
    if content["ground_truth"]:
        kept.add(content["ground_truth"]["file"])
    for folder in (PARTS, PIECES):
        storage.remove(storage.join(location, folder))
    for name in storage.list_files(location):
        if name not in kept:
            storage.remove(storage.join(location, name))
