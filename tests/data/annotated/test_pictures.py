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
        "web page in place of a picture": "img_001.jpg",
        "picture that is truncated": "img_002.jpg",
        "picture that ends in .heic, which is not read": "img_003.heic",
    }
    lost = found.account.tallies["annotations"].left_out["picture that is not there"]
    assert "convert them" in lost.first


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"nothing known", "picture that cannot be read"),
    ],
)
def test_what_is_called_like_a_picture_is_named(folder: Folder, content, reason):
    own = folder.pictures(scenes(4, ending=".jpg"))
    for scene in own:
        (folder.root / scene.file).write_bytes(content)
    folder.write("a.json", drawing.coco(own))
    assert reason in folder.refusal()


@pytest.mark.parametrize("ending", [".gif", ".jfif", ".webp", ".bmp", ".tif", ".JPEG"])
def test_pictures_of_many_kinds(folder: Folder, ending):
    own = folder.pictures(scenes(6, ending=ending))
    folder.write("a.json", drawing.coco(own))
    assert folder.num_read() == 6
