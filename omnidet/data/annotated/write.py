"""An annotated folder in the one layout that `data/sources/annotated.py` reads, with the files that evaluation reads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from omnidet.data.annotated.find import Split
from omnidet.data.annotated.pictures import Picture
from omnidet.data.reading import annotations as files

SUMMARY_NAME = "summary.json"
"""The file that makes the folder whole."""
SPLITS = ("train", "evaluation")


def write(cut: Split, folder: Path, version: str) -> dict[str, Any]:
    """Write `annotations/{train,evaluation}.json`, `images/` and the summary, which is also returned.

    A picture's id is a hash of its bytes: the same picture has the same id in every version of every dataset. A picture that
    comes twice is written once; one of both splits stands in the evaluation alone.

    Args:
        folder: an existing, empty folder.
        version: names the content of what was read.
    """
    category_ids = {name: number for number, name in enumerate(cut.found.names, start=1)}
    problems = dict(cut.found.problems)
    taken: set[int] = set()
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    counts = {}
    for name, pictures in (("evaluation", cut.evaluation), ("train", cut.train)):
        # Of the training the shard build names what it refuses; nobody judges what the evaluation takes for true.
        content = _coco(
            pictures,
            category_ids,
            folder / "images",
            taken,
            problems,
            with_all_boxes=name == "train",
        )
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        counts[name] = {"pictures": len(content["images"]), "boxes": len(content["annotations"])}
    summary: dict[str, Any] = {
        "format": cut.found.format,
        "names": list(cut.found.names),
        "version": version,
        "split": cut.why,
    }
    summary |= {"counts": counts, "problems": problems}
    (folder / SUMMARY_NAME).write_text(
        json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return summary


def _coco(
    pictures: list[Picture],
    category_ids: dict[str, int],
    images: Path,
    taken: set[int],
    problems: dict[str, int],
    with_all_boxes: bool,
) -> dict[str, Any]:
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": number, "name": name} for name, number in category_ids.items()]
    for picture in pictures:
        encoded = picture.path.read_bytes()
        image_id = int.from_bytes(
            hashlib.sha256(encoded).digest()[:6], "big"
        )  # exact in JSON's doubles
        size = files.image_size(encoded)
        reason = (
            size
            if isinstance(size, str)
            else "picture that comes twice"
            if image_id in taken
            else ""
        )
        if reason:
            problems[reason] = problems.get(reason, 0) + 1
            continue
        taken.add(image_id)
        file = f"{image_id:012x}{picture.path.suffix.lower()}"
        _link(picture.path, images / file)
        content["images"].append(
            {"id": image_id, "file_name": file, "width": size[0], "height": size[1]}
        )
        for box in picture.boxes:
            if not box.area and not with_all_boxes:
                problems["box without an area"] = problems.get("box without an area", 0) + 1
                continue
            number = len(content["annotations"]) + 1
            row = {
                "id": number,
                "image_id": image_id,
                "category_id": category_ids[box.name],
                "bbox": list(box.xywh),
            }
            content["annotations"].append({**row, "area": box.area, "iscrowd": int(box.crowd)})
    return content


def _link(source: Path, target: Path) -> None:
    """The same file under another name where the disk allows it: no second copy of the pictures."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
