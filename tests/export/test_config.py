from __future__ import annotations

import pytest

from omnidet.export.config import ExportConfig


@pytest.mark.parametrize(
    ("given", "said"),
    [({"format": "tflite"}, "tflite"), ({"format": "torch", "int8": True}, "--int8")],
)
def test_what_does_not_go_together_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        ExportConfig(**given)


def test_by_default_a_model_for_any_words_in_single_precision():
    config = ExportConfig()
    assert (config.format, config.words, config.int8) == ("onnx", (), False)
