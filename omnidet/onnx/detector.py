"""An exported detector to ask: images and words in, boxes out, as `omnidet.OmniDet` gives them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from omnidet.inference import hints, pictures, pieces
from omnidet.inference.defaults import MAX_DETECTIONS
from omnidet.inference.detections import Detections
from omnidet.inference.overlaps import checked_overlap, one_each
from omnidet.inference.pictures import AnyPicture
from omnidet.inference.question import checked_count, checked_phrases, checked_threshold
from omnidet.onnx import runtime
from omnidet.onnx.best import Best
from omnidet.onnx.facts import KEY, Facts
from omnidet.onnx.words import Words
from omnidet.schema import FloatArray

MODEL = "model.onnx"
"""The file in an exported folder."""
NAMES_AT_ONCE = 4096
"""More words than these are scored outside of the model, so that memory stays bounded."""


class OnnxDetector:
    """A detector that `omnidet export` wrote. It does not need torch."""

    def __init__(self, session: Any, facts: Facts, words: Words | None) -> None:
        """`session` is an `onnxruntime.InferenceSession`; `words` is None if they are folded in."""
        self.session, self.facts, self.words = session, facts, words

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        threads: int = 0,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> OnnxDetector:
        """The detector in a folder that `omnidet export --format onnx` wrote.

        Args:
            path: the folder, or the ONNX file in it.
            threads: of ONNX Runtime; 0 for as many as there are cores.
            providers: what ONNX Runtime computes with, best first.

        Raises FileNotFoundError or ValueError that names what does not fit.
        """
        onnxruntime = runtime.load()
        file = Path(path)
        file = file / MODEL if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} does not exist: write it with `omnidet export --format onnx`"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors: warnings of its optimiser are no one's concern
        try:
            session = onnxruntime.InferenceSession(file, options, providers=list(providers))
        except Exception as error:  # ONNX Runtime's own classes have no public common name
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"{file} cannot be loaded ({reason}): export it again") from error
        stored = session.get_modelmeta().custom_metadata_map.get(KEY)
        if stored is None:
            raise ValueError(
                f"{file} was not written by `omnidet export`: its metadata has no key {KEY!r}"
            )
        facts = Facts.from_json(stored, str(file))
        words = None
        if not facts.words:
            beside = facts.blocks, facts.names, facts.line, facts.weights_sha256
            words = Words.load(file.parent, *beside)
        return cls(session, facts, words)

    @property
    def threshold(self) -> float:
        """Least score that is shown to people unless they ask for another: `OmniDet.threshold`."""
        return self.facts.threshold

    def unknown_words(self, phrase: str) -> tuple[str, ...]:
        """Words of a phrase that mean little to the detector: `OmniDet.unknown_words`. None
        where the words are folded into the model, which has no vocabulary.
        """
        return pieces.unknown_words(self.words.vocabulary, phrase) if self.words else ()

    @overload
    def detect(  # type: ignore[overload-overlap]  # text is a sequence of texts: here it is a path
        self,
        images: AnyPicture,
        phrases: str | Iterable[str] | None = ...,
        max_detections: int = ...,
        threshold: float = ...,
        *,
        no_overlaps: bool | float = ...,
    ) -> Detections: ...
    @overload
    def detect(
        self,
        images: Sequence[AnyPicture],
        phrases: str | Iterable[str] | None = ...,
        max_detections: int = ...,
        threshold: float = ...,
        *,
        no_overlaps: bool | float = ...,
    ) -> list[Detections]: ...
    def detect(
        self,
        images: AnyPicture | Sequence[AnyPicture],
        phrases: str | Iterable[str] | None = None,
        max_detections: int = MAX_DETECTIONS,
        threshold: float = 0.0,
        *,
        no_overlaps: bool | float = False,
    ) -> Detections | list[Detections]:
        """The best boxes of each image over all the phrases.

        Args:
            images: one image, or a list of them: the answer is one `Detections`, or a list.
            phrases: one phrase or a list of them; None asks for the words that are folded into the
                model, or else for the detector's own names.
            max_detections: for each image, 1 or more.
            threshold: lowest score, from 0 to 1.
            no_overlaps: keep only the better of two boxes under one phrase whose intersection over
                union is above .7, or above the share that is given.

        Raises ValueError or FileNotFoundError that names the image, phrase or threshold that is
        wrong.
        """
        how = _How(
            checked_count(max_detections, "max_detections", least=1),
            checked_threshold(threshold),
            checked_overlap(no_overlaps),
        )
        asked = self.asked(phrases)
        vocabulary = self.words.vocabulary if self.words else None
        for line in hints.of_call(vocabulary, asked) if phrases is not None else ():
            warnings.warn(line, stacklevel=2)
        rows = self.words.rows(asked) if self.words else None
        found = [
            self._look(image, name, asked, rows, how) for image, name in pictures.named(images)
        ]
        return found[0] if pictures.is_one(images) else found

    def asked(self, phrases: str | Iterable[str] | None) -> tuple[str, ...]:
        """The phrases that `detect` looks for: those given, those that are folded in, or the
        detector's own names.

        Raises ValueError if the model cannot be asked for them.
        """
        if self.words is None:
            asked = self.facts.words if phrases is None else checked_phrases(phrases)
            if asked != self.facts.words:
                other = next((p for p in asked if p not in self.facts.words), asked)
                raise ValueError(
                    f"{other!r}: {len(self.facts.words)} words are folded into this model, and "
                    "it is asked for all of them, in their order; give no phrases, or export "
                    "without --words"
                )
            return self.facts.words
        if phrases is None and not self.facts.own_names:
            raise ValueError(
                "no phrases: this model takes any words and names none of its own: say which, or "
                "export the detector again if it has names"
            )
        return self.facts.own_names if phrases is None else checked_phrases(phrases)

    def _look(
        self,
        image: Any,
        name: str,
        asked: tuple[str, ...],
        rows: tuple[FloatArray, FloatArray] | None,
        how: _How,
    ) -> Detections:
        picture = pictures.read(image, name)
        side = self.facts.side(picture.width, picture.height)
        square = picture.letterboxed(side, by_pillow=True)
        pixels_1CHW = np.ascontiguousarray(square.pixels.transpose(2, 0, 1)[None])
        shares_Q4, best_of = self._seen(pixels_1CHW, rows)
        boxes_Q4 = picture.unboxed(shares_Q4 * side, square.record)
        best = _chosen(boxes_Q4, best_of, how)
        return Detections(
            boxes_Q4[best.region],
            best.scores,
            best.phrase,
            picture.width,
            picture.height,
            phrases=asked,
            matched=tuple(asked[int(place)] for place in best.phrase),
            image=picture if hasattr(image, "read") else image,  # a stream is at its end now
        )

    def _seen(
        self, pixels_1CHW: Any, rows: tuple[FloatArray, FloatArray] | None
    ) -> tuple[FloatArray, Callable[[int], Best]]:
        """All boxes (Q, 4) as shares of the square, and what gives so many of the best pairs."""
        if rows is None:
            boxes_1Q4, scores_1QP = self.session.run(["boxes", "scores"], {"images": pixels_1CHW})
            return boxes_1Q4[0], lambda most: Best.of(scores_1QP[0], most)
        rows_PD, biases_P = rows
        first = {"rows": rows_PD[:NAMES_AT_ONCE], "biases": biases_P[:NAMES_AT_ONCE]}
        boxes_1Q4, scores_1QP, embeddings_1QD = self.session.run(
            ["boxes", "scores", "embeddings"], {"images": pixels_1CHW, **first}
        )

        def best_of(most: int) -> Best:
            best = Best.of(scores_1QP[0], most)
            for begin in range(NAMES_AT_ONCE, len(rows_PD), NAMES_AT_ONCE):
                some = slice(begin, begin + NAMES_AT_ONCE)
                logits_QP = embeddings_1QD[0] @ rows_PD[some].T + biases_P[some]
                best = best.with_more(_sigmoid(logits_QP), begin, most)
            return best

        return boxes_1Q4[0], best_of


@dataclass(frozen=True)
class _How:
    """What is kept of the pairs of an image."""

    most: int
    least: float
    same_thing: float | None


def _chosen(boxes_Q4: FloatArray, best_of: Callable[[int], Best], how: _How) -> Best:
    """The best pairs; of more and more, where some are near-copies of better ones."""
    asked = how.most
    while True:
        best = best_of(asked)
        reaching = int((best.scores >= how.least).sum())
        if how.same_thing is None:
            return best.at(np.arange(reaching))
        region, phrase = best.region[:reaching], best.phrase[:reaching]
        kept = one_each(boxes_Q4, region, phrase, how.same_thing)[: how.most]
        if len(kept) == how.most or reaching < asked:
            return best.at(np.array(kept, np.int64))
        asked *= 4


def _sigmoid(logits: FloatArray) -> FloatArray:
    # By tanh, which does not overflow.
    values: FloatArray = (np.tanh(logits * np.float32(0.5)) + 1) * np.float32(0.5)
    return values
