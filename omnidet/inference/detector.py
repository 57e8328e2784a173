"""A trained detector to ask for anything: images and any words in, boxes out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError
from torch import Tensor

from omnidet import boxes
from omnidet.data.reading.quarantine import MAX_PIXELS
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.example import Example
from omnidet.data.transforms.letterbox import letterbox
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.defaults import MAX_DETECTIONS
from omnidet.inference.search import best_pairs
from omnidet.model import bundle
from omnidet.model.detector import Detector
from omnidet.schema import FloatArray, IntArray, Record


@dataclass(frozen=True, eq=False)
class Prompt:
    """A list of words, encoded once."""

    phrases: tuple[str, ...]
    rows_PD: Tensor
    biases_P: Tensor


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first."""

    boxes_xyxy: FloatArray
    """(K, 4) in pixels of the image."""
    scores: FloatArray
    """(K,) probabilities."""
    phrase: IntArray
    """(K,) index into the words that were asked for."""


class OmniDet:
    """The detector as users hold it."""

    def __init__(self, detector: Detector, vocabulary: Vocabulary, config: dict[str, Any]) -> None:
        self.detector, self.vocabulary, self.config = detector.eval(), vocabulary, config
        self.image_size = (
            detector.config.image_size
        )  # of large pictures: `ModelConfig.side` tells it for others

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> OmniDet:
        """The detector in a folder: a registered version, or what training wrote.

        Raises FileNotFoundError or ValueError that names what does not fit.
        """
        detector, vocabulary, config = bundle.load(Path(folder))
        return cls(detector.to(device), vocabulary, config)

    @torch.inference_mode()
    def prompt(self, phrases: Sequence[str]) -> Prompt:
        """Encode any list of words; what it costs is paid once for any number of images.

        Raises ValueError for an empty phrase.
        """
        table = self.vocabulary.table(phrases).to(self.detector.tokens.biases.device)
        return Prompt(tuple(phrases), *self.detector.phrases(table))

    def detect(
        self,
        images: Sequence[bytes],
        prompt: Prompt | Sequence[str],
        max_detections: int = MAX_DETECTIONS,
        threshold: float = 0.0,
    ) -> list[Detections]:
        """The best boxes of each image over all the words.

        The score of a phrase does not depend on what else is asked. A box may be found under several phrases.
        """
        prompt = prompt if isinstance(prompt, Prompt) else self.prompt(prompt)
        found = []
        for boxes_Q4, embeddings_QD in self.regions(images):
            scores, region, phrase = best_pairs(
                embeddings_QD, prompt.rows_PD, prompt.biases_P, max_detections
            )
            kept = scores >= threshold
            chosen = boxes_Q4[region[kept].cpu().numpy()]
            found.append(Detections(chosen, scores[kept].cpu().numpy(), phrase[kept].cpu().numpy()))
        return found

    def locate(
        self, image: bytes, phrases: Sequence[str], top: int = 1
    ) -> list[tuple[FloatArray, FloatArray]]:
        """For each phrase its `top` best boxes (K, 4) in pixels and their scores (K,): the phrase is known to be there."""
        prompt = self.prompt(phrases)
        ((boxes_Q4, embeddings_QD),) = self.regions([image])
        located = []
        for row_PD, bias_P in zip(
            torch.split(prompt.rows_PD, 1), torch.split(prompt.biases_P, 1), strict=True
        ):
            scores, region, _ = best_pairs(embeddings_QD, row_PD, bias_P, top)
            located.append((boxes_Q4[region.cpu().numpy()], scores.cpu().numpy()))
        return located

    @torch.inference_mode()
    def regions(self, images: Sequence[bytes]) -> list[tuple[FloatArray, Tensor]]:
        """Boxes (Q, 4) of each image in its own pixels, and its region embeddings (Q, D)."""
        prepared = [self._prepare(image) for image in images]
        found: dict[int, tuple[FloatArray, Tensor]] = {}
        for side in sorted(
            {len(example.pixels) for example, _ in prepared}
        ):  # pictures of one size go together
            members = [i for i, (example, _) in enumerate(prepared) if len(example.pixels) == side]
            pixels = torch.from_numpy(np.stack([prepared[i][0].pixels for i in members])).permute(
                0, 3, 1, 2
            )
            embeddings_BQD, boxes_BQ4, _ = self.detector.regions(
                pixels.to(self.detector.tokens.biases.device)
            )
            corners_BQ4 = (boxes.cxcywh_to_xyxy(boxes_BQ4) * side).cpu().numpy()
            for i, corners_Q4, embeddings_QD in zip(
                members, corners_BQ4, embeddings_BQD, strict=True
            ):
                example, original = prepared[i]
                found[i] = _to_pixels(corners_Q4, example.record, original), embeddings_QD
        return [found[i] for i in range(len(images))]

    def _prepare(self, image: bytes) -> tuple[Example, tuple[int, int]]:
        width, height = image_size(image)
        record = Record(image=image, width=width, height=height, source="", image_id="")
        side = self.detector.config.side(width, height)
        try:
            decoded = decode(record, side)
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow says of a damaged file
            raise ValueError(f"the image cannot be read as an image: {error}") from error
        return letterbox(decoded, side), (width, height)


def image_size(image: bytes, name: str = "the image", whole: bool = False) -> tuple[int, int]:
    """Width and height. Raises ValueError if it is no image or, if asked for the whole, ends too early or is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(image))
        with opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(
                    f"{opened.width} x {opened.height} pixels are more than {MAX_PIXELS}"
                )
            if whole:
                opened.load()
            return opened.size
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name} cannot be read as an image: it is in no known format, or empty"
        ) from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from error


def upright(image: bytes) -> bytes:
    """The picture as a viewer shows it: turned as its EXIF tag says, and on white where it is transparent."""
    with Image.open(io.BytesIO(image)) as opened:
        if opened.getexif().get(0x0112, 1) == 1 and not opened.has_transparency_data:
            return image
        turned = ImageOps.exif_transpose(opened)
        if turned.has_transparency_data:
            layers = turned.convert("RGBA")
            turned = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
        content = io.BytesIO()
        turned.convert("RGB").save(content, "PNG")
    return content.getvalue()


def draw(image: bytes, found: Detections, phrases: Sequence[str]) -> Image.Image:
    """The image with boxes and labels on it."""
    picture = Image.open(io.BytesIO(image)).convert("RGB")
    scale = max(1.0, 480 / max(picture.size))  # labels are not readable on thumbnails
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    canvas = ImageDraw.Draw(picture)
    for box, score, phrase in zip(found.boxes_xyxy, found.scores, found.phrase, strict=True):
        colour = f"hsl({int(phrase) * 137 % 360}, 90%, 45%)"
        x0, y0, x1, y1 = (float(v) * scale for v in box)
        canvas.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=2)
        label = f"{phrases[int(phrase)]} {score:.2f}"
        left, top, right, bottom = canvas.textbbox((x0, max(0, y0 - 12)), label)
        canvas.rectangle((left, top, right, bottom), fill=colour)
        canvas.text((left, max(0, y0 - 12)), label, fill="white")
    return picture


def _to_pixels(
    boxes_xyxy: FloatArray, letterboxed: Record, original: tuple[int, int]
) -> FloatArray:
    """Boxes in the square -> boxes in the picture that was put into it, clipped to it."""
    width, height = original
    factors = np.array([width / letterboxed.width, height / letterboxed.height] * 2, np.float32)
    clipped: FloatArray = np.clip(
        boxes_xyxy * factors, 0, np.array([width, height] * 2, np.float32)
    )
    return clipped
