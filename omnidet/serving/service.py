"""The detector behind the server: asked by many at once, replaced without interruption."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from starlette.exceptions import HTTPException

from omnidet.data.reading import picture_files
from omnidet.data.reading.picture_files import PictureLimits
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference import hints, pictures, spelling
from omnidet.inference.detector import OmniDet, Prompt
from omnidet.inference.explain import Explanation
from omnidet.inference.overlaps import checked_overlap
from omnidet.serving import answers
from omnidet.serving.batching import Batcher, Found, Prepared, Task
from omnidet.serving.config import ServerConfig
from omnidet.serving.metrics import Metrics
from omnidet.serving.requests import Question

PROMPTS_KEPT = 64
"""Lists of phrases that are kept encoded."""
_LARGE = 4_000_000
"""Pixels. Larger pictures are decoded one at a time: each takes hundreds of megabytes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """A version of the model in memory."""

    detector: OmniDet
    version: str
    prompt: Callable[[tuple[str, ...]], Prompt]
    """The detector's `prompt`, which remembers what it encoded last."""
    doubts: Callable[[tuple[str, ...]], tuple[str, ...]]
    """What a person should know about phrases; remembers them likewise."""

    def asked(self, question: Question) -> Question:
        """The question with its phrases: the detector's own names where it has none.

        Raises ValueError if the detector has none either.
        """
        if question.phrases:
            return question
        return dataclasses.replace(question, phrases=self.detector.own_names())


class Service:
    """A detector that works on `concurrency` requests at a time; `max_waiting` more may wait."""

    def __init__(self, detector: OmniDet, name: str, version: str, config: ServerConfig) -> None:
        self.name, self.config = name, config
        self.metrics = Metrics(name, waiting=lambda: self._under_way)
        self.use(detector, version)
        self._threads = ThreadPoolExecutor(config.concurrency, "omnidet-pictures")
        self._batcher = Batcher(config.batch, self.metrics.batch)
        self._limits = PictureLimits(max_pixels=config.limits.max_pixels)
        self._large = threading.Lock()
        self._under_way = 0

    def use(self, detector: OmniDet, version: str) -> None:
        """Answer with this version from now on; requests that have begun keep the one before."""
        doubts = functools.partial(_doubts, detector.vocabulary)
        remembering = lru_cache(PROMPTS_KEPT)
        self.loaded = Loaded(detector, version, remembering(detector.prompt), remembering(doubts))
        self.metrics.version(version)

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

    async def work(self, function: Callable[[], T]) -> T:
        """Do it in one of the threads that prepare requests, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def answer(self, question: Question, loaded: Loaded) -> list[Found]:
        """What this version finds in each image.

        Raises ValueError for an image that cannot be read or a phrase that cannot be encoded.
        """
        prompt = await self.work(functools.partial(_encoded, loaded, question.phrases))
        left = float(self.config.limits.max_decoding_seconds)
        running = []
        try:
            for number, given in enumerate(question.images):
                name = "the image" if len(question.images) == 1 else f"image {number}"
                prepare = functools.partial(self._prepare, loaded.detector, given, name, left)
                picture, seconds = await self.work(prepare)
                left -= seconds
                least = question.threshold
                if least is None:
                    least = loaded.detector.threshold
                apart = checked_overlap(question.no_overlaps)
                most = question.max_detections
                task = Task(loaded.detector, picture, prompt, most, least, apart)
                running.append(asyncio.create_task(self._batcher.run(task)))
            return await asyncio.gather(*running)
        finally:
            for one in running:  # those that are left when another image cannot be read
                one.cancel()

    async def explain(
        self, image: bytes, phrase: str, box: Sequence[float], loaded: Loaded
    ) -> Explanation:
        """Why this version gives a phrase its score on a box. The image is read as in `answer`.

        Raises ValueError for what cannot be read or encoded, and for a box outside of the image.
        """
        left = float(self.config.limits.max_decoding_seconds)
        prepare = functools.partial(self._prepare, loaded.detector, image, "the image", left)
        picture, _ = await self.work(prepare)
        explain = functools.partial(loaded.detector.explain, picture, [phrase], box)
        (why,) = await self.work(explain)
        return why

    def _prepare(
        self, detector: OmniDet, content: bytes, name: str, seconds: float
    ) -> tuple[Prepared, float]:
        """The picture in the detector's square, and the seconds that it took."""
        if seconds <= 0:
            raise ValueError(f"{name} was not decoded in time: send fewer or smaller pictures")
        with self._turn(content):
            started = time.monotonic()
            deadline = started + seconds
            picture = pictures.read(content, name, self._limits, deadline)
            side = detector.detector.config.side(picture.width, picture.height)
            square = picture.letterboxed(side, deadline)
        taken = time.monotonic() - started
        self.metrics.decoding.observe(taken)
        return Prepared(name, picture.width, picture.height, b"", square), taken

    def _turn(self, content: bytes) -> AbstractContextManager[object]:
        """What a picture waits for before it is decoded: large ones go one at a time."""
        try:
            with picture_files.opened(content) as image:
                is_large = image.width * image.height > _LARGE
        except picture_files.DAMAGED:
            is_large = False  # who reads it says what is wrong with it
        return self._large if is_large else nullcontext()


def _encoded(loaded: Loaded, phrases: tuple[str, ...]) -> Prompt:
    """The phrases in the detector's numbers. What is to be said of them is remembered from now on:
    it is looked up on the event loop.
    """
    prompt = loaded.prompt(phrases)
    loaded.doubts(phrases)
    return prompt


def _doubts(vocabulary: Vocabulary, phrases: tuple[str, ...]) -> tuple[str, ...]:
    found = [*spelling.doubts(phrases), *hints.of_call(vocabulary, phrases)]
    return tuple(map(answers.line, found))
