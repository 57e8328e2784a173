"""The hashes that a registered version carries: whoever uses the version checks them.

A detector in a folder of its own has none; `bundle` checks what its `config.json` says.
"""

from __future__ import annotations

import json
from pathlib import Path

from omnidet import storage

INDEX_NAME = "version.json"
"""The file that makes a numbered folder a version."""
_UNUSED = ("README.md",)
"""Nothing reads it, and people add to it."""


def check(folder: Path, *names: str) -> dict[str, str]:
    """Hashes by name of the files that were compared with what was registered; none outside of a
    registry.

    Args:
        names: only these files; all by default.

    Raises ValueError if a file differs or is missing.
    """
    index = folder / INDEX_NAME
    if not index.is_file():
        return {}
    try:
        hashes = json.loads(index.read_text(encoding="utf-8"))["sha256"]
        wanted = {name: str(hashes[name]) for name in names or hashes if name not in _UNUSED}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(index, f"not a list of hashes ({error})") from error
    for name, digest in wanted.items():
        if not (folder / name).is_file():
            raise _damaged(folder / name, "missing")
        if storage.sha256(folder / name) != digest:
            raise _damaged(folder / name, "not as it was registered")
    return wanted


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(
        f"{path} is {how}: restore it from a copy, or remove the folder and register again"
    )
