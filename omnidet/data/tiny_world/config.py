"""How large the tiny world is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class TinyWorld:
    """How much of each dataset to draw."""

    seed: int = 0
    image_size: int = 128
    """Side of each image in pixels."""
    train_images: int = 4000
    """Usable images of COCO train2017. The folder also has held-out and broken ones."""
    val_images: int = 300
    """Images of COCO val2017."""
    lvis_val_from_train: int = 20
    """Images of LVIS val that are in COCO train2017."""
    refcocog_val_images: int = 300
    """Images in COCO train2017 with one plain and one relational expression each."""
    refcocog_test_images: int = 300
    """Images in COCO train2017 with one plain expression each, for a held-out pair."""
    flickr30k_train: int = 1000
    flickr30k_val: int = 100
    flickr30k_test: int = 100
    laion_images: int = 1500
    cc12m_samples: int = 1500
    web_copies: int = 4
    """Re-encoded copies of COCO val2017 images in LAION, and the same number in CC12M."""
    broken: int = 2
    """Broken records of each kind in each dataset."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value < 0:
                raise ValueError(f"TinyWorld.{field.name} is {value}: give 0 or more")
        if self.image_size < 96:
            raise ValueError(
                f"TinyWorld.image_size is {self.image_size}: give at least 96, small shapes need it"
            )
        smallest = max(10, 5 * self.broken)
        for name in ("train_images", "flickr30k_train", "laion_images", "cc12m_samples"):
            if getattr(self, name) < smallest:
                raise ValueError(
                    f"TinyWorld.{name} is {getattr(self, name)}: give at least {smallest}, or "
                    "lower broken"
                )
        if self.val_images < 4 * self.web_copies:
            raise ValueError(
                f"TinyWorld.val_images is {self.val_images}: give at least four times web_copies, "
                f"{self.web_copies}"
            )

    def require_drawable(self) -> None:
        """Raise ValueError if numbers do not fit together, before any scene is drawn."""
        # These images are chosen among the training scenes and as many more as are wanted.
        if self.refcocog_val_images > 2 * self.train_images:
            raise ValueError(
                f"TinyWorld.refcocog_val_images is {self.refcocog_val_images}: give at most twice "
                f"train_images, {self.train_images}, or raise that one"
            )
