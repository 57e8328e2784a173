"""What is looked for is checked and put together before a detector is loaded."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import shutil

import pytest

from omnidet import storage
from omnidet.commands import asking
from omnidet.inference.defaults import THRESHOLD
from omnidet.inference.detector import OmniDet
from tests import toys


def _options(*arguments):
    parser = argparse.ArgumentParser()
    asking.add_question(parser)
    return parser.parse_args(arguments)


def test_letters_that_only_look_right_are_said(capsys):
    asking.asked(_options("--phrases", "b\u043elt", "nut\u200b", "bolt"))  # a Cyrillic o
    said = capsys.readouterr().err
    assert said.count("hint: ") == 2
    assert "CYRILLIC SMALL LETTER O" in said
    assert "ZERO WIDTH SPACE" in said


def test_phrases_and_a_file_are_put_together(tmp_path, capsys):
    (tmp_path / "p.yaml").write_text("dog: [dog, puppy]\nring:")
    options = _options("--phrases", "star", "ring", "--phrases-file", str(tmp_path / "p.yaml"))
    asked = asking.asked(options)
    assert [one.name for one in asked.wanted] == ["star", "ring", "dog"]
    assert asked.facts() == [
        ["star", ("star",), None],
        ["ring", ("ring",), None],
        ["dog", ("dog", "puppy"), None],
    ]
    (tmp_path / "p.yaml").write_text("ring: [ring, torus]")
    with pytest.raises(ValueError, match="'ring'"):
        asking.asked(options)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--threshold", "nan"),
        ("--max-detections", "0"),
        ("--batch", "-1"),
        ("--phrases", ""),
        ("--like", "https://a.org/b.png"),
    ],
)
def test_what_is_wrong_is_named(arguments):
    with pytest.raises(ValueError, match="phrase 0" if "--phrases" in arguments else arguments[0]):
        asking.asked(_options(*arguments))


def test_a_phrase_that_comes_twice_is_refused_as_in_a_file(tmp_path):
    (tmp_path / "p.txt").write_text("ring\nring\n")
    for arguments in (
        ("--phrases", "ring", "red", "ring"),
        ("--phrases-file", str(tmp_path / "p.txt")),
    ):
        with pytest.raises(ValueError, match="'ring' comes twice"):
            asking.asked(_options(*arguments))


def test_a_long_question_is_kept_by_its_hash():
    short = asking.facts(_options("--phrases", "a"), asking.asked(_options("--phrases", "a")))
    assert short["question"] == [["a", ("a",), None]]
    many = _options("--phrases", *[f"word {n}" for n in range(500)])
    assert isinstance(asking.facts(many, asking.asked(many))["question"], str)


def test_nothing_asked_is_the_detector_s_own_names(place, capsys):
    detector = OmniDet.from_pretrained(place / "model")
    prompt = asking.prompt_of(detector, asking.asked(_options()))
    assert prompt.labels == detector.names
    assert "red star" in capsys.readouterr().err


def test_unknown_words_are_said(place, capsys):
    detector = OmniDet.from_pretrained(place / "model")
    asking.prompt_of(detector, asking.asked(_options("--phrases", "red xylophone", "star")))
    said = capsys.readouterr().err
    assert "'xylophone'" in said
    assert "'star'" not in said


def test_the_detector_and_the_hash_of_its_weights(place):
    options = _options("--model", str(place / "model"), "--precision", "bfloat16")
    detector, identity = asking.open_detector(options)
    assert identity["model"] == detector.config["weights_sha256"]
    assert identity.keys() == set(asking.OF_MODEL)
    assert str(detector.precision) == "torch.bfloat16"


def test_a_detector_whose_scores_were_fitted_again_is_another(place, tmp_path):
    toys.write_bundle(tmp_path / "fitted", confidence=toys.CONFIDENCE)
    moved = dataclasses.replace(toys.CONFIDENCE, threshold=0.77)
    toys.write_bundle(tmp_path / "again", confidence=moved)
    shutil.copytree(place / "model", tmp_path / "copy")
    found = [
        asking.open_detector(_options("--model", str(folder)))[1]
        for folder in (place / "model", tmp_path / "copy", tmp_path / "fitted", tmp_path / "again")
    ]
    assert len({one["model"] for one in found}) == 1
    assert found[0] == found[1]
    assert len({one["model_settings"] for one in found}) == 3


def test_another_picture_under_the_name_of_an_example_is_another_question(place, tmp_path):
    example = tmp_path / "crop.png"
    shutil.copy(place / "picture.png", example)
    given = [_options("--like", str(example)), _options("--like", f"{example}:5,5,20,20")]
    before = [asking.asked(options).facts() for options in given]
    assert before == [asking.asked(options).facts() for options in given]
    example.write_bytes(toys.png(90, 30, [(1, 1, 9, 9)]))
    after = [asking.asked(options).facts() for options in given]
    assert [one != two for one, two in zip(before, after, strict=True)] == [True, True]


@pytest.mark.s3
def test_an_example_in_a_bucket_is_known_by_its_content(place, s3):
    example = f"{s3.uri}/crop.png"
    given = [_options("--like", example), _options("--like", f"{example}:5,5,20,20")]
    found = []
    for content in ((place / "picture.png").read_bytes(), toys.png(90, 30, [(1, 1, 9, 9)])):
        storage.write_bytes(example, content)
        hashes = {asking.asked(options).facts()[0][1] for options in given}
        assert hashes == {hashlib.sha256(content).hexdigest()}
        found += hashes
    assert len(set(found)) == 2


def test_the_threshold_is_the_detectors_own_unless_one_is_given(place, tmp_path):
    toys.write_bundle(tmp_path / "fitted", confidence=toys.CONFIDENCE)
    options = _options("--model", str(tmp_path / "fitted"))
    asking.open_detector(options)
    assert options.threshold == toys.CONFIDENCE.threshold
    options = _options("--model", str(tmp_path / "fitted"), "--threshold", "0.2")
    asking.open_detector(options)
    assert options.threshold == 0.2
    options = _options("--model", str(place / "model"))
    asking.open_detector(options)
    assert options.threshold == THRESHOLD


def test_likenesses_have_a_threshold_of_their_own(place, tmp_path):
    toys.write_bundle(tmp_path / "fitted", confidence=toys.CONFIDENCE)
    given = ("--phrases", "star", "--like", str(place / "picture.png"))
    given += ("--model", str(tmp_path / "fitted"))
    for more, thresholds in (((), (None, THRESHOLD)), (("--threshold", "0.2"), (None, None))):
        options = _options(*given, *more)
        asked = asking.asked(options)
        detector, _ = asking.open_detector(options)
        prompt = asking.prompt_of(detector, asked)
        assert prompt.labels == ("star", "like picture.png")
        assert prompt.thresholds == thresholds


def test_an_example_that_shows_no_thing_is_said(place, capsys):
    """To a detector that has learned nothing, nothing is a thing."""
    example = f"{place / 'picture.png'}:40,5,60,25"
    detector = OmniDet.from_pretrained(place / "model")
    asking.prompt_of(detector, asking.asked(_options("--like", example)))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hint: like picture.png")
    assert "40,5,60,25" in line


def test_names_that_ask_for_the_same_are_said(place, capsys):
    detector = OmniDet.from_pretrained(place / "model")
    for words, said in (
        (("red star", "a photo of the red stars"), "'a photo of the red stars'"),
        (("red star", "ring"), ""),
    ):
        asking.prompt_of(detector, asking.asked(_options("--phrases", *words)))
        lines = [line for line in capsys.readouterr().err.splitlines() if "the same as" in line]
        assert [said in line and "'red star'" in line for line in lines] == ([True] if said else [])
