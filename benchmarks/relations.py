"""Whether a detector reads relations: expressions by what the words before the relation fit.

    python benchmarks/relations.py --model registry/omnidet-tiny-world/1

Draws scenes of the demo's world that nobody was trained on, asks for one thing in each by an
expression ("star left of circle"), and counts the best boxes with an IoU of .5 or more:

- alone: the head fits one thing in the scene, so that the relation need not be read;
- rivals: it fits others too, which the relation rules out; by chance one half or less is right;
- landmark: it fits the landmark too ("circle left of the red circle"), and no other thing.

A detector that does not read relations is good at the first kind only, and most expressions of the
drawn RefCOCOg are of it.

The expressions of the first kind are also asked in ways that fit nothing in the scene: with the
other side, and with a landmark of a shape that the scene does not have. The second table counts
those that the detector shows all the same, at its default threshold.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from side_by_side import print_table

from omnidet.data.tiny_world.expressions import Relation, descriptions, relational_expressions
from omnidet.data.tiny_world.scenes import Scene, Style, draw_scene
from omnidet.data.tiny_world.sprites import COLOURS, SHAPES
from omnidet.inference.detector import OmniDet
from omnidet.inference.overlaps import overlaps

KINDS = ("alone", "rivals", "landmark")
WAYS = ("as it is", "the other side", "landmark not there")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
SEED = 20261130
"""Not one that a world of the demo is drawn with (`draw.py` has lists of numbers)."""


def main() -> None:
    """Draw, ask, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--each", type=int, default=500, help="expressions of each kind")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.each < 1:
        parser.error(f"--each={options.each}: give 1 or more")
    try:
        detector = OmniDet.from_pretrained(options.model)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    shown: dict[str, list[bool]] = {way: [] for way in WAYS}
    random = np.random.default_rng(SEED)
    for kind, scene, pixels, target, relation in _asked():
        if len(right[kind]) < options.each:
            phrase = f"{relation.head} {relation.relation} {relation.landmark}"
            ((boxes_14, _),) = detector.locate(pixels, [phrase])
            true_4 = np.array(scene.things[target].box_xyxy, np.float32)
            right[kind].append(bool(overlaps(true_4, boxes_14)[0] >= 0.5))
            if kind == "alone":
                for way, other in zip(WAYS, _said(relation, scene, random), strict=True):
                    ((_, scores_1),) = detector.locate(pixels, [other], is_present=False)
                    shown[way].append(bool(scores_1[0] >= detector.threshold))
        if all(len(one) == options.each for one in right.values()):
            break
    values = {kind: float(np.mean(one)) for kind, one in right.items()}
    rows = [
        [kind, str(options.each), f"{share:.3f}", f"{_error(share, options.each):.3f}"]
        for kind, share in values.items()
    ]
    print_table(options.model, ["the head fits", "expressions", "right", "error"], rows)
    shares = {way: float(np.mean(one)) for way, one in shown.items()}
    rows = [[way, f"{share:.3f}"] for way, share in shares.items()]
    print_table(f"shown at {detector.threshold:.2f}", ["the expression", "share"], rows)
    values |= {f"shown {way}": share for way, share in shares.items()}
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n")


def _asked() -> Iterator[tuple[str, Scene, np.ndarray, int, Relation]]:
    """Scene after scene, one expression of each kind that it has."""
    random = np.random.default_rng(SEED)
    while True:
        scene, pixels = draw_scene(random, 128, Style(long_tail=True))
        if len(scene.things) < 2:
            continue
        target = int(random.integers(len(scene.things)))
        found: dict[str, list[Relation]] = {kind: [] for kind in KINDS}
        for relation in relational_expressions(scene, target):
            found[_kind(scene, relation)].append(relation)
        for kind, relations in found.items():
            if relations:
                yield kind, scene, pixels, target, relations[int(random.integers(len(relations)))]


def _said(relation: Relation, scene: Scene, random: np.random.Generator) -> tuple[str, ...]:
    """The expression in each of `WAYS`."""
    shapes = [s for s in SHAPES if all(s not in thing.shape for thing in scene.things)]
    absent = f"{random.choice(list(COLOURS))} {random.choice(shapes)}"
    return (
        f"{relation.head} {relation.relation} {relation.landmark}",
        f"{relation.head} {OPPOSITE[relation.relation]} {relation.landmark}",
        f"{relation.head} {relation.relation} {absent}",
    )


def _kind(scene: Scene, relation: Relation) -> str:
    if relation.is_needed:
        return "rivals"
    ways = [{d.words() for d in descriptions(thing)} for thing in scene.things]
    return "alone" if sum(relation.head in own for own in ways) == 1 else "landmark"


def _error(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)


if __name__ == "__main__":
    main()
