"""The detector behind the server: asked by many at once, replaced without interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import anyio
from anyio import to_thread
from starlette.exceptions import HTTPException

from omnidet.inference import pictures
from omnidet.inference.detector import Detections, OmniDet, Prompt
from omnidet.serving.config import ServerConfig
from omnidet.serving.requests import Question

PROMPTS_KEPT = 64
"""Lists of phrases that are kept encoded."""


@dataclass(frozen=True)
class Loaded:
    """A version of the model in memory."""

    detector: OmniDet
    version: str
    prompt: Callable[[tuple[str, ...]], Prompt]
    """The detector's `prompt`, which remembers what it encoded last."""


class Service:
    """A detector that answers `concurrency` requests at a time; `max_waiting` more may wait."""

    def __init__(self, detector: OmniDet, name: str, version: str, config: ServerConfig) -> None:
        self.name, self.config = name, config
        self.use(detector, version)
        self._threads = anyio.CapacityLimiter(config.concurrency)
        self._under_way = 0

    def use(self, detector: OmniDet, version: str) -> None:
        """Answer with this version from now on; requests that have begun keep the one before."""
        self.loaded = Loaded(detector, version, lru_cache(PROMPTS_KEPT)(detector.prompt))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Room for one request. Raises HTTPException (503) if there is none."""
        if self._under_way >= self.config.concurrency + self.config.max_waiting:
            raise HTTPException(503, "too many requests at once: try again", {"Retry-After": "1"})
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def answer(self, question: Question) -> tuple[str, list[Detections]]:
        """The version that answers, and what it found in each image.

        Raises ValueError for an image that cannot be read or a phrase that cannot be encoded.
        """
        return await to_thread.run_sync(self._detect, question, limiter=self._threads)

    def _detect(self, question: Question) -> tuple[str, list[Detections]]:
        loaded = self.loaded
        prompt = loaded.prompt(question.phrases)
        found = []
        # One by one: many images take no more memory than one.
        for number, given in enumerate(question.images):
            name = "the image" if len(question.images) == 1 else f"image {number}"
            picture = pictures.read(given, name)
            found.append(
                loaded.detector.detect(picture, prompt, question.max_detections, question.threshold)
            )
        return loaded.version, found
