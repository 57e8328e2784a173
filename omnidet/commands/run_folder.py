"""Where `omnidet finetune` puts a run: not over what a registered detector needs."""

from __future__ import annotations

import json


def choose(name: str, out: str | None, data_version: str, start: str, replay: str | None) -> str:
    """The folder of a run: `--out`, else `runs/finetune/NAME` or one beside it.

    By itself a run goes neither where shards are that it replays nor where a registered detector
    was made otherwise: the next lesson of that one replays what lies there.

    Args:
        start: the version that is taught; empty for a new detector.
        replay: the shards that are replayed.

    Raises ValueError if the user wants it where shards are that it needs.
    """
    if out:
        needed = sorted(_inside(replay, out) - {f"train/{name}", f"eval/{name}"})
        if needed:
            raise ValueError(
                f"--out {out} holds {needed[0]}, which the detector was trained on and which is "
                "replayed: give another folder"
            )
        return out
    own = f"runs/finetune/{name}"
    beside = f"{own}-{data_version[:8]}"
    last = f"{beside}-{start.replace('@', '-') or 'new'}"
    for folder in (own, beside):
        if not _inside(replay, folder) and not _is_taken(folder, data_version, start):
            return folder
    return last


def _inside(replay: str | None, folder: str) -> set[str]:
    """The sets of the shards to replay that lie in the folder."""
    from omnidet import storage
    from omnidet.data import shards

    if not replay:
        return set()
    index = shards.read_index(replay)
    return {
        set_name
        for set_name, own in index.sets.items()
        if any(storage.is_inside(storage.join(index.location, s.path), folder) for s in own)
    }


def _is_taken(folder: str, data_version: str, start: str) -> bool:
    """Whether a detector was made there of other data, or from another version, and is still
    registered."""
    from omnidet import storage
    from omnidet.registry.versions import Version
    from omnidet.steps.retrain import TAUGHT

    receipt = storage.join(folder, "registered.json")
    if not storage.exists(receipt):
        return False
    content = json.loads(storage.read_text(receipt))
    name, _, number = content["version"].partition("@")
    version = Version(name, int(number), content["location"])
    if not storage.exists(storage.join(version.location, "provenance.json")):
        return False
    lesson = (version.provenance.get(TAUGHT) or [{}])[-1]
    return (lesson.get("data_version"), lesson.get("from")) != (data_version, start)
