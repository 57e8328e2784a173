"""A trained detector as a folder: what evaluation, inference and the registry read.

config.json  model.safetensors  vocabulary/
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from omnidet import config, storage
from omnidet.data.vocabulary import Vocabulary
from omnidet.model import seal
from omnidet.model.confidence import Confidence
from omnidet.model.config import ModelConfig

if TYPE_CHECKING:
    from omnidet.model.detector import Detector

FORMAT_VERSION = 1
WRITTEN = ("config.json", "model.safetensors", "vocabulary/", "training.jsonl")
"""What stands in the folder of a trained detector, with the log of its training."""


def save(
    folder: Path,
    detector: Detector,
    vocabulary: Vocabulary,
    names: list[str],
    facts: Mapping[str, Any],
    confidence: Confidence | None = None,
) -> None:
    """Write the bundle into an existing folder.

    Args:
        names: class names that the detector was trained on, which are asked for when a caller names
            nothing.
        facts: provenance, written into `config.json`.
        confidence: what scores mean, if that was fitted; written with its hash.
    """
    from safetensors.torch import save_file

    content = {
        "format_version": FORMAT_VERSION,
        "model": config.describe(detector.config),
        "vocabulary_hash": vocabulary.content_hash,
        "names": names,
        **(confidence.to_config() if confidence else {}),
        "provenance": dict(facts),
    }
    try:
        save_file(
            # Copies: layers may share a tensor (CoaT's positions), which safetensors refuses.
            {k: v.detach().cpu().contiguous().clone() for k, v in detector.state_dict().items()},
            folder / "model.safetensors",
        )
    except SafetensorError as error:  # safetensors raises this when the disk is full
        raise OSError(
            f"{folder} cannot be written ({error}): make room there and run the same command again"
        ) from error
    content["weights_sha256"] = storage.sha256(folder / "model.safetensors")
    (folder / "vocabulary").mkdir()
    vocabulary.save(folder / "vocabulary")
    (folder / "config.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The content of `config.json`. Raises FileNotFoundError or ValueError with the remedy."""
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is not a trained detector, for it has no config.json: "
            "train one, or give a registered version"
        )
    seal.check(folder, "config.json")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): the bundle is damaged") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, and this program reads {FORMAT_VERSION}: "
            "use the program that wrote it, or train again"
        )
    keys = ("model", "vocabulary_hash", "weights_sha256", "names", "provenance")
    lacking = [key for key in keys if key not in content]
    if lacking:
        raise ValueError(f"{path} lacks {', '.join(lacking)}: the bundle is damaged")
    return content


def check(folder: Path) -> tuple[Vocabulary, dict[str, Any]]:
    """The vocabulary and the content of `config.json`, if all files are those that training wrote.

    Does not need torch. Raises FileNotFoundError or ValueError, which names what does not fit.
    """
    content = read_config(folder)
    sealed = seal.check(folder)
    vocabulary = Vocabulary.load(folder / "vocabulary")
    if vocabulary.content_hash != content["vocabulary_hash"]:
        raise ValueError(
            f"{folder}/vocabulary is not the one that the detector was trained with: "
            "its content hash does not fit"
        )
    config.parse(ModelConfig, content["model"])
    try:
        Confidence.of(content)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}: fetch or train the detector again") from error
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise FileNotFoundError(f"{weights} does not exist: fetch or train the detector again")
    digest = sealed.get(weights.name) or storage.sha256(weights)
    if digest != content["weights_sha256"]:
        raise ValueError(
            f"{weights} is corrupt: its hash is not the one in config.json; "
            "fetch or train the detector again"
        )
    return vocabulary.with_names(content["names"]), content


def load(folder: Path) -> tuple[Detector, Vocabulary, dict[str, Any]]:
    """The detector (in evaluation mode, on the CPU), its vocabulary and `config.json`'s content.

    Raises FileNotFoundError or ValueError, which names what does not fit.
    """
    from safetensors.torch import load_file

    from omnidet.model.detector import Detector

    vocabulary, content = check(folder)
    model_config = config.parse(ModelConfig, content["model"])
    backbone = model_config.backbone.without_weights()  # the bundle has them
    detector = Detector(dataclasses.replace(model_config, backbone=backbone), vocabulary.num_tokens)
    try:
        detector.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"{folder}/model.safetensors does not fit its config.json: {reason}"
        ) from error
    return detector.eval(), vocabulary, content
