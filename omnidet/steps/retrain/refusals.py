"""What became of a training, beside the registry: the same one would end the same way.

<registry>/.refused/<hash>.json     what was trained, by which run, and why the gate refused it, or
                                    as what it was registered
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


@dataclass(frozen=True)
class Known:
    """How an attempt has ended before.

    Attributes:
        run: its folder's name.
        reasons: why the gate refused it.
        registered: the version that it became; empty if it was refused.
    """

    run: str
    reasons: tuple[str, ...]
    registered: str = ""

    def describe(self, attempt: Attempt) -> str:
        """For people."""
        whom = attempt.champion or "a new detector"
        what = f"{attempt.dataset} {attempt.data_version[:12]} for {whom} with these settings"
        if self.registered:
            return (
                f"run {self.run} made {self.registered} of {what} (omnidet models promote "
                f"{self.registered} makes it the champion)"
            )
        return f"the gate refused {what} in run {self.run} ({'; '.join(self.reasons)})"


def remember(
    registry: Location,
    attempt: Attempt,
    run: str,
    reasons: Sequence[str] = (),
    registered: str = "",
) -> None:
    """Note that the gate refused this, or what it was registered as."""
    told = {"run": run, "reasons": list(reasons), "registered": registered}
    content = attempt.describe() | told
    storage.write_text(_place(registry, attempt), json.dumps(content, indent=1) + "\n")


def forget(registry: Location, attempt: Attempt) -> None:
    """Drop what was noted, if anything was."""
    storage.remove(_place(registry, attempt))


def recall(registry: Location, attempt: Attempt) -> Known | None:
    """How this has ended before; None if nobody has noted it."""
    try:
        content = json.loads(storage.read_text(_place(registry, attempt)))
        reasons = tuple(str(reason) for reason in content["reasons"])
        return Known(str(content["run"]), reasons, str(content.get("registered", "")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        place = _place(registry, attempt)
        raise ValueError(f"{place} is not what was written ({error}): remove it") from error


def _place(registry: Location, attempt: Attempt) -> str:
    """Another version of OmniDet may train and judge otherwise."""
    facts = json.dumps([omnidet.__version__, attempt.describe()], sort_keys=True)
    return storage.join(registry, FOLDER, f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json")
