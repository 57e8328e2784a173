"""Which tool wrote a json file, judged by the words in it, so that large files need no parsing."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any, Literal

from omnidet.data.folder_formats.folder import Folder

_MAX_PARSED_BYTES = 64 << 20
Kind = Literal["coco", "labelme", "label studio", "createml", "via", ""]


def paths_of(folder: Folder, kind: Kind) -> list[Path]:
    """The json files that look as if a tool of the kind had written them, damaged ones too."""
    if not folder.kinds:
        folder.kinds |= {path: _kind(folder.root / path) for path in folder.with_suffix(".json")}
    return [path for path, found in folder.kinds.items() if found == kind]


def load(folder: Folder, path: Path, title: str) -> Any:
    """The content of a file. Raises ValueError for one that is damaged."""
    try:
        return json.loads(folder.read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{folder.root / path} looks like {title} and is not JSON ({error}): export it again"
        ) from error


def _kind(path: Path) -> Kind:
    if not path.stat().st_size:
        return ""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        encoding = json.detect_encoding(content[:4]).replace("-sig", "")
        if encoding in (
            "utf-16",
            "utf-32",
        ):  # encoding a word would put a byte order mark before it
            encoding += "-le" if content[:2] == b"\xff\xfe" else "-be"

        def has(*words: str) -> bool:
            return any(content.find(f'"{w}"'.encode(encoding)) >= 0 for w in words)

        begin = content[:1000].decode(encoding, "replace").lstrip("\ufeff \t\r\n")[:1]
        if begin == "[" and has("coordinates") and not has("result", "original_width", "type"):
            return "createml"
        if begin == "{" and has("_via_img_metadata", "shape_attributes"):
            return "via"
        if begin == "[":
            has_tasks = has("result") and has("annotations", "completions")
            has_tasks = has_tasks or has("original_width")
            is_cut = has("annotations", "completions") and not _is_json(content)
            return "label studio" if has_tasks or is_cut else ""
        # A file that was cut off may have lost the words that tell it from others.
        if has("shapes") and (has("imagePath", "imageData") or not _is_json(content)):
            return "labelme"
        if has("images") and (has("annotations", "categories") or not _is_json(content)):
            return "coco"
        return ""


def _is_json(content: mmap.mmap) -> bool:
    """Whether a file is whole; of a large one only the end is looked at."""
    if len(content) > _MAX_PARSED_BYTES:
        return content[-100:].rstrip()[-1:] in (b"}", b"]")
    try:
        json.loads(content[:])
    except (ValueError, RecursionError):
        return False
    return True
