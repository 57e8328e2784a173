"""Streams -> Batch: every step sees all streams in the recipe's proportion.

Batch number i is a pure function of the seed and i. So the order is the same for any number of
workers, a resumed run gets the batch that would have come next, and the state of the loader is one
number. The order of operations is fixed, since each needs the one before:

    shuffle (an order for each epoch of each set)
    -> split by rank (each takes every n-th image of a step)
    -> split by worker (each makes whole steps)
    -> decode -> transform -> collate (words to token ids)
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from omnidet import plugins, storage
from omnidet.data import shards
from omnidet.data.mixing import label_space, negatives
from omnidet.data.mixing import workers as batch_workers
from omnidet.data.mixing.config import TRANSFORMS, MixingConfig, Stream
from omnidet.data.mixing.label_space import LabelSpace
from omnidet.data.mixing.order import Order
from omnidet.data.mixing.prefetch import Prefetcher
from omnidet.data.mixing.set_aside import SetAside
from omnidet.data.shard_cache import ShardCache
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.example import Example, Transform
from omnidet.data.transforms.letterbox import letterbox
from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import Batch, Record

COMBINED_WITHIN = 1000
"""An image is combined with others from this many that follow it in its set."""
HALF_AT = 10
"""Images with boxes of a word that leave half of its weight to captions."""


class Mixture(Dataset[Batch]):
    """`mixture[i]` is the batch of step i on this rank."""

    def __init__(
        self,
        index: shards.Index,
        vocabulary: Vocabulary,
        streams: Sequence[Stream],
        config: MixingConfig,
        *,
        image_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        aside: SetAside | None = None,
    ) -> None:
        """Prepare the order, the transforms and this rank's share.

        Args:
            image_size: for the streams that have none of their own.
            aside: pictures that are left out, in whatever set they are.

        Raises ValueError for a stream that cannot be read.
        """
        self.index, self.vocabulary, self.config = index, vocabulary, config
        self.streams, self.image_size, self.seed = tuple(streams), image_size, seed
        self.rank, self.world_size = rank, world_size
        self.aside = aside or SetAside()
        self.cache = ShardCache(config.cache_folder, round(config.cache_gigabytes * 1e9))
        self.orders = self._orders()
        """For each (stream, number of the set in it)."""
        self.prefetcher = self._prefetcher()
        self.samplers = {
            name: negatives.NameSampler(negatives.count_names(index, name, self.cache), vocabulary)
            for stream in streams
            if stream.sampled_negatives
            for name in stream.sets
        }
        counts = self._boxed_names()
        self.asked_names = tuple(sorted(counts))
        self.caption_share_T = self._caption_shares(counts)
        self.notes: list[str] = []
        """Lines for people about what a stream asks for and the data lacks."""
        self.transforms = [[self._transform(t) for t in stream.transforms] for stream in streams]
        self.combine = [plugins.make(TRANSFORMS, stream.combine) for stream in streams]
        self.groups = self._groups()
        """By image size, this rank's part of a step: (stream, number among the stream's images)."""

    def _transform(self, part: Any) -> Transform:
        """What a stream names; one that composes phrases is told which words there are."""
        made: Any = plugins.make(TRANSFORMS, part)
        if hasattr(made, "for_words"):
            lacking = made.lacking(self.vocabulary.knows)
            self.notes += [lacking] if lacking else []
            made = made.for_words(self.vocabulary.knows)
        transform: Transform = made
        return transform

    def _orders(self) -> dict[tuple[int, int], Order]:
        orders = {}
        for number, stream in enumerate(self.streams):
            for part, name in enumerate(stream.sets):
                samples = [shard.samples for shard in self.index.shards(name)]
                if not sum(samples):
                    raise ValueError(
                        f"set {name!r} of stream {stream.name!r} is empty: "
                        "take it out of the recipe"
                    )
                sequence = np.random.SeedSequence([self.seed, number, part])
                own_seed = int(sequence.generate_state(1)[0])
                orders[number, part] = Order(samples, own_seed, self.config.window_shards)
        return orders

    def _boxed_names(self) -> Counter[str]:
        """In how many images of the streams with boxes each name is, if a stream asks for them."""
        counts: Counter[str] = Counter()
        if any(stream.asked_names for stream in self.streams):
            for name in dict.fromkeys(name for s in self.streams if s.boxes for name in s.sets):
                counts.update(negatives.count_names(self.index, name, self.cache))
        return counts

    def _caption_shares(self, counts: Mapping[str, int]) -> npt.NDArray[np.float32]:
        """How much of each token's place is learned from captions: what boxes teach is theirs."""
        boxed_T = np.zeros(self.vocabulary.num_tokens)
        for name, count in counts.items():
            boxed_T[self.vocabulary.encode(name, True, True)[0]] += count
        return (HALF_AT / (HALF_AT + boxed_T)).astype(np.float32)

    def _prefetcher(self) -> Prefetcher | None:
        """Only for an object store, and only if the cache holds the present window and the next.

        Otherwise one would displace the other.
        """
        windows = [
            2 * self.config.window_shards * max(s.size_bytes for s in self.index.shards(name))
            for stream in self.streams
            for name in stream.sets
        ]
        if storage.is_s3(self.index.location) and sum(windows) <= self.cache.limit_bytes:
            return Prefetcher(self.index.location, self.cache)
        return None

    def _groups(self) -> dict[int, list[tuple[int, int]]]:
        groups: dict[int, list[tuple[int, int]]] = {}
        for number, stream in enumerate(self.streams):
            taken = range(self.rank, stream.images_per_step, self.world_size)
            own = groups.setdefault(stream.image_size or self.image_size, [])
            own.extend((number, j) for j in taken)
        for side, members in groups.items():
            # Every rank must go through the model equally often.
            if not members and len(groups) > 1:
                raise ValueError(
                    f"the streams of {side} px have fewer images per step than there are ranks: "
                    f"give {self.world_size}"
                )
        return groups

    def __getitem__(self, step: int) -> Batch:
        return self.make(step)

    def make(self, step: int, memory: npt.NDArray[np.uint8] | None = None) -> Batch:
        """The batch of a step.

        Args:
            memory: `num_bytes` for its images, one group after the other.
        """
        memory = np.empty(self.num_bytes, np.uint8) if memory is None else memory
        batches, start = [], 0
        for side, members in self.groups.items():
            shape = (len(members), side, side, 3)
            images_BHWC = memory[start : start + math.prod(shape)].reshape(shape)
            start += images_BHWC.size
            draws = [
                (stream, step * self.streams[stream].images_per_step + j) for stream, j in members
            ]
            examples = [
                letterbox(self._example(stream, draw, side, out), side, out)
                for (stream, draw), out in zip(draws, images_BHWC, strict=True)
            ]
            batches.append(self._collate(images_BHWC, [e.record for e in examples], draws))
        return dataclasses.replace(batches[0], more=tuple(batches[1:]))

    @property
    def num_bytes(self) -> int:
        """Size of the images of a step in bytes."""
        return sum(len(members) * 3 * side**2 for side, members in self.groups.items())

    def records(self, step: int) -> list[Record]:
        """The records of a step as they are in the shards."""
        members = [member for group in self.groups.values() for member in group]
        return [self._record(s, step * self.streams[s].images_per_step + j)[0] for s, j in members]

    def _record(self, number: int, draw: int) -> tuple[Record, list[int]]:
        """Image number `draw` of a stream, and the seed of what is random about it."""
        stream = self.streams[number]
        part, position = draw % len(stream.sets), draw // len(stream.sets)
        order, members = self.orders[number, part], self.index.shards(stream.sets[part])
        if self.prefetcher:
            self.prefetcher.look_ahead((number, part), order, position, members)
        # In place of a picture that is set aside comes the next one that is not.
        for place in range(position, position + order.num_samples):
            shard, i = order.place(place)
            reader = shards.open_shard(self.index.location, members[shard], self.cache)
            record = reader.read(i)
            if record.image_id not in self.aside:
                break
        return record, [self.seed, number, part, position]

    def _example(self, number: int, draw: int, side: int, out: npt.NDArray[np.uint8]) -> Example:
        """Image number `draw` of a stream, decoded, transformed and perhaps combined with others.

        Args:
            out: its place in the batch.
        """
        stream, combine = self.streams[number], self.combine[number]
        record, seed = self._record(number, draw)
        if combine is None:
            example = self._transformed(number, record, side, seed, out)
        else:
            random = np.random.default_rng([*seed, 1])
            count = combine.count(random)
            part = side if count == 1 else combine.side(count, side)
            # The others come soon after it in the same set, so that they share its label space and
            # their shards are open.
            steps = 1 + random.choice(COMBINED_WITHIN, count - 1, replace=False)
            others = draw + len(stream.sets) * steps
            records = [record, *(self._record(number, int(other))[0] for other in others)]
            parts = [
                self._transformed(number, one, part, [*seed, 2 + k])
                for k, one in enumerate(records)
            ]
            example = parts[0] if count == 1 else combine(parts, side)
        if stream.sampled_negatives:
            random = np.random.default_rng([*seed, 1000])
            absent = self._negatives(number, draw, example.record, random)
            record = dataclasses.replace(example.record, absent=absent)
            example = dataclasses.replace(example, record=record)
        return example

    def _transformed(
        self,
        number: int,
        record: Record,
        side: int,
        seed: list[int],
        out: npt.NDArray[np.uint8] | None = None,
    ) -> Example:
        random = np.random.default_rng(seed)
        example = decode(record, side, out)
        for transform in self.transforms[number]:
            example = transform(example, random)
        return example

    def _negatives(
        self, number: int, draw: int, record: Record, random: np.random.Generator
    ) -> tuple[str, ...]:
        """The verified absent names, filled up with sampled ones."""
        stream = self.streams[number]
        known = len(record.phrases) + len(record.absent)
        room = min(stream.sampled_negatives, self.config.max_names) - known
        sampler = self.samplers[stream.sets[draw % len(stream.sets)]]
        return (*record.absent, *sampler.sample(record, room, random))

    def _collate(
        self,
        images_BHWC: npt.NDArray[np.uint8],
        records: list[Record],
        draws: list[tuple[int, int]],
    ) -> Batch:
        """The batch of some records; `draws` has the stream and the number in it of each."""
        stream_ids = [stream for stream, _ in draws]
        supervised = [self.streams[i] for i in stream_ids]
        spaces = [
            self._label_space(record, draw) for record, draw in zip(records, draws, strict=True)
        ]
        phrases: dict[tuple[str, bool], int] = {}
        for space in spaces:
            for name in space.names:
                phrases.setdefault((name, True), len(phrases))
        captions = [
            record.caption if stream.captions and record.caption.strip() else ""
            for record, stream in zip(records, supervised, strict=True)
        ]
        caption_B = [
            phrases.setdefault((text, False), len(phrases)) if text else -1 for text in captions
        ]
        # Where no name is asked, nobody looks for a caption's words.
        sought = [
            text if stream.asked_names else ""
            for text, stream in zip(captions, supervised, strict=True)
        ]
        token_BT, weight_BT = self._caption_tokens(sought)
        side = images_BHWC.shape[1]
        tensors = label_space.stack(spaces, phrases, side)
        return Batch(
            images_BCHW=torch.from_numpy(images_BHWC).permute(0, 3, 1, 2),
            sizes_B2=torch.tensor(
                [[record.height / side, record.width / side] for record in records]
            ),
            stream_BS=torch.eye(len(self.streams))[stream_ids],
            phrases=self.vocabulary.table((*phrase, True) for phrase in phrases),
            describes_B=torch.tensor([stream.describes for stream in supervised]),
            caption_B=torch.tensor(caption_B),
            caption_token_BT=token_BT,
            caption_weight_BT=weight_BT,
            **tensors,
        )

    def _caption_tokens(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Tokens and weights (B, T) of the captions, the heaviest first; T is the most of any.

        A token that many boxes have weighs less: they know better where it is.
        """
        encoded = [
            self.vocabulary.encode(text, False, True) if text else ((), ()) for text in captions
        ]
        most = min(self.config.max_caption_tokens, max(len(ids) for ids, _ in encoded))
        tokens_BT = np.zeros((len(captions), most), np.int64)
        weights_BT = np.zeros((len(captions), most), np.float32)
        for i, (ids, weights) in enumerate(encoded):
            own = np.asarray(ids, np.int64)
            shared = np.asarray(weights, np.float32) * self.caption_share_T[own]
            order = np.argsort(-shared, kind="stable")[:most]
            tokens_BT[i, : len(order)], weights_BT[i, : len(order)] = own[order], shared[order]
        return torch.from_numpy(tokens_BT), torch.from_numpy(weights_BT)

    def _label_space(self, record: Record, draw: tuple[int, int]) -> LabelSpace:
        # What is left out depends on the image alone, and not on the rank that has it.
        random = np.random.default_rng([self.seed, *draw])
        stream = self.streams[draw[0]]
        if not stream.boxes:
            return LabelSpace.of_names(self.asked_names, stream.asked_names, random)
        most = (self.config.max_names, self.config.max_boxes)
        return label_space.label_space(record, *most, random)


class Loader:
    """Batches of a mixture, made by worker processes; its state is the number of the next step."""

    def __init__(self, mixture: Mixture, last_step: int) -> None:
        self.mixture, self.last_step, self.step = mixture, last_step, 0

    def __iter__(self) -> Iterator[Batch]:
        for batch in batch_workers.batches(
            self.mixture, range(self.step, self.last_step), self.mixture.config.workers
        ):
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The number of the next step."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a step; this takes no time, however late the step is."""
        self.step = state["step"]
