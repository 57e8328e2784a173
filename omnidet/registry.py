"""Stage 10: detector + Metrics + provenance -> a registered version that never changes.

     <registry>/<name>/<version>/  config.json  model.safetensors  vocabulary/  metrics.json  provenance.json  README.md

A version is written beside its place and moved there in one step: a killed process leaves nothing that looks like one.
Registering the same weights twice gives the version that is there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet.model import bundle

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Version:
    """One registered version."""

    name: str
    number: int
    path: Path

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def metrics(self) -> dict[str, float]:
        """Its numbers when it was registered."""
        content: dict[str, float] = json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        return content

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it came from: hashes of data, vocabulary, weights and code."""
        content: dict[str, Any] = json.loads((self.path / "provenance.json").read_text(encoding="utf-8"))
        return content


def register(
    registry: Path, name: str, model: Path, metrics: Mapping[str, float], provenance: Mapping[str, Any]
) -> tuple[Version, bool]:
    """Register a trained detector as the next version of `name`; the second value is False if it already was one.

    Raises ValueError for a bad name, FileNotFoundError or ValueError for a folder that holds no whole detector.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"model name {name!r}: use lower-case letters, digits, dots, dashes and underscores, 63 at most")
    bundle.load(model)  # refuses a damaged one
    weights = _sha256(model / "model.safetensors")
    for version in versions(registry, name):
        if version.provenance["weights_sha256"] == weights and version.metrics == dict(metrics):
            return version, False
    (registry / name).mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=registry / name, prefix=".stage-"))
    try:
        shutil.copytree(model, stage, dirs_exist_ok=True)
        facts = {**provenance, "weights_sha256": weights}
        _write_json(stage / "metrics.json", dict(metrics))
        _write_json(stage / "provenance.json", facts)
        (stage / "README.md").write_text(_card(name, bundle.read_config(model), metrics, facts), encoding="utf-8")
        stage.chmod(0o755)
        while True:
            number = max((v.number for v in versions(registry, name)), default=0) + 1
            try:
                stage.rename(registry / name / str(number))
            except OSError:  # another process took the number: a folder that is not empty is never replaced
                if not (registry / name / str(number)).exists():
                    raise
            else:
                return Version(name, number, registry / name / str(number)), True
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def versions(registry: Path, name: str) -> list[Version]:
    """All versions of a model, oldest first."""
    folders = [p for p in (registry / name).glob("[0-9]*") if p.name.isdigit()]
    return sorted((Version(name, int(p.name), p) for p in folders), key=lambda v: v.number)


def models(registry: Path) -> list[str]:
    """Names of all registered models."""
    return sorted(p.name for p in registry.glob("*") if p.is_dir() and versions(registry, p.name))


def find(registry: Path, reference: str) -> Version:
    """The version that `name` (its newest) or `name@3` means. Raises ValueError that lists what there is."""
    name, _, number = reference.partition("@")
    found = versions(registry, name)
    if not found:
        raise ValueError(f"no model {name!r} in {registry}: it holds {', '.join(models(registry)) or 'nothing'}")
    for version in found:
        if str(version.number) == number:
            return version
    if number:
        raise ValueError(f"no version {number} of {name!r} in {registry}: it has 1 to {found[-1].number}")
    return found[-1]


def _card(name: str, config: Mapping[str, Any], metrics: Mapping[str, float], facts: Mapping[str, Any]) -> str:
    numbers = "\n".join(f"| {key} | {value:.3f} |" for key, value in metrics.items())
    origin = "\n".join(f"| {key} | `{value}` |" for key, value in facts.items() if isinstance(value, str | int))
    return (
        f"# {name}\n\nAn OmniDet open-vocabulary detector: it finds what any words name.\n\n"
        "```python\nfrom omnidet.inference.detector import OmniDet\n\n"
        'detector = OmniDet.from_pretrained("<this folder>")\n'
        'found = detector.detect([open("picture.jpg", "rb").read()], ["red star", "star left of circle"])\n```\n\n'
        f"Input: {config['model']['image_size']} px square. Names it was trained on: {len(config['names'])}.\n\n"
        f"## Metrics\n\n| metric | value |\n|---|---|\n{numbers}\n\n## Provenance\n\n| | |\n|---|---|\n{origin}\n"
    )


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
