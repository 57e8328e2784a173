"""Where a phrase stops being about its own thing."""

from __future__ import annotations

import pytest

from omnidet.data.relations import RELATIONS, is_relational, landmark, split_relation


@pytest.mark.parametrize(
    ("phrase", "own", "context"),
    [
        ("star left of circle", "star left of", " circle"),
        ("The  Star to the right of the Circle", "the star to the right of", " the circle"),
        ("left star", "left star", ""),
        ("left of star", "left of star", ""),
        ("man on the bench near a dog", "man on", " the bench near a dog"),
        ("dog in front of it", "dog in front of", " it"),
        ("person with a bag", "person with a bag", ""),
        ("python", "python", ""),
        ("iron onion", "iron onion", ""),
        ("lamp on", "lamp on", ""),
        ("on", "on", ""),
        ("star, left-of: circle", "star left of", " circle"),
        ("star on the left hand side of circle", "star on the left hand side of", " circle"),
        ("star at left of circle", "star at left of", " circle"),
        ("star on right side of circle", "star on right side of", " circle"),
        ("star left from circle", "star left from", " circle"),
        ("star to the right to circle", "star to the right to", " circle"),
        ("arrows from left to right", "arrows from left to right", ""),
        ("letters right to left", "letters right to left", ""),
        ("star left to left circle", "star left to", " left circle"),
    ],
)
def test_split_at_the_first_relation(phrase, own, context):
    assert split_relation(phrase) == (own, context)
    assert is_relational(phrase) == bool(context)


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_relation_splits_as_a_whole(relation):
    """The longest one counts: "to the left of" is not "to the" and "left of"."""
    assert split_relation(f"star {relation} circle") == (f"star {relation}", " circle")


@pytest.mark.parametrize("word", ["with", "in", "wearing", "holding"])
def test_what_a_person_wears_or_holds_is_no_relation(word):
    assert not is_relational(f"man {word} a hat")


def test_the_empty_phrase():
    assert split_relation("  ") == ("", "")
    assert not is_relational("")


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("star left of circle", "circle"),
        ("Red star left of the small Circle!", "the small circle"),
        ("star left of circle above ring", "circle"),
        ("red star", ""),
        ("star left of", ""),
        ("left of circle", ""),
    ],
)
def test_the_landmark_is_what_the_first_relation_leads_to(phrase, found):
    assert landmark(phrase) == found
