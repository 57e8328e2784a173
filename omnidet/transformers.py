"""The detector in `transformers`: `pipeline("zero-shot-object-detection", FOLDER,
trust_remote_code=True)`.

The folder is one that `OmniDet.save_pretrained` wrote, or a repository of the hub that
`push_to_hub` filled. The code in it is three lines that import this module, so `omnidet` must be
installed. Importing this module registers the classes with the Auto classes as well.
"""

# Methods of transformers are typed for tensors, and overridden with other arguments by all models.
# mypy: disable-error-code="override, no-untyped-call, union-attr, operator"

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForZeroShotObjectDetection,
    PreTrainedConfig,
    PreTrainedModel,
    ZeroShotObjectDetectionPipeline,
)

from omnidet import http
from omnidet.inference.detections import Detections
from omnidet.inference.detector import OmniDet
from omnidet.inference.question import checked_phrases, checked_threshold

PIPELINE_THRESHOLD = 0.1
"""The default of the task in `transformers`."""

MOST = 10_000
"""Detections of a picture: the task gives all that reach the threshold."""


class OmniDetConfig(PreTrainedConfig):
    """The content of a detector's `config.json`."""

    model_type = "omnidet"


class OmniDetForZeroShotObjectDetection(PreTrainedModel):
    """A detector in the hands of `transformers`; `omnidet` is the detector itself."""

    config_class = OmniDetConfig
    base_model_prefix = "detector"

    def __init__(self, config: OmniDetConfig, omnidet: OmniDet) -> None:
        super().__init__(config)
        self.post_init()  # before there are weights, which it would draw anew
        self.omnidet = omnidet
        self.detector = omnidet.detector

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *args: Any,  # noqa: ARG003
        config: OmniDetConfig | None = None,
        revision: str | None = None,
        dtype: Any = None,
        **kwargs: Any,  # noqa: ARG003
    ) -> OmniDetForZeroShotObjectDetection:
        """The detector of a folder or of the hub.

        Args:
            dtype: `torch.bfloat16` or, on a GPU, `torch.float16` multiply in half precision; the
                weights stay in single precision.
            args: not used, as all of `kwargs`: `transformers` hands on what concerns its own
                loading of weights.

        Raises FileNotFoundError or ValueError that names what does not fit.
        """
        name = str(pretrained_model_name_or_path)
        if revision and not Path(name).is_dir():
            name = f"{name}@{revision}"
        found = OmniDet.from_pretrained(name)
        if dtype in (torch.bfloat16, torch.float16):
            found.precision = dtype
        if config is None:
            config = OmniDetConfig(**found.config)
        return cls(config, found)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """`OmniDet.save_pretrained`, which takes no other arguments."""
        del args, kwargs
        self.omnidet.save_pretrained(save_directory)

    def forward(self, images: Any, phrases: Any, threshold: float = 0.0) -> list[Detections]:
        """What is found in each image of a list: `OmniDet.detect`."""
        found: list[Detections] = self.omnidet.detect(list(images), phrases, threshold=threshold)
        return found


class OmniDetPipeline(ZeroShotObjectDetectionPipeline):
    """The task with its own arguments and output, and one look at a picture for all labels.

    Pictures go through the detector one by one, whatever `batch_size` says.
    """

    _load_tokenizer = False
    _load_image_processor = False

    def check_model_type(self, supported_models: Any) -> None:
        """Raise ValueError for another model: this pipeline knows its own alone."""
        del supported_models
        if not isinstance(self.model, OmniDetForZeroShotObjectDetection):
            raise ValueError(
                f"model is a {type(self.model).__name__}: give an OmniDet detector, or leave out "
                "the pipeline class"
            )

    def preprocess(self, inputs: Any, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """The picture and its labels. Raises ValueError for labels that are no text."""
        labels = inputs["candidate_labels"]
        if isinstance(labels, str):
            labels = [label.strip() for label in labels.split(",")]
        labels = checked_phrases(labels)
        if not labels:
            raise ValueError("candidate_labels is empty: give what to look for")
        yield {"is_last": True, "picture": _picture(inputs["image"], timeout), "labels": labels}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        prompt = self.model.omnidet.prompt(model_inputs["labels"])
        found = self.model.omnidet.detect(model_inputs["picture"], prompt, MOST)
        return {"is_last": model_inputs["is_last"], "found": found}

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        threshold: float = PIPELINE_THRESHOLD,
        top_k: int | None = None,
    ) -> list[dict[str, Any]]:
        """Score, label and box in whole pixels of each detection, best first."""
        least = checked_threshold(threshold)
        results = []
        for output in model_outputs:
            found = output["found"]
            for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
                corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), map(int, box), strict=True))
                if score >= least:
                    results.append({"score": float(score), "label": label, "box": corners})
        return results[:top_k] if top_k else results

    def get_iterator(self, inputs: Any, num_workers: int, batch_size: int, *params: Any) -> Any:
        """Pictures of different sizes cannot be stacked: one at a time."""
        del batch_size
        return super().get_iterator(inputs, num_workers, 1, *params)


def _picture(given: Any, timeout: float | None) -> Any:
    """What the task takes, a file, an address, base64 text or a Pillow image, as `detect` takes it.

    Not by `transformers.image_utils.load_image`: it cuts off transparency, and the bits of deep
    pictures, so that other things would be found than by `detect`.
    """
    if not isinstance(given, str) or os.path.isfile(given):  # noqa: PTH113  # base64 is a long name
        return given
    if given.startswith(("http://", "https://")):
        answer = http.connections(given).request("GET", given, timeout=timeout)
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"{given} answered {answer.status}: give the address of a picture")
        return answer.data
    try:
        return base64.b64decode("".join(given.rpartition(",")[2].split()), validate=True)
    except ValueError:  # binascii.Error is one
        raise ValueError(
            f"image {given[:40]!r} is neither a file, an address nor base64 text: give one"
        ) from None


AutoConfig.register(OmniDetConfig.model_type, OmniDetConfig, exist_ok=True)
AutoModel.register(OmniDetConfig, OmniDetForZeroShotObjectDetection, exist_ok=True)
AutoModelForZeroShotObjectDetection.register(
    OmniDetConfig, OmniDetForZeroShotObjectDetection, exist_ok=True
)
