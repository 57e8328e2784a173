"""A trained detector to ask for anything: images and any words in, boxes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor

from omnidet.data.vocabulary import Vocabulary
from omnidet.inference import explain, hints, likeness, pictures, pieces, references, saving
from omnidet.inference.choice import box_in, choose, shares_of
from omnidet.inference.defaults import BATCH, MAX_DETECTIONS, THRESHOLD
from omnidet.inference.detections import Detections
from omnidet.inference.devices import checked_device, checked_precision
from omnidet.inference.explain import Explanation
from omnidet.inference.likeness import Example
from omnidet.inference.names import Wanted, wanted
from omnidet.inference.overlaps import checked_overlap
from omnidet.inference.pictures import AnyPicture, Picture
from omnidet.inference.prompt import Prompt, encoded
from omnidet.inference.question import checked_count, checked_threshold
from omnidet.inference.regions import Seen, regions_of
from omnidet.inference.search import best_pairs
from omnidet.model import bundle
from omnidet.model.confidence import Confidence, Line
from omnidet.model.detector import Detector
from omnidet.schema import FloatArray

__all__ = ["Detections", "OmniDet", "Prompt"]


class OmniDet:
    """The detector as users hold it.

    Images are given as a file's path, its bytes, a PIL image, or RGB pixels (height, width, 3) of
    uint8. They are seen as a viewer shows them: turned as their EXIF tag says, on white where they
    are transparent, and with more than 8 bits a channel scaled to 8.
    """

    def __init__(
        self,
        detector: Detector,
        vocabulary: Vocabulary,
        config: dict[str, Any],
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.detector, self.vocabulary, self.config = detector.eval(), vocabulary, config
        self.precision = precision
        self.confidence = Confidence.of(config)
        self.image_size = detector.config.image_size
        """Side of the square that large images are scaled to; `ModelConfig.side` has that of
        others.
        """

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str = "cpu",
        precision: str = "float32",
        registry: str | Path = "registry",
    ) -> OmniDet:
        """A detector by name.

        Args:
            model: a folder, local or `s3://`; a registered model: NAME@3, NAME@champion, or NAME
                for its champion, without one its newest version; or OWNER/NAME of the Hugging Face
                hub.
            device: `cpu`, `cuda`, `cuda:1` or `mps`.
            precision: `float32`, `bfloat16` or, on a GPU, `float16`.
            registry: folder or `s3://` URI that holds the registered models.

        Raises FileNotFoundError or ValueError that names what does not fit.
        """
        where = checked_device(device)
        multiplied_in = checked_precision(precision, where)
        found = references.find(str(model), registry)
        detector, vocabulary, config = bundle.load(found.folder)
        return cls(detector.to(where), vocabulary, config, multiplied_in)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the detector was trained on: what is looked for if nothing is asked."""
        return tuple(self.config.get("names", ()))

    @property
    def threshold(self) -> float:
        """The least score that is shown to people unless they ask for another: the one at which F1
        was best on held-out pictures, if the detector's scores were fitted on such.
        """
        return self.confidence.threshold or THRESHOLD

    def prompt(self, phrases: Wanted) -> Prompt:
        """Encode any list of phrases; what it costs is paid once for any number of images.

        Args:
            phrases: one phrase, a list of them, or a mapping `{"dog": ["dog", "puppy"]}` of names
                to the phrases that stand for them. `inference.names.read` reads them from a file.

        Raises ValueError for a phrase that is empty or not text.
        """
        return self._prompt(phrases, self.confidence.asked)

    def _prompt(self, phrases: Wanted, line: Line) -> Prompt:
        return encoded(wanted(phrases), self.detector, self.vocabulary, line, self._identity)

    @property
    def _identity(self) -> str:
        """What the numbers of a prompt depend on: the weights, and how scores are read from them.
        Empty for a detector that was never written, as while it is trained.
        """
        weights = self.config.get("weights_sha256", "")
        return f"{weights} {self.confidence.asked}" if weights else ""

    @overload
    def detect(  # type: ignore[overload-overlap]  # text is a sequence of texts: here it is a path
        self,
        images: AnyPicture,
        prompt: Prompt | Wanted | None = ...,
        max_detections: int = ...,
        threshold: float = ...,
        *,
        no_overlaps: bool | float = ...,
        batch: int = ...,
    ) -> Detections: ...
    @overload
    def detect(
        self,
        images: Sequence[AnyPicture],
        prompt: Prompt | Wanted | None = ...,
        max_detections: int = ...,
        threshold: float = ...,
        *,
        no_overlaps: bool | float = ...,
        batch: int = ...,
    ) -> list[Detections]: ...
    def detect(
        self,
        images: AnyPicture | Sequence[AnyPicture],
        prompt: Prompt | Wanted | None = None,
        max_detections: int = MAX_DETECTIONS,
        threshold: float = 0.0,
        *,
        no_overlaps: bool | float = False,
        batch: int = BATCH,
    ) -> Detections | list[Detections]:
        """The best boxes of each image over all the phrases.

        The score of a phrase does not depend on what else is asked. A box may be found under
        several phrases, and several boxes may frame one thing: there is no NMS unless it is asked
        for.

        Args:
            images: one image, or a list of them: the answer is one `Detections`, or a list.
            prompt: one phrase, a list of them, a mapping of names to phrases, or what `prompt` made
                of them; None asks for the detector's own `names`. A phrase that reads like a list
                of several ("cat, dog") is searched for as it is, and a word that training never had
                is left out beside others, each with a warning.
            max_detections: for each image, 1 or more.
            threshold: lowest score, from 0 to 1.
            no_overlaps: keep only the better of two boxes under one phrase or name whose
                intersection over union is above .7, or above the share that is given.
            batch: how many images of a list go through the detector together.

        Raises ValueError or FileNotFoundError that names the image, phrase or threshold that is
        wrong, and ValueError for a prompt that another detector encoded.
        """
        how = _How(
            checked_count(max_detections, "max_detections", least=1),
            checked_threshold(threshold),
            checked_overlap(no_overlaps),
        )
        checked_count(batch, "batch", least=1)
        if isinstance(prompt, Prompt):
            prompt.require_of(self._identity)
        else:
            prompt = self.prompt(self.own_names() if prompt is None else prompt)
            for line in hints.of_call(self.vocabulary, prompt.phrases):
                warnings.warn(line, stacklevel=2)
        found: list[Detections] = []
        given = pictures.named(images)
        for begin in range(0, len(given), batch):
            found += self._detect(given[begin : begin + batch], prompt, how)
        return found[0] if pictures.is_one(images) else found

    def _detect(
        self, given: Sequence[tuple[AnyPicture, str]], prompt: Prompt, how: _How
    ) -> Iterator[Detections]:
        """What is found in each of the pictures, which come with their names for messages."""
        opened = [pictures.read(image, name) for image, name in given]
        for (image, _), picture, (boxes_Q4, embeddings_QD) in zip(
            given, opened, self._regions(opened), strict=True
        ):
            chosen = choose(
                boxes_Q4, embeddings_QD, prompt, how.count, how.threshold, how.same_thing
            )
            yield Detections(
                boxes_Q4[chosen.region],
                chosen.scores,
                chosen.label,
                picture.width,
                picture.height,
                prompt.labels,
                tuple(prompt.phrases[phrase] for phrase in chosen.phrase.tolist()),
                embeddings_QD[torch.from_numpy(chosen.region)].float().cpu().numpy(),
                picture if hasattr(image, "read") else image,  # a stream is at its end now
            )

    def explain(
        self,
        image: AnyPicture,
        phrases: str | Iterable[str],
        box: Sequence[float] | None = None,
    ) -> list[Explanation]:
        """Why each phrase has its score: the weight and the logit of each of its tokens.

        Args:
            box: corners x0, y0, x1, y1 in pixels of the thing that is meant; the region that
                overlaps it most is explained. None: for each phrase the region that it fits best.

        Raises ValueError for a box that is not four finite numbers, or outside of the image.
        """
        prompt, picture = self.prompt(phrases), pictures.read(image)
        if not prompt.phrases:
            return []
        inside = None if box is None else box_in(picture, box)
        ((boxes_Q4, embeddings_QD),) = self._regions([picture])
        if inside is None:
            pairs = zip(
                torch.split(prompt.rows_PD, 1), torch.split(prompt.biases_P, 1), strict=True
            )
            regions = [int(best_pairs(embeddings_QD, row, bias, 1)[1][0]) for row, bias in pairs]
        else:
            nearest = int(shares_of(inside, boxes_Q4, picture).argmax())
            regions = [nearest] * len(prompt.phrases)
        return self._explained(embeddings_QD[regions], prompt.phrases, boxes_Q4[regions])

    def explain_found(self, found: Detections) -> list[Explanation]:
        """Why each detection has its score, without looking at the picture again."""
        embeddings_KD = torch.from_numpy(found.embeddings_KD)
        return self._explained(embeddings_KD, found.matched, found.boxes_xyxy)

    def _explained(
        self, embeddings_KD: Tensor, phrases: Sequence[str], boxes_K4: FloatArray
    ) -> list[Explanation]:
        embeddings_KD = embeddings_KD.to(self.detector.tokens.biases.device)
        corners = [tuple(box) for box in boxes_K4.tolist()]
        asked = self.confidence.asked
        return explain.explain(
            self.detector, self.vocabulary, asked, embeddings_KD, phrases, corners
        )

    @torch.inference_mode()
    def like(
        self, examples: Sequence[Example], say: Callable[[str], None] = warnings.warn
    ) -> Prompt:
        """What pictures show, as a prompt: each example is a row that regions are scored by.

        Args:
            say: is told, in a line, of each example in which the detector sees no thing, and of
                each box that reaches out of its picture.

        Raises ValueError for a picture that cannot be read or a box outside of it.
        """
        examples = likeness.checked(examples)
        names = tuple(one.name or f"example {i}" for i, one in enumerate(examples))
        rows, biases = [], []
        for number, one in enumerate(examples):
            picture = pictures.read(one.image, f"example {number}")
            if line := likeness.cut_off(names[number], one.box, picture):
                say(line)
            shown, box = likeness.shown(picture, one.box, self.image_size)
            ((boxes_Q4, embeddings_QD),) = self._regions([shown])
            shares_Q = torch.from_numpy(shares_of(box, boxes_Q4, shown)).to(embeddings_QD.device)
            row_D, bias, ahead = likeness.row(
                embeddings_QD,
                shares_Q,
                self.detector.tokens.embeddings,
                self.detector.tokens.biases,
            )
            rows.append(row_D)
            biases.append(bias)
            if ahead < likeness.LEAST_AHEAD:
                say(likeness.doubt(names[number], one.box))
        labels = tuple(dict.fromkeys(names))
        encoded = torch.stack(rows), torch.stack(biases)
        if len(labels) == len(names):
            return Prompt(names, *encoded, of=self._identity)
        return Prompt(names, *encoded, labels, tuple(map(labels.index, names)), of=self._identity)

    def unknown_words(self, phrase: str) -> tuple[str, ...]:
        """Words of a phrase that the vocabulary has only in parts, or that training never had:
        their scores mean little. Those that it never had are left out beside others.
        """
        return pieces.unknown_words(self.vocabulary, phrase)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the detector into a folder that `from_pretrained` and `transformers` load.

        Raises FileExistsError if the folder holds anything: nothing is written over.
        """
        return saving.save_pretrained(self.detector, self.vocabulary, self.config, Path(folder))

    def push_to_hub(self, repository: str, *, private: bool = False, **upload: Any) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face hub; returns its address.

        Args:
            repository: `OWNER/NAME`; made if it does not exist.
            private: whether a new one is.
            upload: passed on to `huggingface_hub.HfApi.upload_folder`, as `revision=` or
                `commit_message=`.
        """
        content = self.detector, self.vocabulary, self.config
        return saving.push_to_hub(*content, repository, private=private, **upload)

    def own_names(self) -> tuple[str, ...]:
        """`names`. Raises ValueError if there are none."""
        if not self.names:
            raise ValueError("this detector was trained on no names: give phrases to look for")
        return self.names

    def locate(
        self,
        image: AnyPicture,
        phrases: str | Iterable[str],
        top: int = 1,
        *,
        is_present: bool = True,
    ) -> list[tuple[FloatArray, FloatArray]]:
        """For each phrase its `top` best boxes.

        Args:
            is_present: whether the phrases are known to be in the image. The score of the best box
                is then the chance that it is the right one, which is higher than the score that
                `detect` gives; the order of the boxes is the same.

        Returns:
            For each phrase the boxes (K, 4) in pixels, and their scores (K,).
        """
        checked_count(top, "top")
        line = self.confidence.present if is_present else self.confidence.asked
        prompt = self._prompt(phrases, line)
        ((boxes_Q4, embeddings_QD),) = self._regions([pictures.read(image)])
        located = []
        for row_PD, bias_P in zip(
            torch.split(prompt.rows_PD, 1), torch.split(prompt.biases_P, 1), strict=True
        ):
            scores, region, _ = best_pairs(embeddings_QD, row_PD, bias_P, top)
            located.append((boxes_Q4[region.cpu().numpy()], scores.cpu().numpy()))
        return located

    def best_scores(self, image: AnyPicture, prompt: Prompt) -> dict[str, float]:
        """The score of the best box of each label, however low it is: what threshold shows it."""
        prompt.require_of(self._identity)
        ((_, embeddings_QD),) = self._regions([pictures.read(image)])
        found: dict[str, float] = {}
        for place, phrase in enumerate(prompt.phrases):
            label = prompt.labels[prompt.name_of_P[place]] if prompt.name_of_P else phrase
            row_PD, bias_P = prompt.rows_PD[place, None], prompt.biases_P[place, None]
            score = float(best_pairs(embeddings_QD, row_PD, bias_P, 1)[0][0])
            found[label] = max(score, found.get(label, 0.0))
        return found

    def seen(self, image: AnyPicture) -> Seen:
        """The picture with what is seen in it, to be asked about several times at the cost of one
        look.
        """
        picture = pictures.read(image)
        ((boxes_Q4, embeddings_QD),) = self._regions([picture])
        facts = picture.name, picture.width, picture.height, picture.content
        return Seen(*facts, (self.detector, self.precision), boxes_Q4, embeddings_QD)

    def regions(self, images: Sequence[AnyPicture]) -> list[tuple[FloatArray, Tensor]]:
        """Boxes (Q, 4) of each image in its own pixels, and its region embeddings (Q, D)."""
        return self._regions([pictures.read(image, name) for image, name in pictures.named(images)])

    def _regions(self, opened: Sequence[Picture]) -> list[tuple[FloatArray, Tensor]]:
        return regions_of(self.detector, opened, self.precision)


@dataclass(frozen=True)
class _How:
    """What is kept of the pairs of an image."""

    count: int
    threshold: float
    same_thing: float | None
