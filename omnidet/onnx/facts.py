"""What an exported model says of itself, so that a runner needs nothing else.

It is in the metadata of `model.onnx` under the key `omnidet`, as JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from omnidet.config import require
from omnidet.inference.defaults import THRESHOLD

KEY = "omnidet"
"""In the metadata of an ONNX model, and the name of the extra file in a `.pt2`."""
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Facts:
    """How pictures become input, and what the output means."""

    image_size: int
    """Side in pixels of the square that large pictures are scaled to."""
    least_size: int
    """Side of the smallest square; equal to `image_size` if all pictures get the same."""
    size_multiple: int
    """What a side must be a multiple of."""
    padding: int
    """Grey level of the part of the square, right or below, that the picture does not fill."""
    mean: tuple[float, ...]
    """Of each colour on the scale 0 to 255. The model itself normalises: its input is uint8."""
    std: tuple[float, ...]
    any_size: bool
    """Whether the model takes any multiple of `size_multiple`, or squares of `image_size` alone."""
    words: tuple[str, ...]
    """The words that are folded in, one for each column of `scores`; empty for any words."""
    blocks: tuple[int, ...]
    """Blocks of the vocabulary: `omnidet.data.vocabulary.Vocabulary`."""
    model: str
    """What was exported: NAME version N, or the folder's name."""
    weights_sha256: str
    """Of the weights that were exported."""
    precision: str
    """float32 or int8."""
    names: tuple[str, ...] = ()
    """Class names that the vocabulary knows."""
    own_names: tuple[str, ...] = ()
    """What the detector was trained on: looked for if nothing is asked."""
    line: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Scale and offsets that make logits probabilities: `omnidet.model.confidence.Line`. Already in
    the model where words are folded in."""
    threshold: float = THRESHOLD
    """Least score that is shown unless another is asked for."""
    layout: str = "images: uint8 RGB (batch, 3, height, width), the picture in the upper left"
    boxes: str = "x0, y0, x1, y1 as shares of the input's width and height"
    resizing: str = "longer side to the square, bilinear, antialiased where it shrinks"
    format_version: int = FORMAT_VERSION

    def side(self, width: int, height: int) -> int:
        """Side of the square that a picture of that size is placed in."""
        own = -(-max(width, height) // self.size_multiple) * self.size_multiple
        return min(max(own, self.least_size), self.image_size)

    def to_json(self) -> str:
        """The text that is stored."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, name: str) -> Facts:
        """What `to_json` wrote. Raises ValueError that names the file."""
        try:
            content: dict[str, Any] = json.loads(text)
            version = content["format_version"]
            require(
                version == FORMAT_VERSION,
                f"it has format version {version}, and this program reads {FORMAT_VERSION}",
            )
            lists = {key: tuple(v) for key, v in content.items() if isinstance(v, list)}
            return cls(**{**content, **lists})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{name} cannot be used ({error}): export the detector again"
            ) from error
