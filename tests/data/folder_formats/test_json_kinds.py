"""The words in a json file say which tool wrote it; nothing is parsed for that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnidet.data.folder_formats.folder import Folder
from omnidet.data.folder_formats.json_kinds import paths_of

COCO = {"images": [], "annotations": [], "categories": []}
LABELME = {"shapes": [], "imagePath": "a.png", "imageData": None}
TASKS = [{"annotations": [{"result": []}], "data": {"image": "a.png"}}]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps(COCO), "coco"),
        (json.dumps(COCO)[:-3], "coco"),
        (json.dumps(LABELME), "labelme"),
        (json.dumps(TASKS), "label studio"),
        (json.dumps({"hello": 1}), None),
        ("", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_tool_is_known_by_its_words(tmp_path, content, kind, encoding):
    (tmp_path / "a.json").write_bytes(content.encode(encoding) if content else b"")
    folder = Folder(tmp_path)
    found = {k: paths_of(folder, k) for k in ("coco", "labelme", "label studio")}
    assert {k for k, paths in found.items() if paths} == ({kind} if kind else set())
    if kind:
        assert found[kind] == [Path("a.json")]
