"""An example in a picture is a row: it finds itself first, and what is no example is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnidet.inference import likeness, pictures
from omnidet.inference.detector import OmniDet
from omnidet.inference.likeness import Example
from omnidet.inference.overlaps import overlaps
from tests import toys

PICTURE = toys.png(64, 64, [(5, 5, 30, 30)])


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})


def _nothing(line: str) -> None:
    """No toy has learned to see things: every example is doubted."""


class Seeing(OmniDet):
    """Regions of 16 pixels on a grid of 8; what is coloured is called by the first words."""

    def _regions(self, opened):
        tokens_TD = self.detector.tokens.embeddings
        found = []
        for picture in opened:
            pixels = np.asarray(picture.image()).astype(np.float32)
            corners, embeddings = [], []
            for y in range(0, picture.height - 15, 8):
                for x in range(0, picture.width - 15, 8):
                    part = pixels[y : y + 16, x : x + 16]
                    colour = float((part.max(-1) - part.min(-1)).mean()) / 255
                    embeddings.append(colour * 20 * tokens_TD[3] / tokens_TD[3].norm())
                    corners.append((x, y, x + 16, y + 16))
            found.append((np.array(corners, np.float32), torch.stack(embeddings).detach()))
        return found


@pytest.fixture(scope="module")
def seeing() -> OmniDet:
    return Seeing(toys.toy_detector(), toys.toy_vocabulary(), {})


THING = toys.png(96, 96, [(16, 16, 31, 31)])


def test_a_box_that_reaches_out_of_its_picture_is_said(seeing):
    said: list[str] = []
    seeing.like([Example(THING, (16, 16, 1000, 40), "like ref.png")], said.append)
    (line,) = (one for one in said if "reaches out" in one)
    assert line.startswith("like ref.png: the box 16,16,1000,40 ")
    assert "96 x 96" in line
    assert "16,16,96,40" in line
    said.clear()
    seeing.like([Example(THING, (16, 16, 96.4, 97), "like ref.png"), Example(THING)], said.append)
    assert not any("reaches out" in one for one in said)


@pytest.mark.parametrize("box", [(16, 16, 32, 32), (14, 17, 31, 35), (12, 12, 34, 33)])
def test_an_example_around_a_thing_is_not_doubted(seeing, box):
    said: list[str] = []
    seeing.like([Example(THING, box, "like ref.png")], said.append)
    assert said == []


@pytest.mark.parametrize("box", [(64, 64, 80, 80), (40, 10, 90, 60), (2, 70, 9, 77)])
def test_an_example_of_bare_ground_is_doubted(seeing, box):
    said: list[str] = []
    given = [Example(THING, (16, 16, 32, 32), "thing"), Example(THING, box, "like ref.png")]
    seeing.like(given, said.append)
    (line,) = said
    assert "like ref.png" in line
    assert ",".join(map(str, box)) in line
    with pytest.warns(UserWarning, match="like ref.png"):
        seeing.like(given)


def test_a_cut_out_of_bare_ground_is_doubted(seeing):
    thing, ground = toys.png(48, 48, [(16, 16, 31, 31)]), toys.png(48, 48, [(0, 0, 48, 48)], "navy")
    said: list[str] = []
    seeing.like(
        [Example(thing, None, "thing"), Example(ground, None, "like crop.png")], said.append
    )
    (line,) = said
    assert "like crop.png" in line
    assert "PICTURE:x0,y0,x1,y1" in line


def test_a_thing_that_is_framed_roughly_is_still_what_is_looked_for(seeing):
    """The region that frames the box best shows half of the thing; the one beside it all of it."""
    rough = seeing.like([Example(THING, (21, 16, 37, 32), "mine")], _nothing)
    close = seeing.like([Example(THING, (16, 16, 32, 32), "mine")], _nothing)
    torch.testing.assert_close(rough.rows_PD, close.rows_PD, rtol=0.05, atol=1e-3)


def test_an_example_finds_itself(detector):
    known = detector.detect(PICTURE, "red star", 1)
    box = tuple(known.boxes[0].tolist())
    prompt = detector.like([Example(PICTURE, box, "mine")], _nothing)
    found = detector.detect(PICTURE, prompt, 500)
    assert set(found.labels) == {"mine"}
    framing = overlaps(np.array(box, np.float32), found.boxes) >= 0.5
    sure = 1 / (1 + np.exp(-likeness.SURE))
    assert np.abs(found.scores[framing] - sure).min() < 1e-3


def test_words_and_examples_in_one_prompt(detector):
    words = detector.prompt({"a": ["red star", "ring"], "b": "blue circle"})
    both = likeness.joined(words, detector.like([Example(PICTURE, None, "mine")], _nothing))
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


def test_what_the_words_say_alike_is_alike():
    """Of two regions the one whose tokens are the example's scores higher, whatever else it has."""
    tokens = torch.tensor([[3.0, 0, 0], [0, 3, 0]])
    example, alike, other = [2.0, 0, 0], [2.0, 0, 9], [0, 2.0, 0]
    regions = torch.tensor([example, alike, other, [0.0, 0, 0]])
    shares = torch.tensor([1.0, 0.5, 0.0, 0.0])
    row, bias, _ = likeness.row(regions, shares, tokens, torch.zeros(2))
    logits = regions @ row + bias
    assert logits[0] == pytest.approx(likeness.SURE, abs=1e-4)
    assert logits[1] == pytest.approx(likeness.SURE, abs=1e-4)
    assert logits[2:].mean() == pytest.approx(likeness.NOT_IT, abs=1e-3)


def test_examples_of_one_file_name_are_told_apart():
    given = ["a/x.png", "b/x.png", "b/x.png:1,2,3,4", "y.png", "a/x.png"]
    assert [one.name for one in likeness.examples(given)] == [
        "like a/x.png",
        "like b/x.png",
        "like b/x.png:1,2,3,4",
        "like y.png",
    ]


def test_several_examples_of_one_name_are_of_one_thing(detector):
    first, second = Example(PICTURE, (5, 5, 30, 30), "mine"), Example(PICTURE, None, "mine")
    prompt = detector.like([first, second, Example(PICTURE, (1, 1, 9, 9), "other")], _nothing)
    assert prompt.labels == ("mine", "other")
    both = detector.detect(PICTURE, prompt, 100)
    for example in (first, second):
        alone = detector.detect(PICTURE, detector.like([example], _nothing), 1)
        best = max(s for s, label in zip(both.scores, both.labels, strict=True) if label == "mine")
        assert best >= alone.scores[0] - 1e-6


def test_a_phrase_that_is_called_like_an_example_is_refused(detector):
    with pytest.raises(ValueError, match="'star'"):
        likeness.joined(
            detector.prompt("star"), detector.like([Example(PICTURE, None, "star")], _nothing)
        )
