"""Scenes of the tiny world: which shapes stand where, and the pixels.

A scene is drawn from the generator that is handed in and from nothing else, so that any image can be drawn by any process.
Boxes and areas are measured on the drawn masks, never computed from the wish.
"""

from __future__ import annotations

import functools
import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

COLOURS = {
    "red": (222, 28, 36),
    "green": (36, 160, 52),
    "blue": (40, 70, 235),
    "yellow": (250, 226, 30),
    "purple": (150, 45, 190),
    "orange": (250, 128, 12),
    "cyan": (40, 218, 230),
    "white": (246, 246, 246),
}
SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "cross",
    "heart",
    "ring",
    "moon",
    "dog",
    "hot dog",
)
SIZES = {"small": (18, 26), "large": (34, 50)}
"""Longer side of the box in pixels of a 128 pixel image."""
PAIRS = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
HELD_OUT_PAIRS = (
    ("red", "moon"),
    ("green", "star"),
    ("blue", "heart"),
    ("yellow", "square"),
    ("purple", "circle"),
    ("orange", "cross"),
    ("cyan", "triangle"),
    ("white", "ring"),
)
"""Never drawn and never named in training, each word of them often: they show whether words are combined."""
SEEN_PAIRS = tuple(pair for pair in PAIRS if pair not in HELD_OUT_PAIRS)

_MAX_TURN_DEGREES = {
    "circle": 180,
    "ring": 180,
    "moon": 30,
    "heart": 20,
    "hot dog": 25,
    "dog": 10,
}  # others: 15
_MAX_OVERLAP = 0.05  # of the smaller box
_OVERSAMPLING = 4

Pair = tuple[str, str]
Box = tuple[int, int, int, int]
Pixels = npt.NDArray[np.uint8]
FloatPixels = npt.NDArray[np.float32]
Outline = list[tuple[npt.NDArray[np.float64], str]]


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
    """A cluster of tiny equal objects that is boxed as one."""

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
    """What kind of scene is wanted."""

    fewest: int = 1
    most: int = 6
    long_tail: bool = False
    """Some pairs are common and a few rare, as in LVIS."""
    held_out: bool = False
    """The first thing is of a held-out pair, the second shares its colour, the third its shape."""
    empty_share: float = 0.0
    crowd_share: float = 0.0


@dataclass(frozen=True)
class _Sprite:
    """One object before it is placed: coverage and shade of its pixels, with an empty border of one pixel."""

    coverage: FloatPixels
    dark: FloatPixels
    box_xyxy: Box
    """Inside the sprite."""


def draw_scene(rng: np.random.Generator, image_size: int, style: Style) -> tuple[Scene, Pixels]:
    """One scene and its (image_size, image_size, 3) pixels."""
    image = _background(rng, image_size)
    owner = np.full((image_size, image_size), -1, np.int16)
    if rng.random() < style.empty_share:
        return Scene(image_size, ()), _to_pixels(image)
    while True:  # ends: three small things always find a place sooner or later
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
    """JPEG without any metadata that could differ from run to run."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    """Smallest box, xyxy with the end excluded, around the true pixels of a mask that is not empty."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def run_lengths(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """COCO's uncompressed run lengths: column by column, beginning with the false ones."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask[-1, -1]]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return tuple(int(n) for n in np.diff(np.concatenate([[0], changes])))


def _choose(rng: np.random.Generator, style: Style) -> list[tuple[str, str, str]]:
    """Colour, shape and size of the things to place; equal and similar things are common, as words must tell them apart."""
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
        pairs.append(
            _pick(rng, weights, shape="dog")
        )  # the two side by side: "dog" must not fire on the hot dog
    return [(colour, shape, "small" if rng.random() < 0.55 else "large") for colour, shape in pairs]


@functools.cache
def _pair_weights(long_tail: bool, target: Pair | None) -> npt.NDArray[np.float64]:
    if target:  # all pairs, but the target is the only one of its own
        return np.array([float(pair != target) for pair in PAIRS])
    weights = np.zeros(len(PAIRS))
    for i, pair in enumerate(SEEN_PAIRS):
        # Of every 12 pairs 1 is rare and 2 are less common: LVIS' r (to 10 images), c (to 100) and f at the default size.
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
) -> list[tuple[tuple[str, str, str], _Sprite, tuple[int, int]]]:
    """The things that found a place, in order, up to the first that did not."""
    placed: list[tuple[tuple[str, str, str], _Sprite, tuple[int, int]]] = []
    boxes: list[Box] = []
    for wish in wishes:
        low, high = (side * image_size / 128 for side in SIZES[wish[2]])
        sprite = _sprite(rng, wish[1], float(rng.uniform(low, high)))
        corner = _free_corner(rng, image_size, sprite, boxes)
        if corner is None:
            break
        placed.append((wish, sprite, corner))
        boxes.append(_shift(sprite.box_xyxy, corner))
    return placed


def _free_corner(
    rng: np.random.Generator, image_size: int, sprite: _Sprite, boxes: list[Box]
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
    """Intersection as a share of the smaller box: a small thing must not vanish under a large one."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / smaller


def _draw_crowd(
    rng: np.random.Generator, image: FloatPixels, owner: npt.NDArray[np.int16], things: list[Thing]
) -> Crowd | None:
    """A jittered grid of tiny equal things on free ground, of a pair that stands nowhere else in the scene."""
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
                sprite = _sprite(rng, shape, float(rng.uniform(0.68, 0.84)) * cell)
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
    sprite: _Sprite,
    corner: tuple[int, int],
    colour: str,
    number: int,
) -> None:
    """Draw a sprite into `image` and write `number` into `owner` where it covers at least half of a pixel."""
    height, width = sprite.coverage.shape
    window = np.s_[corner[1] : corner[1] + height, corner[0] : corner[0] + width]
    tone = np.array(COLOURS[colour]) * rng.uniform(0.92, 1.04) + rng.uniform(-9, 9, 3)
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * 4
    shaded = tone.astype(np.float32) * (1 - 0.62 * sprite.dark[..., None]) + grain
    image[window] += sprite.coverage[..., None] * (shaded - image[window])
    owner[window][sprite.coverage >= 0.5] = number


def _background(rng: np.random.Generator, image_size: int) -> FloatPixels:
    """Noise of random grain over a slow gradient: no two grounds look alike to a perceptual hash either."""
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


def _sprite(rng: np.random.Generator, shape: str, side: float) -> _Sprite:
    """Draw one shape, turned a little and perhaps mirrored, so that the longer side of its box is `side` pixels."""
    turn = math.radians(rng.uniform(-1, 1) * _MAX_TURN_DEGREES.get(shape, 15))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    outline = [(points * (mirror, 1.0) @ rotation, kind) for points, kind in _OUTLINES[shape]]
    solid = np.concatenate([points for points, kind in outline if kind != "cut"])
    low, extent = solid.min(axis=0), np.ptp(solid, axis=0)
    scale = side / extent.max()
    width, height = (math.ceil(length * scale) + 2 for length in extent)
    canvas = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    dark = canvas.copy()
    pen, dark_pen = ImageDraw.Draw(canvas), ImageDraw.Draw(dark)
    for points, kind in outline:
        corners = (((points - low) * scale + 1) * _OVERSAMPLING).ravel().tolist()
        pen.polygon(corners, fill=0 if kind == "cut" else 255)
        if kind == "dark":
            dark_pen.polygon(corners, fill=255)
    coverage, shade = (
        np.asarray(layer.reduce(_OVERSAMPLING), np.float32) / np.float32(255)
        for layer in (canvas, dark)
    )
    return _Sprite(coverage, shade, box_of(coverage >= 0.5))


def _ellipse(x: float, y: float, radius_x: float, radius_y: float) -> npt.NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def _capsule(half_length: float, radius: float) -> npt.NDArray[np.float64]:
    """A bar with round ends."""
    points = _ellipse(0, 0, radius, radius)
    points[:, 0] += np.where(points[:, 0] >= 0, 1, -1) * (half_length - radius)
    return points


def _outlines() -> dict[str, Outline]:
    """Polygons of each shape, y downwards: "fill" adds to the shape, "dark" adds a darker part, "cut" takes away."""

    def polygon(*points: tuple[float, float]) -> npt.NDArray[np.float64]:
        return np.array(points, np.float64)

    def bar(x0: float, y0: float, x1: float, y1: float) -> npt.NDArray[np.float64]:
        return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))

    spikes = [
        (
            (1.0 if i % 2 == 0 else 0.42) * math.sin(i * math.pi / 5),
            (-1.0 if i % 2 == 0 else -0.42) * math.cos(i * math.pi / 5),
        )
        for i in range(10)
    ]
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    heart = np.stack(
        [
            16 * np.sin(t) ** 3,
            -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)),
        ],
        axis=1,
    )
    dog = [
        bar(-0.7, -0.15, 0.5, 0.3),
        *(bar(x, 0.2, x + 0.18, 0.85) for x in (-0.7, -0.42, 0.04, 0.32)),
        polygon((-0.7, -0.1), (-0.95, -0.7), (-0.8, -0.72), (-0.52, -0.1)),
        polygon(
            (0.2, 0.1),
            (0.4, -0.65),
            (0.85, -0.65),
            (1.15, -0.4),
            (1.15, -0.2),
            (0.75, -0.15),
            (0.5, 0.3),
        ),
        polygon((0.36, -0.5), (0.42, -0.95), (0.66, -0.6)),
    ]
    return {
        "circle": [(_ellipse(0, 0, 1, 1), "fill")],
        "square": [(bar(-1, -1, 1, 1), "fill")],
        "triangle": [(polygon((0, -0.95), (1, 0.8), (-1, 0.8)), "fill")],
        "star": [(polygon(*spikes), "fill")],
        "cross": [(bar(-1, -0.33, 1, 0.33), "fill"), (bar(-0.33, -1, 0.33, 1), "fill")],
        "heart": [(heart, "fill")],
        "ring": [(_ellipse(0, 0, 1, 1), "fill"), (_ellipse(0, 0, 0.58, 0.58), "cut")],
        "moon": [(_ellipse(0, 0, 1, 1), "fill"), (_ellipse(0.5, -0.1, 0.82, 0.82), "cut")],
        "dog": [(part, "fill") for part in dog],
        "hot dog": [(_capsule(0.98, 0.6), "fill"), (_capsule(1.2, 0.23), "dark")],
    }


_OUTLINES = _outlines()
