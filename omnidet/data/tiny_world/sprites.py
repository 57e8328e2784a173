"""The shapes of the tiny world: their outlines, and one shape drawn before it is placed.

Boxes are measured on the drawn mask, never computed from the outline.
"""

from __future__ import annotations

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
"""Never drawn or named in training, though each of their words is: they test composition."""
SEEN_PAIRS = tuple(pair for pair in PAIRS if pair not in HELD_OUT_PAIRS)

_MAX_TURN_DEGREES = {
    "circle": 180,
    "ring": 180,
    "moon": 30,
    "heart": 20,
    "hot dog": 25,
    "dog": 10,
}  # others: 15
_OVERSAMPLING = 4

Pair = tuple[str, str]
Box = tuple[int, int, int, int]
FloatPixels = npt.NDArray[np.float32]
Outline = list[tuple[npt.NDArray[np.float64], str]]


@dataclass(frozen=True)
class Sprite:
    """One object before it is placed: coverage and shade of its pixels, with an empty border."""

    coverage: FloatPixels
    dark: FloatPixels
    box_xyxy: Box
    """Inside the sprite."""


def draw_sprite(rng: np.random.Generator, shape: str, side: float) -> Sprite:
    """Draw a shape, turned a little and perhaps mirrored; the longer side of its box is `side`."""
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
    return Sprite(coverage, shade, box_of(coverage >= 0.5))


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    """Smallest box (xyxy, end excluded) around the true pixels of a mask that is not empty."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _ellipse(x: float, y: float, radius_x: float, radius_y: float) -> npt.NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def _capsule(half_length: float, radius: float) -> npt.NDArray[np.float64]:
    """A bar with round ends."""
    points = _ellipse(0, 0, radius, radius)
    points[:, 0] += np.where(points[:, 0] >= 0, 1, -1) * (half_length - radius)
    return points


def _outlines() -> dict[str, Outline]:
    """Polygons of each shape, y downwards. "fill" adds, "dark" adds darker, "cut" removes."""

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
