"""What Ultralytics' tools write below `runs/` in the folder that they are started in: their boxes
are predictions, and their pictures have these drawn into them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from omnidet.data.folder_formats.folder import PICTURES

_TASKS = ("detect", "segment", "pose", "obb", "train", "val", "test")
_ANNOTATIONS = (".txt", ".xml", ".json")


def parted(files: Sequence[Path]) -> tuple[list[Path], str]:
    """The files without those of runs, and a note that names the first; all of them and "" where
    no other file is the annotation of a picture: then the predictions are what was meant.
    """
    runs = [path for path in files if _is_of_run(path)]
    others = [path for path in files if not _is_of_run(path)]
    stems = {path.stem for path in others if path.suffix.lower() in PICTURES}
    is_annotated = any(p.stem in stems for p in others if p.suffix.lower() in _ANNOTATIONS)
    if not runs or not is_annotated:
        return list(files), ""
    said = (
        f"not read: runs ({runs[0]}), where detectors write what they found: give such a folder by "
        "itself to learn from it"
    )
    return others, said


def _is_of_run(path: Path) -> bool:
    folders = path.parts[:-1]
    return any(one == "runs" and task in _TASKS for one, task in itertools.pairwise(folders))
