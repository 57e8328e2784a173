"""What is exported is compared with the detector: every backbone, any number of pictures, sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from omnidet.export import write as module
from omnidet.export.config import ExportConfig, Limits
from omnidet.export.graph import AnyWords
from omnidet.export.write import write
from omnidet.inference.detector import OmniDet
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.onnx import OnnxDetector, runtime
from omnidet.onnx.words import Words
from tests import toys

onnxruntime = runtime.load()
VIT = TimmVit("vit_tiny_patch16_224", "random", drop_path=0.0)
BACKBONES = {
    "timm_vit": VIT,
    "timm_vit in windows": dataclasses.replace(VIT, window=2, global_blocks=(2, 5, 8, 11)),
    "timm_features": TimmFeatures("resnet18", "random", width=32, depth=1, num_heads=2),
    "timm_features of photo-small": TimmFeatures(
        "tf_efficientnet_lite0", "random", width=32, depth=1, num_heads=2
    ),
}
PHRASES = ("red star", "star left of circle")


def _omnidet(**model) -> OmniDet:
    detector = toys.toy_detector(model=dataclasses.replace(toys.MODEL, **model))
    return OmniDet(detector, toys.toy_vocabulary(), {"names": list(toys.NAMES)})


def _same(session, omnidet: OmniDet, count: int, height: int, width: int) -> None:
    """ONNX Runtime and the detector agree on pictures of that size."""
    prompt = omnidet.prompt(PHRASES)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 3, height, width), dtype=np.uint8)
    inputs = {
        "images": images,
        "rows": prompt.rows_PD.numpy(),
        "biases": prompt.biases_P.numpy(),
    }
    with torch.no_grad():
        wanted = AnyWords(omnidet.detector)(*map(torch.from_numpy, inputs.values()))
    for own, found in zip(wanted, session.run(None, inputs), strict=True):
        np.testing.assert_allclose(found, own.numpy(), atol=2e-5)


def test_the_small_detector_takes_any_number_and_size(exported):
    session = onnxruntime.InferenceSession(exported.onnx / "model.onnx")
    omnidet = OmniDet.from_pretrained(exported.bundle)
    for shape in ((1, 64, 64), (5, 64, 64), (2, 80, 48), (1, 32, 160)):
        _same(session, omnidet, *shape)
    assert any("16 px" in line for line in exported.lines)
    assert any("opset 20" in line for line in exported.lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BACKBONES)
def test_every_backbone_takes_any_number_and_size(kind, tmp_path):
    omnidet = _omnidet(backbone=BACKBONES[kind])
    exported = write(omnidet, ExportConfig(), tmp_path / "out", "toy")
    assert exported.facts.any_size
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    for shape in ((1, 64, 64), (3, 64, 64), (2, 96, 64)):
        _same(session, omnidet, *shape)


@pytest.mark.slow
def test_a_detector_of_several_sides_and_a_calibration_runs_as_it_does(tmp_path):
    omnidet = _omnidet(image_size=96, min_image_size=32, calibrated_streams=3)
    with torch.no_grad():
        omnidet.detector.head.calibration.log_temperatures[0] = 0.7
        omnidet.detector.head.calibration.biases[0] = -0.4
    write(omnidet, ExportConfig(), tmp_path / "out", "toy")
    runner = OnnxDetector.from_pretrained(tmp_path / "out")
    for width, height in ((20, 10), (60, 41), (300, 200)):
        picture = np.full((height, width, 3), 90, np.uint8)
        picture[height // 3 :, width // 2 :] = (200, 20, 20)
        wanted = omnidet.detect(picture, PHRASES, 10)
        found = runner.detect(picture, PHRASES, 10)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-3)


@pytest.mark.slow
def test_words_that_are_folded_in_need_no_other_file(tmp_path):
    omnidet = _omnidet()
    write(omnidet, ExportConfig(words=PHRASES, int8=True), tmp_path / "out", "toy")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.onnx"]
    runner = OnnxDetector.from_pretrained(tmp_path / "out" / "model.onnx")
    picture = np.full((64, 64, 3), 90, np.uint8)
    wanted, found = omnidet.detect(picture, PHRASES, 32), runner.detect(picture)
    assert found.phrases == PHRASES
    assert runner.facts.precision == "int8"
    np.testing.assert_allclose(found.scores, wanted.scores, atol=0.02)
    with pytest.raises(ValueError, match="blue ring"):
        runner.detect(picture, ["blue ring"])


@pytest.mark.slow
def test_torch_loads_its_own_form_back(tmp_path):
    omnidet = _omnidet()
    prompt = omnidet.prompt(PHRASES)
    exported = write(omnidet, ExportConfig("torch"), tmp_path / "out", "toy")
    loaded = torch.export.load(exported.file).module()
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    inputs = images, prompt.rows_PD.clone(), prompt.biases_P.clone()
    with torch.no_grad():
        torch.testing.assert_close(loaded(*inputs), AnyWords(omnidet.detector)(*inputs))
    facts = exported.facts
    words = Words.load(tmp_path / "out", facts.blocks, facts.names, facts.line)
    np.testing.assert_allclose(words.rows(PHRASES)[0], prompt.rows_PD.numpy(), atol=1e-5)


def test_what_is_too_far_from_the_detector_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FLOAT_LIMITS", Limits(box_pixels=-1.0, score=1.0, logits=1.0))
    with pytest.raises(ValueError, match="limit -1"):
        write(_omnidet(), ExportConfig("torch"), tmp_path / "out", "toy")
    assert not (tmp_path / "out").exists()
