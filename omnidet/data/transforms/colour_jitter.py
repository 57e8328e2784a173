"""Changes brightness and contrast. Hues stay, since phrases name colours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnidet.config import require
from omnidet.data.transforms.example import Example


@dataclass(frozen=True)
class ColourJitter:
    """Changes each by a random factor around 1, with one table look-up per pixel."""

    kind: ClassVar[str] = "colour_jitter"

    brightness: float = 0.3
    contrast: float = 0.3
    """Each factor is drawn from 1 - x to 1 + x."""

    def __post_init__(self) -> None:
        fits = 0 <= self.brightness < 1 and 0 <= self.contrast < 1
        require(
            fits,
            f"ColourJitter(brightness={self.brightness}, contrast={self.contrast}): "
            "give shares from 0 to below 1",
        )

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        light = random.uniform(1 - self.brightness, 1 + self.brightness)
        spread = random.uniform(1 - self.contrast, 1 + self.contrast)
        levels = ((np.arange(256) - 127.5) * spread + 127.5) * light
        table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        return dataclasses.replace(example, pixels=table[example.pixels])
