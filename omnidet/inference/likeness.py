"""Ask by picture: what an example shows, as a row that regions of other pictures are scored by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from omnidet.inference.choice import box_in
from omnidet.inference.pictures import AnyPicture, Picture
from omnidet.inference.prompt import Prompt
from omnidet.schema import FloatArray

_BOX = re.compile(r"(.+):(-?[\d.]+),(-?[\d.]+),(-?[\d.]+),(-?[\d.]+)")
_LEAST_SIDE = 64
_FRAMED = 0.5
"""Regions that frame so much of the example may be the one that saw it. The one that frames it best
need not be: a box that is drawn by hand is a few pixels off."""
_BACKGROUND = 0.1
"""Regions that frame less of the example than this are its background."""
_TOKENS_AT_ONCE = 4096
LEAST_AHEAD = 1.25
"""An example whose best token logit is not so far above that of the picture's middle region holds
nothing that the detector knows. On the demo's validation images 1 of 150 things is below, and all
of 150 boxes of bare ground; of cut-outs 1 of 150 things, and 132 of 150 pieces of ground."""
SURE, NOT_IT = 2.0, -14.0
"""Logits of the example itself, a score of .88, and of the mean of its background. On 80 of the
demo's validation images a threshold of .3 then finds 39 % of the things of the example's kind, and
34 % of what it finds is one of them; 50 % and 19 % for a cut-out."""


@dataclass(frozen=True, eq=False)
class Example:
    """A thing in a picture."""

    image: AnyPicture
    box: tuple[float, float, float, float] | None = None
    """Corners in pixels; None: the picture is cut out around the thing."""
    name: str = ""
    """What detections like it are called; several examples of one name are of one thing."""


def checked(given: Example | Iterable[Example]) -> list[Example]:
    """The examples as a list. Raises ValueError for none, and for what is no `Example`."""
    found = [given] if isinstance(given, Example) else list(given)
    if not found:
        raise ValueError("examples are empty: give at least one Example(picture, box)")
    for number, one in enumerate(found):
        if not isinstance(one, Example):
            raise ValueError(
                f"example {number} is of type {type(one).__name__}: give Example(picture, box)"
            )
    return found


def example(given: str) -> Example:
    """The example that `PICTURE` or `PICTURE:x0,y0,x1,y1` names."""
    found = None if Path(given).is_file() else _BOX.fullmatch(given)
    if found is None:
        return Example(given, None, f"like {Path(given).name}")
    try:
        x0, y0, x1, y1 = (float(value) for value in found.groups()[1:])
    except ValueError:
        raise ValueError(f"--like {given}: give PICTURE:x0,y0,x1,y1 in pixels") from None
    return Example(found[1], (x0, y0, x1, y1), f"like {Path(found[1]).name}")


def examples(given: Sequence[str]) -> list[Example]:
    """The examples, each once; those of the same file name are called by all that was given."""
    given = list(dict.fromkeys(given))
    found = [example(text) for text in given]
    counts = Counter(one.name for one in found)
    return [
        one if counts[one.name] == 1 else replace(one, name=f"like {text}")
        for one, text in zip(found, given, strict=True)
    ]


def joined(one: Prompt, other: Prompt) -> Prompt:
    """Both in one prompt, the first one's labels first.

    Raises ValueError for a name of an example that is a phrase too.
    """
    if same := set(one.labels) & set(other.labels):
        raise ValueError(f"{min(same)!r} is a phrase and the name of an example: rename one")
    count = len(one.labels)
    first = one.name_of_P or tuple(range(count))
    second = other.name_of_P or tuple(range(len(other.labels)))
    none = (None,)
    return Prompt(
        one.phrases + other.phrases,
        torch.cat([one.rows_PD, other.rows_PD]),
        torch.cat([one.biases_P, other.biases_P]),
        one.labels + other.labels,
        first + tuple(count + place for place in second),
        (one.thresholds or none * count) + (other.thresholds or none * len(other.labels)),
        of=one.of,
    )


def shown(
    picture: Picture, box: tuple[float, float, float, float] | None, image_size: int
) -> tuple[Picture, FloatArray]:
    """The picture that an example is looked at in, and the corners (4,) of the thing in it.

    A cut-out is put into the middle of a larger picture of the colour of its edge: a thing that
    fills its picture is nothing that a detector is trained on, and an edge that can be seen would
    make a square thing of any ground.

    Raises ValueError for a box outside of the picture.
    """
    if box is not None:
        return picture, box_in(picture, box)
    side = max(2 * max(picture.width, picture.height), min(image_size, 4 * _LEAST_SIDE))
    pixels = np.asarray(picture.image())
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    canvas = np.full((side, side, 3), np.median(edge, axis=0), np.uint8)
    left, top = (side - picture.width) // 2, (side - picture.height) // 2
    canvas[top : top + picture.height, left : left + picture.width] = pixels
    corners = np.array([left, top, left + picture.width, top + picture.height], np.float32)
    return Picture(picture.name, side, side, canvas), corners


def cut_off(
    name: str, box: tuple[float, float, float, float] | None, picture: Picture
) -> str | None:
    """A line for people whose box reaches out of its picture, by more than a pixel of rounding.

    Raises ValueError for a box outside of the picture.
    """
    if box is None:
        return None
    inside = box_in(picture, box)
    if float(np.abs(inside - np.array(box)).max()) <= 1:
        return None
    return (
        f"{name}: the box {_corners(box)} reaches out of the picture, which is {picture.width} x "
        f"{picture.height}: {_corners(inside.tolist())} of it is looked at"
    )


def row(
    embeddings_QD: Tensor, shares_Q: Tensor, tokens_TD: Tensor, biases_T: Tensor
) -> tuple[Tensor, Tensor, float]:
    """Row (D,) and bias of the score `z . row + bias`, "how much like the example is z"; and how
    far the example is ahead of the picture's middle region, see `LEAST_AHEAD`.

    The example is read as words, by the softmax of its token logits: a phrase of all the tokens
    that it may be called by, each with its probability. Its scale is set by the example's own
    picture: the example gets the logit `SURE`, the mean of the background `NOT_IT`.

    Args:
        embeddings_QD: of all regions of the example's picture.
        shares_Q: how much of the example each of them frames, intersection over union.
        tokens_TD: the detector's token table.
        biases_T: of the tokens.
    """
    embeddings_QD, tokens_TD = embeddings_QD.float(), tokens_TD.float()
    biases_T = biases_T.float()
    best_Q = _best_logits(embeddings_QD, tokens_TD, biases_T)
    framing = shares_Q >= min(_FRAMED, float(shares_Q.max()))
    own = int(best_Q.masked_fill(~framing, float("-inf")).argmax())
    own_D = embeddings_QD[own]
    others = shares_Q < _BACKGROUND
    if not bool(others.any()):
        others = torch.ones_like(others)
    words_D = (tokens_TD @ own_D + biases_T).softmax(0) @ tokens_TD
    span = ((own_D - embeddings_QD[others].mean(0)) @ words_D).clamp(min=1e-6)
    row_D = words_D * ((SURE - NOT_IT) / span)
    return row_D, SURE - row_D @ own_D, float(best_Q[own] - best_Q[others].median())


def _best_logits(embeddings_QD: Tensor, tokens_TD: Tensor, biases_T: Tensor) -> Tensor:
    """The highest token logit (Q,) of each region, in memory that no vocabulary fills."""
    tables = (torch.split(table, _TOKENS_AT_ONCE) for table in (tokens_TD, biases_T))
    return torch.stack(
        [(embeddings_QD @ t.T + b).amax(1) for t, b in zip(*tables, strict=True)]
    ).amax(0)


def doubt(name: str, box: tuple[float, float, float, float] | None) -> str:
    """A line for people whose example holds nothing that the detector knows."""
    if box is None:
        return (
            f"{name}: the detector sees no thing in this picture, and may find bare ground: give "
            "PICTURE:x0,y0,x1,y1, a box around one thing in the picture that it was cut from"
        )
    return (
        f"{name}: the detector sees no thing in the box {_corners(box)}, and may find bare ground: "
        "draw the box closely around one thing"
    )


def _corners(box: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in box)
