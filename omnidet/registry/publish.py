"""Publish a version under the next free number, whole or not at all.

Locally, a finished folder is renamed to its number in one step. On an object store, `CLAIM` is
written if it does not exist yet, and `version.json` after everything else. So a registration that
was killed leaves a hidden folder or a claim, but never a version; its number is not given again.
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
from typing import Any

from omnidet import local_files, local_folders, storage
from omnidet.model import bundle
from omnidet.model.seal import INDEX_NAME
from omnidet.storage import Location

CLAIM_NAME = "CLAIM"
"""On an object store: whoever wrote it owns the number."""
NUMBER = re.compile(r"[1-9][0-9]*")


@dataclass(frozen=True)
class Content:
    """What a version is made of.

    Attributes:
        name: of the model.
        model: folder of the trained detector.
        facts: its provenance.
        config: content of its `config.json`: the detector that was measured, and no other.
    """

    name: str
    model: Path
    metrics: Mapping[str, float]
    facts: Mapping[str, Any]
    config: Mapping[str, Any]


def publish(registry: Location, content: Content) -> int:
    """Write the next version; returns its number."""
    return (_to_store if storage.is_s3(registry) else _to_folder)(registry, content)


def _to_folder(registry: Location, content: Content) -> int:
    """Rename a finished folder to the next free number.

    Renaming replaces only an empty folder, and no version is empty: none is ever replaced.
    """
    folder = Path(registry) / content.name
    with local_files.naming(folder):
        return _to_free_number(registry, content, folder)


def _to_free_number(registry: Location, content: Content, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=".stage-"))
    try:
        _fill(stage, content)
        hashes = _hashes(stage)
        local_folders.give_default_modes(stage)
        number = _next_number(registry, content.name)
        while True:
            (stage / INDEX_NAME).write_bytes(_index(content.name, number, hashes))
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


def _to_store(registry: Location, content: Content) -> int:
    """Claim the next free number, upload, and write last the file that makes it a version."""
    claim = json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode()
    number = _next_number(registry, content.name)
    while not storage.write_bytes_if_absent(
        storage.join(registry, content.name, str(number), CLAIM_NAME), claim
    ):
        number += 1
    target = storage.join(registry, content.name, str(number))
    with storage.staged_directory(target) as stage:
        _fill(stage, content)
        hashes = _hashes(stage)
        (stage / CLAIM_NAME).write_bytes(claim)  # a file missing in the stage would be removed
    storage.write_bytes(storage.join(target, INDEX_NAME), _index(content.name, number, hashes))
    return number


def _next_number(registry: Location, name: str) -> int:
    """One more than the highest number of a version or claim."""
    files = storage.list_files(storage.join(registry, name))
    first_parts = {path.partition("/")[0] for path in files}
    return max((int(part) for part in first_parts if NUMBER.fullmatch(part)), default=0) + 1


def _fill(stage: Path, content: Content) -> None:
    try:
        shutil.copytree(content.model, stage, dirs_exist_ok=True)
        # A model that comes from a registry has the index of its old version.
        (stage / INDEX_NAME).unlink(missing_ok=True)
    except shutil.Error as error:  # it holds a list, an entry for each file
        source, _, reason = error.args[0][0]
        short = reason.partition("] ")[2].partition(": ")[0] or reason
        raise OSError(
            f"{source} cannot be copied to {stage.parent} ({short}): "
            "make room or correct the permissions there, then register again"
        ) from error
    _require_same(stage, content)
    (stage / "metrics.json").write_bytes(_json(dict(content.metrics)))
    (stage / "provenance.json").write_bytes(_json(dict(content.facts)))
    card = _card(content, content.config)
    (stage / "README.md").write_text(card, encoding="utf-8")


def _require_same(copy: Path, content: Content) -> None:
    """Raise OSError if a training wrote another detector there meanwhile: its weights would get the
    metrics of this one.
    """
    try:
        is_same = bundle.check(copy)[1] == content.config
    except (ValueError, FileNotFoundError):  # a part of each
        is_same = False
    if not is_same:
        raise OSError(
            f"{content.model} was written while it was registered: register it again when it is "
            "whole, with the metrics of what is in it then"
        )


def _card(content: Content, config: Mapping[str, Any]) -> str:
    metrics = "\n".join(f"| {name} | {value:.3f} |" for name, value in content.metrics.items())
    origin = "\n".join(
        f"| {key} | `{value}` |"
        for key, value in content.facts.items()
        if isinstance(value, str | int)
    )
    return f"""# {content.name}

An OmniDet open-vocabulary detector: it finds what any words name.

```python
from omnidet import OmniDet

detector = OmniDet.from_pretrained("<this folder>")
found = detector.detect("picture.jpg", ["red star", "star left of circle"])
```

Input: {config["model"]["image_size"]} px square. Names it was trained on: {len(config["names"])}.

## Metrics

| metric | value |
|---|---|
{metrics}

## Provenance

| | |
|---|---|
{origin}
"""


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): storage.sha256(path) for path in files}


def _index(name: str, number: int, hashes: Mapping[str, str]) -> bytes:
    return _json({"name": name, "number": number, "sha256": hashes})


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
