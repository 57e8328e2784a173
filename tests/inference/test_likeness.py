"""An example in a picture is a row: it finds itself first, and what is no example is said."""

from __future__ import annotations

import numpy as np
import pytest

from omnidet.inference import likeness, pictures
from omnidet.inference.choice import overlaps
from omnidet.inference.detector import OmniDet
from omnidet.inference.likeness import Example
from tests import toys

PICTURE = toys.png(64, 64, [(5, 5, 30, 30)])


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})


def test_an_example_finds_itself(detector):
    known = detector.detect(PICTURE, "red star", 1)
    box = tuple(known.boxes[0].tolist())
    prompt = detector.like([Example(PICTURE, box, "mine")])
    found = detector.detect(PICTURE, prompt, 50)
    assert set(found.labels) == {"mine"}
    own = overlaps(np.array(box, np.float32), found.boxes).argmax()
    assert found.scores[own] == pytest.approx(1 / (1 + np.exp(-likeness.SURE)), abs=1e-3)


def test_words_and_examples_in_one_prompt(detector):
    words = detector.prompt({"a": ["red star", "ring"], "b": "blue circle"})
    both = likeness.joined(words, detector.like([Example(PICTURE, None, "mine")]))
    assert both.labels == ("a", "b", "mine")
    assert both.name_of_P == (0, 0, 1, 2)
    found = detector.detect(PICTURE, both, 1000)
    assert {"a", "b", "mine"} == set(found.labels)


def test_a_cut_out_is_put_into_a_larger_picture():
    picture = pictures.read(PICTURE)
    shown, box = likeness.shown(picture, None, 256)
    assert (shown.width, shown.height) == (256, 256)
    assert (box[2:] - box[:2]).tolist() == [64, 64]


def test_a_box_outside_is_refused():
    with pytest.raises(ValueError, match="64 x 64"):
        likeness.shown(pictures.read(PICTURE), (100, 100, 120, 120), 64)


def test_what_the_command_line_names(tmp_path):
    path = tmp_path / "a:1,2,3,4"
    path.write_bytes(PICTURE)
    assert likeness.example(str(path)).box is None
    found = likeness.example("p/ref.jpg:10,20,30.5,40")
    assert (found.image, found.box, found.name) == ("p/ref.jpg", (10, 20, 30.5, 40), "like ref.jpg")
    with pytest.raises(ValueError, match="--like"):
        likeness.example("ref.jpg:1.2.3,2,3,4")
