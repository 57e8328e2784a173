"""Pictures of requests that came together go through the detector together.

One thread runs the detector. While it is at work further pictures gather, and the next batch is as
many of them, of one size and for one version, as came first. Nothing waits for company: with one
client each picture goes alone at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from omnidet.data.transforms.example import Example
from omnidet.inference.choice import choose
from omnidet.inference.detector import OmniDet, Prompt
from omnidet.inference.pictures import Picture
from omnidet.schema import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Prepared(Picture):
    """A picture that was decoded into the detector's square."""

    square: Example

    def letterboxed(
        self,
        side: int,  # noqa: ARG002
        deadline: float | None = None,  # noqa: ARG002
        *,
        by_pillow: bool = False,  # noqa: ARG002
    ) -> Example:
        """The square."""
        return self.square


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in one picture, best first."""

    boxes_xyxy: FloatArray
    """(K, 4) in pixels of the picture as a viewer shows it."""
    scores: FloatArray
    """(K,) probabilities."""
    phrase: IntArray
    """(K,) index into the phrases that were asked for."""
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Task:
    """A picture, and what is looked for in it."""

    detector: OmniDet
    picture: Prepared
    prompt: Prompt
    max_detections: int
    threshold: float
    same_thing: float | None = None
    """Of two boxes of a phrase with a larger intersection over union only the better one is kept;
    None keeps all."""

    @property
    def kind(self) -> tuple[int, tuple[int, ...]]:
        """Tasks of one kind go together."""
        return id(self.detector), self.picture.square.pixels.shape


class Batcher:
    """Runs tasks, up to `most` at once, in the order in which they came."""

    def __init__(self, most: int, watch: Callable[[int], None] = lambda _: None) -> None:
        """`watch` is told the size of each batch."""
        self._most, self._watch = most, watch
        self._waiting: deque[tuple[Task, asyncio.Future[Found]]] = deque()
        self._thread = ThreadPoolExecutor(1, "omnidet-detector")
        self._pump: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Pictures that are not at the detector yet."""
        return len(self._waiting)

    async def run(self, task: Task) -> Found:
        """What the detector finds."""
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((task, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run_all())
        return await future

    async def _run_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            if not batch:
                continue
            tasks = [task for task, _ in batch]
            found = await loop.run_in_executor(self._thread, _outcomes, tasks)
            self._watch(len(batch))
            for (_, future), outcome in zip(batch, found, strict=True):
                if future.done():  # its client was cut off
                    continue
                if isinstance(outcome, Found):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

    def _next(self) -> list[tuple[Task, asyncio.Future[Found]]]:
        """The first task and those of its kind; tasks that nobody waits for any more are dropped.

        The rest keeps its order.
        """
        batch: list[tuple[Task, asyncio.Future[Found]]] = []
        others: deque[tuple[Task, asyncio.Future[Found]]] = deque()
        for task, future in self._waiting:
            if future.done():
                continue
            fits = not batch or (len(batch) < self._most and task.kind == batch[0][0].kind)
            (batch if fits else others).append((task, future))
        self._waiting = others
        return batch


def _outcomes(tasks: Sequence[Task]) -> list[Found | Exception]:
    """What is found for each task, or what went wrong.

    If a batch fails, its tasks run one by one: one of them must not cost the others their answers.
    """
    try:
        return list(_together(tasks))
    except Exception as error:  # noqa: BLE001  # it is handed to those that wait for the answer
        if len(tasks) == 1:
            return [error]
    return [_outcomes([task])[0] for task in tasks]


def _together(tasks: Sequence[Task]) -> list[Found]:
    regions = tasks[0].detector.regions([task.picture for task in tasks])
    found = []
    for task, (boxes_Q4, embeddings_QD) in zip(tasks, regions, strict=True):
        chosen = choose(
            boxes_Q4,
            embeddings_QD,
            task.prompt,
            task.max_detections,
            task.threshold,
            task.same_thing,
        )
        found.append(
            Found(
                boxes_Q4[chosen.region],
                chosen.scores,
                chosen.label,
                task.picture.width,
                task.picture.height,
            )
        )
    return found
