"""Versions that never change, and aliases that point to them, in a local folder or on an object store.

    <registry>/<name>/<number>/  config.json  model.safetensors  vocabulary/  metrics.json  provenance.json  README.md
                                 version.json (hashes of all the others)
    <registry>/<name>/aliases/champion/00000001.json    what the alias points to: pointers.py

A number belongs to one registration. Locally the whole folder is moved onto it in one step. On an object store `CLAIM` is put
under it where there is none, and `version.json` last of all. A killed registration leaves something hidden, or a claim: no
version, and its number is not given again. What there is, is read from these files: no index beside them could say otherwise.

Registering the same weights with the same metrics gives the version that is there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

from omnidet import local_files, storage
from omnidet.model import bundle
from omnidet.registry import pointers
from omnidet.storage import Location

CHAMPION = "champion"
"""The alias of the version in service: what the gate compares with."""
INDEX_NAME = "version.json"
"""The file that makes a numbered folder a version."""
CLAIM_NAME = "CLAIM"
"""On an object store: whoever put it there owns the number."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NUMBER = re.compile(r"[1-9][0-9]*")
_TRIES = 50
"""Each failed one means that another caller's change went in."""


@dataclass(frozen=True)
class Version:
    """One registered version."""

    name: str
    number: int
    location: str
    """Its folder, local or `s3://`."""

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def metrics(self) -> dict[str, float]:
        """Its numbers when it was registered."""
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
            raise self._damaged(INDEX_NAME, "no hashes")
        return content

    def folder(self, cache: Location = ".cache/models") -> Path:
        """A local folder to load it from: its own, or a copy in `cache`."""
        return storage.local_copy(self.location, cache)

    def check_whole(self) -> None:
        """Raise ValueError where a file is not as it was registered. Fetches a version of an object store."""
        folder = self.folder()
        for name, digest in self.hashes.items():
            if not (folder / name).is_file() or storage.sha256(folder / name) != digest:
                raise self._damaged(
                    name, "not as it was registered" if (folder / name).is_file() else "missing"
                )

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads(storage.read_text(storage.join(self.location, name)))
        except FileNotFoundError:
            raise self._damaged(name, "missing") from None
        except ValueError as error:
            raise self._damaged(name, f"not JSON ({error})") from error
        if not isinstance(content, dict):
            raise self._damaged(name, "no JSON object")
        return content

    def _damaged(self, name: str, how: str) -> ValueError:
        return ValueError(
            f"{self} is damaged: {storage.join(self.location, name)} is {how}: restore it from a copy, or remove the folder "
            "and register again"
        )


def register(
    registry: Location,
    name: str,
    model: Path,
    metrics: Mapping[str, float],
    provenance: Mapping[str, Any],
) -> tuple[Version, bool]:
    """Register a trained detector as the next version of `name`; the second value is False if it already was one.

    Raises ValueError for a bad name, FileNotFoundError or ValueError for a folder that holds no whole detector.
    """
    check(registry, name)
    bundle.check(model)
    weights = storage.sha256(model / "model.safetensors")
    for version in versions(registry, name):
        if version.hashes["model.safetensors"] == weights and _comparable(
            version.metrics
        ) == _comparable(metrics):
            return version, False
    facts = {**provenance, "weights_sha256": weights}
    publish = _publish_to_store if storage.is_s3(registry) else _publish_locally
    number = publish(registry, name, model, metrics, facts)
    return Version(name, number, storage.join(registry, name, str(number))), True


def check(registry: Location, name: str = "any") -> None:
    """Raise ValueError for a registry that can be none, or the name of a model that cannot be one."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"model name {name!r}: use lower-case letters, digits, dots, dashes and underscores, 63 at most"
        )
    is_folder = "://" not in str(registry) and (
        Path(registry).is_dir() or not Path(registry).exists()
    )
    if not storage.is_s3(registry) and not is_folder:
        raise ValueError(f"registry={registry} is neither folder nor s3:// URI: name the registry")


def versions(registry: Location, name: str) -> list[Version]:
    """All versions of a model, oldest first."""
    if not _NAME.fullmatch(name):
        return []
    parts = [path.partition("/") for path in storage.list_files(storage.join(registry, name))]
    numbers = sorted(
        int(first) for first, _, rest in parts if _NUMBER.fullmatch(first) and rest == INDEX_NAME
    )
    return [Version(name, number, storage.join(registry, name, str(number))) for number in numbers]


def models(registry: Location) -> list[str]:
    """Names of all registered models."""
    return [name for name in storage.list_folders(registry) if versions(registry, name)]


def find(registry: Location, reference: str) -> Version:
    """The version that `name` (its newest), `name@3` or `name@champion` means. Raises ValueError that lists what there is."""
    name, at, which = reference.partition("@")
    found = versions(registry, name)
    if not found:
        raise ValueError(
            f"no model {name!r} in {registry}: it holds {', '.join(models(registry)) or 'nothing'}"
        )
    if not at:
        return found[-1]
    pointers = aliases(registry, name)
    wanted = which if _NUMBER.fullmatch(which) else str(pointers.get(which))
    for version in found:
        if str(version.number) == wanted:
            return version
    kind = "version" if _NUMBER.fullmatch(which) else "alias"
    known = ", ".join(f"{alias} ({number})" for alias, number in pointers.items()) or "none"
    raise ValueError(
        f"no {kind} {which} of {name!r} in {registry}: it has {found[0].number} to {found[-1].number}, and aliases: {known}"
    )


def aliases(registry: Location, name: str) -> dict[str, int]:
    """The aliases of a model and the number that each points to."""
    if not _NAME.fullmatch(name):
        return {}
    found = {
        alias: pointers.read(registry, name, alias) for alias in pointers.names(registry, name)
    }
    return {alias: pointer.version for alias, pointer in found.items() if pointer}


def check_alias(alias: str) -> None:
    """Raise ValueError for an alias that cannot be one."""
    if not pointers.ALIAS.fullmatch(alias):
        raise ValueError(
            f"alias {alias!r}: use lower-case letters, digits, dots, dashes and underscores, a letter first"
        )


def promote(
    registry: Location,
    name: str,
    number: int,
    alias: str = CHAMPION,
    expected: int | EllipsisType | None = ...,
) -> Version:
    """Point the alias to a version, and remember the one before. Callers at once come one after the other.

    Args:
        expected: what the alias must point to until then (None: nothing); left out, whatever it points to. An alias that
            points to `number` already is left as it is, so that a step that is tried again ends well.

    Raises ValueError for a version that is not there, an alias that could be taken for a number, or one that does not point
    to `expected` (any more).
    """
    check_alias(alias)
    version = find(registry, f"{name}@{number}")
    for _ in range(_TRIES):
        before = pointers.read(registry, name, alias)
        current = before.version if before else None
        if current == number:
            return version
        if expected is not ... and current != expected:
            raise ValueError(
                f"{name}@{alias} points to {_said(current)}, not to {_said(expected)} as expected: compare {version} with what "
                "it points to now, then promote again"
            )
        history = (*before.history, before.version) if before else ()
        if pointers.change(registry, name, alias, before, number, history):
            return version
    raise OSError(
        f"{name}@{alias} in {registry} could not be written {_TRIES} times: others change it all the time; try again"
    )


def rollback(registry: Location, name: str, alias: str = CHAMPION) -> Version:
    """Point the alias back to the version before.

    Raises ValueError where there is none, or where another caller changed the alias meanwhile: two who undo the same step do
    not undo two.
    """
    before = (
        pointers.read(registry, name, alias)
        if _NAME.fullmatch(name) and pointers.ALIAS.fullmatch(alias)
        else None
    )
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
            f"{name}@{alias} was changed by another in this moment: look where it points, then roll back again"
        )
    return version


def _said(number: int | None) -> str:
    return "nothing" if number is None else f"version {number}"


def _publish_locally(
    registry: Location,
    name: str,
    model: Path,
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
) -> int:
    """Move a finished folder onto the next free number: one that is taken is not empty, and such a one is never replaced."""
    folder = Path(registry) / name
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=".stage-"))
    try:
        _fill(stage, name, model, metrics, facts)
        hashes = _hashes(stage)
        local_files.give_default_modes(stage)
        number = _next_number(registry, name)
        while True:
            _write_json(stage / INDEX_NAME, {"name": name, "number": number, "sha256": hashes})
            try:
                stage.rename(folder / str(number))
            except OSError:
                if not (folder / str(number)).exists():
                    raise
                number += 1
            else:
                return number
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish_to_store(
    registry: Location,
    name: str,
    model: Path,
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
) -> int:
    """Claim the next free number, upload, and say last that it is a version."""
    claim = json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode()
    number = _next_number(registry, name)
    while not storage.write_bytes_if_absent(
        storage.join(registry, name, str(number), CLAIM_NAME), claim
    ):
        number += 1
    target = storage.join(registry, name, str(number))
    with storage.staged_directory(target) as stage:
        _fill(stage, name, model, metrics, facts)
        hashes = _hashes(stage)
        (stage / CLAIM_NAME).write_bytes(claim)  # what is not in the stage would be removed
    storage.write_bytes(
        storage.join(target, INDEX_NAME), _json({"name": name, "number": number, "sha256": hashes})
    )
    return number


def _next_number(registry: Location, name: str) -> int:
    """One more than any number that a version or a claim has."""
    first_parts = {
        path.partition("/")[0] for path in storage.list_files(storage.join(registry, name))
    }
    return max((int(part) for part in first_parts if _NUMBER.fullmatch(part)), default=0) + 1


def _fill(
    stage: Path, name: str, model: Path, metrics: Mapping[str, float], facts: Mapping[str, Any]
) -> None:
    shutil.copytree(model, stage, dirs_exist_ok=True)
    _write_json(stage / "metrics.json", dict(metrics))
    _write_json(stage / "provenance.json", dict(facts))
    (stage / "README.md").write_text(
        _card(name, bundle.read_config(model), metrics, facts), encoding="utf-8"
    )


def _card(
    name: str, config: Mapping[str, Any], metrics: Mapping[str, float], facts: Mapping[str, Any]
) -> str:
    numbers = "\n".join(f"| {key} | {value:.3f} |" for key, value in metrics.items())
    origin = "\n".join(
        f"| {key} | `{value}` |" for key, value in facts.items() if isinstance(value, str | int)
    )
    return (
        f"# {name}\n\nAn OmniDet open-vocabulary detector: it finds what any words name.\n\n"
        "```python\nfrom omnidet.inference.detector import OmniDet\n\n"
        'detector = OmniDet.from_pretrained("<this folder>")\n'
        'found = detector.detect([open("picture.jpg", "rb").read()], ["red star", "star left of circle"])\n```\n\n'
        f"Input: {config['model']['image_size']} px square. Names it was trained on: {len(config['names'])}.\n\n"
        f"## Metrics\n\n| metric | value |\n|---|---|\n{numbers}\n\n## Provenance\n\n| | |\n|---|---|\n{origin}\n"
    )


def _comparable(metrics: Mapping[str, float]) -> dict[str, str]:
    """As text: NaN is no reason to register the same again."""
    return {key: str(float(value)) for key, value in metrics.items()}


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write_json(path: Path, content: object) -> None:
    path.write_bytes(_json(content))


def _hashes(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): storage.sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
