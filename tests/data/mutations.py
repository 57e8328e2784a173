"""Mutated bytes for every reader, many thousand files in one process.

    python -m tests.data.mutations --bytes 1000000   # prints what a reader did wrong; exit code 1

Allowed are ValueError, FileNotFoundError and quarantined records; never another exception, a crash,
a hang, gigabytes of memory, a new process, a connection, or a write outside the folder.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import faulthandler
import hashlib
import io
import json
import pickle
import random
import re
import resource
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnidet.data import shards
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

SECONDS_A_FILE = 20
MEMORY_BYTES = 6 << 30
"""Address space: asking for more gives a MemoryError, which no reader may let through."""
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
)
ODD_NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"-0.0",
    b"9" * 30,
    b"9" * 5000,
    b"1.5",
    b"2147483648",
    b"18446744073709551616",
)
ODD_TEXTS = (
    b'"',
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"[" * 3000,
    b"../../x",
    b"\n",
    b"%s{0}",
    b"&a;",
)
ODD_VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    1e999,
    10**30,
    "",
    "x",
    "\ud800",
    "../x",
    "a\nb",
    [],
    [[]],
    {},
    [None],
    {"id": []},
    [1, 2, 3, 4],
)


@dataclasses.dataclass(frozen=True)
class Reader:
    """What reads the files of a folder."""

    name: str
    write: Callable[[Path], Any]
    """Writes a folder of sound files; what it returns is handed to `read`."""
    read: Callable[[Path, Any], int]
    """Reads all of it, and says how much was sound."""
    files: str = "*"
    """Which of the files are mutated."""


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
        if sum(1 for _ in found.pictures()) < 2:  # too few to be cut, which says nothing of a file
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
        name: shards.write_set(toys.records(3), root, name, 2) for name in ("train/a", "eval/a")
    }
    report = {"held_out": {}, "quarantined": {}}
    shards.write_index(root, written, truth, report, {"train/a": {"star": 2}})


def _read_shards(root: Path, _: None) -> int:
    index = shards.read_index(root)
    shards.combine(root.parent / "combined", [index])
    return sum(1 for name in index.sets for _ in shards.records(index, name))


def _read_reindexed(root: Path, _: None) -> int:
    """Shards that were damaged before their hash was taken."""
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
    Reader("lists of addresses", _write_lists, _read_lists),
    Reader("shards and their index", _write_shards, _read_shards),
    Reader("shards hashed after the damage", _write_shards, _read_reindexed, "*.tar"),
    Reader("archives", _write_archives, _unpack),
    Reader("pairs with long names", _write_pairs, _read_pairs),
    Reader("catalogue and lock", _write_catalogue, _read_catalogue),
)


def mutated(content: bytes, kind: str, draw: random.Random) -> tuple[bytes, int]:
    """The content with some of it changed, and how many bytes are other ones now."""
    values = draw.random() < 0.4
    if values and kind == ".json":
        return _other_value(json.loads(content), draw, lambda value: json.dumps(value).encode())
    if values and kind == ".p":
        return _other_value(pickle.loads(content), draw, lambda value: pickle.dumps(value, 2))
    changed = bytearray(content)
    count = 0
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        place, how = draw.randrange(len(changed) + 1), draw.random()
        length = draw.choice((1, 1, 2, 4, 8, 40))
        if how < 0.35:
            new = draw.randbytes(min(length, len(changed) - place))
            changed[place : place + length] = new
        elif how < 0.5 and place < len(changed):
            new = bytes([changed[place] ^ (1 << draw.randrange(8))])
            changed[place : place + 1] = new
        elif how < 0.6:
            new = b"x" * len(changed[place : place + length])
            del changed[place : place + length]
        elif how < 0.7:
            new = bytes(changed[place : place + length]) * draw.choice((1, 3, 50))
            changed[place:place] = new
        elif how < 0.85:
            new, number = (
                draw.choice(ODD_NUMBERS),
                next(re.compile(rb"\d+").finditer(changed, place), None),
            )
            changed[slice(*number.span()) if number else slice(place, place)] = new
        else:
            new = draw.choice(ODD_TEXTS)
            changed[place : place + draw.choice((0, 1, length))] = new
        count += min(len(new), 40)  # a nest of a thousand brackets is one idea
    return bytes(changed), max(count, 1)


def _other_value(
    value: Any, draw: random.Random, dump: Callable[[Any], bytes]
) -> tuple[bytes, int]:
    """One value somewhere in it made another, taken away, or doubled."""
    here = value
    while True:
        keys: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = draw.choice(keys)
        if isinstance(here[key], dict | list) and here[key] and draw.random() < 0.85:
            here = here[key]
            continue
        how = draw.random()
        if how < 0.1:
            del here[key]
        elif how < 0.2 and isinstance(here, list):
            here.append(here[key])
        else:
            here[key] = draw.choice(ODD_VALUES)
        break
    return dump(value), 8


class Watch:
    """What no reader may do, noticed by the interpreter itself."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.is_on = str(folder), False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        writes = (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        outside = (
            writes
            and isinstance(arguments[0], str | bytes)
            and self.folder not in str(arguments[0])
        )
        if event.startswith(FORBIDDEN) or outside:
            self.seen.append(f"{event} {str(arguments)[:200]}")


def run(num_bytes: int, seed: int, only: str = "") -> list[str]:
    """Mutate `num_bytes` bytes, shared by the readers; one line per kind of wrong behaviour."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _give_up)
    wrong: dict[str, str] = {}
    readers = [reader for reader in READERS if only in reader.name]
    with tempfile.TemporaryDirectory(prefix="mutations-") as temporary:
        folder = Path(temporary).resolve()
        watch = Watch(folder)
        for place, reader in enumerate(readers):
            begin = time.monotonic()
            root = folder / str(place) / "data"
            root.mkdir(parents=True)
            split = reader.write(root)
            assert reader.read(root, split) > 0, reader.name
            _clear_siblings(root)
            outcomes = _mutate(
                reader,
                root,
                split,
                num_bytes // len(readers),
                f"{seed} {reader.name}",
                watch,
                wrong,
            )
            summary = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
            print(f"{reader.name:32} {time.monotonic() - begin:6.1f} s: {summary}", flush=True)
    return list(wrong.values())


def _mutate(
    reader: Reader,
    root: Path,
    split: Any,
    num_bytes: int,
    seed: str,
    watch: Watch,
    wrong: dict[str, str],
) -> Counter[str]:
    files = [path for path in sorted(root.rglob(reader.files)) if path.is_file()]
    # Images are decoded by libraries; what is read by our own code is mutated more often.
    weights = [1 if path.suffix in (".jpg", ".png") else 8 for path in files]
    outcomes: Counter[str] = Counter()
    number = 0
    while outcomes["bytes"] < num_bytes:
        draw = random.Random(f"{seed} {number}")
        number += 1
        path = draw.choices(files, weights)[0]
        original = path.read_bytes()
        content, count = mutated(original, path.suffix, draw)
        outcomes["bytes"] += count
        path.write_bytes(content)
        watch.is_on = True
        signal.alarm(SECONDS_A_FILE)
        try:
            outcomes["sound" if reader.read(root, split) else "nothing left"] += 1
        except (ValueError, FileNotFoundError) as error:
            outcomes["refused"] += 1
            if str(root.parent) not in str(error):
                _note(
                    wrong,
                    f"{reader.name}: does not say which file: {type(error).__name__}: {error}"[
                        :300
                    ],
                    seed,
                    number,
                )
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcomes["WRONG"] += 1
            last = traceback.extract_tb(error.__traceback__)[-3:]
            at = " < ".join(
                f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(last)
            )
            _note(
                wrong,
                f"{reader.name}: {type(error).__name__}: {str(error)[:150]} at {at}",
                seed,
                number,
            )
        finally:
            signal.alarm(0)
            watch.is_on = False
            path.write_bytes(original)
        for line in watch.seen:
            _note(wrong, f"{reader.name}: {line}", seed, number)
        watch.seen.clear()
        _clear_siblings(root)
    outcomes["files"] = number
    return outcomes


def _clear_siblings(root: Path) -> None:
    import shutil

    for path in root.parent.iterdir():
        if path != root:
            shutil.rmtree(path)


def _note(wrong: dict[str, str], line: str, seed: str, number: int) -> None:
    key = re.sub(r"[0-9]+|'[^']*'", "", line)[:90]
    wrong.setdefault(key, f"{line} (seed {seed!r}, file {number})")


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"longer than {SECONDS_A_FILE} seconds")


def main() -> int:
    parser = argparse.ArgumentParser(description="Every reader on mutated files.")
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    options = parser.parse_args()
    wrong = run(options.bytes, options.seed, options.only)
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
