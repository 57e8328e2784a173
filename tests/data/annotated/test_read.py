"""A whole folder: the format found by looking, cut, written, and said back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from omnidet.data.annotated import cut, write
from omnidet.data.annotated.account import Account
from omnidet.data.annotated.config import FORMATS, ReadConfig
from omnidet.data.annotated.formats import FORMATS as READERS
from omnidet.data.annotated.read import read
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sources import annotated
from omnidet.steps import retrain
from tests import toys
from tests.data.annotated import drawing, random_folders
from tests.data.annotated.drawing import Folder, Scene, Truth, scenes


def _write(root, kind: str, parts: dict[str, list[Scene]]) -> Truth:
    """The scenes of each split in a format."""
    truth = Truth()
    for split, own in parts.items():
        drawing.put_all(root / split, own, truth)
        if kind == "coco":
            drawing.write(root / f"annotations/{split}.json", drawing.coco(own))
        elif kind == "cvat":
            drawing.write(root / f"annotations/{split}.xml", drawing.cvat(own))
        elif kind == "label-studio":
            drawing.write(root / f"annotations/{split}.json", drawing.label_studio(own))
        elif kind == "createml":
            drawing.write(root / f"{split}/_annotations.createml.json", drawing.createml(own))
        elif kind == "via":
            drawing.write(root / f"{split}/via.json", drawing.via(own))
        elif kind == "csv":
            drawing.write(root / f"{split}/_annotations.csv", drawing.table(own))
        for scene in own:
            place = root / split / scene.stem
            if kind == "yolo":
                drawing.write(place.with_suffix(".txt"), drawing.yolo(scene))
            elif kind == "voc":
                drawing.write(place.with_suffix(".xml"), drawing.voc(scene))
            elif kind == "labelme":
                drawing.write(place.with_suffix(".json"), drawing.labelme(scene))
    if kind == "yolo":
        drawing.write(root / "data.yaml", "names: [cat, dog]")
    return truth


def _parts(**counts: int) -> dict[str, list[Scene]]:
    return {split: scenes(count, prefix=split) for split, count in counts.items()}


def test_the_names_of_the_formats_are_those_of_the_readers():
    assert tuple(entry.name for entry in READERS) == FORMATS


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_says_the_same(tmp_path, kind):
    truth = _write(tmp_path, kind, _parts(train=6, val=2))
    made = cut.cut(read(tmp_path))
    assert truth.num_found(made.found) == 8
    assert set(made.found.names) == {"cat", "dog"}
    assert (len(made.train), len(made.evaluation)) == (6, 2)
    assert made.why == "trained on train, evaluated on val"
    assert "read 8 boxes: 8 kept, 0 left out" in cut.describe(made)


def test_without_a_split_a_fifth_is_kept_whatever_the_order(tmp_path):
    drawing.put_all(tmp_path, own := scenes(60), Truth())
    for scene in own[:30]:
        drawing.write(tmp_path / f"{scene.stem}.xml", drawing.voc(scene))
    made, again = cut.cut(read(tmp_path)), cut.cut(read(tmp_path))
    assert [p.path for p in made.evaluation] == [p.path for p in again.evaluation]
    assert 2 <= len(made.evaluation) <= 10
    assert len(made.train) + len(made.evaluation) == 30
    assert "by a hash of their names" in made.why
    for scene in own[30:]:  # more pictures: none changes sides
        drawing.write(tmp_path / f"{scene.stem}.xml", drawing.voc(scene))
    grown = cut.cut(read(tmp_path))
    assert {p.path for p in made.evaluation} <= {p.path for p in grown.evaluation}
    assert {p.path for p in made.train} <= {p.path for p in grown.train}


def test_a_split_of_crowds_alone_is_said_and_not_measured_on(tmp_path):
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        drawing.put_all(tmp_path / split, own := scenes(count, prefix=split), Truth())
        content = drawing.coco(own)
        for entry in content["annotations"]:
            entry["iscrowd"] = int(split == "test")
        drawing.write(tmp_path / f"annotations/instances_{split}.json", content)
    made = cut.cut(read(tmp_path))
    assert "evaluated on val; test has 2 pictures and no box" in made.why


def test_what_is_written_reads_back_and_evaluates(tmp_path):
    _write(tmp_path / "in", "coco", {"train": scenes(6), "test": scenes(8)[5:]})  # 5 is in both
    out = tmp_path / "out"
    out.mkdir()
    summary = write.write(cut.cut(read(tmp_path / "in")), out, "v1")
    assert summary["counts"] == {
        "train": {"pictures": 5, "boxes": 5},
        "evaluation": {"pictures": 3, "boxes": 3},
    }
    account = Account.parse(json.loads((out / write.SUMMARY_NAME).read_text())["account"])
    assert account.describe() == summary["account"]
    assert account.tallies["boxes"].left_out["box that comes twice"].count == 1
    train = list(annotated.read(str(out), "train", Quarantine()))
    assert {record.image_id for record in train} == annotated.image_ids(str(out), "train")
    assert not annotated.image_ids(str(out), "train") & annotated.image_ids(str(out), "evaluation")
    for record in train:
        assert set(record.phrases) | set(record.absent) == {"cat", "dog"}
    truth = annotated.ground_truth(str(out), "evaluation")
    assert truth is not None
    assert set(truth.names.values()) == {"cat", "dog"}


def test_what_is_unknown_is_neither_absent_nor_a_mistake(tmp_path):
    parts = {"train": scenes(6, per_picture=2), "val": scenes(4, per_picture=2, prefix="v")}
    _write(tmp_path / "in", "yolo", parts)
    label = tmp_path / "in/val/v000.txt"
    label.write_text(label.read_text().replace("\n1 ", "\n1 x", 1))
    made = cut.cut(read(tmp_path / "in", ReadConfig(max_lost=1.0)))
    (tmp_path / "out").mkdir()
    write.write(made, tmp_path / "out", "1")
    records = list(annotated.read(str(tmp_path / "out"), "evaluation", Quarantine()))
    assert [r.absent for r in records] == [()] * 4
    assert sum("dog" not in r.phrases for r in records) == 1
    truth = annotated.ground_truth(str(tmp_path / "out"), "evaluation")
    assert truth is not None
    rows = json.loads(Path(truth.path).read_text())["annotations"]
    (crowd,) = (row for row in rows if row["iscrowd"])
    assert crowd["bbox"] == [0, 0, *drawing.SIZE]
    assert truth.names[crowd["category_id"]] == "dog"


@pytest.mark.parametrize("orientation", [1, 6, 3])
def test_pictures_are_written_upright(tmp_path, orientation):
    own = scenes(6, ending=".jpg")
    drawing.put_all(tmp_path / "in", own, truth := Truth(), orientation)
    for scene in own:
        drawing.write(tmp_path / "in" / f"{scene.stem}.xml", drawing.voc(scene))
    made = cut.cut(read(tmp_path / "in", ReadConfig(exif="upright")))
    assert truth.num_found(made.found) == 6
    (tmp_path / "out").mkdir()
    write.write(made, tmp_path / "out", "1")
    for path in (tmp_path / "out/images").iterdir():
        with Image.open(path) as image:
            assert image.size == drawing.SIZE
            assert image.getexif().get(0x0112, 1) == 1
    quarantine = Quarantine()
    for record in annotated.read(str(tmp_path / "out"), "train", quarantine):
        assert clean(record, quarantine, decode=True) is not None


def test_16_bits_are_scaled(tmp_path):
    own = scenes(6)
    drawing.put_all(tmp_path / "in", own, Truth())
    for scene in own:
        path = tmp_path / "in" / scene.file
        with Image.open(path) as image:
            grey = image.convert("L")
        deep = Image.frombytes("I;16", grey.size, b"".join(bytes([v, v]) for v in grey.tobytes()))
        deep.save(path)
    drawing.write(tmp_path / "in/a.json", drawing.coco(own))
    (tmp_path / "out").mkdir()
    write.write(cut.cut(read(tmp_path / "in")), tmp_path / "out", "1")
    for path in (tmp_path / "out/images").iterdir():
        with Image.open(path) as image:
            assert image.mode == "L"
            assert 60 < sum(image.tobytes()) / (96 * 64) < 230


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "0 pictures and no annotations"),
        ({"all.zip": "PK"}, "all.zip is packed: unpack it there"),
        ({"a.xml": "<annotation></annotation>", "a.png": "picture"}, "no usable annotation"),
        ({"a.xml": "<annotation", "a.png": "picture"}, "no usable annotation"),
        ({"a.png": "picture", "a.txt": "0 .5 .5 .1 .1\n"}, "no names"),
        (
            {"a.png": "picture", "a.txt": "0 .5 .5 .1 .1\n", "data.yaml": "names: ['  ']"},
            "box of a class that is not among the names",
        ),
        (
            {"a.png": "picture", "a.txt": "0 .5 .5 .1 .1\n", "data.yaml": "names: ['?']"},
            "give it a name",
        ),
        (
            {
                "a.png": "picture",
                "a.txt": "0 .5 .5 .1 .1\n1 .2 .2 .1 .1\n",
                "data.yaml": "names: [hex bolt, Hex_Bolt]",
            },
            "'hex bolt' and 'Hex_Bolt' are the same words: rename one of them",
        ),
        (
            {"a.png": "picture", "a.txt": "0 .5 .5 0 .1\n", "data.yaml": "names: [bolt]"},
            "1 x box without an area",
        ),
        (
            {"a.png": "picture", "a.txt": "9 .5 .5 .1 .1\n", "data.yaml": "names: [bolt]"},
            "class 9 of 1 names in data.yaml",
        ),
        (
            {
                "a.json": '{"images": [], "annotations": [], '
                '"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}'
            },
            "id 1 of 'categories' stands for 'a' and 'b': give each its own",
        ),
        ({"a.json": '{"images": 1, "annotations": 2, "categories": []}'}, "no list"),
        ({"a.json": '{"images": [], "annotations": [], "categories"'}, "is not JSON"),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path, files, complaint):
    for name, content in files.items():
        (tmp_path / name).write_bytes(
            toys.png(64, 32, [(1, 1, 9, 9)]) if content == "picture" else content.encode()
        )
    with pytest.raises(ValueError, match=complaint) as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)


def test_two_formats_need_a_word(tmp_path):
    _write(tmp_path, "voc", _parts(train=3))
    drawing.write(tmp_path / "a.json", drawing.coco(scenes(3, prefix="train")))
    with pytest.raises(ValueError, match="--format"):
        read(tmp_path)
    assert read(tmp_path, ReadConfig("voc")).format == "Pascal VOC xml"
    with pytest.raises(ValueError, match=r"yolo.*coco and voc.*--format"):
        read(tmp_path, ReadConfig("yolo"))


@pytest.mark.parametrize("setting", ["format=darknet", "exif=up", "max_lost=2"])
def test_settings_that_mean_nothing(setting):
    field, _, value = setting.partition("=")
    with pytest.raises(ValueError, match=f"retrain.reading.{field}={value}: give"):
        ReadConfig(**{field: float(value) if field == "max_lost" else value})


def test_entities_that_would_grow_without_bounds_are_not_read(tmp_path):
    _write(tmp_path, "voc", _parts(train=2))
    odd = '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>'
    drawing.write(tmp_path / "x.xml", odd)
    drawing.write(tmp_path / "y.xml", odd.encode("utf-16"))
    drawing.write(tmp_path / "z.xml", "<?xml version='1.0' encoding='klingon'?><annotation/>")
    left = read(tmp_path).account.tallies["annotations"].left_out
    assert left["file that is not xml"].count == 3


def test_blood_cells(samples):
    made = cut.cut(read(samples.root / "bccd"))
    assert made.found.format == "Pascal VOC xml"
    assert made.found.names == ("Platelets", "RBC", "WBC")
    assert (len(made.train), len(made.evaluation)) == ((292, 72) if samples.is_real else (4, 2))
    boxes = made.found.account.tallies["boxes"]
    assert boxes.read == (4888 if samples.is_real else 19)
    assert boxes.left_out["box without an area"].count == (2 if samples.is_real else 1)


def test_coco_entries_that_are_no_ids(tmp_path):
    drawing.put_all(tmp_path, own := scenes(8), Truth())
    content = drawing.coco(own)
    content["annotations"][0]["image_id"] = []
    content["annotations"][1]["category_id"] = {}
    content["annotations"][2] = None
    drawing.write(tmp_path / "a.json", content)
    left = read(tmp_path, ReadConfig(max_lost=1.0)).account.tallies["boxes"].left_out
    assert left["annotation of a picture that is not listed"].count == 2
    assert left["shape without a name"].count == 1
    content["images"][0] = None
    drawing.write(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=r"a\.json: images\[0\] needs an id"):
        read(tmp_path)


ALIASES = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("names: {0: nut, bolt: 1}", "is not a list of names"),
        ("names: [[nut]]", "is not a list of names"),
        ("names: cat, dog", "is not a list of names"),
        (ALIASES + "names: *y\n", "is not a list of names"),
        ("x: [", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        (b"names: [\xff]", "is not YAML"),
        (b"#" * 2_000_000, "has more than 1000000 bytes"),
    ],
)
def test_names_of_yolo_that_are_none(tmp_path, content, problem):
    _write(tmp_path, "yolo", _parts(train=2))
    drawing.write(tmp_path / "data.yaml", content)
    with pytest.raises(ValueError, match=rf"data\.yaml.*{problem}") as error:
        read(tmp_path)
    assert len(str(error.value)) < 600


def test_names_of_a_folder_become_phrases(tmp_path):
    names = ("BoltWasher", "soda_can")
    _write(tmp_path / "in", "voc", {"train": scenes(8, names), "val": scenes(4, names, prefix="v")})
    found = read(tmp_path / "in")
    assert found.names == ("bolt washer", "soda can")
    (note,) = (n for n in found.account.notes if "BoltWasher" in n)
    assert "BoltWasher -> bolt washer, soda_can -> soda can" in note
    table = drawing.write(tmp_path / "names.yaml", "BoltWasher: thing\nsoda_can: thing\n")
    assert read(tmp_path / "in", ReadConfig(names=str(table))).names == ("thing",)
    drawing.write(table, "Boltwasher: lock washer")
    with pytest.raises(ValueError, match="has no class 'Boltwasher'"):
        read(tmp_path / "in", ReadConfig(names=str(table)))
    for wrong in ("[a]", "BoltWasher: ''", "a: [b]", "x: ["):
        drawing.write(table, wrong)
        with pytest.raises(ValueError, match=r"names\.yaml"):
            read(tmp_path / "in", ReadConfig(names=str(table)))


@pytest.mark.parametrize("seed", range(60))
def test_a_random_folder_is_read_right_or_refused(seed):
    made, wrong = random_folders.check(seed)
    assert not wrong, (made.kind, made.dirt)


def test_the_step_gives_the_account_and_stores_it(tmp_path):
    _write(tmp_path / "in", "voc", _parts(train=6, val=2))
    said = retrain.read(tmp_path / "in", tmp_path / "out", "7")
    assert "read 8 pictures: 8 kept, 0 left out" in said
    assert json.loads((tmp_path / "out/summary.json").read_text())["version"] == "7"
    with pytest.raises(ValueError, match="or inside it"):
        retrain.read(tmp_path / "in", tmp_path / "in/out", "7")


def test_the_data_version_follows_links(tmp_path):
    _write(tmp_path / "disk", "voc", _parts(train=2))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/pictures").symlink_to(tmp_path / "disk")
    before = retrain.data_version(tmp_path / "in")
    (tmp_path / "disk/more.txt").write_text("x")
    assert retrain.data_version(tmp_path / "in") != before


def test_pictures_without_a_box_are_said(folder: Folder):
    own = folder.pictures([*scenes(8), Scene("nobody.png", []), Scene("empty.png", [])])
    folder.write("a.json", drawing.coco(own))
    (note,) = (n for n in folder.read().account.notes if "have no box" in n)
    for part in ("2 of 10 pictures", "first: empty.png"):
        assert part in note
