"""What `omnidet evaluate --out` wrote, read back: numbers, protocols and the predictions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.evaluation.detections import read_rows
from omnidet.storage import Location

REMEDY = "evaluate the model again"
_PARTS = ("counts", "intervals", "resamples", "per_category_AP", "per_category_interval")
"""The mappings that the details of a benchmark may hold."""


_SEAL, _OWN = "sha256", "index"


@dataclass(frozen=True)
class Stored:
    """The index of an evaluation folder."""

    values: Mapping[str, float]
    """`coco/AP50` and the like."""
    protocols: Mapping[str, str]
    details: Mapping[str, Any]
    sets: Mapping[str, str] = field(default_factory=dict)
    """Hash of the evaluation set of each entry of `details`; older evaluations have none."""


def sealed(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The content of an index with a hash of itself and of every JSON file in the folder."""
    files = {path.name: storage.sha256(path) for path in sorted(folder.glob("*.json"))}
    return {**content, _SEAL: {_OWN: _digest(content), **files}}


def _digest(content: Mapping[str, Any]) -> str:
    """The same before the content was written and after it was read."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read(folder: Location) -> Stored:
    """The index of an evaluation folder.

    Raises:
        FileNotFoundError, ValueError: if it is missing or damaged, with the remedy.
    """
    content = _index(folder, "values", "protocols", "details")
    path = storage.join(folder, storage.INDEX_NAME)
    for name, details in content["details"].items():
        if not isinstance(details, dict) or not all(
            isinstance(details.get(part, {}), dict) for part in _PARTS
        ):
            raise ValueError(f"{path} has details of {name} in another format: {REMEDY}")
        for part, length in (("intervals", 2), ("per_category_interval", 2), ("resamples", None)):
            if not all(_are_numbers(values, length) for values in details.get(part, {}).values()):
                raise ValueError(f"{path} has {part} of {name} that are not numbers: {REMEDY}")
    sets = content.get("sets")
    known = sets if isinstance(sets, dict) else {}
    return Stored(content["values"], content["protocols"], content["details"], known)


def _are_numbers(values: Any, length: int | None) -> bool:
    """Whether the value is None or a list of numbers, some of which may be None."""
    is_list = isinstance(values, list) and all(
        value is None or type(value) in (int, float) for value in values
    )
    return values is None or (is_list and length in (None, len(values)))


def values(folder: Location) -> dict[str, float]:
    """Only the numbers; the folder's index need not hold anything else."""
    found: dict[str, float] = _index(folder, "values")["values"]
    return found


def _index(folder: Location, *fields: str) -> dict[str, Any]:
    path = storage.join(folder, storage.INDEX_NAME)
    if not storage.exists(path):
        raise FileNotFoundError(
            f"{path} does not exist: give a folder that `omnidet evaluate --out` wrote; a run of "
            "`omnidet finetune` has it in runs/finetune/NAME/evaluation"
        )
    try:
        content = json.loads(storage.read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): {REMEDY}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: {REMEDY}")
    seal = content.get(_SEAL)  # evaluations of version 0.1 have none
    if seal is not None:
        rest = {key: value for key, value in content.items() if key != _SEAL}
        if not isinstance(seal, dict) or seal.get(_OWN) != _digest(rest):
            raise ValueError(f"{path} is not as it was written, by its hash: {REMEDY}")
    for part in fields:
        if not isinstance(content.get(part), dict):
            raise ValueError(f"{path} has no {part}: {REMEDY}")
    for name, value in content["values"].items():
        if type(value) not in (int, float):
            raise ValueError(f"{path} says that {name} is {value!r}, not a number: {REMEDY}")
    return content


def rows(folder: Location, set_name: str) -> Iterator[dict[str, Any]]:
    """The predictions of a set, one by one.

    Raises:
        FileNotFoundError, ValueError: if they are missing or damaged, with the remedy.
    """
    path = place(folder, set_name)
    if not storage.exists(path):
        raise FileNotFoundError(f"{path} does not exist: {REMEDY}")
    has_index = storage.exists(storage.join(folder, storage.INDEX_NAME))
    seal = _index(folder, "values").get(_SEAL) if has_index else None
    digest = (seal or {}).get(Path(path).name)
    if digest and hashlib.sha256(storage.read_bytes(path)).hexdigest() != digest:
        raise ValueError(f"{path} is not as it was written, by its hash: {REMEDY}")
    try:
        yield from read_rows(path)
    except ValueError as error:
        raise ValueError(f"{error}: {REMEDY}") from error


def place(folder: Location, set_name: str) -> str:
    """Where the predictions of a set are stored."""
    return storage.join(folder, f"{set_name.replace('/', '_')}.json")
