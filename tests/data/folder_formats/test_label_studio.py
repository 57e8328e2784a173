"""Label Studio's own export."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, Scene, Thing, scenes


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


def test_a_task_with_two_pictures_is_left_out(folder: Folder):
    own = folder.pictures(scenes(8))
    tasks = drawing.label_studio(own)
    first, second, *others = tasks
    first["data"] = {"left": first["data"]["image"], "right": second["data"]["image"]}
    first["annotations"][0]["result"] += second["annotations"][0]["result"]
    folder.write("tasks.json", [first, *others])
    assert folder.num_read(LOSSY) == 6
    left = folder.read(LOSSY).account.tallies["annotations"].left_out
    assert any("several pictures" in reason for reason in left)


def _short(tasks, annotator: int, field: str = "label"):
    """JSON-MIN, which has a task for each annotation."""
    made = []
    for task in tasks:
        regions = [{**r["value"], **r} for r in task["annotations"][0]["result"]]
        for region in regions:
            del region["value"]
        own = {"annotation_id": 100 * annotator + task["id"], "annotator": annotator}
        made.append({"id": task["id"], "image": task["data"]["image"], field: regions, **own})
    return made


def test_two_annotators_of_json_min_are_two(folder: Folder):
    own = folder.pictures(scenes(8))
    others = [Scene(s.file, [Thing("dog", t.xywh) for t in s.things], s.size) for s in own]
    tasks = _short(drawing.label_studio(own), 1) + _short(drawing.label_studio(others), 2)
    folder.write("tasks.json", tasks)
    assert folder.num_read(LOSSY) == 4  # the dogs, of which there are two annotations
    own[0].things[0] = Thing(own[0].things[0].name, (1, 1, 10, 10))
    folder.write("tasks.json", tasks[:8] + _short(drawing.label_studio(own), 2))
    assert "the annotation of one person" in folder.refusal(LOSSY)


def test_two_tools_of_json_min_are_one_annotation(folder: Folder):
    own = folder.pictures(scenes(8, per_picture=2))
    tasks = _short(drawing.label_studio(own), 1)
    for task in tasks:
        task["other"] = [task["label"].pop()]
    folder.write("tasks.json", tasks)
    assert folder.num_read() == 16


def test_of_several_annotations_the_one_that_is_marked_as_right_counts(folder: Folder):
    own = folder.pictures(scenes(8, per_picture=2))
    tasks = drawing.label_studio(own)
    draft = drawing.label_studio([Scene(s.file, [Thing("cat", (1, 1, 9, 9))]) for s in own])
    for task, other in zip(tasks, draft, strict=True):
        task["annotations"] += other["annotations"]
    folder.write("tasks.json", tasks)
    assert "ground truth" in folder.refusal()
    for task in tasks:
        task["annotations"][0]["ground_truth"] = True
    folder.write("tasks.json", tasks)
    assert folder.num_read() == 16
