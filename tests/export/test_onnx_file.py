from __future__ import annotations

import onnx
import pytest

from omnidet.export import onnx_file
from omnidet.onnx.facts import KEY, Facts


def test_the_file_says_its_opset_and_its_facts(exported):
    model = onnx.load(exported.onnx / "model.onnx")
    (opset,) = [entry.version for entry in model.opset_import if entry.domain == ""]
    assert opset == onnx_file.OPSET
    stored = {entry.key: entry.value for entry in model.metadata_props}[KEY]
    assert Facts.from_json(stored, "model").any_size
    assert [value.name for value in model.graph.input] == ["images", "rows", "biases"]
    assert [value.name for value in model.graph.output] == ["boxes", "scores", "embeddings"]


def test_a_model_too_large_for_one_file_is_refused(exported, monkeypatch, tmp_path):
    from omnidet.export.graph import AnyWords
    from tests import toys

    monkeypatch.setattr(onnx_file, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="--format torch"):
        onnx_file.write(tmp_path / "m.onnx", None, AnyWords(toys.toy_detector()), None, int8=False)
    assert not list(tmp_path.iterdir())


def test_eight_bits_shrink_the_weights(exported, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes((exported.onnx / "model.onnx").read_bytes())
    onnx_file._to_int8(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "MatMulInteger" in kinds
    assert "Gemm" not in kinds
