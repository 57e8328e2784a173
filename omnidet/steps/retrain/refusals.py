"""What the gate refused, beside the registry: the same training would be refused again.

<registry>/.refused/<hash>.json     what was trained, by which run, and the reasons
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import omnidet
from omnidet import storage
from omnidet.storage import Location

FOLDER = ".refused"


@dataclass(frozen=True)
class Attempt:
    """What the outcome of a retraining depends on.

    Attributes:
        champion: the version that is taught, as `NAME@3`.
        data_version: hash of the data.
        replay: shards that are replayed; empty for those that the champion was trained on.
    """

    champion: str
    dataset: str
    data_version: str
    recipe: str
    settings: tuple[str, ...]
    replay: str = ""

    def describe(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {**vars(self), "settings": list(self.settings)}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Attempt:
        """What `describe` gave."""
        return cls(**{**content, "settings": tuple(content["settings"])})


def remember(registry: Location, attempt: Attempt, run: str, reasons: Sequence[str]) -> None:
    """Note that the gate refused this."""
    content = {**attempt.describe(), "run": run, "reasons": list(reasons)}
    storage.write_text(_place(registry, attempt), json.dumps(content, indent=1) + "\n")


def forget(registry: Location, attempt: Attempt) -> None:
    """Drop what was noted, if anything was."""
    storage.remove(_place(registry, attempt))


def recall(registry: Location, attempt: Attempt) -> tuple[str, list[str]] | None:
    """The run in which the gate refused this, and its reasons; None if it did not."""
    try:
        content = json.loads(storage.read_text(_place(registry, attempt)))
        return str(content["run"]), [str(reason) for reason in content["reasons"]]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        place = _place(registry, attempt)
        raise ValueError(f"{place} is not what was written ({error}): remove it") from error


def _place(registry: Location, attempt: Attempt) -> str:
    """Another version of OmniDet may train and judge otherwise."""
    facts = json.dumps([omnidet.__version__, attempt.describe()], sort_keys=True)
    return storage.join(registry, FOLDER, f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json")
