"""Images of the web: a tar of CC12M as img2dataset writes it, and a parquet list of LAION."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.samples.pictures import HEIGHT, WIDTH, jpeg

NUM_PAIRS, NUM_ROWS = 8, 20


def draw_cc12m(root: Path) -> None:
    """One tar; its keys are not in order, and every second caption hides a name."""
    root.mkdir(parents=True)
    with tarfile.open(root / "cc12m-train-0000.tar", "w") as tar:
        for number in (2, 0, 1, 5, 4, 7, 6, 3):
            key, caption = f"{number:09d}", f"picture {number} of <PERSON>"
            caption = caption if number % 2 else f"picture {number}, drawn"
            about = {
                "caption": caption,
                "url": f"https://images.example.com/{key}.jpg",
                "key": key,
                "status": "success",
                "error_message": None,
                "width": WIDTH,
                "height": HEIGHT,
            }
            members = {
                "jpg": jpeg(5000 + number),
                "json": json.dumps(about).encode(),
                "txt": caption.encode(),
            }
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def draw_laion(root: Path) -> None:
    """A list of addresses that nobody answers."""
    root.mkdir(parents=True)
    table = {
        "URL": [f"http://images.example.com/{i}.jpg" for i in range(NUM_ROWS)],
        "TEXT": [f"Picture {i} | <b>shop</b>" for i in range(NUM_ROWS)],
        "__index_level_0__": list(range(NUM_ROWS)),
    }
    pq.write_table(pa.table(table), root / "urls_1000.parquet")
