"""`omnidet label`: a draft that `finetune` reads back, and what people correct stays."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil

import pytest

from omnidet import cli
from omnidet.commands import label
from omnidet.commands.label import FORMATS
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import read
from tests import full_disk, toys


@pytest.fixture
def pictures(tmp_path):
    for number in range(5):
        path = tmp_path / "p" / ("sub" if number % 2 else ".") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(toys.png(90 - number, 60, [(5 + number, 5, 20, 20)]))
    (tmp_path / "words.yaml").write_text("star: [red star, blue star]\nRoundThing: [ring, circle]")
    return tmp_path


def _call(place, pictures, *more):
    call = ["label", str(pictures / "p"), "--model", str(place / "model"), "--threshold", "0.1"]
    call += ["--phrases-file", str(pictures / "words.yaml"), "--out", str(pictures / "out")]
    return [*call, *more]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_draft_is_read_back(place, pictures, kind, capsys):
    assert cli.main(_call(place, pictures, "--format", kind)) == 0
    said = capsys.readouterr().out
    assert f"omnidet finetune {pictures / 'out'}" in said
    back = read(pictures / "out", ReadConfig(format=kind, max_lost=0.0))
    drafted = {}
    for line in (pictures / "out" / "predictions.jsonl").read_text().splitlines():
        content = json.loads(line)
        drafted[content["picture"]] = content["detections"]
    assert len(drafted) == 5
    assert sum(map(len, drafted.values())) > 5
    found = {p.path.relative_to(pictures / "out" / "images").as_posix(): p for p in back.pictures()}
    assert found.keys() == drafted.keys()
    phrase = {"star": "star", "RoundThing": "round thing"}
    for path, entries in drafted.items():
        names = sorted(phrase[entry["label"]] for entry in entries)
        assert sorted(box.name for box in found[path].boxes) == names


def test_the_command_that_goes_on_can_be_pasted(place, pictures, capsys):
    out = pictures / "my draft"
    call = [str(out) if part == str(pictures / "out") else part for part in _call(place, pictures)]
    assert cli.main(call) == 0
    command = capsys.readouterr().out.splitlines()[-1].partition("then: ")[2]
    assert shlex.split(command) == ["omnidet", "finetune", str(out)]


def test_corrections_are_not_written_over(place, pictures, refused):
    assert cli.main(_call(place, pictures, "--format", "coco")) == 0
    annotations = pictures / "out" / "annotations.json"
    corrected = annotations.read_text().replace('"star"', '"five-pointed star"')
    annotations.write_text(corrected)
    assert str(annotations) in refused(*_call(place, pictures, "--format", "coco"))
    assert annotations.read_text() == corrected


def test_corrected_label_files_stay_when_pictures_are_added(place, pictures):
    assert cli.main(_call(place, pictures)) == 0
    label = pictures / "out" / "labels" / "0.txt"
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    shutil.copy(pictures / "p" / "0.png", pictures / "p" / "new.png")
    assert cli.main(_call(place, pictures)) == 0
    assert label.read_text() == "0 0.5 0.5 0.1 0.1\n"
    assert (pictures / "out" / "labels" / "new.txt").is_file()


def test_what_cannot_be_read_is_named_and_the_rest_is_drafted(place, pictures, capsys):
    (pictures / "p" / "bad.png").write_text("no picture")
    assert cli.main(_call(place, pictures)) == 1
    said = capsys.readouterr()
    assert "bad.png" in said.err
    assert "1 of 6" in said.err
    assert len(list((pictures / "out" / "labels").rglob("*.txt"))) == 5


WRONG = {
    "--phrases ring Ring": "'ring'",
    "--format coco --threshold 2": "--threshold",
    "--every 0": "--every 0",
    "--batch 0": "--batch 0",
    "--model nobody": "nobody",
    "--device gpu": "gpu",
}


@pytest.mark.parametrize("more", WRONG)
def test_wrong_input(place, pictures, refused, more):
    said = refused(*_call(place, pictures, *more.split(), "--registry", str(place / "empty")))
    assert WRONG[more] in said
    assert not list((pictures / "out").rglob("*.txt")) if (pictures / "out").exists() else True


def test_a_folder_with_other_files_is_left_alone(place, pictures, refused):
    (pictures / "out").mkdir()
    (pictures / "out" / "mine.txt").write_text("mine")
    assert f"--out {pictures / 'out'}" in refused(*_call(place, pictures))
    assert [path.name for path in (pictures / "out").iterdir()] == ["mine.txt"]


def test_a_draft_on_a_full_disk_goes_on_when_there_is_room(place, pictures, capsys):
    size = max(path.stat().st_size for path in (pictures / "p").rglob("*.png"))
    with full_disk.room_for(size - 1):
        assert cli.main(_call(place, pictures)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"omnidet label: {pictures / 'out'}/")
    assert "cannot be written" in line
    assert cli.main(_call(place, pictures)) == 0
    for path in (pictures / "p").rglob("*.png"):
        copy = pictures / "out" / "images" / path.relative_to(pictures / "p")
        assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("model", "registry", "start"),
    [
        ("tools@1", "registry", " --from tools"),
        ("tools", "my models", " --from tools --registry 'my models'"),
        ("some/folder", "registry", ""),
        ("s3://bucket/model", "registry", ""),
    ],
)
def test_the_draft_is_to_be_taught_to_the_model_that_drew_it(model, registry, start):
    assert label._start(argparse.Namespace(model=model, registry=registry)) == start
