"""What was found in one picture, and the forms in which others want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from omnidet import extras
from omnidet.schema import FloatArray, IntArray

if TYPE_CHECKING:
    import supervision
    from PIL import Image

    from omnidet.inference.pictures import AnyPicture


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first."""

    boxes_xyxy: FloatArray
    """(K, 4) in pixels of the image as a viewer shows it, turned as its EXIF tag says."""
    scores: FloatArray
    """(K,) probabilities."""
    phrase: IntArray
    """(K,) index into `phrases`: what was asked for."""
    width: int
    """Of the image as a viewer shows it, in pixels."""
    height: int
    phrases: tuple[str, ...] = ()
    """What was asked for: the phrases, or the names that stand for several phrases each."""
    matched: tuple[str, ...] = ()
    """(K,) the phrase that each score belongs to."""
    embeddings_KD: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(K, D) region embeddings, which `OmniDet.explain_found` and `like` work with."""
    image: AnyPicture | None = None
    """What was looked at, as it was given."""

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def boxes(self) -> FloatArray:
        """(K, 4) corners x0, y0, x1, y1 in pixels: `boxes_xyxy`."""
        return self.boxes_xyxy

    @property
    def labels(self) -> list[str]:
        """The phrase or name of each detection."""
        return [self.phrases[int(index)] for index in self.phrase]

    def to_dict(self) -> dict[str, Any]:
        """Plain objects that JSON can hold: boxes to a hundredth of a pixel, scores to 1e-6."""
        found = []
        for place, (box, score, label) in enumerate(
            zip(self.boxes_xyxy, self.scores, self.labels, strict=True)
        ):
            entry = {
                "box": [round(float(value), 2) for value in box],
                "score": round(float(score), 6),
                "label": label,
            }
            if self.matched and self.matched[place] != label:
                entry["phrase"] = self.matched[place]
            found.append(entry)
        return {"width": self.width, "height": self.height, "detections": found}

    def to_coco(
        self, image_id: int | str = 0, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO results: `image_id`, `category_id`, `bbox` (x, y, width, height) and `score`.

        Args:
            category_ids: for each label (default: its place among `phrases`, from 1).

        Raises ValueError for a label without an id.
        """
        ids = category_ids
        if ids is None:
            ids = {name: place for place, name in enumerate(self.phrases, start=1)}
        results = []
        for box, score, label in zip(self.boxes_xyxy, self.scores, self.labels, strict=True):
            if label not in ids:
                raise ValueError(f"category_ids has no id for {label!r}: give it one")
            x0, y0, x1, y1 = (float(value) for value in box)
            results.append(
                {
                    "image_id": image_id,
                    "category_id": ids[label],
                    "bbox": [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)],
                    "score": round(float(score), 6),
                }
            )
        return results

    def to_supervision(self) -> supervision.Detections:
        """For the `supervision` package (`pip install 'omnidet[supervision]'`): its annotators,
        trackers and zones. The labels are `data["class_name"]`.

        Raises ImportError that says what to install without the package.
        """
        extras.require("supervision", "supervision")
        import supervision

        return supervision.Detections(
            xyxy=np.asarray(self.boxes_xyxy, np.float32).reshape(-1, 4),
            confidence=np.asarray(self.scores, np.float32),
            class_id=np.asarray(self.phrase, int),
            data={"class_name": np.array(self.labels, dtype=np.str_)},
        )

    def draw(self) -> Image.Image:
        """The picture with boxes and labels.

        Raises ValueError if the picture was not kept.
        """
        from omnidet.inference.drawing import draw

        if self.image is None:
            raise ValueError("these detections have no picture: draw them with drawing.draw")
        return draw(self.image, self, self.phrases)
