from __future__ import annotations

import dataclasses
import json

import pytest

from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.config import ModelConfig
from omnidet.onnx.facts import Facts

FACTS = Facts(
    image_size=128,
    least_size=64,
    size_multiple=16,
    padding=128,
    mean=(1.0, 2.0, 3.0),
    std=(4.0, 5.0, 6.0),
    any_size=True,
    words=("red star", "größe"),
    blocks=(300,),
    model="toy version 3",
    weights_sha256="abc",
    precision="float32",
)


def test_what_is_stored_is_read_back():
    assert Facts.from_json(FACTS.to_json(), "m") == FACTS


@pytest.mark.parametrize("size", [(1, 1), (60, 64), (65, 3), (100, 127), (128, 129), (9, 4000)])
def test_a_picture_gets_the_square_that_the_detector_gives_it(size):
    model = ModelConfig(image_size=128, min_image_size=64, backbone=ConvStemVit())
    assert FACTS.side(*size) == model.side(*size)
    alike = ModelConfig(image_size=128, backbone=ConvStemVit())
    assert dataclasses.replace(FACTS, least_size=128).side(*size) == alike.side(*size)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({**dataclasses.asdict(FACTS), "format_version": 9}),
        json.dumps({**dataclasses.asdict(FACTS), "other": 1}),
    ],
)
def test_other_content_is_refused_by_the_name_of_the_file(text):
    with pytest.raises(ValueError, match=r"x/model\.onnx"):
        Facts.from_json(text, "x/model.onnx")
