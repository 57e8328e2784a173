"""Scenes of the tiny world: which shapes are where, and the pixels.

A scene is drawn from the generator that is passed in and from nothing else, so that any process can
draw any image. Boxes and areas are measured on the drawn masks.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnidet.data.tiny_world.sprites import (
    COLOURS,
    HELD_OUT_PAIRS,
    PAIRS,
    SEEN_PAIRS,
    SIZES,
    Box,
    FloatPixels,
    Pair,
    Sprite,
    box_of,
    draw_sprite,
)

_MAX_OVERLAP = 0.05  # of the smaller box

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Thing:
    """One object of a scene."""

    colour: str
    shape: str
    size: str
    box_xyxy: Box
    area: int
    """Pixels of the visible mask."""


@dataclass(frozen=True)
class Crowd:
    """A cluster of tiny equal objects with one box."""

    colour: str
    shape: str
    box_xyxy: Box
    area: int
    run_lengths: tuple[int, ...]
    """COCO's uncompressed run lengths of the mask, column by column."""


@dataclass(frozen=True)
class Scene:
    """What was drawn."""

    image_size: int
    things: tuple[Thing, ...]
    crowd: Crowd | None = None


@dataclass(frozen=True)
class Picture:
    """A scene and its encoded image."""

    scene: Scene
    jpeg: bytes


@dataclass(frozen=True)
class Style:
    """What kind of scene to draw."""

    fewest: int = 1
    most: int = 6
    long_tail: bool = False
    """Whether some pairs are common and a few are rare, as in LVIS."""
    held_out: bool = False
    """The first thing is of a held-out pair, the second shares its colour, the third its shape."""
    empty_share: float = 0.0
    crowd_share: float = 0.0


def draw_scene(rng: np.random.Generator, image_size: int, style: Style) -> tuple[Scene, Pixels]:
    """One scene and its (image_size, image_size, 3) pixels."""
    image = _background(rng, image_size)
    owner = np.full((image_size, image_size), -1, np.int16)
    if rng.random() < style.empty_share:
        return Scene(image_size, ()), _to_pixels(image)
    while True:  # ends: sooner or later three small things find a place
        wishes = _choose(rng, style)
        placed = _place(rng, image_size, wishes)
        if len(placed) >= style.fewest:
            break
    for number, (wish, sprite, corner) in enumerate(placed):
        _paint(rng, image, owner, sprite, corner, wish[0], number)
    things = []
    for number, ((colour, shape, size), _, _) in enumerate(placed):
        mask = owner == number
        things.append(Thing(colour, shape, size, box_of(mask), int(mask.sum())))
    crowd = _draw_crowd(rng, image, owner, things) if rng.random() < style.crowd_share else None
    return Scene(image_size, tuple(things), crowd), _to_pixels(image)


def encode(pixels: Pixels, quality: int = 92) -> bytes:
    """JPEG without metadata that could differ between runs."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def run_lengths(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """COCO's uncompressed run lengths: column by column, beginning with false pixels."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask[-1, -1]]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return tuple(int(n) for n in np.diff(np.concatenate([[0], changes])))


def _choose(rng: np.random.Generator, style: Style) -> list[tuple[str, str, str]]:
    """Colour, shape and size of the things to place.

    Equal and similar things are common: words must distinguish them.
    """
    number = int(rng.integers(style.fewest, style.most + 1))
    target = HELD_OUT_PAIRS[int(rng.integers(len(HELD_OUT_PAIRS)))] if style.held_out else None
    weights = _pair_weights(style.long_tail, target)
    pairs: list[Pair] = []
    if target:
        colour, shape = target
        pairs = [target, _pick(rng, weights, colour=colour), _pick(rng, weights, shape=shape)]
    while len(pairs) < number:
        like = pairs[int(rng.integers(len(pairs)))] if pairs else None
        kind = rng.random() if like else 1.0
        if like and kind < 0.25 and like != target:
            pairs.append(like)
        elif like and kind < 0.4:
            pairs.append(_pick(rng, weights, shape=like[1]))
        elif like and kind < 0.5:
            pairs.append(_pick(rng, weights, colour=like[0]))
        else:
            pairs.append(_pick(rng, weights))
    shapes = {shape for _, shape in pairs}
    if (
        "hot dog" in shapes
        and "dog" not in shapes
        and len(pairs) < style.most
        and rng.random() < 0.3
    ):
        # In one picture: "dog" must not be found in the hot dog.
        pairs.append(_pick(rng, weights, shape="dog"))
    return [(colour, shape, "small" if rng.random() < 0.55 else "large") for colour, shape in pairs]


@functools.cache
def _pair_weights(long_tail: bool, target: Pair | None) -> npt.NDArray[np.float64]:
    if target:  # any pair but the target
        return np.array([float(pair != target) for pair in PAIRS])
    weights = np.zeros(len(PAIRS))
    for i, pair in enumerate(SEEN_PAIRS):
        # Of every 12 pairs 1 is rare and 2 are less common: with the default number of images these
        # are LVIS' r (up to 10 images), c (up to 100) and f.
        tail = {5: 0.03, 2: 0.25, 9: 0.25}.get(i % 12, 1.0)
        weights[PAIRS.index(pair)] = tail if long_tail else 1.0
    return weights


def _pick(
    rng: np.random.Generator, weights: npt.NDArray[np.float64], colour: str = "", shape: str = ""
) -> Pair:
    fits = np.array([(not colour or c == colour) and (not shape or s == shape) for c, s in PAIRS])
    total = np.cumsum(weights * fits)
    return PAIRS[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]


def _place(
    rng: np.random.Generator, image_size: int, wishes: list[tuple[str, str, str]]
) -> list[tuple[tuple[str, str, str], Sprite, tuple[int, int]]]:
    """The things that found a place, in order, up to the first that did not."""
    placed: list[tuple[tuple[str, str, str], Sprite, tuple[int, int]]] = []
    boxes: list[Box] = []
    for wish in wishes:
        low, high = (side * image_size / 128 for side in SIZES[wish[2]])
        sprite = draw_sprite(rng, wish[1], float(rng.uniform(low, high)))
        corner = _free_corner(rng, image_size, sprite, boxes)
        if corner is None:
            break
        placed.append((wish, sprite, corner))
        boxes.append(_shift(sprite.box_xyxy, corner))
    return placed


def _free_corner(
    rng: np.random.Generator, image_size: int, sprite: Sprite, boxes: list[Box]
) -> tuple[int, int] | None:
    height, width = sprite.coverage.shape
    for x, y in rng.integers(
        0, (image_size - width + 1, image_size - height + 1), (40, 2)
    ).tolist():
        box = _shift(sprite.box_xyxy, (x, y))
        if all(_overlap(box, other) <= _MAX_OVERLAP for other in boxes):
            return x, y
    return None


def _shift(box: Box, corner: tuple[int, int]) -> Box:
    x, y = corner
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _overlap(a: Box, b: Box) -> float:
    """Intersection as a share of the smaller box, so that no small thing vanishes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / smaller


def _draw_crowd(
    rng: np.random.Generator, image: FloatPixels, owner: npt.NDArray[np.int16], things: list[Thing]
) -> Crowd | None:
    """A jittered grid of tiny equal things on free ground, of a pair not used in the scene."""
    image_size = len(image)
    cell = round(13 * image_size / 128)
    side = 3 * cell + 2
    taken = {(thing.colour, thing.shape) for thing in things}
    pairs = [pair for pair in SEEN_PAIRS if pair not in taken]
    colour, shape = pairs[int(rng.integers(len(pairs)))]
    for x, y in rng.integers(0, image_size - side + 1, (60, 2)).tolist():
        if (owner[y : y + side, x : x + side] >= 0).any():
            continue
        number = len(things)
        for row in range(3):
            for column in range(3):
                sprite = draw_sprite(rng, shape, float(rng.uniform(0.68, 0.84)) * cell)
                shift_x, shift_y = rng.integers(0, 3, 2).tolist()
                _paint(
                    rng,
                    image,
                    owner,
                    sprite,
                    (x + column * cell + shift_x, y + row * cell + shift_y),
                    colour,
                    number,
                )
        mask = owner == number
        return Crowd(colour, shape, box_of(mask), int(mask.sum()), run_lengths(mask))
    return None


def _paint(
    rng: np.random.Generator,
    image: FloatPixels,
    owner: npt.NDArray[np.int16],
    sprite: Sprite,
    corner: tuple[int, int],
    colour: str,
    number: int,
) -> None:
    """Draw a sprite into `image`, and write `number` into `owner` where it covers half a pixel."""
    height, width = sprite.coverage.shape
    window = np.s_[corner[1] : corner[1] + height, corner[0] : corner[0] + width]
    tone = np.array(COLOURS[colour]) * rng.uniform(0.92, 1.04) + rng.uniform(-9, 9, 3)
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * 4
    shaded = tone.astype(np.float32) * (1 - 0.62 * sprite.dark[..., None]) + grain
    image[window] += sprite.coverage[..., None] * (shaded - image[window])
    owner[window][sprite.coverage >= 0.5] = number


def _background(rng: np.random.Generator, image_size: int) -> FloatPixels:
    """Noise of random grain over a slow gradient: different for a perceptual hash too."""
    tint = (rng.uniform(55, 125) + rng.uniform(-11, 11, 3)).astype(np.float32)
    grain = int(rng.integers(1, 5))
    cells = -(-image_size // grain)
    noise = rng.standard_normal((cells, cells, 1), dtype=np.float32) * np.float32(
        rng.uniform(4, 14)
    )
    noise = noise.repeat(grain, 0).repeat(grain, 1)[:image_size, :image_size]
    coarse = Image.fromarray(rng.standard_normal((5, 5), dtype=np.float32) * np.float32(14))
    slow = np.asarray(coarse.resize((image_size, image_size), Image.Resampling.BICUBIC))[..., None]
    ground: FloatPixels = (noise + slow) + tint
    return ground


def _to_pixels(image: FloatPixels) -> Pixels:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
