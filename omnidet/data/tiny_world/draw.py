"""The tiny world: synthetic scenes in the file formats of the real datasets, so that the same adapters read both.

    draw(TinyWorld(), root)     root/coco (COCO, LVIS, RefCOCOg) root/flickr30k root/laion root/cc12m root/world.json

Faults of real data are planted on purpose and counted in `world.json`: broken records, held-out images that stand in a
training split, re-encoded copies of evaluation images among the web images.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import multiprocessing
import os
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from omnidet.data.tiny_world import words as words
from omnidet.data.tiny_world.coco_files import CocoImage, allows_both_kinds, write_coco
from omnidet.data.tiny_world.scenes import HELD_OUT_PAIRS, Picture, Scene, Style, draw_scene, encode

Json = dict[str, Any]

_PARTS = ("coco", "flickr30k", "laion", "cc12m")
_FILE_DAMAGE = ("truncated image", "image too large", "missing image")
_COPY_FORMS = ((60, 1.0), (85, 1.25), (75, 1.0), (40, 1.0))
"""JPEG quality and scale of the copies of evaluation images among the web images."""


@dataclass(frozen=True)
class TinyWorld:
    """How much to draw."""

    seed: int = 0
    image_size: int = 128
    """Side of each image in pixels."""
    train_images: int = 4000
    """COCO train2017 images that are usable; held-out and broken ones stand beside them in the folder."""
    val_images: int = 300
    """COCO val2017."""
    lvis_val_from_train: int = 20
    """Images of LVIS val that stand in COCO train2017."""
    refcocog_val_images: int = 300
    """One plain and one relational expression each; they stand in COCO train2017."""
    refcocog_test_images: int = 300
    """One plain expression each, of a held-out pair; they stand in COCO train2017."""
    flickr30k_train: int = 1000
    flickr30k_val: int = 100
    flickr30k_test: int = 100
    laion_images: int = 1500
    cc12m_samples: int = 1500
    web_copies: int = 4
    """Re-encoded copies of COCO val2017 images in LAION, and as many others in CC12M."""
    broken: int = 2
    """Broken records of each kind in each dataset."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value < 0:
                raise ValueError(f"TinyWorld.{field.name} is {value}: give 0 or more")
        if self.image_size < 96:
            raise ValueError(
                f"TinyWorld.image_size is {self.image_size}: give at least 96, small shapes need it"
            )
        smallest = max(10, 5 * self.broken)
        for name in ("train_images", "flickr30k_train", "laion_images", "cc12m_samples"):
            if getattr(self, name) < smallest:
                raise ValueError(
                    f"TinyWorld.{name} is {getattr(self, name)}: give at least {smallest}, or lower broken"
                )
        if self.val_images < 4 * self.web_copies:
            raise ValueError(
                f"TinyWorld.val_images is {self.val_images}: give at least four times web_copies, {self.web_copies}"
            )

    def require_drawable(self) -> None:
        """Raise ValueError for numbers that do not go together, now and not when the scenes are drawn."""
        if (
            self.refcocog_val_images > 2 * self.train_images
        ):  # they are chosen from as many scenes more than those
            raise ValueError(
                f"TinyWorld.refcocog_val_images is {self.refcocog_val_images}: give at most twice train_images, "
                f"{self.train_images}, or raise that one"
            )


def draw(config: TinyWorld, root: Path, processes: int | None = None) -> None:
    """Draw the world below `root`; the same bytes for the same config, whatever the number of processes.

    Args:
        config: how much of what.
        root: an empty or missing folder.
        processes: how many draw; all cores by default.

    Raises:
        ValueError: if `root` is not empty.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty: hand in a fresh folder")
    pictures = _draw_all(config, processes)
    images = _coco_images(config, pictures["coco"])
    _write_coco_files(root / "coco", images)
    facts = {"coco": write_coco(root / "coco", _generator(config, "coco"), images, config.broken)}
    solid = [
        image for image in images if image.role == "val" and len(image.picture.scene.things) >= 2
    ]
    copies = [image.picture for image in solid][: 2 * config.web_copies]
    for_laion, for_cc12m = copies[: config.web_copies], copies[config.web_copies :]
    facts["flickr30k"] = _write_flickr30k(root / "flickr30k", config, pictures["flickr30k"])
    facts["laion"] = _write_laion(root / "laion", config, pictures["laion"], for_laion)
    facts["cc12m"] = _write_cc12m(root / "cc12m", config, pictures["cc12m"], for_cc12m)
    broken = {name: facts[name].pop("broken") for name in ("flickr30k", "laion", "cc12m")}
    world = {
        "config": dataclasses.asdict(config),
        "held_out_pairs": [" ".join(pair) for pair in HELD_OUT_PAIRS],
        "broken": facts["coco"].pop("broken") | broken,
        **facts,
    }
    (root / "world.json").write_text(json.dumps(world, indent=2) + "\n")


def _generator(config: TinyWorld, part: str) -> np.random.Generator:
    """For what is written of a dataset, apart from its pictures."""
    return np.random.default_rng([config.seed, 1, _PARTS.index(part)])


# Pictures


def _styles(config: TinyWorld) -> dict[str, list[Style]]:
    seen = Style(long_tail=True, empty_share=0.03, crowd_share=0.02)
    from_train = config.train_images + config.refcocog_val_images
    return {
        "coco": [
            *[seen] * from_train,
            *[Style(fewest=3, held_out=True)] * config.refcocog_test_images,
            *[Style()] * config.lvis_val_from_train,
            *[Style(fewest=2)] * (len(_FILE_DAMAGE) * config.broken),
            *[dataclasses.replace(seen, long_tail=False)] * config.val_images,
        ],
        "flickr30k": [Style()]
        * (config.flickr30k_train + config.flickr30k_val + config.flickr30k_test),
        "laion": [Style(most=4, empty_share=0.05)] * config.laion_images,
        "cc12m": [Style(most=4, empty_share=0.02)] * config.cc12m_samples,
    }


def _draw_all(config: TinyWorld, processes: int | None) -> dict[str, list[Picture]]:
    """The pictures of each dataset. Image i depends on the seed, the dataset and i alone, so any process may draw it."""
    styles = _styles(config)
    jobs = [
        ((config.seed, 0, _PARTS.index(part), i), config.image_size, style)
        for part in _PARTS
        for i, style in enumerate(styles[part])
    ]
    processes = processes or os.cpu_count() or 1
    progress = functools.partial(
        tqdm, total=len(jobs), desc="drawing the tiny world", unit=" images", disable=None
    )
    if processes == 1:
        drawn = list(progress(map(_draw_one, jobs)))
    else:
        with multiprocessing.Pool(processes) as pool:
            drawn = list(progress(pool.imap(_draw_one, jobs, chunksize=32)))
    rest = iter(drawn)
    return {part: [next(rest) for _ in styles[part]] for part in _PARTS}


def _draw_one(job: tuple[tuple[int, ...], int, Style]) -> Picture:
    seed, image_size, style = job
    scene, pixels = draw_scene(np.random.default_rng(seed), image_size, style)
    return Picture(scene, encode(pixels))


def _coco_images(config: TinyWorld, pictures: Sequence[Picture]) -> list[CocoImage]:
    """Ids and roles, in the order of the styles; RefCOCOg's val images are taken from the training scenes that fit."""
    from_train = config.train_images + config.refcocog_val_images
    fitting = (i for i in reversed(range(from_train)) if allows_both_kinds(pictures[i].scene))
    chosen = {i for i, _ in zip(fitting, range(config.refcocog_val_images), strict=False)}
    if len(chosen) < config.refcocog_val_images:
        raise ValueError(
            f"only {len(chosen)} of {from_train} scenes fit as RefCOCOg val images, {config.refcocog_val_images} are wanted: "
            "raise train_images or lower refcocog_val_images"
        )
    roles = ["refcocog_val" if i in chosen else "train" for i in range(from_train)]
    roles += ["refcocog_test"] * config.refcocog_test_images + [
        "lvis_val"
    ] * config.lvis_val_from_train
    roles += [damage for damage in _FILE_DAMAGE for _ in range(config.broken)] + [
        "val"
    ] * config.val_images
    numbers = np.random.default_rng([config.seed, 2]).choice(
        np.arange(1, 600_000), len(roles), replace=False
    )
    images = zip(numbers.tolist(), roles, pictures, strict=True)
    return sorted((CocoImage(*image) for image in images), key=lambda image: image.image_id)


def _write_coco_files(root: Path, images: Sequence[CocoImage]) -> None:
    for image in images:
        _write_image(root / image.split / image.file_name, image.picture.jpeg, image.role)


def _write_image(path: Path, jpeg: bytes, damage: str = "") -> None:
    content = _damaged(jpeg, damage)
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)


def _damaged(jpeg: bytes, damage: str) -> bytes | None:
    """The file as damaged; None where it is missing."""
    if damage == "truncated image":
        return jpeg[: len(jpeg) // 2]
    if damage == "image too large":
        return _bomb()
    return None if damage == "missing image" else jpeg


@functools.cache
def _bomb(side: int = 20_000) -> bytes:
    """A PNG of a few kilobytes that decodes to 400 million pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + side // 8) * side), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def _copy(picture: Picture, number: int) -> Picture:
    """The same picture as another web site would serve it."""
    quality, scale = _COPY_FORMS[number % len(_COPY_FORMS)]
    image = Image.open(io.BytesIO(picture.jpeg))
    side = round(image.width * scale)
    resized = image.resize((side, side), Image.Resampling.LANCZOS)
    return Picture(picture.scene, encode(np.asarray(resized), quality))


# Flickr30K Entities


def _write_flickr30k(root: Path, config: TinyWorld, pictures: Sequence[Picture]) -> Json:
    rng = _generator(config, "flickr30k")
    sizes = {
        "train": config.flickr30k_train,
        "val": config.flickr30k_val,
        "test": config.flickr30k_test,
    }
    ids = rng.choice(
        np.arange(10_000_000, 999_999_999, 1009), len(pictures), replace=False
    ).tolist()
    for folder in ("Sentences", "Annotations", "flickr30k-images"):
        (root / folder).mkdir(parents=True)
    damage = _damages(
        config,
        [*_FILE_DAMAGE, "zero-size box", "box outside the image", "box larger than the image"],
    )
    for i, (image_id, picture) in enumerate(zip(ids, pictures, strict=True)):
        sentences, chains = words.tagged_sentences(rng, picture.scene, first_chain=1000 + 20 * i)
        (root / "Sentences" / f"{image_id}.txt").write_text("\n".join(sentences) + "\n")
        xml = _flickr30k_xml(image_id, picture.scene, chains, damage.get(i, ""))
        (root / "Annotations" / f"{image_id}.xml").write_text(xml)
        _write_image(root / "flickr30k-images" / f"{image_id}.jpg", picture.jpeg, damage.get(i, ""))
    rest = iter(ids)
    for split, size in sizes.items():
        (root / f"{split}.txt").write_text("".join(f"{next(rest)}\n" for _ in range(size)))
    return {"images": sizes, "broken": dict(Counter(damage.values()))}


def _flickr30k_xml(image_id: int, scene: Scene, chains: Sequence[words.Chain], damage: str) -> str:
    """One <object> for each box with all chains that it belongs to, then those without a box."""
    side = scene.image_size
    lines = ["<annotation>", f"  <filename>{image_id}.jpg</filename>"]
    lines.append(f"  <size><width>{side}</width><height>{side}</height><depth>3</depth></size>")
    is_sound = True
    for i, thing in enumerate(scene.things):
        names = "".join(f"<name>{chain.number}</name>" for chain in chains if i in chain.members)
        if not names:
            continue
        x0, y0, x1, y1 = thing.box_xyxy
        if is_sound:
            bad = {
                "zero-size box": (x0, y0, x0, y1),
                "box outside the image": (x0 + 2000, y0, x1 + 2000, y1),
            }
            x0, y0, x1, y1 = (bad | {"box larger than the image": (0, 0, 90_000, 90_000)}).get(
                damage, thing.box_xyxy
            )
            is_sound = False  # one bad box an image
        # Flickr30K Entities counts pixels from 1 and includes the last.
        corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        lines.append(f"  <object>{names}<bndbox>{corners}</bndbox></object>")
    for chain in chains:
        if not chain.members:
            marks = f"<scene>{int(chain.is_scene)}</scene><nobndbox>{int(not chain.is_scene)}</nobndbox>"
            lines.append(f"  <object><name>{chain.number}</name>{marks}</object>")
    return "\n".join([*lines, "</annotation>", ""])


def _damages(config: TinyWorld, kinds: Sequence[str]) -> dict[int, str]:
    """The first images, all of them of training, are the broken ones: `broken` of each kind."""
    return dict(enumerate(kind for kind in kinds for _ in range(config.broken)))


# Web images


def _write_laion(
    root: Path, config: TinyWorld, pictures: Sequence[Picture], copies: Sequence[Picture]
) -> Json:
    rng = _generator(config, "laion")
    damage = _damages(config, [*_FILE_DAMAGE, "empty caption"])
    empty = ("", None, "  ")
    rows: list[tuple[str, str | None]] = []
    for i, picture in enumerate(
        [*pictures, *(_copy(picture, i) for i, picture in enumerate(copies))]
    ):
        url, text = f"images/{i:06d}.jpg", words.web_text(rng, picture.scene)
        rows.append((url, empty[i % len(empty)] if damage.get(i) == "empty caption" else text))
        _write_image(root / url, picture.jpeg, damage.get(i, ""))
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


def _write_cc12m(
    root: Path, config: TinyWorld, pictures: Sequence[Picture], copies: Sequence[Picture]
) -> Json:
    """Two tars as img2dataset writes them: the samples in the order in which their downloads ended, not of their keys."""
    rng = _generator(config, "cc12m")
    damage = _damages(config, [*_FILE_DAMAGE, "empty caption"])
    samples = [*pictures, *(_copy(picture, i) for i, picture in enumerate(copies))]
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
                image = _damaged(samples[i].jpeg, damage.get(i, ""))
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
    """Without owner and time, which would differ from run to run."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
