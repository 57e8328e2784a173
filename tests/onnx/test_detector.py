"""The runner gives what the detector gives, without torch, and says what is wrong in one line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from omnidet.inference import overlaps
from omnidet.inference.detector import OmniDet
from omnidet.onnx import OnnxDetector
from omnidet.onnx import detector as module
from omnidet.onnx.__main__ import main
from tests import exports

PHRASES = ("red star", "star left of circle", "a small blue ring")


@pytest.fixture(scope="module")
def both(exported):
    return OmniDet.from_pretrained(exported.bundle), OnnxDetector.from_pretrained(exported.onnx)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return exports.pictures(tmp_path_factory.mktemp("pictures"))


def _pairs(found):
    return {
        (int(phrase), *np.round(box / 4).astype(int).tolist()): float(score)
        for phrase, box, score in zip(found.phrase, found.boxes_xyxy, found.scores, strict=True)
    }


def test_boxes_scores_and_labels_are_those_of_the_detector(both, pictures):
    detector, runner = both
    everything = 16 * len(PHRASES)  # regions x phrases, so that no pair falls off the end
    for path, wanted, found in zip(
        pictures,
        detector.detect([str(p) for p in pictures], PHRASES, everything),
        runner.detect([str(p) for p in pictures], PHRASES, everything),
        strict=True,
    ):
        assert (found.width, found.height) == (wanted.width, wanted.height), path
        order, other = (np.lexsort((*d.boxes_xyxy.round(0).T, d.phrase)) for d in (wanted, found))
        assert len(found) == everything
        assert found.phrases == wanted.phrases == PHRASES
        np.testing.assert_array_equal(found.phrase[other], wanted.phrase[order])
        np.testing.assert_allclose(found.scores[other], wanted.scores[order], atol=0.002)
        side = max(found.width, found.height)
        np.testing.assert_allclose(
            found.boxes_xyxy[other], wanted.boxes_xyxy[order], atol=0.01 * side
        )
        np.testing.assert_allclose(found.scores, wanted.scores, atol=0.002)


def test_threshold_and_number_are_kept(both, pictures):
    _, runner = both
    found = runner.detect(str(pictures[1]), PHRASES, max_detections=5)
    assert len(found) == 5
    assert (np.diff(found.scores) <= 0).all()
    bar = float(found.scores[2])
    kept = runner.detect(str(pictures[1]), PHRASES, max_detections=5, threshold=bar)
    assert len(kept) == 3
    assert runner.detect(str(pictures[1]), PHRASES, threshold=1.0).labels == []


def test_many_words_in_several_products_are_as_in_one(both, pictures, monkeypatch):
    _, runner = both
    words = [" ".join([*["red"] * n, shape]) for n in range(9) for shape in ("star", "ring")]
    wanted = runner.detect(str(pictures[0]), words, 40)
    monkeypatch.setattr(module, "NAMES_AT_ONCE", 4)
    found = runner.detect(str(pictures[0]), words, 40)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-6)
    assert sorted(set(found.labels)) == sorted(set(wanted.labels))


def test_the_model_says_how_pictures_become_its_input(both):
    detector, runner = both
    facts, own = runner.facts, detector.detector
    assert (facts.image_size, facts.padding) == (own.config.image_size, 128)
    np.testing.assert_allclose(facts.mean, own.backbone.mean.flatten())
    np.testing.assert_allclose(facts.std, own.backbone.std.flatten())
    assert runner.session.get_inputs()[0].type == "tensor(uint8)"
    assert facts.weights_sha256 == detector.config["weights_sha256"]


def test_no_torch_is_loaded(exported, pictures):
    """Nor anything else that an installation of the runner alone does not have."""
    program = (
        "import sys\n"
        "from omnidet.onnx.__main__ import main\n"
        f"code = main([{str(exported.onnx)!r}, {str(pictures[2])!r}, '--phrases', 'red star',"
        " '--threshold', '0'])\n"
        "heavy = ('torch', 'torchvision', 'timm', 'transformers', 'safetensors', 'onnx', 'minio')\n"
        "print(code, *[name for name in heavy if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answer, last = ran.stdout.splitlines()
    assert last == "0"
    content = json.loads(answer)
    assert (content["image"], content["width"]) == (str(pictures[2]), 700)
    assert len(content["detections"]) == 16
    assert {found["label"] for found in content["detections"]} == {"red star"}


def test_without_phrases_it_looks_for_its_own_names(both, exported, pictures, capsys):
    detector, runner = both
    found, wanted = (one.detect(str(pictures[0]), None, 40) for one in (runner, detector))
    assert found.phrases == wanted.phrases == detector.names
    np.testing.assert_allclose(found.scores, wanted.scores, atol=0.002)
    assert main([str(exported.onnx), str(pictures[0]), "--threshold", "0"]) == 0
    said = capsys.readouterr()
    assert f"looking for {detector.names[0]}, {detector.names[1]}" in said.err
    labels = {one["label"] for one in json.loads(said.out)["detections"]}
    assert labels
    assert labels <= set(detector.names)


def test_a_detector_without_names_has_to_be_asked_for_something(both, pictures):
    runner = both[1]
    nameless = OnnxDetector(
        runner.session, dataclasses.replace(runner.facts, own_names=()), runner.words
    )
    with pytest.raises(ValueError, match="no phrases"):
        nameless.detect(str(pictures[0]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"phrases": ["", "star"]}, "phrase 0"),
        ({"threshold": float("nan")}, "nan"),
        ({"threshold": 1.5}, "1.5"),
        ({"max_detections": -1}, "-1"),
        ({"max_detections": 0}, "max_detections 0"),
        ({"max_detections": True}, "True"),
        ({"images": 7}, "int"),
        ({"images": {"a.jpg": 1}}, "dict"),
        ({"images": "nowhere.jpg"}, "nowhere.jpg"),
    ],
)
def test_wrong_input_is_named(both, pictures, given, said):
    _, runner = both
    call = {"images": str(pictures[0]), "phrases": ["star"], **given}
    with pytest.raises((ValueError, OSError), match=said):
        runner.detect(**call)


def test_the_command_answers_wrong_input_in_one_line(tmp_path):
    command = [sys.executable, "-m", "omnidet.onnx", str(tmp_path), "a.jpg"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert str(tmp_path / "model.onnx") in line


def test_files_that_are_no_export_are_refused(tmp_path, exported):
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        OnnxDetector.from_pretrained(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"model\.onnx"):
        OnnxDetector.from_pretrained(tmp_path)
    (tmp_path / "model.onnx").write_bytes((exported.onnx / "model.onnx").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        OnnxDetector.from_pretrained(tmp_path)


def test_several_phrases_in_one_and_unknown_words_are_said(both, pictures):
    detector, runner = both
    with pytest.warns(UserWarning, match="'star', 'ring'"):
        runner.detect(str(pictures[0]), "star, ring")
    for phrase in ("red xylophone", "red star"):
        assert runner.unknown_words(phrase) == detector.unknown_words(phrase)
    assert runner.unknown_words("red xylophone") == ("xylophone",)


def test_the_command_gives_the_hints_of_predict(exported, pictures, capsys):
    words = ["red xylophone", "st\u0430r", "the ring", "rings"]
    assert main([str(exported.onnx), str(pictures[0]), "--phrases", *words]) == 0
    said = capsys.readouterr()
    hints = [line for line in said.err.splitlines() if line.startswith("hint: ")]
    for word in ("'xylophone'", "CYRILLIC", "the same as 'the ring'"):
        assert any(word in line for line in hints), hints
    assert len(json.loads(said.out)) == 4


def test_a_picture_that_cannot_be_read_is_named_and_the_rest_goes_on(
    exported, pictures, tmp_path, capsys
):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    given = [str(tmp_path / "broken.png"), str(pictures[0]), "nowhere.jpg", str(pictures[1])]
    assert main([str(exported.onnx), *given, "--phrases", "star"]) == 1
    said = capsys.readouterr()
    assert [json.loads(line)["image"] for line in said.out.splitlines()] == [given[1], given[3]]
    first, second = said.err.splitlines()
    assert "broken.png" in first
    assert "nowhere.jpg" in second


@pytest.mark.parametrize("given", [["--threshold", "7"], ["--phrases", ""]])
def test_a_wrong_question_is_said_once_and_not_for_every_picture(exported, pictures, capsys, given):
    assert main([str(exported.onnx), str(pictures[0]), str(pictures[1]), *given]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_was_found_in_a_stream_can_be_drawn(both, pictures):
    with open(pictures[1], "rb") as stream:
        found = both[1].detect(stream, PHRASES, 3)
    assert found.draw().size == both[1].detect(str(pictures[1]), PHRASES, 3).draw().size


@pytest.mark.parametrize("share", [True, 0.3, 0.02])
@pytest.mark.parametrize(("most", "threshold"), [(5, 0.0), (40, 0.0), (1000, 0.0), (40, 0.4)])
def test_near_copies_are_left_out_as_the_detector_does(both, pictures, share, most, threshold):
    runner = both[1]
    for path in map(str, pictures[:2]):
        wanted, found = (
            one.detect(path, PHRASES, most, threshold, no_overlaps=share) for one in both
        )
        assert _pairs(found).keys() == _pairs(wanted).keys()
        np.testing.assert_allclose(found.scores, wanted.scores, atol=0.002)
    assert len(runner.detect(path, PHRASES, 1000, no_overlaps=0.02)) < 16 * len(PHRASES)


def test_the_command_leaves_out_near_copies(exported, both, pictures, capsys, monkeypatch):
    monkeypatch.setattr(overlaps, "SAME_THING", 0.1)  # boxes of a toy are no near-copies
    command = [str(exported.onnx), str(pictures[0]), "--phrases", "ring", "--threshold", "0"]
    found = []
    for more in ([], ["--no-overlaps"]):
        assert main([*command, *more]) == 0
        found.append(json.loads(capsys.readouterr().out)["detections"])
    kept = both[1].detect(str(pictures[0]), "ring", no_overlaps=True).to_dict()["detections"]
    assert found[1] == kept
    assert len(found[1]) < len(found[0])
