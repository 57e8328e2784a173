"""What `--model` and `OmniDet.from_pretrained` name: a folder, a registered version, s3:// or a
model of the Hugging Face hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from omnidet import storage

CACHE = ".cache/models"
HUB = "hf://"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
_REGISTERED = re.compile(r"[^/@]+(@[^/@]+)?")
HUB_FILES = ("config.json", "model.safetensors", "vocabulary/*")
"""All that a detector is loaded from: no code of the hub is fetched, let alone run."""


@dataclass(frozen=True)
class Reference:
    """A detector at hand."""

    folder: Path
    name: str
    version: str = ""
    """Its number if it is registered."""


def find(model: str, registry: storage.Location = "registry") -> Reference:
    """The local folder of a detector, fetched if it is elsewhere.

    Args:
        model: a folder, local or `s3://`; a registered model, NAME@3, NAME@champion, or NAME for
            its champion, without one its newest version; or `OWNER/NAME` of the Hugging Face hub,
            with `@REVISION` if another than the newest is meant. `hf://OWNER/NAME` is the hub's
            even if there is such a folder.
        registry: folder or `s3://` URI.

    Raises ValueError, FileNotFoundError or OSError that names what there is instead.
    """
    if not model.strip():
        raise ValueError("--model is empty: give a folder or the name of a registered model")
    if storage.is_s3(model):
        name = model.rstrip("/").rpartition("/")[2]
        return Reference(storage.local_copy(model, CACHE), name)
    if model.startswith(HUB):
        return _of_hub(model.removeprefix(HUB))
    folder = Path(model)
    if (folder / "config.json").is_file():
        return Reference(folder, folder.resolve().name)
    if _REGISTERED.fullmatch(model):
        return _registered(model, registry)
    if folder.exists() or not _HUB_ID.fullmatch(model) or Path(folder.parts[0]).exists():
        raise FileNotFoundError(
            f"{model} is not a trained detector: it is not a folder with a config.json; "
            "give one, or the name of a registered model"
        )
    return _of_hub(model)


def _registered(model: str, registry: storage.Location) -> Reference:
    from omnidet.registry import versions

    # Not the newest: that one may not have passed the gate, or have been rolled back.
    if "@" not in model and versions.CHAMPION in versions.aliases(registry, model):
        model = f"{model}@{versions.CHAMPION}"
    found = versions.find(registry, model)
    return Reference(found.folder(), found.name, str(found.number))


def _of_hub(model: str) -> Reference:
    """A model of the hub, in the hub's own cache on this machine."""
    import huggingface_hub
    from huggingface_hub import errors

    name, _, revision = model.partition("@")
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision or None, allow_patterns=list(HUB_FILES)
        )
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ValueError(
            f"{name} is neither a folder here nor a model of the Hugging Face hub that you may "
            "read: correct the name, or log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(
            f"{name} has no revision {revision!r} on the Hugging Face hub: correct it"
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise OSError(
            f"{name} is not a folder here, and the Hugging Face hub does not answer "
            f"({type(error).__name__}): correct the name, or try again"
        ) from error
    return Reference(Path(folder), name.rpartition("/")[2], revision)
