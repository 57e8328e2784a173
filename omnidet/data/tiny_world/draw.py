"""The tiny world: synthetic scenes in the file formats of the real datasets, for the same adapters.

    draw(TinyWorld(), root)   root/coco (COCO, LVIS, RefCOCOg), flickr30k, laion, cc12m, world.json

Faults of real data are planted on purpose and counted in `world.json`: broken records, held-out
images in a training split, re-encoded copies of evaluation images among the web images.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnidet import progress
from omnidet.data.tiny_world.coco_entries import CocoImage
from omnidet.data.tiny_world.coco_files import write_coco
from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.tiny_world.damage import FILE_DAMAGE, write_image
from omnidet.data.tiny_world.flickr30k_files import write_flickr30k
from omnidet.data.tiny_world.refcocog_files import allows_both_kinds
from omnidet.data.tiny_world.scenes import Picture, Style, draw_scene, encode
from omnidet.data.tiny_world.sprites import HELD_OUT_PAIRS
from omnidet.data.tiny_world.web_files import write_cc12m, write_laion

_PARTS = ("coco", "flickr30k", "laion", "cc12m")
WRITTEN = ("world.json", *(f"{part}/" for part in _PARTS))
"""What stands in the folder."""


def draw(config: TinyWorld, root: Path, processes: int | None = None) -> None:
    """Draw the world below `root`; the bytes do not depend on the number of processes.

    Args:
        config: how much of what.
        root: an empty or missing folder.
        processes: number of processes; by default one per core.

    Raises:
        ValueError: if `root` is not empty.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty: give an empty or missing folder")
    pictures = _draw_all(config, processes)
    images = _coco_images(config, pictures["coco"])
    _write_coco_files(root / "coco", images)
    facts = {"coco": write_coco(root / "coco", _generator(config, "coco"), images, config.broken)}
    solid = [
        image for image in images if image.role == "val" and len(image.picture.scene.things) >= 2
    ]
    copies = [image.picture for image in solid][: 2 * config.web_copies]
    for_laion, for_cc12m = copies[: config.web_copies], copies[config.web_copies :]
    rngs = {name: _generator(config, name) for name in ("flickr30k", "laion", "cc12m")}
    facts["flickr30k"] = write_flickr30k(
        root / "flickr30k", rngs["flickr30k"], config, pictures["flickr30k"]
    )
    facts["laion"] = write_laion(
        root / "laion", rngs["laion"], config, pictures["laion"], for_laion
    )
    facts["cc12m"] = write_cc12m(
        root / "cc12m", rngs["cc12m"], config, pictures["cc12m"], for_cc12m
    )
    broken = {name: facts[name].pop("broken") for name in ("flickr30k", "laion", "cc12m")}
    world = {
        "config": dataclasses.asdict(config),
        "held_out_pairs": [" ".join(pair) for pair in HELD_OUT_PAIRS],
        "broken": facts["coco"].pop("broken") | broken,
        **facts,
    }
    (root / "world.json").write_text(json.dumps(world, indent=2) + "\n")


def _generator(config: TinyWorld, part: str) -> np.random.Generator:
    """For everything written of a dataset except its pictures."""
    return np.random.default_rng([config.seed, 1, _PARTS.index(part)])


def _styles(config: TinyWorld) -> dict[str, list[Style]]:
    seen = Style(long_tail=True, empty_share=0.03, crowd_share=0.02)
    from_train = config.train_images + config.refcocog_val_images
    return {
        "coco": [
            *[seen] * from_train,
            *[Style(fewest=3, held_out=True)] * config.refcocog_test_images,
            *[Style()] * config.lvis_val_from_train,
            *[Style(fewest=2)] * (len(FILE_DAMAGE) * config.broken),
            *[dataclasses.replace(seen, long_tail=False)] * config.val_images,
        ],
        "flickr30k": [Style()]
        * (config.flickr30k_train + config.flickr30k_val + config.flickr30k_test),
        "laion": [Style(most=4, empty_share=0.05)] * config.laion_images,
        "cc12m": [Style(most=4, empty_share=0.02)] * config.cc12m_samples,
    }


def _draw_all(config: TinyWorld, processes: int | None) -> dict[str, list[Picture]]:
    """The pictures of each dataset. Each depends only on the seed, the dataset and its number."""
    styles = _styles(config)
    jobs = [
        ((config.seed, 0, _PARTS.index(part), i), config.image_size, style)
        for part in _PARTS
        for i, style in enumerate(styles[part])
    ]
    processes = processes or os.cpu_count() or 1
    shown = functools.partial(
        progress.bar, desc="drawing the tiny world", unit="image", total=len(jobs)
    )
    if processes == 1:
        drawn = list(shown(map(_draw_one, jobs)))
    else:
        with multiprocessing.Pool(processes) as pool:
            drawn = list(shown(pool.imap(_draw_one, jobs, chunksize=32)))
    rest = iter(drawn)
    return {part: [next(rest) for _ in styles[part]] for part in _PARTS}


def _draw_one(job: tuple[tuple[int, ...], int, Style]) -> Picture:
    seed, image_size, style = job
    scene, pixels = draw_scene(np.random.default_rng(seed), image_size, style)
    return Picture(scene, encode(pixels))


def _coco_images(config: TinyWorld, pictures: Sequence[Picture]) -> list[CocoImage]:
    """Ids and roles, in the order of the styles. RefCOCOg val takes suitable training scenes."""
    from_train = config.train_images + config.refcocog_val_images
    fitting = (i for i in reversed(range(from_train)) if allows_both_kinds(pictures[i].scene))
    chosen = {i for i, _ in zip(fitting, range(config.refcocog_val_images), strict=False)}
    if len(chosen) < config.refcocog_val_images:
        raise ValueError(
            f"only {len(chosen)} of {from_train} scenes are suitable for RefCOCOg val, "
            f"{config.refcocog_val_images} are wanted: raise train_images or lower "
            "refcocog_val_images"
        )
    roles = ["refcocog_val" if i in chosen else "train" for i in range(from_train)]
    roles += ["refcocog_test"] * config.refcocog_test_images + [
        "lvis_val"
    ] * config.lvis_val_from_train
    roles += [damage for damage in FILE_DAMAGE for _ in range(config.broken)] + [
        "val"
    ] * config.val_images
    numbers = np.random.default_rng([config.seed, 2]).choice(
        np.arange(1, 600_000), len(roles), replace=False
    )
    images = zip(numbers.tolist(), roles, pictures, strict=True)
    return sorted((CocoImage(*image) for image in images), key=lambda image: image.image_id)


def _write_coco_files(root: Path, images: Sequence[CocoImage]) -> None:
    for image in images:
        write_image(root / image.split / image.file_name, image.picture.jpeg, image.role)
