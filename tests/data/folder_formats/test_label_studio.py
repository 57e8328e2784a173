"""Label Studio's own export."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes


@pytest.mark.parametrize(
    "prefix", ["/data/upload/1/0a1b2c3d-", "s3://bucket/x/", "/data/local-files/?d=a/"]
)
def test_label_studio(folder: Folder, prefix):
    own = folder.pictures(scenes(8, per_picture=2), "images")
    tasks = drawing.label_studio(own, prefix)
    folder.write("export.json", tasks)
    found = folder.read()
    assert found.format == "Label Studio json"
    assert sum(len(p.boxes) for p in found.pictures()) == 16
    smallest = [
        {
            "id": task["id"],
            "image": task["data"]["image"],
            "label": [
                {
                    **r["value"],
                    "original_width": r["original_width"],
                    "original_height": r["original_height"],
                }
                for r in task["annotations"][0]["result"]
            ],
        }
        for task in tasks
    ]
    folder.write("export.json", smallest)
    assert folder.num_read() == 16
    tasks[0]["annotations"][0]["was_cancelled"] = True
    folder.write("export.json", tasks)
    found = folder.read(LOSSY)
    assert "task without a submitted annotation" in found.account.tallies["annotations"].left_out
