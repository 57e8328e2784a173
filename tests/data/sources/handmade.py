"""Tiny datasets written by hand in the formats of the real ones. Everything here is synthetic.

`write_<name>(root)` writes one that the adapter reads without a complaint. It returns the split and
the images by id, in the order in which they must be read.
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Written = tuple[str, dict[str, bytes]]


def jpeg(seed: int, width: int = 40, height: int = 30) -> bytes:
    """A small photograph of nothing: smooth noise, different for each seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(
        out, "JPEG", quality=90
    )
    return out.getvalue()


def write(path: Path, content: bytes | str | Any) -> Path:
    """Bytes and text as they are, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(
            content if isinstance(content, str) else json.dumps(content), encoding="utf-8"
        )
    return path


def coco_image(image_id: int, folder: str = "val2017", **more: Any) -> dict[str, Any]:
    return {
        "id": image_id,
        "file_name": f"{image_id:012d}.jpg",
        "width": 40,
        "height": 30,
        "coco_url": f"http://images.cocodataset.org/{folder}/{image_id:012d}.jpg",
        **more,
    }


def box(
    annotation_id: int, image_id: int, category_id: int, xywh: Any = (1, 2, 10, 12), **more: Any
) -> dict[str, Any]:
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(xywh),
        "iscrowd": 0,
        **more,
    }


CATEGORIES = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 90, "name": "hot dog"}]


def coco_files(
    root: Path, images: list[Any], annotations: list[Any], captions: list[Any] | None = None
) -> None:
    """The annotation files of val2017, and an image file for each image."""
    write(
        root / "annotations/instances_val2017.json",
        {"images": images, "annotations": annotations, "categories": CATEGORIES},
    )
    if captions is not None:
        write(
            root / "annotations/captions_val2017.json", {"images": images, "annotations": captions}
        )
    for image in images:
        write(root / "val2017" / image["file_name"], jpeg(image["id"]))


def write_coco(root: Path) -> Written:
    images = [coco_image(7), coco_image(2)]
    captions = [{"id": 1, "image_id": 7, "caption": "A car."}]
    coco_files(root, images, [box(1, 7, 3), box(2, 7, 3, (0, 0, 5, 5))], captions)
    return "val2017", {"coco:2": jpeg(2), "coco:7": jpeg(7)}


def lvis_file(
    root: Path,
    split: str,
    images: list[Any],
    annotations: list[Any],
    categories: list[Any] | None = None,
) -> None:
    names = ["bow_(weapon)", "bow_(decorative_ribbons)", "sofa", "stop_sign"]
    categories = categories or [
        {"id": i, "name": name, "frequency": "r"} for i, name in enumerate(names, 1)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write(root / f"annotations/lvis_{split}.json", content)


def lvis_image(
    image_id: int, folder: str = "val2017", negative: Any = (), partly: Any = ()
) -> dict[str, Any]:
    more = {"neg_category_ids": list(negative), "not_exhaustive_category_ids": list(partly)}
    image = coco_image(image_id, folder, **more)
    del image["file_name"]  # v1 has none
    return image


def write_lvis(root: Path) -> Written:
    lvis_file(
        root, "v1_val", [lvis_image(9, "train2017"), lvis_image(4, negative=[2])], [box(5, 4, 1)]
    )
    write(root / "train2017/000000000009.jpg", jpeg(9))
    write(root / "val2017/000000000004.jpg", jpeg(4))
    return "v1_val", {"coco:4": jpeg(4), "coco:9": jpeg(9)}


def ref(
    ref_id: int, ann_id: int, image_id: int, sentences: list[str], split: str = "val"
) -> dict[str, Any]:
    sentence_entries = [
        {"raw": s, "sent": s, "tokens": s.split(), "sent_id": 10 * ref_id + i}
        for i, s in enumerate(sentences)
    ]
    name = f"COCO_train2014_{image_id:012d}_{ann_id}.jpg"
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "image_id": image_id,
        "category_id": 1,
        "file_name": name,
        "split": split,
        "sentences": sentence_entries,
        "sent_ids": [t["sent_id"] for t in sentence_entries],
    }


def refcocog_files(root: Path, refs: Any, annotations: list[Any], image_ids: list[int]) -> None:
    write(
        root / "refcocog/refs(umd).p",
        refs if isinstance(refs, bytes) else pickle.dumps(refs, protocol=2),
    )
    images = [coco_image(i, "train2014") for i in image_ids]
    write(
        root / "refcocog/instances.json",
        {"images": images, "annotations": annotations, "categories": CATEGORIES},
    )
    for i in image_ids:
        write(root / f"images/train2014/COCO_train2014_{i:012d}.jpg", jpeg(i))


def write_refcocog(root: Path) -> Written:
    refs = [
        ref(1, 11, 8, ["the left car", "red car"]),
        ref(2, 12, 5, ["man"]),
        ref(3, 13, 6, ["dog"], "train"),
    ]
    refcocog_files(root, refs, [box(11, 8, 3), box(12, 5, 1), box(13, 6, 1)], [8, 5, 6])
    return "umd/val", {"coco:5": jpeg(5), "coco:8": jpeg(8)}


def expression(image_id: int, words: str, solution: list[float] | None) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "image": f"val2017/{image_id:012d}.jpg",
        "width": 40,
        "height": 30,
        "normal_caption": words,
        "solution": solution,
        "categories": {"empty_case": solution is None},
    }


def write_refcocos(root: Path) -> Written:
    found = [
        expression(3, "man on the bench", [1, 2, 11, 22]),
        expression(3, "cat", None),
        expression(1, "cup", [0, 0, 9, 9]),
    ]
    write(root / "annotations/refcocos.json", found)
    for i in (1, 3):
        write(root / f"val2017/{i:012d}.jpg", jpeg(i))
    return "test", {"coco:1": jpeg(1), "coco:3": jpeg(3)}


def flickr_box(names: list[str], corners: tuple[int, int, int, int] | None) -> str:
    """One object of a box file; without corners one that has no box."""
    inner = "<scene>0</scene><nobndbox>1</nobndbox>"
    if corners:
        sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        inner = "<bndbox>" + "".join(f"<{side}>{x}</{side}>" for side, x in sides) + "</bndbox>"
    return "<object>" + "".join(f"<name>{name}</name>" for name in names) + inner + "</object>"


def flickr_xml(*objects: str, head: str = "") -> str:
    """A box file in the format of Flickr30K Entities."""
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    return f"{head}<annotation><filename>x.jpg</filename>{size}{''.join(objects)}</annotation>"


def write_flickr30k(root: Path) -> Written:
    write(root / "val.txt", "1000\n36\n")
    for image_id in ("36", "1000"):
        write(
            root / f"Sentences/{image_id}.txt", "[/EN#1/people A man] with [/EN#2/other a cup] .\n"
        )
        write(
            root / f"Annotations/{image_id}.xml",
            flickr_xml(flickr_box(["1"], (1, 2, 9, 20)), flickr_box(["2"], None)),
        )
        write(root / f"flickr30k-images/{image_id}.jpg", jpeg(int(image_id)))
    return "val", {"flickr30k:36": jpeg(36), "flickr30k:1000": jpeg(1000)}


def parquet(
    path: Path,
    urls: list[str | None],
    texts: list[str | None],
    names: tuple[str, str] = ("URL", "TEXT"),
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(zip(names, (urls, texts), strict=True))), path, row_group_size=2)


def write_laion(root: Path) -> Written:
    parquet(root / "a.parquet", ["images/b.jpg", "images/a.jpg"], ["a boat", "an apple"])
    write(root / "images/a.jpg", jpeg(1))
    write(root / "images/b.jpg", jpeg(2))
    # The ids are the sha1 of the two references as written.
    return "train", {"laion:b48bebdba5a03057": jpeg(2), "laion:7b8a5b5e1eff2f0b": jpeg(1)}


def tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_cc12m(root: Path) -> Written:
    second = [("000000002.jpg", jpeg(2)), ("000000002.json", b'{"caption": "two boats"}')]
    first = [("000000001.txt", b"a boat"), ("000000001.jpg", jpeg(1))]
    tar(root / "00001.tar", second + first)
    tar(root / "00000.tar", [("000000009.jpg", jpeg(9)), ("000000009.txt", b"nine")])
    return "train", {
        "cc12m:00000/000000009": jpeg(9),
        "cc12m:00001/000000001": jpeg(1),
        "cc12m:00001/000000002": jpeg(2),
    }


def write_annotated(root: Path) -> Written:
    images = [{**coco_image(number), "file_name": f"{number:x}.jpg"} for number in (7, 2)]
    for image in images:
        write(root / "images" / image["file_name"], jpeg(image["id"]))
    boxes = [box(1, 7, 3), box(2, 7, 3, (0, 0, 5, 5)), box(3, 7, 1)]
    write(
        root / "annotations/train.json",
        {"images": images, "annotations": boxes, "categories": CATEGORIES},
    )
    return "train", {"annotated:2": jpeg(2), "annotated:7": jpeg(7)}


WRITERS = {
    "annotated": write_annotated,
    "coco": write_coco,
    "lvis": write_lvis,
    "refcocog": write_refcocog,
    "refcocos": write_refcocos,
    "flickr30k": write_flickr30k,
    "laion": write_laion,
    "cc12m": write_cc12m,
}
