"""Streams -> Batch: every step sees all streams in the recipe's proportion.

Batch number i is a pure function of the seed and i. So the order is the same for any number of workers, a resumed run gets
the batch that would have come, and the state of the loader is one number. Written once, and in this order, because each
step needs the one before:

    shuffle (an order for each epoch of each set) -> split by rank (each takes every n-th image of a step)
    -> split by worker (each makes whole steps) -> decode -> transform -> collate (words to token ids)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from omnidet.config import require
from omnidet.data import shards, transforms
from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import Batch, Record


@dataclass(frozen=True)
class Stream:
    """One kind of supervision and where it comes from."""

    name: str
    sets: tuple[str, ...]
    """Shard sets in equal parts, such as `train/coco`. Name one twice to see it twice as often."""
    images_per_step: int
    """Over all ranks together."""
    boxes: bool = True
    """Whether boxes and their names are supervised."""
    describes: bool = False
    """Whether the token softmax is trained on matched regions: their phrases describe them, rather than name them."""
    captions: bool = False
    """Whether the caption is supervised."""
    transforms: tuple[transforms.Transform, ...] = ()


@dataclass(frozen=True)
class MixingConfig:
    """How batches are made."""

    max_names: int = 100
    """Label space of an image at most; what is too much is left out of the verified absent names, at random."""
    max_boxes: int = 100
    """Boxes of an image at most: bounds the memory of a crowded image."""
    window_shards: int = 16
    """Shards that are shuffled together."""
    workers: int = 2
    """Processes that make batches; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("max_names", "max_boxes", "window_shards"):
            require(getattr(self, name) >= 1, f"mixing.{name}={getattr(self, name)}: give 1 or more")
        require(self.workers >= 0, f"mixing.workers={self.workers}: give 0 or more")


class Mixture(Dataset[Batch]):
    """`mixture[i]` is the batch of step i on this rank."""

    def __init__(
        self,
        index: shards.Index,
        vocabulary: Vocabulary,
        streams: Sequence[Stream],
        config: MixingConfig,
        image_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.index, self.vocabulary, self.streams, self.config = index, vocabulary, tuple(streams), config
        self.image_size, self.seed, self.rank, self.world_size = image_size, seed, rank, world_size
        for stream in streams:
            for name in stream.sets:
                if shards.num_samples(index.shards(name)) == 0:
                    raise ValueError(f"set {name!r} of stream {stream.name!r} is empty: take it out of the recipe")

    def __getitem__(self, step: int) -> Batch:
        examples, stream_ids = [], []
        for number, stream in enumerate(self.streams):
            for j in range(self.rank, stream.images_per_step, self.world_size):
                draw = step * stream.images_per_step + j
                examples.append(self._example(number, stream, draw))
                stream_ids.append(number)
        return self._collate(examples, stream_ids, step)

    def _example(self, number: int, stream: Stream, draw: int) -> transforms.Example:
        """Image number `draw` of a stream, decoded and transformed."""
        part, position = draw % len(stream.sets), draw // len(stream.sets)
        members = self.index.shards(stream.sets[part])
        epoch, place = divmod(position, shards.num_samples(members))
        seed = int(np.random.SeedSequence([self.seed, number, part]).generate_state(1)[0])
        shard, i = shards.order([m.samples for m in members], seed, epoch, self.config.window_shards, place)
        record = shards.open_shard(self.index.location, members[shard]).read(i)
        random = np.random.default_rng([self.seed, number, part, position])
        example = transforms.decode(record, self.image_size)
        for transform in stream.transforms:
            example = transform(example, random)
        return transforms.letterbox(example, self.image_size)

    def _collate(self, examples: list[transforms.Example], stream_ids: list[int], step: int) -> Batch:
        random = np.random.default_rng([self.seed, step, self.rank, 1])
        supervised = [self.streams[i] for i in stream_ids]
        spaces = [
            _label_space(example.record, self.config, random) if stream.boxes else _LabelSpace.empty()
            for example, stream in zip(examples, supervised, strict=True)
        ]
        phrases: dict[tuple[str, bool], int] = {}
        for space in spaces:
            for name in space.names:
                phrases.setdefault((name, True), len(phrases))
        captions = []
        for example, stream in zip(examples, supervised, strict=True):
            caption = example.record.caption if stream.captions else ""
            captions.append(phrases.setdefault((caption, False), len(phrases)) if caption.strip() else -1)
        side = self.image_size
        tensors = _stack_label_spaces(spaces, phrases, side)
        return Batch(
            images_BCHW=torch.from_numpy(np.stack([e.pixels for e in examples])).permute(0, 3, 1, 2),
            sizes_B2=torch.tensor([[e.record.height / side, e.record.width / side] for e in examples]),
            stream_BS=torch.eye(len(self.streams))[stream_ids],
            phrases=self.vocabulary.table(phrases),
            describes_B=torch.tensor([stream.describes for stream in supervised]),
            caption_B=torch.tensor(captions),
            **tensors,
        )


class Loader:
    """Batches of a mixture from the current step on, made by worker processes; its state is the number of the next step."""

    def __init__(self, mixture: Mixture, last_step: int) -> None:
        self.mixture, self.last_step, self.step = mixture, last_step, 0

    def __iter__(self) -> Iterator[Batch]:
        workers = self.mixture.config.workers
        loader = DataLoader(
            self.mixture,
            batch_size=None,
            sampler=range(self.step, self.last_step),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_use_one_thread,
            pin_memory=torch.cuda.is_available(),
        )
        batches = iter(loader)
        while self.step < self.last_step:
            try:
                batch = next(batches)
            except (ValueError, FileNotFoundError) as error:
                # A worker's error comes with its traceback as text: the last line is what it says.
                if "DataLoader worker process" not in str(error):
                    raise
                raise type(error)(str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__name__}: ")) from error
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there, at once."""
        self.step = state["step"]


@dataclass(frozen=True)
class _LabelSpace:
    """The names of one image that are asked for, and the boxes they name."""

    names: tuple[str, ...]
    negative: tuple[bool, ...]
    boxes_xyxy: np.ndarray
    named: np.ndarray

    @classmethod
    def empty(cls) -> _LabelSpace:
        return cls((), (), np.zeros((0, 4), np.float32), np.zeros((0, 0), bool))


def _label_space(record: Record, config: MixingConfig, random: np.random.Generator) -> _LabelSpace:
    boxes = record.boxes_xyxy
    kept = np.arange(len(boxes))
    if len(boxes) > config.max_boxes:
        kept = np.sort(random.choice(len(boxes), config.max_boxes, replace=False))
    capped = len(kept) < len(boxes)
    present = record.phrases[: config.max_names]
    absent: tuple[str, ...] = record.absent
    room = config.max_names - len(present)
    if len(absent) > room:
        absent = tuple(absent[i] for i in np.sort(random.choice(len(absent), room, replace=False)))
    named = np.zeros((len(boxes), len(present) + len(absent)), bool)
    for column, members in enumerate(record.phrase_boxes[: len(present)]):
        named[list(members), column] = True
    # A name that lost boxes to the cap, here or in the dataset, says nothing of the regions that it does not name.
    negative = tuple(phrase not in record.not_exhaustive and not capped for phrase in present) + (True,) * len(absent)
    return _LabelSpace((*present, *absent), negative, boxes[kept], named[kept])


def _stack_label_spaces(spaces: list[_LabelSpace], phrases: dict[tuple[str, bool], int], side: int) -> dict[str, Tensor]:
    """Pad the label spaces of all images to the longest and the boxes to the most."""
    num_images = len(spaces)
    num_names = max((len(s.names) for s in spaces), default=0)
    num_boxes = max((len(s.boxes_xyxy) for s in spaces), default=0)
    name_BL = np.full((num_images, num_names), -1, np.int64)
    negative_BL = np.zeros((num_images, num_names), bool)
    boxes_BN4 = np.zeros((num_images, num_boxes, 4), np.float32)
    valid_BN = np.zeros((num_images, num_boxes), bool)
    named_BNL = np.zeros((num_images, num_boxes, num_names), bool)
    for b, space in enumerate(spaces):
        names, boxes = len(space.names), space.boxes_xyxy
        name_BL[b, :names] = [phrases[name, True] for name in space.names]
        negative_BL[b, :names] = space.negative
        # In double precision first: the difference of two corners must not lose the last bits of a thin box.
        corners = boxes.astype(np.float64) / side
        boxes_BN4[b, : len(boxes), :2] = (corners[:, :2] + corners[:, 2:]) / 2
        boxes_BN4[b, : len(boxes), 2:] = corners[:, 2:] - corners[:, :2]
        # A box without a name (all were cropped or capped away) cannot be matched to anything.
        valid_BN[b, : len(boxes)] = space.named.any(1)
        named_BNL[b, : len(boxes), :names] = space.named
    return {
        "name_BL": torch.from_numpy(name_BL),
        "negative_BL": torch.from_numpy(negative_BL),
        "boxes_cxcywh_BN4": torch.from_numpy(boxes_BN4),
        "box_valid_BN": torch.from_numpy(valid_BN),
        "named_BNL": torch.from_numpy(named_BNL),
    }


def _use_one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
