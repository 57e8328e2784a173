"""Loading torch and a detector, as fast as a command can."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEMO = "omnidet-tiny-world"
"""Model that `make demo` registers."""


@contextmanager
def loading() -> Iterator[None]:
    """Import torch and load a detector in the block: it takes a quarter less time.

    Imports make a million objects that stay until the process ends. The cyclic garbage collector
    would go through them again and again while they are made, and once more at exit, to free next
    to nothing. For commands only: it changes the collector of the whole process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def model_or_only(model: str | None, registry: str) -> str:
    """What `--model` names; without it the demo's detector, or the only model of a registry that
    does not hold that one.

    Raises ValueError that lists the models where there are several.
    """
    from omnidet.registry import versions

    if model is not None:
        return model
    held = versions.models(registry)
    if not held or DEMO in held:
        return DEMO
    if len(held) > 1:
        raise ValueError(f"{registry} holds {', '.join(held)}: say which one, as --model {held[0]}")
    return held[0]


def find_model(model: str, registry: str) -> tuple[Path, str, str]:
    """Local folder, name and version of what `--model` names; the version of a plain folder is
    empty.

    Args:
        model: a folder, local or `s3://`, a registered model: NAME, NAME@3 or NAME@ALIAS, or
            OWNER/NAME of the Hugging Face hub.
        registry: folder or `s3://` URI.
    """
    from omnidet.inference import references

    found = references.find(model, registry)
    return found.folder, found.name, found.version
