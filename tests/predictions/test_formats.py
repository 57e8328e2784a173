from __future__ import annotations

import pytest

from omnidet.commands import label
from omnidet.data.annotated import formats as readers
from omnidet.predictions import formats


def test_every_format_that_is_written_is_read():
    assert set(formats.LABELS) <= {entry.name for entry in readers.FORMATS}
    assert set(label.FORMATS) == set(formats.LABELS)


def test_formats_are_given_apart_or_with_commas():
    assert formats.checked(["csv,coco", "drawn", "csv"]) == ("csv", "coco", "drawn")


@pytest.mark.parametrize("given", [["xls"], ["csv", "Coco"], [""], [","]])
def test_others_are_refused_by_name(given):
    with pytest.raises(ValueError, match=r"--formats.*label-studio"):
        formats.checked(given)
