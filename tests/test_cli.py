"""The command line: wrong input ends with one line that names the thing, and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import cli
from omnidet.recipes.loading import load_recipe
from omnidet.registry import kubeflow, versions
from tests import evaluations, toys
from tests.registry.fake_model_registry import ModelRegistry

ROOT = Path(__file__).parents[1]
TINY = (
    "model.image_size=64 model.embedding_width=16 model.backbone.width=32 model.backbone.depth=1 model.backbone.num_heads=2 "
    "train.steps=2 mixing.workers=1"
)
SETTINGS = [part for field in TINY.split() for part in ("--set", field)]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Shards, a vocabulary, a detector and a picture; nothing in it is changed."""
    folder = tmp_path_factory.mktemp("cli")
    toys.write_shards(folder / "shards")
    toys.write_vocabulary(folder / "vocabulary")
    toys.write_bundle(folder / "model")
    (folder / "picture.png").write_bytes(toys.png(90, 30, [(5, 5, 20, 20)]))
    (folder / "no-picture.png").write_text("no picture")
    (folder / "half-picture.png").write_bytes(toys.png(90, 30, [(5, 5, 20, 20)])[:100])
    (folder / "empty").mkdir()
    (folder / "no.yaml").write_text("recipe: [tiny_world")
    (folder / "list.yaml").write_text("- recipe")
    (folder / "unknown-field.yaml").write_text("recipe: tiny_world\ntrain:\n  stepps: 3\n")
    (folder / "wrong-type.yaml").write_text("recipe: tiny_world\ntrain:\n  steps: many\n")
    (folder / "no-recipe.yaml").write_text("train:\n  steps: 3\n")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (folder / "no-metrics.json").write_text("{")
    toys.write_shards(folder / "corrupt")
    shard = folder / "corrupt" / "train" / "coco" / "000000.tar"
    shard.write_bytes(shard.read_bytes()[:-600] + b"x" + shard.read_bytes()[-599:])
    toys.write_shards(folder / "lost-shard")
    (folder / "lost-shard" / "train" / "coco" / "000000.tar").unlink()
    toys.write_shards(folder / "bad-index")
    (folder / "bad-index" / "index.json").write_text('{"schema_version": 1}')
    for part in ("model.safetensors", "config.json", "vocabulary/tokenizer.json"):
        damaged = folder / f"damaged-{Path(part).stem}"
        toys.write_bundle(damaged)
        (damaged / part).write_bytes((damaged / part).read_bytes()[:50])
    return folder


# Arguments of a wrong call ({p} is the place), and what its one line must say.
WRONG = {
    "shards --recipe tiny_world --data {p}/nowhere --out {p}/out": "data folder {p}/nowhere does not exist",
    "shards --recipe tiny_world --data {p}/empty --out {p}/out": "data folder {p}/empty does not exist or is empty",
    "shards --recipe tiny_world --data {p}/empty --out {p}/out --path cc12m": "--path 'cc12m' is not of the form NAME=FOLDER",
    "vocabulary --recipe tiny_world --shards {p}/nowhere --out {p}/out": "{p}/nowhere/index.json does not exist: build the",
    "vocabulary --recipe tiny_world --shards {p}/bad-index --out {p}/out": "bad-index/index.json is not a shard index",
    "vocabulary --recipe tiny_world --shards {p}/corrupt --out {p}/out": "train/coco/000000.tar is corrupt",
    "vocabulary --recipe tiny_world --shards {p}/lost-shard --out {p}/out": "000000.tar does not exist though the index",
    "train --recipe tiny_world --shards {p}/corrupt --vocabulary {p}/vocabulary --out {p}/out @": "000000.tar is corrupt",
    "train --recipe tiny_world --shards {p}/shards --vocabulary {p}/nowhere --out {p}/out @": "{p}/nowhere does not exist",
    "train --recipe tiny_world --shards {p}/shards --vocabulary {p}/empty --out {p}/out @": "empty/tokenizer.json does not",
    "world --recipe nonsense --out {p}/out": "unknown recipe 'nonsense': the known ones are tiny_world, ",
    "world --recipe coco_folder --out {p}/out": "this recipe reads real data and draws no world",
    "world --out {p}/out": "no recipe is named: give --params params.yaml or --recipe NAME",
    "world --recipe tiny_world --out {p}/out --set world.nonsense=1": "unknown field 'world.nonsense': TinyWorld has seed,",
    "world --recipe tiny_world --out {p}/out --set nonsense=1": "unknown field 'nonsense'",
    "world --recipe tiny_world --out {p}/out --set world.seed.x=1": "unknown field 'world.seed.x'",
    "world --recipe tiny_world --out {p}/out --set world.seed=red": "world.seed='red' does not fit: expected int",
    "world --recipe tiny_world --out {p}/out --set world.seed=1.5": "world.seed=1.5 does not fit: expected int",
    "world --recipe tiny_world --out {p}/out --set world.seed=[1": "'world.seed=[1': '[1' is not a YAML value",
    "world --recipe tiny_world --out {p}/out --set world.seed": "'world.seed' is not of the form field=value",
    "world --recipe tiny_world --out {p}/out --set world.image_size=8": "TinyWorld.image_size is 8: give at least 96",
    "world --params {p}/nowhere.yaml --out {p}/out": "{p}/nowhere.yaml",
    "world --params {p}/empty --out {p}/out": "{p}/empty",
    "world --params {p}/no.yaml --out {p}/out": "{p}/no.yaml is not YAML",
    "world --params {p}/list.yaml --out {p}/out": "{p}/list.yaml holds a list: fields of a recipe are expected",
    "world --params {p}/binary.yaml --out {p}/out": "{p}/binary.yaml",
    "world --params {p}/no-recipe.yaml --out {p}/out": "no recipe is named",
    "world --params {p}/unknown-field.yaml --out {p}/out": "unknown field 'train.stepps': TrainConfig has steps",
    "world --params {p}/wrong-type.yaml --out {p}/out": "train.steps='many' does not fit: expected int",
    "predict {p}/picture.png --model {p}/model --phrases= --out {p}/out.png": "the phrase '' is empty",
    "predict {p}/nowhere.png --model {p}/model --phrases star --out {p}/out.png": "image {p}/nowhere.png does not exist",
    "predict {p}/no-picture.png --model {p}/model --phrases star --out {p}/out.png": "{p}/no-picture.png cannot be read as an",
    "predict {p}/half-picture.png --model {p}/model --phrases star --out {p}/out.png": "{p}/half-picture.png cannot be read as",
    "predict {p}/empty --model {p}/model --phrases star --out {p}/out.png": "image {p}/empty is a folder: name one picture",
    "predict {p}/picture.png --model {p}/model --phrases star --out {p}/picture.png": "is the picture itself",
    "predict {p}/picture.png --model {p}/model --phrases star --threshold nan": "--threshold nan: give a score from 0 to 1",
    "world --params {p}/none.yaml --out {p}/out": "--params {p}/none.yaml does not exist: name a YAML file",
    "predict {p}/picture.png --registry {p}/empty --phrases star --out {p}/out.png": (
        "no model 'omnidet-tiny-world' in {p}/empty"
    ),
    "predict {p}/picture.png --model nonsense@3 --registry {p}/empty --phrases star": "no model 'nonsense'",
    "predict {p}/picture.png --model {p}/damaged-model --phrases star --out {p}/out.png": (
        "damaged-model/model.safetensors is corrupt"
    ),
    "predict {p}/picture.png --model {p}/damaged-config --phrases star --out {p}/out.png": "damaged-config/config.json is not",
    "predict {p}/picture.png --model {p}/damaged-tokenizer --phrases star --out {p}/out.png": "damaged-tokenizer/vocabulary is",
    "evaluate --recipe tiny_world --model {p}/model --shards {p}/shards --metrics {p}/m --out {p}/out": "eval/coco",
    "evaluate --recipe tiny_world --model {p}/empty --shards {p}/shards --metrics {p}/m --out {p}/out": "not a trained detector",
    "register --recipe tiny_world --model {p}/model --metrics {p}/nowhere --registry {p}/out": "{p}/nowhere",
    "register --recipe tiny_world --model {p}/model --metrics {p}/no-metrics.json --registry {p}/out": "is not JSON",
    "register --recipe tiny_world --model {p}/model --metrics {p}/empty --registry {p}/out --set register.name=A": "",
    "summary --metrics {p}/nowhere.json --report {p}/report": "{p}/nowhere.json",
}


@pytest.mark.slow
@pytest.mark.parametrize("call", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(place, capsys, call):
    text = call.replace("{p}", str(place))
    arguments = [part for word in text.split() for part in (SETTINGS if word == "@" else [word])]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err.splitlines()
    said = [line for line in error if line.startswith("omnidet ")]
    assert len(said) == 1, error
    assert said[0].startswith(f"omnidet {arguments[0]}: ")
    assert WRONG[call].replace("{p}", str(place)) in said[0]
    assert "Traceback" not in "".join(error)
    assert [
        line
        for line in error
        if line and not line.startswith("omnidet ") and "%|" not in line and "/?" not in line
    ] == []
    assert not (place / "out").exists()


@pytest.mark.slow
def test_the_real_command_says_one_line(place):
    arguments = [
        "predict",
        str(place / "nowhere.png"),
        "--model",
        str(place / "model"),
        "--phrases",
        "star",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "omnidet.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert (
        ran.stderr == f"omnidet predict: image {place}/nowhere.png does not exist: name a picture\n"
    )


def test_words_that_no_command_knows_end_with_the_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["nonsense"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_predict_prints_boxes_and_draws_them(place, tmp_path, capsys):
    picture = str(place / "picture.png")
    arguments = [
        "predict",
        picture,
        "--model",
        str(place / "model"),
        "--phrases",
        "red star",
        "ring",
        "--out",
    ]
    assert cli.main([*arguments, str(tmp_path / "a.png"), "--threshold", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 32 + 1
    assert {line.split(maxsplit=5)[5] for line in lines[:-1]} == {"red star", "ring"}
    assert lines[-1] == str(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
    assert cli.main([*arguments, str(tmp_path / "b.png"), "--threshold", "1"]) == 0
    assert "nothing scores 1.0 or more" in capsys.readouterr().out


def test_models_and_summary(place, tmp_path, capsys):
    versions.register(tmp_path / "registry", "toy", place / "model", {"coco/AP": 0.5}, {})
    assert cli.main(["models", "--registry", str(tmp_path / "registry")]) == 0
    assert capsys.readouterr().out == "toy@1\n  coco/AP  0.500\n"
    (tmp_path / "metrics.json").write_text('{"coco/AP": 0.5}')
    report = tmp_path / "report.html"
    summary = [
        "summary",
        "--metrics",
        str(tmp_path / "metrics.json"),
        "--registry",
        str(tmp_path / "registry"),
    ]
    assert cli.main([*summary, "--report", str(report)]) == 0
    said = capsys.readouterr().out
    assert "registered  toy@1" in said
    assert str(report) in said


@pytest.fixture
def finished(tmp_path) -> list[str]:
    """The command that reports on a run whose every part is there."""
    toys.write_bundle(tmp_path / "model")
    (tmp_path / "model" / "training.jsonl").write_text(
        '{"step": 10, "loss": 1.5, "det/names": 0.5}\n'
    )
    evaluations.index(tmp_path)
    parts = {
        "model": tmp_path / "model",
        "shards": tmp_path,
        "out": tmp_path / "report.html",
        "numbers": tmp_path / "numbers",
    }
    parts["evaluation"] = parts["before"] = evaluations.evaluation(tmp_path / "evaluation")
    return [
        "report",
        "--recipe",
        "tiny_world",
        *(word for name, path in parts.items() for word in (f"--{name}", str(path))),
    ]


def test_report(finished, tmp_path):
    for _ in range(2):  # the second time over the first
        assert cli.main(finished) == 0
        assert "Before and after" in (tmp_path / "report.html").read_text()
        assert json.loads((tmp_path / "numbers" / "metrics.json").read_text())[
            "coco/recall"
        ] == pytest.approx(2 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evaluation/index.json", ""),
        ("evaluation/index.json", '{"protocols": {}, "details": {}}'),
        (
            "evaluation/index.json",
            '{"values": {"coco/AP": "high"}, "protocols": {}, "details": {}}',
        ),
        ("evaluation/eval_coco.json", ""),
        ("evaluation/eval_coco.json", '[{"image_id": 1}]'),
        ("evaluation/eval_refcocog.json", "[]"),
        (
            "evaluation/eval_refcocog.json",
            '[{"image_id": "coco:1", "phrase": "a star", "boxes_xyxy": [], "scores": []}]',
        ),
        ("model/training.jsonl", "[1]\n"),
        ("model/config.json", ""),
        ("truth.json", "{}"),
        ("index.json", "{}"),
    ],
)
def test_a_report_on_damaged_parts_is_one_line_and_no_file(
    finished, tmp_path, capsys, name, content
):
    (tmp_path / name).write_text(content)
    assert cli.main(finished) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert name in said
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / "numbers").exists()


def test_set_stands_above_params_and_another_recipe_above_both(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("recipe: tiny_world\ntrain:\n  steps: 3\n  seed: 5\n")
    recipe = load_recipe(params, None, ["train.steps=7"])
    assert (recipe.train.steps, recipe.train.seed) == (7, 5)
    assert load_recipe(params, "coco_folder", []) == load_recipe(None, "coco_folder", [])
    assert os.fspath(params)


@pytest.fixture
def registry(place, tmp_path) -> str:
    """Three versions of `toy`; none is the champion."""
    for ap in (0.1, 0.2, 0.3):
        versions.register(
            tmp_path / "registry", "toy", place / "model", {"coco/AP": ap}, {"run": f"run-{ap}"}
        )
    return str(tmp_path / "registry")


def test_models_list_show_promote_rollback(registry, capsys):
    def said(*arguments: str) -> str:
        assert cli.main(["models", *arguments, "--registry", registry]) == 0
        return capsys.readouterr().out

    assert said("promote", "toy@3") == "toy@champion is toy@3\n"
    assert said("promote", "toy@1") == "toy@champion is toy@1\n"
    assert said("promote", "toy@champion", "--alias", "served") == "toy@served is toy@1\n"
    listed = "toy@1  champion  served\n  coco/AP  0.100\ntoy@2\n  coco/AP  0.200\ntoy@3\n  coco/AP  0.300\n"
    assert said("list") == said() == listed
    assert cli.main(["models", "--registry", registry, "list"]) == 0
    assert capsys.readouterr().out == listed
    assert said("rollback", "toy") == "toy@champion is toy@3 again\n"
    shown = said("show", "toy@champion")
    assert shown.startswith(
        f"toy@3  champion\n{registry}/toy/3\n  coco/AP  0.300\n  run             run-0.3\n"
    )
    assert "weights_sha256" in shown
    assert said("show", "toy@1").startswith("toy@1  served\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    {
        "show toy@9": "no version 9 of 'toy'",
        "show other": "no model 'other' in",
        "promote toy": "'toy' names no version: give one, as toy@3",
        "promote toy@9": "no version 9 of 'toy'",
        "promote toy@1 --alias 3": "alias '3': use lower-case letters",
        "rollback toy": "no alias champion of 'toy'",
        "rollback other": "no alias champion of 'other'",
    }.items(),
)
def test_wrong_words_about_models(registry, capsys, arguments, message):
    assert cli.main(["models", *arguments.split(), "--registry", registry]) == 2
    error = capsys.readouterr().err
    assert error.startswith("omnidet models: ")
    assert message in error
    assert error.count("\n") == 1


def test_an_empty_alias_moves_nothing(registry, capsys):
    assert cli.main(["models", "promote", "toy@1", "--registry", registry, "--alias", ""]) == 2
    assert "alias ''" in capsys.readouterr().err
    assert versions.aliases(registry, "toy") == {}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("metrics.json", b"", "metrics.json is not JSON"),
        ("metrics.json", b"[]", "metrics.json is no JSON object"),
        ("metrics.json", b'{"coco/AP": null}', "metrics.json is not numbers by name"),
        ("metrics.json", None, "metrics.json is missing"),
        ("provenance.json", b"[]", "provenance.json is no JSON object"),
    ],
)
def test_a_damaged_version_is_named_and_passes_no_gate(
    place, registry, tmp_path, capsys, name, content, words
):
    versions.promote(registry, "toy", 1)
    file = Path(registry, "toy", "1", name)
    file.unlink() if content is None else file.write_bytes(content)
    calls = [["models", "show", "toy@1"], ["models", "promote", "toy@1"]]
    if name == "metrics.json":
        (tmp_path / "m.json").write_text('{"coco/AP": 0.9}')
        of_toy = ["--recipe", "tiny_world", "--set", "register.name=toy"]
        calls += [
            ["models", "list"],
            [
                "gate",
                *of_toy,
                "--metrics",
                str(tmp_path / "m.json"),
                "--out",
                str(tmp_path / "d.json"),
            ],
        ]
    for call in calls:
        assert cli.main([*call, "--registry", registry]) == 2, call
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert words in error or (
            call[1] == "promote" and f"{name} is not as it was registered" in error
        )
    assert not (tmp_path / "d.json").exists()


def test_weights_that_changed_are_not_promoted(registry, capsys):
    weights = Path(registry, "toy", "2", "model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert cli.main(["models", "promote", "toy@2", "--registry", registry]) == 2
    assert "model.safetensors is not as it was registered" in capsys.readouterr().err
    assert versions.aliases(registry, "toy") == {}


def test_predict_takes_the_champion(place, registry, tmp_path):
    versions.promote(registry, "toy", 2)
    arguments = [
        "predict",
        str(place / "picture.png"),
        "--registry",
        registry,
        "--phrases",
        "ring",
        "--out",
        str(tmp_path / "o.png"),
    ]
    assert cli.main([*arguments, "--model", "toy@champion"]) == 0
    assert cli.main([*arguments, "--model", "toy@nobody"]) == 2


def test_gate(registry, tmp_path, capsys):
    metrics, out = tmp_path / "metrics.json", tmp_path / "gate" / "decision.json"
    recipe = ["--recipe", "tiny_world", "--set", "register.name=toy"]

    def gate(ap: float, *settings: str) -> int:
        metrics.write_text(json.dumps({"coco/AP": ap}))
        files = ["--metrics", str(metrics), "--registry", registry, "--out", str(out)]
        return cli.main(["gate", *recipe, *settings, *files])

    assert gate(0.0) == 0  # no champion yet
    assert capsys.readouterr().out == "passed against no champion: the minimums decide\n"
    assert gate(0.0, "--set", "gate.minimum=[coco/AP=0.1]") == 3
    versions.promote(registry, "toy", 2)
    assert gate(0.19) == 0
    decision = json.loads(out.read_text())
    assert (decision["passed"], decision["champion"], decision["config"]["max_drop"]) == (
        True,
        "toy@2",
        0.02,
    )
    capsys.readouterr()
    assert gate(0.1) == 3
    reason = "coco/AP: 0.1000 against the champion's 0.2000, a drop of 0.02 is allowed"
    assert capsys.readouterr().out == f"not passed against toy@2\n{reason}\n"
    decision = json.loads(out.read_text())
    assert (decision["passed"], decision["reasons"]) == (False, [reason])
    (row,) = decision["rows"]
    assert (row["metric"], row["champion"], row["candidate"], row["ok"]) == (
        "coco/AP",
        0.2,
        0.1,
        False,
    )
    assert gate(0.1, "--set", "gate.max_drop=0.2") == 0
    assert gate(float("nan")) == 3
    out.unlink()
    assert gate(0.1, "--set", "gate.minimum=[coco/AP]") == 2
    metrics.write_text('{"coco/AP": "high"}')
    assert (
        cli.main(
            ["gate", *recipe, "--metrics", str(metrics), "--registry", registry, "--out", str(out)]
        )
        == 2
    )
    assert "is no flat file of metrics" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_register_promotes_and_tells_the_model_registry(place, tmp_path, capsys, monkeypatch):
    (tmp_path / "metrics.json").write_text('{"coco/AP": 0.5}')
    folder = tmp_path / "registry"
    arguments = [
        "register",
        "--recipe",
        "tiny_world",
        "--set",
        "register.name=toy",
        "--model",
        str(place / "model"),
    ]
    arguments += [
        "--metrics",
        str(tmp_path / "metrics.json"),
        "--registry",
        str(folder),
        "--alias",
        "champion",
    ]
    monkeypatch.setattr(kubeflow, "WAIT_SECONDS", 0.01)
    server = ModelRegistry("v1alpha3")
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", server.address)
    try:
        for said in ("registered", "was registered already"):
            assert cli.main(arguments) == 0
            assert capsys.readouterr().out == f"toy@1 {said} in {folder}/toy/1\n"
        (version,) = server.versions
        assert [a["uri"] for a in server.artifacts[version["id"]]] == [
            (folder / "toy" / "1").as_uri()
        ]
        assert version["customProperties"]["coco/AP"] == {
            "metadataType": "MetadataDoubleValue",
            "double_value": 0.5,
        }
        assert versions.aliases(folder, "toy") == {"champion": 1}
    finally:
        server.stop()
    arguments[arguments.index(str(folder))] = str(tmp_path / "other")
    assert cli.main(arguments) == 1
    assert (
        f"omnidet register: no Model Registry answers at {server.address}"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "other").exists()  # nothing is half-registered
