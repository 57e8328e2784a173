"""A detector saved as a folder loads as it was; a damaged folder is refused in one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from omnidet.data import vocabulary
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.model import bundle
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.schema import Record
from tests import toys


@pytest.fixture
def folder(tmp_path) -> Path:
    toys.write_bundle(tmp_path / "model")
    return tmp_path / "model"


def _change(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_round_trip_gives_equal_outputs(folder):
    loaded, words, content = bundle.load(folder)
    assert not loaded.training
    assert content["names"] == list(toys.NAMES)
    assert words.content_hash == toys.toy_vocabulary().with_names(toys.NAMES).content_hash
    batch = toys.batch()
    with torch.no_grad():
        before, after = toys.toy_detector()(batch), loaded(batch)
    assert torch.equal(before.scores_BQL, after.scores_BQL)
    assert torch.equal(before.boxes_cxcywh_BQ4, after.boxes_cxcywh_BQ4)
    assert torch.equal(before.image_embeddings_BD, after.image_embeddings_BD)


def test_a_pretrained_backbone_takes_its_weights_from_the_bundle_and_not_from_elsewhere(tmp_path):
    detector = Detector(
        ModelConfig(64, TimmVit("vit_tiny_patch16_224", "random"), 8),
        toys.toy_vocabulary().num_tokens,
    )
    (tmp_path / "model").mkdir()
    bundle.save(tmp_path / "model", detector, toys.toy_vocabulary(), [], {})
    content = json.loads((tmp_path / "model" / "config.json").read_text())
    # The weights that training started from are gone.
    content["model"]["backbone"]["weights"] = "gone/weights.pth"
    (tmp_path / "model" / "config.json").write_text(json.dumps(content))
    loaded, _, _ = bundle.load(tmp_path / "model")
    for (name, before), after in zip(
        detector.state_dict().items(), loaded.state_dict().values(), strict=True
    ):
        assert torch.equal(before, after), name


def _other_vocabulary(folder: Path) -> None:
    other = vocabulary.build(
        [Record(b"", 1, 1, "", "", phrases=("something", "else"))], VocabularyConfig(300, 1)
    )
    other.save(folder / "vocabulary")


def _other_weights(folder: Path) -> None:
    save_file({"tokens.biases": torch.zeros(3)}, folder / "model.safetensors")
    _change(
        folder,
        weights_sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
    )


DAMAGES = {
    "config.json is not JSON": lambda f: (f / "config.json").write_text("{"),
    "format version None": lambda f: (f / "config.json").write_text("[]"),
    "format version 99": lambda f: _change(f, format_version=99),
    "model, vocabulary_hash": lambda f: (f / "config.json").write_text('{"format_version": 1}'),
    "content hash": _other_vocabulary,
    "vocabulary is damaged": lambda f: (f / "vocabulary" / "tokenizer.json").write_text("{}"),
    "vocabulary is damaged (": lambda f: (f / "vocabulary" / "idf.safetensors").write_bytes(
        b"short"
    ),
    "vocabulary.json": lambda f: (f / "vocabulary" / "vocabulary.json").unlink(),
    "does not fit": _other_weights,
    "model.safetensors is corrupt": lambda f: (f / "model.safetensors").write_bytes(
        (f / "model.safetensors").read_bytes()[:-100]
    ),
    "model.safetensors does": lambda f: (f / "model.safetensors").unlink(),
    "has no field 'nonsense'": lambda f: _change(f, model={"nonsense": 1}),
    "expected int": lambda f: _change(f, model={"image_size": "large"}),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_bundle_is_refused_in_one_line(folder, message):
    DAMAGES[message](folder)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        bundle.load(folder)
    said = str(caught.value)
    assert message in said
    assert any(name in said for name in (str(folder), "ModelConfig", "image_size"))
    assert "\n" not in said


def test_a_folder_without_a_detector_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} .*config.json"):
        bundle.load(tmp_path)
