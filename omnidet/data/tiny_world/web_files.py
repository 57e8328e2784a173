"""The tiny world as images of the web: a list of LAION, tars of CC12M, copies of benchmarks."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omnidet.data.tiny_world import words
from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.tiny_world.damage import FILE_DAMAGE, damaged, damages, write_image
from omnidet.data.tiny_world.scenes import Picture, encode

Json = dict[str, Any]
_COPY_FORMS = ((60, 1.0), (85, 1.25), (75, 1.0), (40, 1.0))
"""JPEG quality and scale of the copies of evaluation images among the web images."""


def write_laion(
    root: Path,
    rng: np.random.Generator,
    config: TinyWorld,
    pictures: Sequence[Picture],
    copies: Sequence[Picture],
) -> Json:
    """A list and its images below `root`; returns what was planted, for `world.json`.

    Args:
        root: the folder.
        rng: for captions and the order of the rows.
        config: how many are broken.
        pictures: what is on the web.
        copies: evaluation images, of which the web has copies.
    """
    damage = damages(config, [*FILE_DAMAGE, "empty caption"])
    empty = ("", None, "  ")
    rows: list[tuple[str, str | None]] = []
    for i, picture in enumerate(
        [*pictures, *(copy_of(picture, i) for i, picture in enumerate(copies))]
    ):
        url, text = f"images/{i:06d}.jpg", words.web_text(rng, picture.scene)
        rows.append((url, empty[i % len(empty)] if damage.get(i) == "empty caption" else text))
        write_image(root / url, picture.jpeg, damage.get(i, ""))
    copied = [url for url, _ in rows[len(pictures) :]]
    num_duplicates = 2 * config.broken
    rows += rows[-len(copies) - num_duplicates :][:num_duplicates]
    rows = [rows[int(i)] for i in rng.permutation(len(rows))]
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "URL": pa.array([url for url, _ in rows], pa.string()),
            "TEXT": pa.array([t for _, t in rows], pa.string()),
        }
    )
    pq.write_table(table, root / "urls.parquet")
    return {
        "rows": len(rows),
        "duplicate rows": num_duplicates,
        "copies of coco val": copied,
        "broken": dict(Counter(damage.values())),
    }


def write_cc12m(
    root: Path,
    rng: np.random.Generator,
    config: TinyWorld,
    pictures: Sequence[Picture],
    copies: Sequence[Picture],
) -> Json:
    """Two tars as img2dataset writes them: in the order in which downloads ended, not of keys.

    Arguments and return value are those of `write_laion`.
    """
    damage = damages(config, [*FILE_DAMAGE, "empty caption"])
    samples = [*pictures, *(copy_of(picture, i) for i, picture in enumerate(copies))]
    half = (len(samples) + 1) // 2
    keys = [f"{i // half:05d}{i % half:04d}" for i in range(len(samples))]
    captions = [
        "" if damage.get(i) == "empty caption" else words.alt_text(rng, s.scene)
        for i, s in enumerate(samples)
    ]
    root.mkdir(parents=True)
    for shard in range(2):
        members = np.arange(len(samples))[shard * half : (shard + 1) * half]
        with tarfile.open(
            root / f"cc12m-train-{shard:04d}.tar", "w", format=tarfile.USTAR_FORMAT
        ) as tar:
            for i in rng.permutation(members).tolist():
                image = damaged(samples[i].jpeg, damage.get(i, ""))
                if image is not None:
                    _add_to_tar(tar, f"{keys[i]}.jpg", image)
                about = _img2dataset_entry(
                    keys[i], captions[i], samples[i], was_loaded=image is not None
                )
                _add_to_tar(tar, f"{keys[i]}.json", json.dumps(about, indent=4).encode())
                _add_to_tar(tar, f"{keys[i]}.txt", captions[i].encode())
    return {
        "samples": len(samples),
        "copies of coco val": keys[len(pictures) :],
        "broken": dict(Counter(damage.values())),
    }


def copy_of(picture: Picture, number: int) -> Picture:
    """The picture as another web site would serve it: other quality, other size."""
    quality, scale = _COPY_FORMS[number % len(_COPY_FORMS)]
    image = Image.open(io.BytesIO(picture.jpeg))
    side = round(image.width * scale)
    resized = image.resize((side, side), Image.Resampling.LANCZOS)
    return Picture(picture.scene, encode(np.asarray(resized), quality))


def _img2dataset_entry(key: str, caption: str, picture: Picture, was_loaded: bool) -> Json:
    side = Image.open(io.BytesIO(picture.jpeg)).width
    return {
        "caption": caption,
        "url": f"https://images.example.com/{key}.jpg",
        "key": key,
        "status": "success" if was_loaded else "failed_to_download",
        "error_message": None if was_loaded else "HTTP Error 404: Not Found",
        "width": side,
        "height": side,
        "exif": "{}",
        "original_width": side,
        "original_height": side,
    }


def _add_to_tar(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member without owner and time, which would differ between runs."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
