"""Exported toy detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests import toys


@dataclass(frozen=True)
class Exported:
    """Folders of a detector and of what was exported from it."""

    bundle: Path
    onnx: Path
    lines: tuple[str, ...]
    """What the export said."""


def export(folder: Path) -> Exported:
    """Write both into an empty folder."""
    from omnidet.export.config import ExportConfig
    from omnidet.export.write import write
    from omnidet.inference.detector import OmniDet

    bundle = folder / "toy"
    toys.write_bundle(bundle, confidence=toys.CONFIDENCE)
    written = write(OmniDet.from_pretrained(bundle), ExportConfig(), folder / "onnx", "toy")
    return Exported(bundle, folder / "onnx", written.lines)


def pictures(folder: Path) -> list[Path]:
    """Pictures that are scaled up, down and much down, tall and wide, as PNG and JPEG."""
    from PIL import Image

    made = []
    for number, (width, height) in enumerate([(40, 64), (200, 120), (700, 500), (90, 900)]):
        random = np.random.default_rng(number)
        small = random.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        path = folder / f"{number}.{'png' if number % 2 else 'jpg'}"
        picture.save(path)
        made.append(path)
    return made
