"""A shard folder in numbers: what each set holds, and which benchmark names training has words for.

For a look at the data before training: `omnidet inspect SHARDS`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omnidet import storage
from omnidet.counted import counted
from omnidet.data import shards
from omnidet.data.reading import json_stream
from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import Record

AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}
"""Classes of box areas in square pixels, those of COCO's evaluation."""
LENGTHS = {"1 word": 1, "2 words": 2, "3 words": 3, "4-6 words": 6, "7-12 words": 12, "more": 10**9}
"""Classes of phrase lengths, with the most words of each."""
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
"""LVIS's groups of names, by the number of training images that show them."""
NUM_EXAMPLES = 3
"""Number of quarantined things that are named for each reason."""
_WORD = re.compile(r"\w+")


@dataclass
class SetSurvey:
    """What one set holds. A phrase counts once per image in which it names something."""

    images: int = 0
    boxes: int = 0
    captions: int = 0
    images_without_boxes: int = 0
    verified_images: int = 0
    """Images with names that were searched for and not found: all regions are supervised."""
    pairs: int = 0
    absent: int = 0
    not_exhaustive: int = 0
    phrases: Counter[str] = field(default_factory=Counter)
    names: Counter[int] = field(default_factory=Counter)
    """Size of the label space -> number of images."""
    boxes_an_image: Counter[int] = field(default_factory=Counter)
    areas: Counter[str] = field(default_factory=Counter)
    lengths: Counter[str] = field(default_factory=Counter)
    caption_lengths: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.images += 1
        self.boxes += len(record.boxes_xyxy)
        self.captions += bool(record.caption)
        self.images_without_boxes += not len(record.boxes_xyxy)
        self.verified_images += bool(record.absent)
        self.pairs += len(record.phrases)
        self.absent += len(record.absent)
        self.not_exhaustive += len(record.not_exhaustive)
        self.phrases.update(record.phrases)
        self.names[len(record.phrases) + len(record.absent)] += 1
        self.boxes_an_image[len(record.boxes_xyxy)] += 1
        corners = record.boxes_xyxy.astype(np.float64)
        for area in ((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])).tolist():
            self.areas[next(name for name, (low, high) in AREAS.items() if low <= area < high)] += 1
        self.lengths.update(_length(phrase) for phrase in record.phrases)
        if record.caption:
            self.caption_lengths[_length(record.caption)] += 1


@dataclass(frozen=True)
class Coverage:
    """Which names of a benchmark share words or tokens with the grounding and caption data."""

    set_name: str
    group: str
    """`rare`, `common` or `frequent`; `all` if the benchmark has no groups."""
    names: int
    covered: int
    """Number of names all of whose parts were seen."""
    unseen: tuple[str, ...]
    """Names none of whose parts was seen, in order."""


@dataclass(frozen=True)
class Survey:
    """What a shard folder holds."""

    location: str
    dataset_version: str
    sets: dict[str, SetSurvey]
    coverage: tuple[Coverage, ...]
    parts: str
    """Unit of coverage: "words", or "tokens" of a vocabulary."""
    held_out: dict[str, dict[str, int]]
    """Training set -> benchmark -> number of images left out because of it."""
    quarantined: dict[str, int]
    examples: dict[str, list[str]]
    """Reason -> some of the things refused for it."""


def survey(index: shards.Index, vocabulary: Vocabulary | None = None) -> Survey:
    """Read all texts of a shard folder once and count.

    Args:
        index: the shard folder.
        vocabulary: if given, coverage is counted in its tokens instead of words.
    """
    split = _token_parts(vocabulary) if vocabulary else _words
    sets, seen = {}, set[str]()
    for name in index.sets:
        sets[name] = SetSurvey()
        for record in shards.texts(index, name):
            sets[name].add(record)
            if name.startswith("train/"):
                # The names of a verified label space are what is looked for elsewhere.
                texts = (
                    *(() if record.absent else record.phrases),
                    *([record.caption] if record.caption else []),
                )
                for text in texts:
                    seen.update(split(text))
    # Without any such text there is nothing to compare: that no name occurs in it would read as if
    # the names were not trained on.
    benchmarks = index.ground_truth if seen else {}
    coverage = tuple(part for name in benchmarks for part in _coverage(index, name, split, seen))
    return Survey(
        index.location,
        index.dataset_version,
        sets,
        coverage,
        "tokens" if vocabulary else "words",
        dict(index.report.get("held_out", {})),
        dict(index.report.get("quarantined", {})),
        _examples(index.location),
    )


def quantiles(counts: Counter[int]) -> tuple[int, int, int]:
    """Least, median and largest of the counted values."""
    values = sorted(counts)
    half, passed = sum(counts.values()) / 2, 0
    for value in values:
        passed += counts[value]
        if passed >= half:
            return values[0], value, values[-1]
    return 0, 0, 0


def describe(found: Survey) -> str:
    """The survey as lines of text."""
    lines = [f"{found.location}  data version {found.dataset_version[:12]}"]
    for name, own in found.sets.items():
        lines += ["", name, *(f"  {text:22} {value}" for text, value in facts(own).items())]
    for part in found.coverage:
        lines += [
            "",
            f"{part.set_name}: {part.covered} of {part.names} {part.group} names have all "
            f"{found.parts} seen in grounding phrases or captions, {len(part.unseen)} none",
        ]
        lines += [f"  none of: {', '.join(part.unseen)}"] if part.unseen else []
    lines += [
        "",
        *(
            f"{name}: {counted(n, 'image')} held out: {why}"
            for name, own in found.held_out.items()
            for why, n in own.items()
        ),
    ]
    lines += [f"quarantined: {count} x {reason}" for reason, count in found.quarantined.items()]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip()


def facts(own: SetSurvey) -> dict[str, str]:
    """The numbers of a set, in words, by title."""
    least, median, most = quantiles(own.names)
    label_space = f"{least} to {most} names per image, median {median}"
    least, median, most = quantiles(own.boxes_an_image)
    titled = {
        "images": f"{own.images}, {own.images_without_boxes} of them without boxes, "
        f"{own.captions} with a caption",
        "boxes": f"{own.boxes}, {least} to {most} per image, median {median}",
        "box sizes": shares(own.areas, AREAS),
        "phrases": f"{own.pairs} in images, {len(own.phrases)} distinct",
        "phrase lengths": shares(own.lengths, LENGTHS),
        "most frequent": ", ".join(
            f"{phrase} ({count})" for phrase, count in own.phrases.most_common(8)
        ),
        "label spaces": f"{own.verified_images} images with verified absent names; {label_space}",
        "absent, not exhaustive": f"{own.absent}, {own.not_exhaustive}",
        "caption lengths": shares(own.caption_lengths, LENGTHS),
    }
    return {text: value for text, value in titled.items() if value}


def shares(counts: Counter[str], order: Iterable[str]) -> str:
    """The share of each class, in percent."""
    total = sum(counts.values())
    return ", ".join(f"{name} {100 * counts[name] / total:.0f} %" for name in order if counts[name])


def _length(text: str) -> str:
    words = len(text.split())
    return next(name for name, most in LENGTHS.items() if words <= most)


def _words(text: str) -> Iterable[str]:
    return _WORD.findall(text.lower())


def _token_parts(vocabulary: Vocabulary) -> Callable[[str], Iterable[str]]:
    # A word after a relation has a token of its own, but is the same word.
    return lambda text: [token.removesuffix(" (context)") for token, _ in vocabulary.tokens(text)]


def _coverage(
    index: shards.Index, name: str, split: Callable[[str], Iterable[str]], seen: set[str]
) -> Iterator[Coverage]:
    truth = index.ground_truth[name]
    if not truth["names"]:  # a benchmark of phrases
        return
    groups: dict[str, list[str]] = {}
    frequencies = _frequencies(storage.join(index.location, truth["file"]))
    for category, phrase in sorted(truth["names"].items(), key=lambda item: int(item[0])):
        groups.setdefault(FREQUENCIES.get(frequencies.get(int(category), ""), "all"), []).append(
            phrase
        )
    for group in (*FREQUENCIES.values(), "all"):
        parts = {phrase: set(split(phrase)) for phrase in groups.get(group, [])}
        if parts:
            covered = sum(own <= seen for own in parts.values())
            yield Coverage(
                name,
                group,
                len(parts),
                covered,
                tuple(p for p, own in parts.items() if not own & seen),
            )


def _frequencies(location: str) -> dict[int, str]:
    path = storage.local_copy(location, ".cache/shards")
    content: Any = json_stream.load(path, {"categories": ("id", "frequency")})
    return {entry["id"]: str(entry.get("frequency", "")) for entry in content["categories"]}


def _examples(location: str) -> dict[str, list[str]]:
    path = storage.join(location, "quarantine.jsonl")
    found: dict[str, list[str]] = {}
    for line in storage.read_text(path).splitlines() if storage.exists(path) else ():
        entry = json.loads(line)
        own = found.setdefault(f"{entry['source']}: {entry['kind']}: {entry['reason']}", [])
        if len(own) < NUM_EXAMPLES:
            own.append(entry["item"])
    return found
