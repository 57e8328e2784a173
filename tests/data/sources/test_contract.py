"""What every adapter in `sources/` does. A new one needs a handmade dataset in `handmade.py`."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import omnidet
from omnidet.data import shards, sources
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sharding import build
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.sources import SOURCES, by_name, is_curated
from tests.data.sources.handmade import WRITERS, jpeg, write, write_coco

NAMES = [source.SOURCE for source in SOURCES]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def written(name: str, tmp_path: Path) -> tuple[str, str, dict[str, bytes]]:
    split, images = WRITERS[name](tmp_path)
    return str(tmp_path), split, images


def test_the_file_has_the_name_of_the_dataset(name):
    assert Path(by_name(name).__file__).stem == name
    assert len(set(NAMES)) == len(NAMES)


def test_ids_are_of_the_collection(name, written):
    root, split, _ = written
    source = by_name(name)
    for image_id in source.image_ids(root, split):
        assert image_id.startswith(f"{source.COLLECTION}:")
        assert is_curated(image_id) == source.IS_CURATED


def test_ids_of_no_known_collection_are_not_curated():
    assert not is_curated("toy:1")
    assert is_curated("coco:1")


def test_records_come_in_a_fixed_order_with_the_image_bytes_as_they_are(name, written):
    root, split, images = written
    quarantine = Quarantine()
    records = list(by_name(name).read(root, split, quarantine))
    assert not quarantine.lines
    assert [(r.image_id, r.image) for r in records] == list(images.items())
    again = [r.image_id for r in by_name(name).read(root, split, Quarantine())]
    assert again == list(images)


def test_fields_hold_together(name, written):
    root, split, _ = written
    for record in by_name(name).read(root, split, Quarantine()):
        assert (record.source, record.width, record.height) == (name, 40, 30)
        assert record.boxes_xyxy.dtype == np.float32
        assert record.boxes_xyxy.shape == (len(record.boxes_xyxy), 4)
        assert len(record.phrases) == len(record.phrase_boxes) == len(set(record.phrases))
        assert {i for named in record.phrase_boxes for i in named} == set(
            range(len(record.boxes_xyxy))
        )
        assert not set(record.absent) & set(record.phrases)
        assert set(record.not_exhaustive) <= set(record.phrases)
        quarantine = Quarantine()
        assert clean(record, quarantine) is not None or not (
            record.phrases or record.absent or record.caption
        )


def test_image_ids_are_those_of_the_records(name, written):
    root, split, images = written
    assert by_name(name).image_ids(root, split) == set(images)


def test_ground_truth_has_the_words_of_the_records_or_is_nothing(name, written):
    root, split, _ = written
    truth = by_name(name).ground_truth(root, split)
    assert (truth is not None) == (name in ("coco", "lvis", "annotated", "flickr30k"))
    if truth and truth.content is not None:
        records = {
            record.image_id: record for record in by_name(name).read(root, split, Quarantine())
        }
        for row in json.loads(truth.content):
            assert {phrase["phrase"] for phrase in row["phrases"]} <= set(
                records[f"{name}:{row['image_id']}"].phrases
            )
    elif truth:
        assert Path(truth.path).is_file()
        records = list(by_name(name).read(root, split, Quarantine()))
        assert {p for r in records for p in (*r.phrases, *r.absent)} <= set(truth.names.values())


def test_an_empty_folder_is_named_with_a_remedy(name, written, tmp_path):
    _, split, _ = written
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/nothing/.*: "):
        list(by_name(name).read(str(tmp_path / "nothing"), split, Quarantine()))
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/nothing/.*: "):
        by_name(name).image_ids(str(tmp_path / "nothing"), split)


# The images of the others are links and tar members: see their own tests.
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("laion", "cc12m")])
def test_a_lost_image_is_quarantined_and_stays_an_id(name, written):
    root, split, images = written
    lost = next(iter(images))
    for path in Path(root).rglob("*.jpg"):
        if path.read_bytes() == images[lost]:
            path.unlink()
    quarantine = Quarantine()
    left = [r.image_id for r in by_name(name).read(root, split, quarantine)]
    assert left == list(images)[1:]
    assert dict(quarantine.counts) == {f"{name}: record: missing image file": 1}
    assert lost.partition(":")[2] in quarantine.lines[0]
    assert lost in by_name(name).image_ids(root, split)


def test_an_unknown_dataset_is_named():
    with pytest.raises(ValueError, match=r"'voc'.*coco, lvis"):
        by_name("voc")


# To add a dataset

TOY = '''
"""Toy: `<split>/<n>.jpg`, each with a caption `<n>.txt`."""

import functools
from pathlib import Path

from omnidet.data.reading import annotations as files
from omnidet.schema import Record

SOURCE = "toy"
COLLECTION = "toy"
IS_CURATED = True
LEAKING_SPLITS = {}


def read(root, split, quarantine):
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(root, split, quarantine, size=files.PIECE_UNITS):
    check(root, split)
    paths = sorted(map(str, Path(root, split).glob("*.jpg")))
    for batch in files.batched(paths, size):
        yield functools.partial(_read_piece, batch)


def _read_piece(paths, quarantine):
    for path in map(Path, paths):
        caption = path.with_suffix(".txt").read_text()
        yield Record(path.read_bytes(), 40, 30, SOURCE, f"toy:{path.stem}", caption=caption)


def check(root, split):
    if not Path(root, split).is_dir():
        raise FileNotFoundError(f"{root}/{split} does not exist: put the pictures there")


def image_ids(root, split):
    return {f"toy:{path.stem}" for path in Path(root, split).glob("*.jpg")}


def ground_truth(root, split):
    return None
'''


@pytest.fixture
def with_toy(tmp_path, monkeypatch) -> Iterator[Path]:
    """The package of sources with one more file, and its name in the list; nothing else changes."""
    folder = tmp_path / "sources"
    shutil.copytree(Path(sources.__file__).parent, folder, ignore=shutil.ignore_patterns("__py*"))
    before = {path.name: path.read_text() for path in folder.iterdir()}
    write(folder / "toy.py", TOY)
    text = before["__init__.py"]
    edited = re.sub(r"^(from omnidet\.data\.sources import .*)$", r"\1, toy", text, flags=re.M)
    edited = edited.replace("= (\n    coco,\n", "= (\n    toy,\n    coco,\n")
    write(folder / "__init__.py", edited)
    kept = dict(vars(sources))
    monkeypatch.setattr(sources, "__path__", [str(folder)])
    exec(compile(edited, str(folder / "__init__.py"), "exec"), vars(sources))
    yield folder
    sys.modules.pop("omnidet.data.sources.toy")
    vars(sources).clear()
    vars(sources).update(kept)


def test_a_dataset_is_one_file_and_its_name_in_the_list(with_toy, tmp_path):
    """The table "to add" of the README holds: shards, held-out images and errors know it."""
    for split, numbers in (("train", (1, 2, 3)), ("test", (3, 4))):
        for number in numbers:
            write(tmp_path / f"data/toy/{split}/{number}.jpg", jpeg(number))
            write(tmp_path / f"data/toy/{split}/{number}.txt", f"picture {number}")
    config = ShardsConfig(
        (Dataset("train/toy", "toy", "toy", "train"),), (Dataset("eval/toy", "toy", "toy", "test"),)
    )
    index = build.build(tmp_path / "data", str(tmp_path / "out"), config)
    records = list(shards.records(index, "train/toy"))
    assert [(r.source, r.image_id, r.caption) for r in records] == [
        ("toy", "toy:1", "picture 1"),
        ("toy", "toy:2", "picture 2"),
    ]
    assert index.report["held_out"] == {"train/toy": {"toy test": 1}}
    assert sources.is_curated("toy:9")
    with pytest.raises(ValueError, match=r"'voc'.*toy"):
        sources.by_name("voc")


def test_the_other_datasets_are_as_before(with_toy, tmp_path):
    split, images = write_coco(tmp_path / "coco")
    assert sources.by_name("coco").image_ids(str(tmp_path / "coco"), split) == set(images)
    assert [source.SOURCE for source in sources.SOURCES] == ["toy", *NAMES]


# No dataset's name behind sources/

PACKAGE = Path(omnidet.__file__).parent
ABOUT_DATASETS = (
    "data/sources",
    "data/tiny_world",  # draws them
    "data/download",  # where their files are
    "data/annotated",  # COCO is the name of a format here
    "data/folder_formats",
    "data/label_files",  # likewise
    "predictions",
    "commands/finetune.py",
    "commands/label.py",
    "commands/predict.py",
    "measures/config.py",  # names of measures
    "recipes",  # choose the datasets
    "commands/score.py",  # names of benchmarks
    "evaluation/official.py",  # the packages of the official tools are called so
)


def names_in_code(path: Path) -> Iterator[str]:
    """Texts that are a dataset's name, an image id or a set of it, and imports of its reader."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = "|".join(NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(rf"((train|eval)/)?({known})([:_]\S*)?", node.value):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.value!r}"
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            imported = [f"{module}.{alias.name}" for alias in node.names]
            if any(re.search(rf"data\.sources\.({known})\b", name) for name in imported):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} import of {module}"


def test_nothing_behind_the_sources_decides_by_a_dataset_s_name():
    """Only files that are named after a benchmark may, and the exceptions above."""
    strays = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(ABOUT_DATASETS) or any(own in path.stem for own in NAMES):
            continue
        strays += names_in_code(path)
    assert strays == []


def test_a_stray_name_is_found(tmp_path, monkeypatch):
    """The check above can fail."""
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    code = [
        "from omnidet.data.sources import coco",
        "from omnidet.data.sources.refcocog import read",
        "if source == 'laion' or image_id.startswith('coco:') or name == 'eval/lvis_v0.5':",
        "    raise ValueError('as coco/AP, or an LVIS file')",
    ]
    write(tmp_path / "a.py", "\n".join(code))
    assert [stray.partition(" ")[2] for stray in names_in_code(tmp_path / "a.py")] == [
        "import of omnidet.data.sources",
        "import of omnidet.data.sources.refcocog",
        "'laion'",
        "'coco:'",
        "'eval/lvis_v0.5'",
    ]
