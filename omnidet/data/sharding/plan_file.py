"""The plan of a shard folder that is built in parts: the first part writes it, all parts follow it.

It holds what a part could find out only by reading every evaluation set: which sets there are, and
what is held out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from omnidet import config as configuration
from omnidet import storage
from omnidet.data.sharding import build
from omnidet.data.sharding.build import Plan
from omnidet.data.sharding.config import ShardsConfig
from omnidet.data.sharding.held_out import HeldOut
from omnidet.storage import Location

NAME = "plan.json"
"""Name of the file, next to the sets."""
_FREE = ("max_bad_share", "workers", "parts")
"""Fields in which the parts of a build may differ: they change no byte of a shard."""


def write(
    data: Location,
    out: Location,
    config: ShardsConfig,
    paths: Mapping[str, str] | None = None,
    parts: int | None = None,
) -> list[str]:
    """Make a new plan and return the names of the sets.

    Args:
        data: folder of the datasets.
        out: shard folder to build.
        config: what to build.
        paths: folders of single datasets that are elsewhere, by adapter name.
        parts: how many parts every set is split into, if all parts must agree on that.
    """
    planned = build.plan(data, config, paths)
    content = {
        "sets": planned.sets,
        "held_out": json.loads(planned.held_out.to_json()),
        "made_with": _made_with(data, config, paths),
        "is_merged": False,
        "parts": parts,
    }
    storage.write_text(storage.join(out, NAME), json.dumps(content))
    return list(planned.sets)


def read(out: Location) -> Plan:
    """The plan in `out`. Raises FileNotFoundError if there is none."""
    content = _content(out)
    return Plan(tuple(content["sets"]), HeldOut.from_json(json.dumps(content["held_out"])))


def is_needed(out: Location) -> bool:
    """Whether `out` has no plan, or one whose build is done."""
    return not storage.exists(storage.join(out, NAME)) or bool(_content(out).get("is_merged"))


def mark_merged(out: Location) -> None:
    """Note that the build is done. The plan stays: another pipeline run may share the folder."""
    storage.write_text(storage.join(out, NAME), json.dumps(_content(out) | {"is_merged": True}))


def require_same_settings(
    out: Location, data: Location, config: ShardsConfig, paths: Mapping[str, str] | None = None
) -> Plan:
    """The plan in `out`. Raises ValueError if it was made with other settings."""
    before = _content(out).get("made_with", {})
    for name, value in _made_with(data, config, paths).items():
        if before.get(name) != value:
            raise ValueError(
                f"{storage.join(out, NAME)} was made with {name}={before.get(name)!s:.200}, "
                f"not {value!s:.200}: give every part the same --data, --path and --set, or remove "
                "that file to plan again"
            )
    return read(out)


def require_same_data(
    out: Location, data: Location, config: ShardsConfig, paths: Mapping[str, str] | None, parts: int
) -> None:
    """Raise ValueError if the plan in `out` does not fit the data as they are now, or `parts`.

    Compares sets and ids, which takes seconds. Hashing the evaluation images again would take as
    long as planning did.
    """
    plan = require_same_settings(out, data, config, paths)
    planned = _content(out).get("parts")
    if planned not in (None, parts):
        raise ValueError(
            f"{storage.join(out, NAME)} is for {planned} parts, not {parts}: give --part "
            f"I/{planned}, or remove that file to plan again, and build every part again"
        )
    now = build.plan(data, dataclasses.replace(config, hash_images=False), paths)
    if now.sets != plan.sets or now.held_out.benchmarks != plan.held_out.benchmarks:
        raise ValueError(
            f"{storage.join(out, NAME)} was made from other datasets or evaluation images than "
            f"{data} holds now: remove that file to plan again, and build every part again"
        )


def _content(out: Location) -> dict[str, Any]:
    path = storage.join(out, NAME)
    if not storage.exists(path):
        raise FileNotFoundError(
            f"{path} does not exist: build the parts first, for example --part 1/2 and --part 2/2"
        )
    content: dict[str, Any] = json.loads(storage.read_text(path))
    return content


def _made_with(
    data: Location, config: ShardsConfig, paths: Mapping[str, str] | None
) -> dict[str, Any]:
    """What all parts of a build must agree on, with places as they were given."""
    own = {
        f"shards.{name}": value
        for name, value in configuration.describe(config).items()
        if name not in _FREE
    }
    places = {name: folder.rstrip("/") for name, folder in (paths or {}).items()}
    return {"--data": str(data).rstrip("/"), "--path": places, **own}
