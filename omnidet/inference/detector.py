"""A trained detector to ask for anything: images and any words in, boxes out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from omnidet import boxes
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference import pictures
from omnidet.inference.defaults import MAX_DETECTIONS
from omnidet.inference.pictures import AnyPicture, Picture
from omnidet.inference.question import checked_phrases, checked_threshold, hint
from omnidet.inference.search import best_pairs
from omnidet.model import bundle
from omnidet.model.detector import Detector
from omnidet.schema import FloatArray, IntArray, Record


@dataclass(frozen=True, eq=False)
class Prompt:
    """A list of phrases, encoded once."""

    phrases: tuple[str, ...]
    rows_PD: Tensor
    biases_P: Tensor


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first."""

    boxes_xyxy: FloatArray
    """(K, 4) in pixels of the image as a viewer shows it, turned as its EXIF tag says."""
    scores: FloatArray
    """(K,) probabilities."""
    phrase: IntArray
    """(K,) index into the phrases that were asked for."""
    width: int
    """Of the image as a viewer shows it, in pixels."""
    height: int


class OmniDet:
    """The detector as users hold it.

    Images are given as a file's path, its bytes, a PIL image, or RGB pixels (height, width, 3) of
    uint8. They are seen as a viewer shows them: turned as their EXIF tag says, on white where they
    are transparent, and with more than 8 bits a channel scaled to 8.
    """

    def __init__(self, detector: Detector, vocabulary: Vocabulary, config: dict[str, Any]) -> None:
        self.detector, self.vocabulary, self.config = detector.eval(), vocabulary, config
        self.image_size = detector.config.image_size
        """Side of the square that large images are scaled to; `ModelConfig.side` has that of
        others.
        """

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> OmniDet:
        """The detector in a folder: a registered version, or what training wrote.

        Raises FileNotFoundError or ValueError that names what does not fit.
        """
        detector, vocabulary, config = bundle.load(Path(folder))
        return cls(detector.to(device), vocabulary, config)

    @torch.inference_mode()
    def prompt(self, phrases: str | Iterable[str]) -> Prompt:
        """Encode any list of phrases; what it costs is paid once for any number of images.

        Raises ValueError for a phrase that is empty or not text.
        """
        checked = checked_phrases(phrases)
        table = self.vocabulary.table(checked).to(self.detector.tokens.biases.device)
        return Prompt(checked, *self.detector.phrases(table))

    @overload
    def detect(  # type: ignore[overload-overlap]  # text is a sequence of texts: here it is a path
        self,
        images: AnyPicture,
        prompt: Prompt | str | Iterable[str],
        max_detections: int = ...,
        threshold: float = ...,
    ) -> Detections: ...
    @overload
    def detect(
        self,
        images: Sequence[AnyPicture],
        prompt: Prompt | str | Iterable[str],
        max_detections: int = ...,
        threshold: float = ...,
    ) -> list[Detections]: ...
    def detect(
        self,
        images: AnyPicture | Sequence[AnyPicture],
        prompt: Prompt | str | Iterable[str],
        max_detections: int = MAX_DETECTIONS,
        threshold: float = 0.0,
    ) -> Detections | list[Detections]:
        """The best boxes of each image over all the phrases.

        The score of a phrase does not depend on what else is asked. A box may be found under
        several phrases.

        Args:
            images: one image, or a list of them: the answer is one `Detections`, or a list.
            prompt: one phrase, a list of them, or what `prompt` made of them. A phrase that reads
                like a list of several ("cat, dog") is searched for as it is, with a warning.
            max_detections: for each image.
            threshold: lowest score, from 0 to 1.

        Raises ValueError or FileNotFoundError that names the image, phrase or threshold that is
        wrong.
        """
        threshold = checked_threshold(threshold)
        if not isinstance(prompt, Prompt):
            prompt = self.prompt(prompt)
            if several := hint(prompt.phrases):
                warnings.warn(several, stacklevel=2)
        if pictures.is_one(images):
            picture = pictures.read(images)  # type: ignore[arg-type]  # `is_one` has looked
            return self._detect([picture], prompt, max_detections, threshold)[0]
        return self._detect(_read_all(images), prompt, max_detections, threshold)

    def _detect(
        self, opened: Sequence[Picture], prompt: Prompt, max_detections: int, threshold: float
    ) -> list[Detections]:
        found = []
        for picture, (boxes_Q4, embeddings_QD) in zip(opened, self._regions(opened), strict=True):
            scores, region, phrase = best_pairs(
                embeddings_QD, prompt.rows_PD, prompt.biases_P, max_detections
            )
            kept = scores >= threshold
            found.append(
                Detections(
                    boxes_Q4[region[kept].cpu().numpy()],
                    scores[kept].cpu().numpy(),
                    phrase[kept].cpu().numpy(),
                    picture.width,
                    picture.height,
                )
            )
        return found

    def locate(
        self, image: AnyPicture, phrases: str | Iterable[str], top: int = 1
    ) -> list[tuple[FloatArray, FloatArray]]:
        """For each phrase, which is known to be in the image, its `top` best boxes.

        Returns:
            For each phrase the boxes (K, 4) in pixels, and their scores (K,).
        """
        prompt = self.prompt(phrases)
        ((boxes_Q4, embeddings_QD),) = self._regions([pictures.read(image)])
        located = []
        for row_PD, bias_P in zip(
            torch.split(prompt.rows_PD, 1), torch.split(prompt.biases_P, 1), strict=True
        ):
            scores, region, _ = best_pairs(embeddings_QD, row_PD, bias_P, top)
            located.append((boxes_Q4[region.cpu().numpy()], scores.cpu().numpy()))
        return located

    def regions(self, images: Sequence[AnyPicture]) -> list[tuple[FloatArray, Tensor]]:
        """Boxes (Q, 4) of each image in its own pixels, and its region embeddings (Q, D)."""
        return self._regions(_read_all(images))

    @torch.inference_mode()
    def _regions(self, opened: Sequence[Picture]) -> list[tuple[FloatArray, Tensor]]:
        sides = [self.detector.config.side(picture.width, picture.height) for picture in opened]
        prepared = [picture.letterboxed(side) for picture, side in zip(opened, sides, strict=True)]
        found: dict[int, tuple[FloatArray, Tensor]] = {}
        for side in sorted(set(sides)):  # images of one size go through the detector together
            members = [i for i, own in enumerate(sides) if own == side]
            stacked_BHWC = np.stack([prepared[i].pixels for i in members])
            pixels_BCHW = torch.from_numpy(stacked_BHWC).permute(0, 3, 1, 2)
            embeddings_BQD, boxes_BQ4, _ = self.detector.regions(
                pixels_BCHW.to(self.detector.tokens.biases.device)
            )
            corners_BQ4 = (boxes.cxcywh_to_xyxy(boxes_BQ4) * side).cpu().numpy()
            for i, corners_Q4, embeddings_QD in zip(
                members, corners_BQ4, embeddings_BQD, strict=True
            ):
                in_pixels_Q4 = _to_pixels(corners_Q4, prepared[i].record, opened[i])
                found[i] = in_pixels_Q4, embeddings_QD
        return [found[i] for i in range(len(opened))]


def _read_all(images: Any) -> list[Picture]:
    """The images of a list. Raises ValueError that names the one that cannot be read."""
    if not isinstance(images, Iterable):
        raise ValueError(
            f"images are of type {type(images).__name__}: give a file's path, its bytes, "
            "a PIL image or an array of RGB pixels, or a list of them"
        )
    given = list(images)
    if len(given) == 1:
        return [pictures.read(given[0])]
    return [pictures.read(image, f"image {number}") for number, image in enumerate(given)]


def _to_pixels(boxes_xyxy: FloatArray, letterboxed: Record, picture: Picture) -> FloatArray:
    """Boxes in the square -> boxes in the picture that was put into it, clipped to it."""
    width, height = picture.width, picture.height
    factors = np.array([width / letterboxed.width, height / letterboxed.height] * 2, np.float32)
    limits = np.array([width, height] * 2, np.float32)
    clipped: FloatArray = np.clip(boxes_xyxy * factors, 0, limits)
    return clipped
