"""`omnidet predict`: what it prints and draws; what it refuses before it loads a detector."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import io
import json
import os
import re
import shutil
import sys
import threading

import pytest
from PIL import Image

from omnidet import cli, storage
from omnidet.inference import lettering
from omnidet.inference.detections import Detections
from omnidet.model.detector import Detector
from omnidet.registry import versions
from tests import full_disk, toys


def test_boxes_are_printed_and_drawn(place, tmp_path, capsys):
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases", "red star", "ring", "--out"]
    assert cli.main([*call, str(tmp_path / "a.png"), "--threshold", "0"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 32 + 1
    assert {line.split(maxsplit=5)[5] for line in lines[:-1]} == {"red star", "ring"}
    scores = [float(line.split()[0]) for line in lines[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert lines[-1] == str(tmp_path / "a.png")
    assert said.err == ""
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.size == (480, 160)
    assert cli.main([*call, str(tmp_path / "b.png"), "--threshold", "1"]) == 0
    assert "nothing scores 1.0 or more" in capsys.readouterr().out


def test_the_threshold_is_the_detectors_own(place, tmp_path, capsys):
    toys.write_bundle(tmp_path / "fitted", confidence=toys.CONFIDENCE)
    call = ["predict", str(place / "picture.png"), "--phrases", "red star", "ring", "--json"]
    model = ["--model", str(tmp_path / "fitted")]

    def scores(*more):
        assert cli.main([*call, *model, *more]) == 0
        return [found["score"] for found in json.loads(capsys.readouterr().out)["detections"]]

    everything, own = scores("--threshold", "0"), scores()
    least = toys.CONFIDENCE.threshold
    assert own == [score for score in everything if score >= least]
    assert 0 < len(own) < len(everything)
    model = ["--model", str(place / "model")]
    assert scores() == [score for score in scores("--threshold", "0") if score >= 0.3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("star: {threshold: 1}\n", "nothing scores 1.0 or more"),
        ("star: {threshold: 1}\nring:\n", "threshold of its name, 0.99 or 1.0"),
    ],
)
def test_the_threshold_that_nothing_reached_is_said(place, tmp_path, capsys, words, said):
    (tmp_path / "p.yaml").write_text(words)
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases-file", str(tmp_path / "p.yaml"), "--threshold", "0.99"]
    assert cli.main([*call, "--out", str(tmp_path / "found.png")]) == 0
    assert said in capsys.readouterr().out


def test_the_threshold_that_a_hint_names_shows_the_box(place, tmp_path, capsys):
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model"), "--json"]
    call += ["--phrases", "red star", "ring", "blue circle"]

    def look(threshold):
        assert cli.main([*call, "--threshold", threshold]) == 0
        said = capsys.readouterr()
        return {one["label"] for one in json.loads(said.out)["detections"]}, said.err

    labels, said = look("1")
    assert labels == set()
    shown = re.findall(r"hint: no box for '([a-z ]+)'.* --threshold ([\d.]+) ", said)
    assert [name for name, _ in shown] == ["red star", "ring", "blue circle"]
    for name, threshold in shown:
        assert name in look(threshold)[0]
        assert name not in look(str(float(threshold) + 0.002))[0]


def test_no_threshold_is_named_for_a_word_that_means_nothing(place, tmp_path, capsys):
    """One line says so; its best score is no advice."""
    pictures = [str(place / "picture.png")]
    call = ["--model", str(place / "model"), "--phrases", "xylophone", "ring", "--threshold", "1"]
    assert cli.main(["predict", *pictures, *call, "--json"]) == 0
    one = capsys.readouterr().err
    assert cli.main(["predict", *pictures, *call, "--save-dir", str(tmp_path / "run")]) == 0
    many = capsys.readouterr().err
    draft = [*call, "--out", str(tmp_path / "draft")]
    assert cli.main(["label", *pictures, *draft]) == 0
    for said in (one, many, capsys.readouterr().err):
        assert "'xylophone': no training text had" in said
        assert "no box" in said
        assert "'ring'" in said.partition("no box")[2]
        assert "xylophone" not in said.partition("no box")[2]


@pytest.mark.parametrize(("threshold", "said"), [(0.99, True), (0.001, False)])
def test_a_landmark_below_the_detectors_threshold_is_said(place, tmp_path, capsys, threshold, said):
    confidence = dataclasses.replace(toys.CONFIDENCE, threshold=threshold)
    toys.write_bundle(tmp_path / "model", confidence=confidence)
    call = ["predict", str(place / "picture.png"), "--model", str(tmp_path / "model"), "--json"]
    call += ["--phrases", "red star left of ring", "blue circle", "star above xylophone"]
    assert cli.main([*call, "--threshold", "0"]) == 0
    hints = [line for line in capsys.readouterr().err.splitlines() if "is found, and no" in line]
    assert len(hints) == said
    assert all("'red star left of ring'" in line and "'ring'" in line for line in hints)


def test_hints_cost_no_further_look(place, tmp_path, capsys, monkeypatch):
    looks = []
    regions = Detector.regions

    def counted(self, images_BCHW):
        looks.append(len(images_BCHW))
        return regions(self, images_BCHW)

    monkeypatch.setattr(Detector, "regions", counted)
    confidence = dataclasses.replace(toys.CONFIDENCE, threshold=0.99)
    toys.write_bundle(tmp_path / "model", confidence=confidence)
    (tmp_path / "p.yaml").write_text("red star left of ring:\nblue circle: {threshold: 1}\n")
    call = ["predict", str(place / "picture.png"), "--model", str(tmp_path / "model"), "--json"]
    call += ["--phrases-file", str(tmp_path / "p.yaml")]
    assert cli.main([*call, "--threshold", "0"]) == 0
    said = capsys.readouterr().err
    assert "no box for 'blue circle'" in said
    assert "is found, and no 'ring'" in said
    assert looks == [1]


def test_a_picture_of_the_web_or_of_standard_input_is_one_picture(
    place, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    question = ["--model", str(place / "model"), "--phrases", "red star", "--threshold", "0"]
    assert cli.main(["predict", str(place / "picture.png"), *question, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["detections"]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=place)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        call = ["predict", f"{address}/picture.png?size=1", *question, "--allow-private"]
        assert cli.main([*call, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["detections"] == found
        assert cli.main(call) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(found) + 1
        assert lines[-1] == "picture.detections.png"
        call[1] = f"{address}/nowhere.png"
        assert cli.main(call) == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "predict: " in line]
        assert f"{address}/nowhere.png" in line
        server.shutdown()
    picture = io.TextIOWrapper(io.BytesIO((place / "picture.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", picture)
    assert cli.main(["predict", "-", *question, "--out", "o.png"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"picture.detections.png", "o.png"}


def test_one_picture_of_an_earlier_run_may_be_looked_at(place, tmp_path, monkeypatch, refused):
    """Nothing is written beside it then."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predictions").mkdir()
    shutil.copy(place / "picture.png", "predictions/a.png")
    call = ["predict", "predictions/a.png", "--model", str(place / "model"), "--phrases", "ring"]
    assert cli.main(call) == 0
    assert (tmp_path / "a.detections.png").is_file()
    assert "predictions" in refused(*call, "--formats", "csv")


def test_a_long_phrase_does_not_fill_the_screen(place, tmp_path, capsys):
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases", "red star " * 500, "--threshold", "0", "--out", str(tmp_path / "o.png")]
    assert cli.main(call) == 0
    lines = "".join(capsys.readouterr()).splitlines()
    assert "red star red star" in lines[0]
    assert max(map(len, lines)) < 200
    assert cli.main([*call[:-2], "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["detections"][0]["label"] == "red star " * 500


def test_a_photograph_is_turned_as_its_tag_says(place, tmp_path):
    lying, turned = Image.new("RGB", (90, 30)), Image.Exif()
    turned[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=turned)
    call = ["predict", str(tmp_path / "lying.jpg"), "--model", str(place / "model")]
    assert cli.main([*call, "--phrases", "ring", "--out", str(tmp_path / "o.png")]) == 0
    with Image.open(tmp_path / "o.png") as drawn:
        assert drawn.size == (160, 480)


def test_several_phrases_in_one_are_hinted_at(place, tmp_path, capsys):
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    assert cli.main([*call, "--phrases", "star, ring", "--out", str(tmp_path / "o.png")]) == 0
    line, *_ = capsys.readouterr().err.splitlines()
    assert line.startswith("hint: 'star, ring' ")
    assert line.endswith("'star', 'ring'")


def test_the_champion_answers(place, registry, tmp_path, refused):
    versions.promote(registry, "toy", 2)
    call = ["predict", str(place / "picture.png"), "--registry", registry, "--phrases", "ring"]
    call += ["--out", str(tmp_path / "o.png"), "--model"]
    assert cli.main([*call, "toy@champion"]) == 0
    call[call.index("--out") + 1] = str(tmp_path / "other.png")
    assert "nobody" in refused(*call, "toy@nobody")


WRONG = {
    "nowhere.png --phrases star": "{p}/nowhere.png does not exist",
    "empty --phrases star": "{p}/empty holds no picture",
    "no-picture.png --phrases star": "{p}/no-picture.png cannot be read as an image",
    "half-picture.png --phrases star": "{p}/half-picture.png cannot be read as an image",
    "picture.png --phrases=": "phrase 0 is empty",
    "picture.png --phrases …": "'…' has no letter",
    "picture.png --phrases star --threshold nan": "--threshold nan",
    "picture.png --phrases star --threshold 30": "--threshold 30.0",
    "picture.png --phrases star --out {p}/picture.png": "is the picture itself",
    "picture.png --phrases star --out {p}/out.txt": "--out {p}/out.txt",
    "picture.png --phrases star --out {p}/out.h5": "--out {p}/out.h5",
    "picture.png --phrases star --out {p}/nowhere/out.png": "--out {p}/nowhere/out.png",
    "picture.png --phrases star --registry {p}/empty": "'omnidet-tiny-world' in {p}/empty",
    "picture.png --phrases star --model nonsense@3 --registry {p}/empty": "'nonsense'",
    "picture.png --phrases star --model {p}/damaged-model": "damaged-model/model.safetensors",
    "picture.png --phrases star --model {p}/damaged-config": "damaged-config/config.json",
    "picture.png --phrases star --model {p}/damaged-tokenizer": "damaged-tokenizer/vocabulary",
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_input(place, refused, call):
    more = "" if "--model" in call or "--registry" in call else f" --model {place}/model"
    more += "" if "--out" in call else f" --out {place}/out.png"
    reason = refused("predict", *f"{{p}}/{call}{more}".format(p=place).split())
    assert WRONG[call].format(p=place) in reason
    assert not (place / "out.png").exists()


def test_what_is_wrong_is_said_before_torch_is_loaded(place, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "omnidet.inference.detector", None)
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model"), "--phrases"]
    file = tmp_path / "file"
    file.touch()
    assert "phrase 1 is empty" in refused(*call, "a", " ", "--out", str(tmp_path / "o.png"))
    assert str(file) in refused(*call, "a", "--out", str(file / "o.png"))


def test_a_folder_with_damage_is_looked_through(place, tmp_path, capsys):
    (tmp_path / "p").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "p" / name).write_bytes((place / "picture.png").read_bytes())
    (tmp_path / "p" / "bad.jpg").write_text("no picture")
    call = ["predict", str(tmp_path / "p"), "--model", str(place / "model"), "--phrases", "ring"]
    assert cli.main([*call, "--json", "--threshold", "0"]) == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["image"] for line in lines] == [
        str(tmp_path / "p" / n) for n in ("a.png", "b.png")
    ]
    assert lines[0]["detections"] == lines[1]["detections"] != []
    assert "bad.jpg" in said.err
    assert "1 of 3" in said.err


def test_nothing_is_written_over(place, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases", "ring"]
    for _ in range(2):
        assert cli.main(call) == 0
    names = ["picture.detections-2.png", "picture.detections.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    before = (tmp_path / names[1]).read_bytes()
    assert names[1] in refused(*call, "--out", names[1])
    assert str(tmp_path) in refused(*call, "--save-dir", str(tmp_path))
    assert (tmp_path / names[1]).read_bytes() == before


def test_nothing_is_written_over_that_another_command_writes_meanwhile(
    place, tmp_path, monkeypatch, refused
):
    """Two at once, of one picture and with other words, chose the same name for what they drew."""
    monkeypatch.chdir(tmp_path)
    theirs, draw = tmp_path / "picture.detections.png", Detections.draw

    def late(found):
        theirs.write_bytes(b"theirs")
        return draw(found)

    monkeypatch.setattr(Detections, "draw", late)
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases", "ring"]
    assert cli.main(call) == 0
    names = ["picture.detections-2.png", "picture.detections.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    theirs.unlink()
    assert theirs.name in refused(*call, "--out", theirs.name)
    assert theirs.read_bytes() == b"theirs"


def test_words_are_explained_and_examples_are_not(place, tmp_path, capsys, refused):
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model"), "--explain"]
    call += ["--out", str(tmp_path / "o.png"), "--threshold", "0", "--max-detections", "1"]
    assert cli.main([*call, "--phrases", "red star"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[1:3]] == ["red", "star"]
    assert "--like" in refused(*call, "--like", str(place / "picture.png"))


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_picture_that_does_not_fit_is_one_line_and_no_file(place, tmp_path, capsys, ending):
    out = tmp_path / f"a.{ending}"
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases", "ring", "--out", str(out)]
    with full_disk.room_for(700):
        assert cli.main(call) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"omnidet predict: {out} cannot be written")
    assert list(tmp_path.iterdir()) == []
    assert cli.main(call) == 0


ROOM = {"drawn": 1500, "jsonl": 1000, "coco": 2500, "csv": 2500}


@pytest.mark.parametrize("kind", ROOM)
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(place, tmp_path, capsys, kind):
    pictures = tmp_path / "p"
    pictures.mkdir()
    for name in "abc":
        shutil.copy(place / "picture.png", pictures / f"{name}.png")
    call = ["predict", str(pictures), "--model", str(place / "model"), "--threshold", "0"]
    call += ["--phrases", "ring", "--formats", kind, "--batch", "1", "--save-dir"]
    assert cli.main([*call, str(tmp_path / "whole")]) == 0
    with full_disk.room_for(ROOM[kind]):
        assert cli.main([*call, str(tmp_path / "run")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"omnidet predict: {tmp_path / 'run'}/")
    assert "cannot be written" in line
    assert cli.main([*call, str(tmp_path / "run")]) == 0
    one, two = tmp_path / "run", tmp_path / "whole"
    names = storage.list_files(one)
    assert names == storage.list_files(two)
    for name in names:
        assert name.startswith(".") or (one / name).read_bytes() == (two / name).read_bytes()


def test_a_run_does_not_go_on_with_a_detector_that_scores_otherwise(place, tmp_path, refused):
    shutil.copytree(place / "model", tmp_path / "model")
    call = ["predict", str(place / "picture.png"), "--model", str(tmp_path / "model")]
    call += ["--phrases", "ring", "--formats", "jsonl", "--save-dir", str(tmp_path / "run")]
    assert cli.main(call) == 0
    before = (tmp_path / "run" / "predictions.jsonl").read_bytes()
    assert cli.main(call) == 0
    shutil.rmtree(tmp_path / "model")
    toys.write_bundle(tmp_path / "model", confidence=toys.CONFIDENCE)
    line = refused(*call)
    assert "model_settings" in line
    assert str(tmp_path / "run") in line
    assert (tmp_path / "run" / "predictions.jsonl").read_bytes() == before


def test_a_name_that_is_no_utf_8_is_written_so_that_all_read_it(place, tmp_path, refused):
    folder = tmp_path / "p"
    folder.mkdir()
    odd = os.fsdecode(b'odd\xe9 "<.png')
    shutil.copy(place / "picture.png", folder / odd)
    call = ["predict", str(folder), "--model", str(place / "model"), "--threshold", "0"]
    call += ["--phrases", "ring", "--save-dir", str(tmp_path / "run"), "--formats"]
    assert cli.main([*call, "jsonl", "csv", "coco", "yolo", "labelme", "label-studio"]) == 0
    for name in storage.list_files(tmp_path / "run"):
        name.encode()
        (tmp_path / "run" / name).read_text(encoding="utf-8")
    (line,) = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["image"] == str(folder / odd)
    coco = json.loads((tmp_path / "run" / "coco" / "dataset.json").read_text())
    assert coco["images"][0]["file_name"].endswith(odd)
    call[call.index("--save-dir") + 1] = str(tmp_path / "xml")
    for kind in ("voc", "cvat"):
        assert "XML" in refused(*call, kind)
    assert not (tmp_path / "xml").exists()


def test_a_run_says_what_changed_and_what_is_gone(place, tmp_path, capsys):
    pictures = tmp_path / "p"
    pictures.mkdir()
    for name in ("a\nb.png", "c.png"):
        shutil.copy(place / "picture.png", pictures / name)
    run = pictures / "predictions"
    call = ["predict", str(pictures), "--model", str(place / "model"), "--phrases", "ring"]
    call += ["--save-dir", str(run)]
    assert cli.main(call) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    (pictures / "c.png").unlink()
    next((run / "drawn").iterdir()).unlink()
    assert cli.main(call) == 0
    said = capsys.readouterr().err
    assert "c.png" in said
    assert "drawn/" in said
    assert "1 picture done before" in said
    (pictures / "a\nb.png").write_bytes(toys.png(80, 30, []))
    assert cli.main(call) == 0
    assert any("changed" in s and "a\\nb.png" in s for s in capsys.readouterr().err.splitlines())
    lines = (run / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["width"] for line in lines] == [80, 90]


def test_a_phrase_that_is_drawn_as_a_number_is_said(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lettering, "_of_system", tuple)
    lettering._font_for.cache_clear()
    call = ["predict", str(place / "picture.png"), "--model", str(place / "model")]
    call += ["--phrases", "ring", "звезда", "--threshold", "0"]
    for more in (["--out", str(tmp_path / "o.png")], ["--save-dir", str(tmp_path / "run")]):
        assert cli.main([*call, *more]) == 0
        (line,) = (one for one in capsys.readouterr().err.splitlines() if "drawn" in one)
        assert "'звезда' as '#2'" in line
    assert cli.main([*call, "--save-dir", str(tmp_path / "bare"), "--formats", "jsonl"]) == 0
    assert "drawn" not in capsys.readouterr().err
    lettering._font_for.cache_clear()
