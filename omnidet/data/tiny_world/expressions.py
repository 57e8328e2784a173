"""Referring expressions for the things of a scene: plain ones, and ones with a relation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omnidet.data import relations
from omnidet.data.tiny_world import words
from omnidet.data.tiny_world.scenes import Scene, Thing
from omnidet.data.tiny_world.sprites import Box

RELATIONS = relations.SIDES
_CLEAR_PIXELS = 20
"""Distance of centres, in pixels of a 128 pixel image, from which a relation is clear."""


@dataclass(frozen=True)
class Description:
    """Words for a thing; an empty field is not mentioned."""

    shape: str
    colour: str = ""
    size: str = ""

    def fits(self, thing: Thing) -> bool:
        """Whether the words are true of the thing."""
        return (
            self.shape == thing.shape
            and self.colour in ("", thing.colour)
            and self.size in ("", thing.size)
        )

    def words(self) -> str:
        return words.name(self.colour, self.shape, self.size)


def descriptions(thing: Thing) -> list[Description]:
    """The ways to describe a thing by itself, short ones first."""
    shape, colour, size = thing.shape, thing.colour, thing.size
    full = Description(shape, colour, size)
    return [Description(shape), Description(shape, colour), Description(shape, size=size), full]


def plain_expressions(scene: Scene, target: int) -> list[str]:
    """Expressions without a relation that fit the target and nothing else in the scene."""
    return [
        d.words()
        for d in descriptions(scene.things[target])
        if sum(d.fits(thing) for thing in scene.things) == 1
    ]


@dataclass(frozen=True)
class Relation:
    """An expression that names two things: "star left of circle"."""

    head: str
    relation: str
    landmark: str
    is_needed: bool
    """Whether the head's words fit other things too, so that only the relation tells them apart."""


def relational_expressions(scene: Scene, target: int) -> list[Relation]:
    """Expressions with a relation that fit only the target.

    The words for the landmark fit nothing else. The relation clearly holds for the target, and does
    not hold for any other thing that the words of the head fit.
    """
    found = []
    for landmark, relation, other in _landmarks(scene, target):
        for head in descriptions(scene.things[target]):
            rivals = [
                t
                for i, t in enumerate(scene.things)
                if i not in (target, landmark) and head.fits(t)
            ]
            if all(
                offset(t.box_xyxy, scene.things[landmark].box_xyxy, relation)[0] <= 0
                for t in rivals
            ):
                found.append(Relation(head.words(), relation, other.words(), bool(rivals)))
    return found


def offset(box_xyxy: Box, landmark_xyxy: Box, relation: str) -> tuple[float, float]:
    """Distance of the box's centre from the landmark's along and across the relation, in pixels."""
    return relations.offset(_centre(box_xyxy), _centre(landmark_xyxy), relation)


def _centre(box_xyxy: Box) -> relations.Point:
    return (box_xyxy[0] + box_xyxy[2]) / 2, (box_xyxy[1] + box_xyxy[3]) / 2


def _landmarks(scene: Scene, target: int) -> Iterator[tuple[int, str, Description]]:
    """Things to which the target has a clear relation, with words that fit nothing else."""
    clear = _CLEAR_PIXELS * scene.image_size / 128
    for i, thing in enumerate(scene.things):
        if i == target:
            continue
        unique = [
            d for d in descriptions(thing) if sum(d.fits(other) for other in scene.things) == 1
        ]
        for relation in RELATIONS:
            along, across = offset(scene.things[target].box_xyxy, thing.box_xyxy, relation)
            if along >= clear and along >= across:
                yield from ((i, relation, words) for words in unique[:2])
