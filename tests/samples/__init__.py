"""Samples of every dataset in its own format: drawn here, and real ones where somebody has them.

`draw(root)` writes a small folder of drawn datasets; nothing in it is copied from a real one. With
the environment variable OMNIDET_SAMPLES, or a folder `../shared/data` next to the repository, tests
that use the fixture `samples` run on real samples too. Both have the same layout:

    coco_sample/                COCO, LVIS, RefCOCOS, RefCOCOg (real: an excerpt)
    flickr30k_entities_sample/  Flickr30K Entities
    cc12m_sample/               a tar of CC12M
    laion_sample/               a parquet list of LAION
    coco_eval_golden/           ground truth and detections, with the numbers of pycocotools
    lvis_eval_golden/           the same with those of the lvis package
    bccd/                       blood cells in Pascal VOC xml
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.samples import cells, coco, flickr30k, golden, web

VARIABLE = "OMNIDET_SAMPLES"
BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


@dataclass(frozen=True)
class Samples:
    """A folder of samples."""

    root: Path
    is_real: bool


def real() -> Path | None:
    """The folder of real samples, or None. A folder that is named and missing is an error."""
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else BESIDE
    if folder.is_dir():
        return folder.resolve()
    if named:
        raise pytest.UsageError(f"{VARIABLE}={named} does not exist: name the folder of samples")
    return None


def draw(root: Path) -> Path:
    """Write all drawn samples below `root`."""
    coco.draw(root / "coco_sample")
    flickr30k.draw(root / "flickr30k_entities_sample")
    web.draw_cc12m(root / "cc12m_sample")
    web.draw_laion(root / "laion_sample")
    golden.draw_coco(root / "coco_eval_golden")
    golden.draw_lvis(root / "lvis_eval_golden")
    cells.draw(root / "bccd")
    return root
