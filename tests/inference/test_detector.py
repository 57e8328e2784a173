"""Boxes come back in the picture's own pixels, scores do not depend on what else is asked."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from omnidet.inference import likeness, search
from omnidet.inference.detector import Detections, OmniDet
from omnidet.inference.likeness import Example
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.model.heads import _prior_boxes
from tests import toys


class FixedBox(nn.Module):
    """A box head that says the same box at every patch, whatever the prior."""

    def __init__(self, cxcywh: list[float], grid: tuple[int, int]) -> None:
        super().__init__()
        self.offsets = torch.tensor(cxcywh).logit() - _prior_boxes(grid, torch.device("cpu"))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.offsets.expand(len(tokens), *self.offsets.shape)


def _omnidet(seed: int = 0) -> OmniDet:
    return OmniDet(toys.toy_detector(seed), toys.toy_vocabulary(), {})


def _says(cxcywh: list[float]) -> OmniDet:
    found = _omnidet()
    found.detector.head.box = FixedBox(cxcywh, (4, 4))
    return found


def _square(box: tuple[float, float, float, float], width: int, height: int) -> list[float]:
    """A box in pixels of a picture as shares of the square that holds it, in its upper left."""
    x0, y0, x1, y1 = (value / max(width, height) for value in box)
    return [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]


@pytest.mark.parametrize(
    ("width", "height"), [(300, 100), (100, 300), (64, 64), (16, 16), (333, 111)]
)
def test_boxes_come_back_in_pixels_of_the_picture(width, height):
    box = (0.1 * width, 0.2 * height, 0.5 * width, 0.8 * height)
    detector = _says(_square(box, width, height))
    image = toys.png(width, height, [])
    (found,) = detector.detect([image], ["red star"], 3)
    # The shorter side is rounded to whole pixels of the square: off by half a pixel of 64 at most.
    tolerance = 0.5 * max(width, height) / 64
    np.testing.assert_allclose(found.boxes_xyxy, np.tile(box, (3, 1)), atol=tolerance)
    ((boxes, _),) = detector.locate(image, ["red star"])
    np.testing.assert_allclose(boxes[0], box, atol=tolerance)


def test_boxes_are_cut_at_the_border_of_the_picture():
    (found,) = _says([0.5, 0.5, 0.999, 0.999]).detect([toys.png(300, 100, [])], ["red star"], 1)
    np.testing.assert_allclose(found.boxes_xyxy[0], [0, 0, 300, 100], atol=0.5)


def test_pictures_of_several_sizes_in_one_call_keep_their_own_pixels():
    box = [0.2, 0.1, 0.2, 0.1]
    images = [toys.png(300, 100, []), toys.png(40, 80, [])]
    found = _says(box).detect(images, ["red star"], 1)
    np.testing.assert_allclose(found[0].boxes_xyxy[0], [30, 15, 90, 45], atol=2)
    np.testing.assert_allclose(found[1].boxes_xyxy[0], [8, 4, 24, 12], atol=0.5)


def _names(count: int) -> list[str]:
    return [
        " ".join([*[colour] * (i + 1), shape])
        for i in range(count)
        for colour in toys.COLOURS
        for shape in toys.SHAPES
    ][:count]


@pytest.mark.slow
def test_the_score_of_a_phrase_is_the_same_to_the_bit_whatever_else_is_asked():
    detector, image = _omnidet(), toys.png(64, 64, [(5, 5, 30, 30)])
    thousand = _names(1000)
    together = detector.locate(image, thousand)
    for p in (0, 1, 127, 128, 500, 999):
        ((box, score),) = detector.locate(image, [thousand[p]])
        assert np.array_equal(score, together[p][1])
        assert np.array_equal(box, together[p][0])
    (alone,) = detector.detect([image], [thousand[500]], 16)
    (among,) = detector.detect([image], thousand, 16000)
    (best,) = detector.detect([image], thousand, 300)
    assert np.array_equal(best.scores, among.scores[:300])
    assert np.array_equal(best.phrase, among.phrase[:300])
    own = among.phrase == 500
    assert own.sum() == 16
    assert np.array_equal(alone.scores, among.scores[own])


def test_the_score_is_the_weighted_mean_of_token_logits():
    detector, image = _omnidet(), toys.png(64, 64, [(5, 5, 30, 30)])
    ((_, embeddings),) = detector.regions([image])
    tokens = detector.detector.tokens
    logits = embeddings.clone() @ tokens.embeddings.T + tokens.biases
    ids, weights = toys.toy_vocabulary().encode("star left of circle")
    expected = (logits[:, ids] @ torch.from_numpy(weights)).sigmoid().max()
    ((_, score),) = detector.locate(image, ["star left of circle"])
    assert score[0] == pytest.approx(float(expected.detach()), abs=1e-6)


@pytest.mark.parametrize("at_once", [1, 7, 30, 4096])
def test_the_best_over_chunks_of_names_are_the_best_of_all(monkeypatch, at_once):
    monkeypatch.setattr(search, "NAMES_AT_ONCE", at_once)
    monkeypatch.setattr(search, "FIRST_NAMES", at_once)
    detector, image, names = _omnidet(), toys.png(64, 64, [(5, 5, 30, 30)]), _names(30)
    (found,) = detector.detect([image], names, 50)
    prompt = detector.prompt(names)
    ((boxes, embeddings),) = detector.regions([image])
    every = (embeddings @ prompt.rows_PD.T + prompt.biases_P).sigmoid().numpy()
    order = np.argsort(-every, axis=None, kind="stable")[:50]
    np.testing.assert_allclose(found.scores, every.flatten()[order], atol=1e-6)
    assert (np.diff(found.scores) <= 0).all()
    regions, phrases = np.unravel_index(order, every.shape)
    assert found.phrase.tolist() == phrases.tolist()
    np.testing.assert_allclose(found.boxes_xyxy, boxes[regions])


def test_threshold_keeps_what_reaches_it():
    detector, image = _omnidet(), toys.png(64, 64, [])
    (every,) = detector.detect([image], toys.NAMES, 40)
    threshold = float(every.scores[10])
    (found,) = detector.detect([image], toys.NAMES, 40, threshold=threshold)
    assert len(found.scores) == 11
    assert len(found.boxes_xyxy) == len(found.phrase) == 11
    (nothing,) = detector.detect([image], toys.NAMES, 40, threshold=1.0)
    assert nothing.boxes_xyxy.shape == (0, 4)


def test_more_boxes_asked_than_there_are_regions():
    detector, image = _omnidet(), toys.png(64, 64, [])
    (found,) = detector.detect([image], ["red star", "ring"], 1000)
    assert len(found.scores) == 2 * 16
    located = detector.locate(image, ["red star"], top=1000)
    assert located[0][0].shape == (16, 4)


def test_a_prompt_is_encoded_once_for_many_images():
    detector, image = _omnidet(), toys.png(64, 64, [(5, 5, 30, 30)])
    prompt = detector.prompt(["red star", "ring"])
    (first,), (second,) = (
        detector.detect([image], prompt, 5),
        detector.detect([image], ["red star", "ring"], 5),
    )
    assert np.array_equal(first.scores, second.scores)


def test_one_image_gives_one_answer_and_a_list_gives_a_list():
    detector, image = _omnidet(), toys.png(90, 30, [(5, 5, 20, 20)])
    one = detector.detect(image, "red star", 5)
    (listed,) = detector.detect([image], ["red star"], 5)
    assert isinstance(one, Detections)
    assert np.array_equal(one.scores, listed.scores)
    assert (one.width, one.height) == (90, 30)
    assert set(one.phrase.tolist()) == {0}
    pixels = np.array(Image.open(io.BytesIO(image)).convert("RGB"))
    for answer in detector.detect((pixels, Image.fromarray(pixels)), "red star", 5):
        np.testing.assert_allclose(answer.scores, one.scores, atol=1e-6)
    assert detector.detect([], "red star") == []


def test_boxes_are_in_the_pixels_of_the_picture_as_it_is_shown():
    lying, tag, content = Image.new("RGB", (300, 100)), Image.Exif(), io.BytesIO()
    tag[0x0112] = 6
    lying.save(content, "PNG", exif=tag)
    box = (10, 60, 50, 240)
    found = _says(_square(box, 100, 300)).detect(content.getvalue(), "red star", 1)
    assert (found.width, found.height) == (100, 300)
    np.testing.assert_allclose(found.boxes_xyxy[0], box, atol=2.5)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([b"no image"], "the image cannot be read"),
        ([toys.png(8, 8, []), b""], "image 1 cannot be read"),
        ([toys.png(8, 8, []), None], "image 1 is of type NoneType"),
        ([[toys.png(8, 8, [])]], "list"),
        ({"image": toys.png(8, 8, [])}, "dict"),
        ({"a.png", "b.png"}, "set"),
        (io.StringIO("text"), "mode 'rb'"),
        ("https://host.example/a.png", "a web address"),
        (base64.b64encode(bytes(10_000)).decode(), "a text of 13336 characters"),
        (None, "NoneType"),
    ],
)
def test_what_is_not_an_image_is_named(images, words):
    with pytest.raises(ValueError, match=words) as caught:
        _omnidet().detect(images, ["red star"])
    assert "\n" not in str(caught.value)


def test_wrong_questions_are_named():
    detector, image = _omnidet(), toys.png(8, 8, [])
    for phrase in ("", "  "):
        with pytest.raises(ValueError, match="phrase 1 is empty"):
            detector.detect(image, ["red star", phrase])
    for phrase in ("…", "!!!"):
        with pytest.raises(ValueError, match=f"{phrase!r} has no letter"):
            detector.detect(image, ["red star", phrase])
    with pytest.raises(ValueError, match="phrase 0"):
        detector.detect(image, [["red star", "ring"]])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="phrase 1"):
        detector.locate(image, ["ring", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="threshold nan"):
        detector.detect(image, "red star", threshold=float("nan"))
    with pytest.raises(ValueError, match="max_detections 0"):
        detector.detect(image, "red star", max_detections=0)


def test_several_phrases_in_one_are_warned_of():
    detector, image = _omnidet(), toys.png(8, 8, [])
    with pytest.warns(UserWarning, match=r"'star', 'ring'") as caught:
        detector.detect(image, ["star . ring ."], 1)
    assert caught[0].filename == __file__
    # Benchmarks, whose phrases are what they are, encode them first or locate them.
    assert len(detector.detect(image, detector.prompt(["star, ring"]), 1).scores) == 1
    assert len(detector.locate(image, ["star, ring"])) == 1


def test_small_pictures_keep_their_size_and_large_ones_are_shown_larger():
    config = ModelConfig(
        image_size=128,
        min_image_size=64,
        backbone=ConvStemVit(width=24, depth=1, num_heads=2),
        embedding_width=8,
    )
    assert [config.side(*size) for size in ((40, 64), (65, 30), (96, 96), (640, 480))] == [
        64,
        80,
        96,
        128,
    ]
    torch.manual_seed(0)
    detector = OmniDet(
        Detector(config, toys.toy_vocabulary().num_tokens), toys.toy_vocabulary(), {}
    )
    small, large = toys.png(64, 64, [(5, 5, 30, 30)]), toys.png(200, 100, [(5, 5, 30, 30)])
    together = detector.regions([large, small, large])
    assert [len(boxes) for boxes, _ in together] == [64, 16, 64]
    for image, (boxes, embeddings) in zip([large, small], together[:2], strict=True):
        ((own_boxes, own_embeddings),) = detector.regions([image])
        np.testing.assert_allclose(boxes, own_boxes, atol=1e-3)
        np.testing.assert_allclose(embeddings, own_embeddings, atol=1e-4)
    plain = Detector(
        dataclasses.replace(config, image_size=64, min_image_size=0),
        toys.toy_vocabulary().num_tokens,
    )
    plain.load_state_dict(
        detector.detector.state_dict()
    )  # what a detector of one size learned is what small pictures get
    ((boxes, embeddings),) = OmniDet(plain, toys.toy_vocabulary(), {}).regions([small])
    ((own_boxes, own_embeddings),) = detector.regions([small])
    assert np.array_equal(boxes, own_boxes)
    assert torch.equal(embeddings, own_embeddings)


def test_what_is_known_to_be_there_scores_higher_in_the_same_order():
    fitted = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), toys.CONFIDENCE.to_config())
    assert fitted.threshold == toys.CONFIDENCE.threshold
    image = toys.png(64, 64, [(5, 5, 30, 30)])
    for phrase in ("star", "star left of circle"):
        ((boxes, there),) = fitted.locate(image, phrase, 16)
        ((others, asked),) = fitted.locate(image, phrase, 16, is_present=False)
        np.testing.assert_array_equal(boxes, others)
        assert (there > asked).all()
        found = fitted.detect(image, phrase, 16)
        np.testing.assert_array_equal(asked, found.scores)


def test_pixels_whose_channels_were_turned_round():
    detector = _omnidet()
    pixels = np.array(Image.open(io.BytesIO(toys.png(48, 32, [(5, 5, 20, 20)]))))
    turned = np.ascontiguousarray(pixels[..., ::-1])[..., ::-1]
    both = detector.detect([pixels, turned], "red star", 3)
    assert np.array_equal(both[0].scores, both[1].scores)


def test_what_was_found_in_a_stream_can_be_drawn():
    found = _omnidet().detect(io.BytesIO(toys.png(48, 32, [])), "ring", 3)
    assert found.draw().size == (480, 320)


def test_questions_without_anything_in_them():
    detector, image = _omnidet(), toys.png(8, 8, [])
    assert detector.explain(image, []) == []
    with pytest.raises(ValueError, match="examples are empty"):
        detector.like([])
    with pytest.raises(ValueError, match=r"example 1 is of type str.*Example\("):
        detector.like([Example(image), "a.png"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="top nan"):
        detector.locate(image, "ring", top=float("nan"))  # type: ignore[arg-type]


def test_the_best_score_of_a_name_is_that_of_its_best_phrase():
    detector, picture = _omnidet(), toys.png(64, 64, [(5, 5, 30, 30)])
    prompt = detector.prompt({"a": ["red star", "ring"], "b": "blue circle"})
    found = detector.detect(picture, prompt, 1000)
    best = detector.best_scores(picture, prompt)
    assert best == {
        label: max(s for s, own in zip(found.scores, found.labels, strict=True) if own == label)
        for label in ("a", "b")
    }


def test_a_prompt_is_for_the_detector_that_encoded_it():
    """Rows of another one's embeddings are numbers too, and so were the scores that they gave."""

    def of(seed: int, confidence: dict[str, object]) -> OmniDet:
        config = {"weights_sha256": str(seed), **confidence}
        return OmniDet(toys.toy_detector(seed), toys.toy_vocabulary(), config)

    image = toys.png(64, 64, [(5, 5, 30, 30)])
    detector, again, fitted = of(0, {}), of(0, {}), of(0, toys.CONFIDENCE.to_config())
    words = detector.prompt(["red star", "ring"])
    looked = detector.like([Example(image, (5, 5, 30, 30))], say=lambda _: None)
    for prompt in (words, looked, likeness.joined(words, looked)):
        found, same = (one.detect(image, prompt, 5) for one in (detector, again))
        assert np.array_equal(found.scores, same.scores)
        for other in (of(1, {}), fitted):
            with pytest.raises(ValueError, match="another detector"):
                other.detect(image, prompt)
            with pytest.raises(ValueError, match="another detector"):
                other.best_scores(image, prompt)
