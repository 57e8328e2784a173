"""Picture files that can be read, and those that cannot."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes


def test_pictures_that_cannot_be_read_are_named(folder: Folder):
    own = scenes(12, ending=".jpg")
    folder.pictures(own)
    (folder.root / own[0].file).write_bytes(b"")
    (folder.root / own[1].file).write_bytes(b"<html>404</html>")
    whole = (folder.root / own[2].file).read_bytes()
    (folder.root / own[2].file).write_bytes(whole[: len(whole) // 2])
    (folder.root / own[3].file).rename(folder.root / f"{own[3].stem}.heic")
    folder.write("a.json", drawing.coco(own))
    found = folder.read(LOSSY)
    left = found.account.tallies["pictures"].left_out
    assert {reason: out.first for reason, out in left.items()} == {
        "picture file that is empty": "img_000.jpg",
        "picture that cannot be read": "img_001.jpg",
        "picture that is truncated": "img_002.jpg",
        "picture that ends in .heic, which is not read": "img_003.heic",
    }
    lost = found.account.tallies["annotations"].left_out["picture that is not there"]
    assert "convert them" in lost.first


@pytest.mark.parametrize("ending", [".gif", ".jfif", ".webp", ".bmp", ".tif", ".JPEG"])
def test_pictures_of_many_kinds(folder: Folder, ending):
    own = folder.pictures(scenes(6, ending=ending))
    folder.write("a.json", drawing.coco(own))
    assert folder.num_read() == 6
