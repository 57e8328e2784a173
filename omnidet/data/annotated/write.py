"""An annotated folder in the one layout that `data/sources/annotated.py` reads, with the files that
evaluation reads.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.data.annotated import pictures
from omnidet.data.annotated.cut import Cut
from omnidet.data.annotated.read import Picture

SUMMARY_NAME = "summary.json"
"""The file that makes the folder whole."""
SPLITS = ("train", "evaluation")
FILE = "source_file"
"""Of an image: where it was in the folder that was read, for people."""
WRITTEN = (SUMMARY_NAME, "annotations/", "images/", "ground_truth/")
"""What stands in the folder."""
TRUTH = "ground_truth"
"""Folder of what the official evaluation reads where names are unknown in some pictures."""


def write(made: Cut, folder: Path, version: str) -> dict[str, Any]:
    """Write `annotations/{train,evaluation}.json`, `images/` and the summary, which is also
    returned.

    Args:
        folder: an existing, empty folder.
        version: names the content of what was read.
    """
    found = made.found
    category_ids = {name: number for number, name in enumerate(found.names, start=1)}
    for name in ("images", "annotations", TRUTH):
        (folder / name).mkdir()
    counts = {}
    for name, members in zip(SPLITS, (made.train, made.evaluation), strict=True):
        content = _coco(members, category_ids, folder / "images", found.root)
        _dump(folder / "annotations" / f"{name}.json", content)
        if any(image["not_exhaustive_category_ids"] for image in content["images"]):
            _dump(folder / TRUTH / f"{name}.json", _truth(content))
        counts[name] = {"pictures": len(content["images"]), "boxes": len(content["annotations"])}
    summary = {
        "format": found.format,
        "names": list(found.names),
        "version": version,
        "split": made.why,
        "counts": counts,
        "account": found.account.describe(),
    }
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    (folder / SUMMARY_NAME).write_text(text, encoding="utf-8", errors="replace")
    return summary


def source_files(folder: storage.Location) -> dict[str, str]:
    """Where each picture was in the folder that was read, by the number of its id, of a folder that
    `write` wrote.
    """
    found: dict[str, str] = {}
    for name in SPLITS:
        content = json.loads(storage.read_text(storage.join(folder, "annotations", f"{name}.json")))
        found |= {str(image["id"]): image[FILE] for image in content["images"]}
    return found


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _coco(
    members: Sequence[Picture], category_ids: dict[str, int], images: Path, root: Path
) -> dict[str, Any]:
    """The pictures in COCO's format, and, as in LVIS, for each the names that it may show without a
    box.
    """
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": number, "name": name} for name, number in category_ids.items()]
    for picture in members:
        image_id = picture.opened.image_id
        width, height = picture.opened.size
        content["images"].append(
            {
                "id": image_id,
                "file_name": _put(picture, images, f"{image_id:012x}"),
                "width": width,
                "height": height,
                FILE: _shown(picture.path, root),
                "not_exhaustive_category_ids": sorted(category_ids[n] for n in picture.unknown),
            }
        )
        for box in picture.boxes:
            row = {
                "id": len(content["annotations"]) + 1,
                "image_id": image_id,
                "category_id": category_ids[box.name],
                "bbox": list(box.xywh),
                "area": box.xywh[2] * box.xywh[3],
                "iscrowd": int(box.is_crowd),
            }
            content["annotations"].append(row)
    return content


def _shown(path: Path, root: Path) -> str:
    """The path in the folder, as text that every file can hold."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return inside.as_posix().encode("utf-8", "replace").decode()


def _truth(content: dict[str, Any]) -> dict[str, Any]:
    """The same as ground truth. Evaluation has no notion of an unknown name, so the name gets a
    crowd box over the whole picture: detections in it are neither right nor wrong.
    """
    rows = list(content["annotations"])
    for image in content["images"]:
        for number in image["not_exhaustive_category_ids"]:
            whole = [0, 0, image["width"], image["height"]]
            row = {"id": len(rows) + 1, "image_id": image["id"], "category_id": number}
            rows.append({**row, "bbox": whole, "area": whole[2] * whole[3], "iscrowd": 1})
    return {**content, "annotations": rows}


def _put(picture: Picture, images: Path, name: str) -> str:
    """Put the picture into the folder, upright and in 8 bits. Returns the name of its file."""
    if not picture.opened.is_plain:
        content, ending = pictures.upright(picture.path)
        (images / (name + ending)).write_bytes(content)
        return name + ending
    file = name + picture.path.suffix.lower()
    try:  # no second copy of the pictures where the disk allows it
        os.link(picture.path.resolve(), images / file)
    except OSError:
        shutil.copyfile(picture.path, images / file)
    return file
