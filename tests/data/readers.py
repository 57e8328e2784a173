"""Every reader of files from outside, with sound files to read: for tests that damage them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnidet.data import shard_writer, shards
from omnidet.data.annotated import cut
from omnidet.data.annotated import read as annotated
from omnidet.data.annotated.config import FORMATS, ReadConfig
from omnidet.data.download import archives, catalogue, lock_file
from omnidet.data.reading import record_json, tar_pairs, url_lists
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sharding import held_out
from omnidet.data.sources import by_name
from tests import toys
from tests.data.annotated import drawing
from tests.data.sources import handmade


@dataclasses.dataclass(frozen=True)
class Reader:
    """What reads the files of a folder."""

    name: str
    write: Callable[[Path], Any]
    """Writes a folder of sound files. `read` gets what it returns."""
    read: Callable[[Path, Any], int]
    """Reads everything, and returns how many records were sound."""
    files: str = "*"
    """Which of the files may be damaged."""


def _source(name: str) -> Reader:
    def read(root: Path, split: str) -> int:
        quarantine, sound = Quarantine(), 0
        by_name(name).check(str(root), split)
        by_name(name).image_ids(str(root), split)
        by_name(name).ground_truth(str(root), split)
        for record in by_name(name).read(str(root), split, quarantine):
            cleaned = clean(record, quarantine)
            held_out.perceptual_hash(record.image)
            if cleaned is not None:
                assert (cleaned.boxes_xyxy >= 0).all()
                assert (cleaned.boxes_xyxy <= [cleaned.width, cleaned.height] * 2).all()
                record_json.encode(cleaned).decode()
                sound += 1
        assert all("\n" not in line for line in quarantine.lines)
        return sound

    return Reader(f"source {name}", lambda root: handmade.WRITERS[name](root)[0], read)


def _annotated(kind: str) -> Reader:
    def write(root: Path) -> None:
        truth, own = drawing.Truth(), drawing.scenes(3)
        drawing.put_all(root, own, truth)
        if kind == "coco":
            handmade.write(root / "a.json", drawing.coco(own))
        elif kind == "cvat":
            handmade.write(root / "a.xml", drawing.cvat(own))
        elif kind == "createml":
            handmade.write(root / "a.json", drawing.createml(own))
        elif kind == "via":
            handmade.write(root / "a.json", drawing.via(own))
        elif kind == "csv":
            handmade.write(root / "a.csv", drawing.table(own))
        elif kind == "label-studio":
            handmade.write(root / "a.json", drawing.label_studio(own))
        for scene in own:
            if kind == "yolo":
                handmade.write(root / f"{scene.stem}.txt", drawing.yolo(scene))
            elif kind == "voc":
                handmade.write(root / f"{scene.stem}.xml", drawing.voc(scene))
            elif kind == "labelme":
                handmade.write(root / f"{scene.stem}.json", drawing.labelme(scene))
        if kind == "yolo":
            handmade.write(root / "data.yaml", "names: [cat, dog]\nkpt_shape: [1, 3]\n")
        elif kind == "voc":
            handmade.write(root / "ImageSets/Main/train.txt", "img_000\nimg_001\n")

    def read(root: Path, _: None) -> int:
        found = annotated.read(root, ReadConfig(max_lost=1.0))
        if sum(1 for _ in found.pictures()) < 2:  # too few to split: not a fault
            return 1
        made = cut.cut(found)
        cut.describe(made)
        return len(made.train)

    return Reader(f"folder {kind}", write, read)


def _write_lists(root: Path) -> None:
    handmade.parquet(
        root / "a.parquet", ["http://a/b.jpg", "http://a/a.jpg", None], ["a boat", "an apple", "x"]
    )
    handmade.write(
        root / "b.tsv", "url\tcaption\tmd5\nhttp://a/c.jpg\ta cat\t0\nhttp://a/d.jpg\ta dog\t1\n"
    )
    handmade.write(root / "c.tsv", "http://a/c.jpg\ta cat\nhttp://a/d.jpg\ta dog\n")
    with (root / "d.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["caption", "url"],
                ['a "cat", sits', "http://a/e.jpg"],
                ["two\nlines", "http://a/f.jpg"],
            ]
        )


def _read_lists(root: Path, _: None) -> int:
    seen, found = url_lists.SeenUrls(), 0
    paths = url_lists.find(root)
    url_lists.fingerprint(paths)
    for rows in url_lists.chunks(paths, 2):
        for row in rows:
            assert "\n" not in row.caption + row.url
            found += seen.add(row.url)
    return found


def _write_shards(root: Path) -> None:
    truth = {
        "eval/a": {"file": "eval/a/ground_truth.json", "sha256": "0" * 64, "names": {"1": "star"}}
    }
    written = {
        name: shard_writer.write_set(toys.records(3), root, name, 2)
        for name in ("train/a", "eval/a")
    }
    report = {"held_out": {}, "quarantined": {}}
    shards.write_index(root, written, truth, report, {"train/a": {"star": 2}})


def _read_shards(root: Path, _: None) -> int:
    index = shards.read_index(root)
    shards.combine(root.parent / "combined", [index])
    return sum(1 for name in index.sets for _ in shards.records(index, name))


def _read_reindexed(root: Path, _: None) -> int:
    """Shards that were damaged before they were hashed."""
    sound = 0
    for path in sorted(root.rglob("*.tar")):
        content = path.read_bytes()
        samples = 2 if path.stem == "000000" else 1
        known = shards.Shard(
            path.relative_to(root).as_posix(),
            samples,
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
        reader = shards.ShardReader(str(root), known)
        for i in range(samples):
            record = reader.read(i)
            assert all(
                0 <= box < len(record.boxes_xyxy) for named in record.phrase_boxes for box in named
            )
            record_json.encode(reader.read_texts(i))
            sound += 1
    return sound


def _write_archives(root: Path) -> None:
    for name, mode in (("a.tar", "w"), ("b.tar.gz", "w:gz")):
        with tarfile.open(root / name, mode, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for member, content in (("a/b.txt", b"some words"), ("ä" * 80 + ".txt", b"more")):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    with zipfile.ZipFile(root / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", "some words " * 30)
        archive.writestr("c.txt", "more")


def _unpack(root: Path, _: None) -> int:
    limits = archives.Limits(max_members=100, max_bytes=1 << 20)
    return sum(
        len(archives.unpack(path, root.parent / "unpacked" / path.name, limits))
        for path in sorted(root.iterdir())
    )


def _write_pairs(root: Path) -> None:
    for number, kind in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        with tarfile.open(root / f"{number}.tar", "w", format=kind) as tar:
            for name, content in (
                ("k" * 120 + ".txt", "ä boat".encode()),
                ("k" * 120 + ".jpg", handmade.jpeg(1)),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _read_pairs(root: Path, _: None) -> int:
    from omnidet.data.reading.dataset_folder import DataFolder

    quarantine = Quarantine()
    return sum(
        1
        for piece in tar_pairs.pieces("cc12m", DataFolder(str(root)), ["0.tar", "1.tar"])
        for _ in piece(quarantine)
    )


def _write_catalogue(root: Path) -> None:
    file = (
        'name = "a{3..3}.tar"\nurls = ["https://a/a{3..3}.tar"]\nsize_bytes = 3\nsha256 = "'
        + "0" * 64
        + '"\nunpack = "."\n'
    )
    handmade.write(
        root / "catalogue.toml", f'[coco]\nabout = "x"\nlicence = "y"\n[[coco.files]]\n{file}'
    )
    handmade.write(
        root / lock_file.NAME,
        {
            "schema_version": 1,
            "files": {"a.tar": {"url": "https://a/a", "size_bytes": 3, "sha256": "0" * 64}},
        },
    )


def _read_catalogue(root: Path, _: None) -> int:
    return len(catalogue.load(root / "catalogue.toml")) + len(lock_file.read(root / lock_file.NAME))


READERS = (
    *(_source(name) for name in handmade.WRITERS),
    *(_annotated(kind) for kind in FORMATS),
    Reader("lists of URLs", _write_lists, _read_lists),
    Reader("shards and their index", _write_shards, _read_shards),
    Reader("shards hashed after the damage", _write_shards, _read_reindexed, "*.tar"),
    Reader("archives", _write_archives, _unpack),
    Reader("pairs with long names", _write_pairs, _read_pairs),
    Reader("catalogue and lock", _write_catalogue, _read_catalogue),
)
