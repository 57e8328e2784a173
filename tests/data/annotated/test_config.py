"""How a folder is read: what is set wrong is refused by its name."""

from __future__ import annotations

import pytest

from omnidet.data.annotated import formats
from omnidet.data.annotated.config import FORMATS, ReadConfig


@pytest.mark.parametrize(
    ("field", "value"), [("format", "excel"), ("exif", "left"), ("max_lost", 1.5)]
)
def test_wrong_values(field, value):
    with pytest.raises(ValueError, match=rf"retrain\.reading\.{field}={value}"):
        ReadConfig(**{field: value})


def test_the_names_are_those_of_the_table():
    assert len(FORMATS) == len(formats.FORMATS)
    for name in FORMATS:
        assert ReadConfig(format=name).format == name
