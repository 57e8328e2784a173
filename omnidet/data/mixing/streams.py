"""The streams of a recipe on the data that is really there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from omnidet.data import shards
from omnidet.data.mixing.config import Stream


def with_data(
    streams: Sequence[Stream], index: shards.Index
) -> tuple[tuple[Stream, ...], list[str]]:
    """The streams without the sets that the shard folder lacks, since their datasets were optional.

    Raises ValueError if no stream has data.

    Returns:
        The streams that have data, and a line about each that has none.
    """
    kept, left_out = [], []
    for stream in streams:
        sets = tuple(name for name in stream.sets if name in index.sets)
        if sets:
            kept.append(dataclasses.replace(stream, sets=sets))
        else:
            left_out.append(
                f"stream {stream.name}: left out, for {index.location} has none of "
                f"{', '.join(stream.sets)}"
            )
    if not kept:
        raise ValueError(
            f"{index.location} has no set of any stream of the recipe: "
            f"it holds {', '.join(index.sets)}"
        )
    return tuple(kept), left_out


def class_names(streams: Sequence[Stream], index: shards.Index) -> set[str]:
    """The names of verified label spaces in streams with boxes: what is absent is known there, or
    the evaluation of the same dataset asks for it.

    Where every picture shows all names, as in a dataset of one name, nothing is absent in any.
    """
    sets = dict.fromkeys(name for stream in streams if stream.boxes for name in stream.sets)
    found: set[str] = set()
    for name in sets:
        truth = index.ground_truth.get(f"eval/{name.removeprefix('train/')}", {})
        asked = set(truth.get("names", {}).values())
        for record in shards.texts(index, name):
            if record.absent:
                found.update(record.phrases, record.absent)
            else:
                found.update(asked.intersection(record.phrases))
    return found
