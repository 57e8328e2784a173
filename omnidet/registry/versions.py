"""Versions that never change, and aliases that point to them, in a local folder or an object store.

    <registry>/<name>/<number>/
        config.json  model.safetensors  vocabulary/  metrics.json  provenance.json  README.md
        version.json                     hashes of all the others: publish.py
    <registry>/<name>/aliases/champion/00000001.json
                                         what the alias points to: pointers.py
    <registry>/<name>/promoted/champion/00000001.json
                                         a copy, so that a lost alias is not taken for none

Everything is read from these files: no index next to them could say otherwise. A number belongs to
one registration. Registering the same detector with the same metrics again gives the same version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

from omnidet import storage
from omnidet.model import bundle
from omnidet.model.seal import INDEX_NAME
from omnidet.registry import pointers
from omnidet.registry.publish import NUMBER, Content, publish
from omnidet.storage import Location

CHAMPION = "champion"
"""The alias of the version in service: what the gate compares with."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TRIES = 50
"""Each failed one means that another caller's change went in."""


@dataclass(frozen=True)
class Version:
    """One registered version.

    Attributes:
        location: its folder, local or `s3://`.
    """

    name: str
    number: int
    location: str

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def metrics(self) -> dict[str, float]:
        """Its metrics when it was registered."""
        content = self._read("metrics.json")
        if not all(type(value) in (int, float) for value in content.values()):
            raise self._damaged("metrics.json", "not numbers by name")
        return content

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it came from: hashes of data, vocabulary, weights and code."""
        return self._read("provenance.json")

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each of its files."""
        content = self._read(INDEX_NAME).get("sha256")
        if not isinstance(content, dict):
            raise self._damaged(INDEX_NAME, "without hashes")
        return content

    def read_config(self) -> dict[str, Any]:
        """Its `config.json`."""
        return self._read("config.json")

    def folder(self, cache: Location = ".cache/models") -> Path:
        """A local folder to load it from: its own, or a copy in `cache`."""
        return storage.local_copy(self.location, cache)

    def check_whole(self) -> None:
        """Raise ValueError if a file differs from what was registered.

        Downloads a version that is on an object store.
        """
        folder = self.folder()
        for name, digest in self.hashes.items():
            if not (folder / name).is_file():
                raise self._damaged(name, "missing")
            if storage.sha256(folder / name) != digest:
                raise self._damaged(name, "not as it was registered")

    def _read(self, name: str) -> dict[str, Any]:
        try:
            stored = storage.read_bytes(storage.join(self.location, name))
            if name != INDEX_NAME and hashlib.sha256(stored).hexdigest() != self.hashes.get(name):
                raise self._damaged(name, "not as it was registered")
            content = json.loads(stored)
        except FileNotFoundError:
            raise self._damaged(name, "missing") from None
        except json.JSONDecodeError as error:
            raise self._damaged(name, f"not JSON ({error})") from error
        except UnicodeDecodeError as error:
            raise self._damaged(name, f"not JSON ({error})") from error
        if not isinstance(content, dict):
            raise self._damaged(name, "not a JSON object")
        return content

    def _damaged(self, name: str, how: str) -> ValueError:
        return ValueError(
            f"{self} is damaged: {storage.join(self.location, name)} is {how}: "
            "restore it from a copy, or remove the folder and register again"
        )


def register(
    registry: Location,
    name: str,
    model: Path,
    metrics: Mapping[str, float],
    provenance: Mapping[str, Any],
) -> tuple[Version, bool]:
    """Register a trained detector as the next version of `name`.

    Returns the version, and False if it existed already.

    Raises ValueError for a bad name, FileNotFoundError or ValueError for a folder that does not
    hold a whole detector.
    """
    check(registry, name)
    _, told = bundle.check(model)
    weights = storage.sha256(model / "model.safetensors")
    for version in versions(registry, name):
        has_same_weights = version.hashes["model.safetensors"] == weights
        if (
            has_same_weights
            and _comparable(version.metrics) == _comparable(metrics)
            and _answering(version.read_config()) == _answering(told)
        ):
            return version, False
    content = Content(name, model, metrics, {**provenance, "weights_sha256": weights}, told)
    return _version(registry, name, publish(registry, content)), True


def check_name(name: str) -> None:
    """Raise ValueError unless `name` can be the name of a model."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"model name {name!r}: use lower-case letters, digits, dots, dashes and underscores, "
            "63 at most"
        )


def check(registry: Location, name: str = "any") -> None:
    """Raise ValueError unless `registry` can be a registry and `name` the name of a model."""
    check_name(name)
    is_other = "://" in str(registry) or storage.is_other_than_folder(Path(registry))
    if not storage.is_s3(registry) and is_other:
        raise ValueError(
            f"registry={registry} is neither a folder nor an s3:// URI: name the registry"
        )


def versions(registry: Location, name: str) -> list[Version]:
    """All versions of a model, oldest first."""
    if not _NAME.fullmatch(name):
        return []
    parts = [path.partition("/") for path in storage.list_files(storage.join(registry, name))]
    numbers = sorted(
        int(first) for first, _, rest in parts if NUMBER.fullmatch(first) and rest == INDEX_NAME
    )
    return [_version(registry, name, number) for number in numbers]


def models(registry: Location) -> list[str]:
    """Names of all registered models."""
    return [name for name in storage.list_folders(registry) if versions(registry, name)]


def find(registry: Location, reference: str) -> Version:
    """The version that `name` (the newest one), `name@3` or `name@champion` means.

    Raises ValueError that lists what the registry holds.
    """
    name, at, which = reference.partition("@")
    is_alias = bool(at) and not NUMBER.fullmatch(which)
    # Before the versions: an alias may be pointed to one that is registered meanwhile.
    known = aliases(registry, name) if is_alias else {}
    found = versions(registry, name)
    if not found:
        held = ", ".join(models(registry))
        if not held:
            raise ValueError(
                f"no model {name!r} in {registry}, which holds none: name another one with "
                "--registry, or make a detector with omnidet finetune FOLDER"
            )
        raise ValueError(f"no model {name!r} in {registry}: it holds {held}")
    if not at:
        return found[-1]
    wanted = str(known.get(which)) if is_alias else which
    for version in found:
        if str(version.number) == wanted:
            return version
    kind = "alias" if is_alias else "version"
    known = known or aliases(registry, name)
    listed = ", ".join(f"{alias} ({number})" for alias, number in known.items()) or "none"
    raise ValueError(
        f"no {kind} {which} of {name!r} in {registry}: "
        f"it has {found[0].number} to {found[-1].number}, and aliases: {listed}"
    )


def aliases(registry: Location, name: str) -> dict[str, int]:
    """The aliases of a model and the number that each points to.

    Raises ValueError if one is lost: set once, and not there any more.
    """
    if not _NAME.fullmatch(name):
        return {}
    found = {
        alias: pointers.read(registry, name, alias) for alias in pointers.names(registry, name)
    }
    return {alias: pointer.version for alias, pointer in found.items() if pointer}


def check_alias(alias: str) -> None:
    """Raise ValueError unless `alias` can be the name of an alias."""
    if not pointers.ALIAS.fullmatch(alias):
        raise ValueError(
            f"alias {alias!r}: use lower-case letters, digits, dots, dashes and underscores, "
            "a letter first"
        )


def promote(
    registry: Location,
    name: str,
    number: int,
    alias: str = CHAMPION,
    expected: int | EllipsisType | None = ...,
) -> Version:
    """Point the alias to a version, and remember the one before.

    Simultaneous callers take effect one after the other.

    Args:
        expected: what the alias must point to until then (None: nothing); `...` accepts anything.
            An alias that points to `number` already is left as it is, so that a step can be tried
            again.

    Raises ValueError if the version does not exist, if the alias could be mistaken for a number,
    and if it does not point to `expected` (any more).
    """
    check_alias(alias)
    version = find(registry, f"{name}@{number}")
    for _ in range(_TRIES):
        is_lost = False
        try:
            before = pointers.read(registry, name, alias)
        except pointers.LostError as error:
            before, is_lost = error.last, True
        current = before.version if before else None
        if current == number and not is_lost:
            return version
        if expected is not ... and current != expected:
            raise ValueError(
                f"{name}@{alias} points to {_target(current)}, not to {_target(expected)} as "
                f"expected: compare {version} with what it points to now, then promote again"
            )
        history = (*before.history, before.version) if before else ()
        if is_lost and current == number:
            history = before.history if before else ()
        if pointers.change(registry, name, alias, before, number, history):
            return version
    raise OSError(
        f"{name}@{alias} in {registry} could not be changed in {_TRIES} tries, because others "
        "keep changing it: try again"
    )


def rollback(registry: Location, name: str, alias: str = CHAMPION) -> Version:
    """Point the alias back to the version before.

    Raises ValueError if there is none, or if another caller changed the alias meanwhile: two
    callers who undo the same step must not undo two.
    """
    is_valid = _NAME.fullmatch(name) and pointers.ALIAS.fullmatch(alias)
    before = pointers.read(registry, name, alias) if is_valid else None
    if before is None:
        known = ", ".join(aliases(registry, name)) or "none"
        raise ValueError(f"no alias {alias} of {name!r} in {registry}: it has aliases: {known}")
    if not before.history:
        raise ValueError(
            f"{name}@{alias} has no version before {before.version}: promote another one"
        )
    version = find(registry, f"{name}@{before.history[-1]}")
    if not pointers.change(registry, name, alias, before, version.number, before.history[:-1]):
        raise ValueError(
            f"{name}@{alias} was changed by another caller at the same moment: "
            "look where it points, then roll back again"
        )
    return version


def _version(registry: Location, name: str, number: int) -> Version:
    return Version(name, number, storage.join(registry, name, str(number)))


def _target(number: int | None) -> str:
    return "nothing" if number is None else f"version {number}"


def _answering(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a detector answers by besides its weights, from its `config.json`."""
    return {key: value for key, value in told.items() if key != "provenance"}


def _comparable(metrics: Mapping[str, float]) -> dict[str, str]:
    """As text, in which NaN equals NaN: it is no reason to register the same again."""
    return {key: str(float(value)) for key, value in metrics.items()}
