"""The steps of the pipeline as commands: what they refuse in one line, what they print."""

from __future__ import annotations

import json
import math
import socket
from pathlib import Path

import pytest

from omnidet import cli
from omnidet.commands import exit_codes
from omnidet.registry import kubeflow, versions
from tests import evaluations, toys
from tests.registry.fake_model_registry import ModelRegistry

SMALL = (
    *("model.image_size=64", "model.embedding_width=16", "model.backbone.width=32"),
    *("model.backbone.depth=2", "model.backbone.num_heads=2", "train.steps=2", "mixing.workers=1"),
)
SETTINGS = [word for field in SMALL for word in ("--set", field)]
OF_TOY = ["--recipe", "tiny_world", "--set", "register.name=toy"]

# Arguments of a wrong call ({p} is the place, @ the settings), and what its one line must name.
SHARDS = {
    "--data {p}/nowhere --out {p}/out": "{p}/nowhere does not exist",
    "--data {p}/empty --out {p}/out": "{p}/empty does not exist or is empty",
    "--data {p}/empty --out {p}/out --path cc12m": "'cc12m' is not of the form NAME=FOLDER",
    "--data {p}/empty --out {p}/out --part 0/4": "'0/4' is not of the form I/N",
    "--data {p}/empty --out {p}/out --part 4": "'4' is not of the form I/N",
    "--data {p}/empty --out {p}/out --part 1/2 --merge": "--merge and --part 1/2",
}
VOCABULARY = {
    "--shards {p}/nowhere --out {p}/out": "{p}/nowhere/index.json does not exist",
    "--shards {p}/bad-index --out {p}/out": "bad-index/index.json",
    "--shards {p}/corrupt --out {p}/out": "train/coco/000000.tar is corrupt",
    "--shards {p}/lost-shard --out {p}/out": "000000.tar does not exist",
}
TRAIN = {
    "--shards {p}/corrupt --vocabulary {p}/vocabulary --out {p}/out @": "000000.tar is corrupt",
    "--shards {p}/shards --vocabulary {p}/nowhere --out {p}/out @": "{p}/nowhere does not exist",
    "--shards {p}/shards --vocabulary {p}/empty --out {p}/out @": "empty/tokenizer.json",
}
RECIPES = {
    "--recipe nonsense": "'nonsense'",
    "--recipe coco_folder": "draws no world",
    "": "--params params.yaml or --recipe NAME",
    "--recipe tiny_world --set world.nonsense=1": "'world.nonsense': TinyWorld has seed,",
    "--recipe tiny_world --set nonsense=1": "'nonsense'",
    "--recipe tiny_world --set world.seed.x=1": "'world.seed.x'",
    "--recipe tiny_world --set world.seed=red": "world.seed='red' does not fit",
    "--recipe tiny_world --set world.seed=1.5": "world.seed=1.5 does not fit",
    "--recipe tiny_world --set world.seed=[1": "'[1' is not a YAML value",
    "--recipe tiny_world --set world.seed": "'world.seed' is not of the form",
    "--recipe tiny_world --set world.image_size=8": "TinyWorld.image_size is 8",
    "--params {p}/nowhere.yaml": "{p}/nowhere.yaml does not exist",
    "--params {p}/empty": "{p}/empty",
    "--params {p}/no.yaml": "{p}/no.yaml is not YAML",
    "--params {p}/list.yaml": "{p}/list.yaml holds a list",
    "--params {p}/binary.yaml": "{p}/binary.yaml",
    "--params {p}/no-recipe.yaml": "--recipe NAME",
    "--params {p}/unknown-field.yaml": "'train.stepps': TrainConfig has steps",
    "--params {p}/wrong-type.yaml": "train.steps='many' does not fit",
}
OTHERS = {
    "evaluate --model {p}/model --shards {p}/shards --metrics {p}/m --out {p}/out": "eval/coco",
    "evaluate --model {p}/empty --shards {p}/shards --metrics {p}/m --out {p}/out": "{p}/empty",
    "register --model {p}/model --metrics {p}/nowhere --registry {p}/out": "{p}/nowhere",
    "register --model {p}/model --metrics {p}/no-metrics.json --registry {p}/out": "is not JSON",
    "register --model {p}/model --metrics {p}/empty --registry {p}/out": "{p}/empty",
}
WRONG = {
    **{f"shards --recipe tiny_world {call}": said for call, said in SHARDS.items()},
    **{f"vocabulary --recipe tiny_world {call}": said for call, said in VOCABULARY.items()},
    **{f"train --recipe tiny_world {call}": said for call, said in TRAIN.items()},
    **{f"world {call} --out {{p}}/out": said for call, said in RECIPES.items()},
    **{f"{call} --recipe tiny_world": said for call, said in OTHERS.items()},
}


@pytest.mark.slow
@pytest.mark.parametrize("call", WRONG)
def test_wrong_input(place, refused, call):
    words = call.replace("{p}", str(place)).split()
    arguments = [part for word in words for part in (SETTINGS if word == "@" else [word])]
    assert WRONG[call].replace("{p}", str(place)) in refused(*arguments)
    assert not (place / "out").exists()


def test_shards_are_built_in_parts_and_merged(monkeypatch, capsys):
    called: list[tuple[object, ...]] = []
    steps = "omnidet.steps.train_detector"
    monkeypatch.setattr(f"{steps}.build_shards_part", lambda *given: called.append(given))
    monkeypatch.setattr(f"{steps}.merge_shards", lambda out: called.append((out,)) or "index")
    monkeypatch.setattr("omnidet.data.sharding.finish.describe", lambda index: f"the {index}")
    shards = ["shards", "--data", "raw", "--out", "s", "--path", "cc12m=a=b"]
    assert cli.main([*shards, "--recipe", "tiny_world", "--part", "2/4"]) == 0
    data, out, recipe, part, paths = called.pop()
    assert (data, out, part, paths) == ("raw", "s", (2, 4), {"cc12m": "a=b"})
    assert recipe.register.name == "omnidet-tiny-world"
    assert cli.main([*shards, "--merge"]) == 0
    assert called == [("s",)]
    assert capsys.readouterr().out == "the index\n"


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
    words = [word for name, path in parts.items() for word in (f"--{name}", str(path))]
    return ["report", "--recipe", "tiny_world", *words]


def test_report(finished, tmp_path):
    for _ in range(2):  # the second replaces the first
        assert cli.main(finished) == 0
        assert "Before and after" in (tmp_path / "report.html").read_text()
        numbers = json.loads((tmp_path / "numbers" / "metrics.json").read_text())
        assert numbers["coco/recall"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_report_by_another_recipe_says_what_it_lacks(finished, tmp_path, capsys):
    assert cli.main(finished) == 0
    assert "note" not in capsys.readouterr().err
    assert cli.main(["photographs" if word == "tiny_world" else word for word in finished]) == 0
    assert "coco, refcocog" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evaluation/index.json", ""),
        ("evaluation/index.json", '{"protocols": {}, "details": {}}'),
        ("evaluation/index.json", '{"values": {"A": "high"}, "protocols": {}, "details": {}}'),
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
def test_a_report_on_damaged_parts_writes_nothing(finished, tmp_path, refused, name, content):
    (tmp_path / name).write_text(content)
    assert name in refused(*finished)
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / "numbers").exists()


@pytest.fixture
def gate(registry, tmp_path):
    """Runs the gate on a COCO AP and returns its exit code; the decision goes to decision.json."""
    metrics, out = tmp_path / "metrics.json", tmp_path / "decision.json"

    def run(ap: object, *settings: str) -> int:
        metrics.write_text(json.dumps({"coco/AP": ap}))
        files = ["--metrics", str(metrics), "--registry", registry, "--out", str(out)]
        return cli.main(["gate", *OF_TOY, *settings, *files])

    return run


def test_without_a_champion_the_minimums_decide(gate, capsys):
    assert gate(0.0) == 0
    assert "with no gate.minimum nothing is asked" in capsys.readouterr().out
    assert gate(0.0, "--set", "gate.minimum=[coco/AP=0.1]") == exit_codes.NOT_PASSED
    assert "no champion: the minimums decide" in capsys.readouterr().out


def test_the_gate_compares_with_the_champion(gate, registry, tmp_path, capsys):
    versions.promote(registry, "toy", 2)
    assert gate(0.19) == 0
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert (decision["passed"], decision["champion"]) == (True, "toy@2")
    assert decision["config"]["max_drop"] == 0.02
    capsys.readouterr()
    assert gate(0.1) == exit_codes.NOT_PASSED
    against, reason = capsys.readouterr().out.splitlines()
    assert against == "not passed against toy@2"
    assert all(word in reason for word in ("coco/AP", "0.1000", "0.2000", "0.02"))
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert (decision["passed"], decision["reasons"]) == (False, [reason])
    (row,) = decision["rows"]
    assert (row["metric"], row["champion"], row["candidate"], row["ok"]) == (
        *("coco/AP", 0.2, 0.1),
        False,
    )
    assert gate(0.1, "--set", "gate.max_drop=0.2") == 0
    assert gate(math.nan) == exit_codes.NOT_PASSED


def test_a_gate_that_cannot_decide_writes_no_decision(gate, tmp_path, capsys):
    assert gate(0.1, "--set", "gate.minimum=[coco/AP]") == exit_codes.WRONG_INPUT
    assert gate("high") == exit_codes.WRONG_INPUT
    assert str(tmp_path / "metrics.json") in capsys.readouterr().err
    assert not (tmp_path / "decision.json").exists()


def _register(place: Path, tmp_path: Path, *more: str) -> list[str]:
    (tmp_path / "metrics.json").write_text('{"coco/AP": 0.5}')
    files = ["--model", str(place / "model"), "--metrics", str(tmp_path / "metrics.json")]
    return ["register", *OF_TOY, *files, *more]


def test_a_receipt_says_what_was_registered(place, tmp_path):
    folder, receipt = tmp_path / "registry", tmp_path / "new" / "registered.json"
    call = _register(place, tmp_path, "--registry", str(folder), "--receipt", str(receipt))
    assert cli.main(call) == 0
    location = f"{folder}/toy/1"
    assert json.loads(receipt.read_text()) == {"version": "toy@1", "location": location}


def test_nothing_is_registered_where_the_receipt_cannot_be_written(place, tmp_path, refused):
    (tmp_path / "file").touch()
    receipt = str(tmp_path / "file" / "registered.json")
    call = _register(place, tmp_path, "--registry", str(tmp_path / "r"), "--receipt", receipt)
    assert str(tmp_path / "file") in refused(*call)
    assert not (tmp_path / "r").exists()


def test_registering_promotes_and_tells_the_model_registry(place, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "registry"
    monkeypatch.setattr(kubeflow, "WAIT_SECONDS", 0.01)
    server = ModelRegistry("v1alpha3")
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", server.address)
    more = ("--alias", "champion", "--registry")
    try:
        for said in ("registered", "was registered already"):
            assert cli.main(_register(place, tmp_path, *more, str(folder))) == 0
            assert capsys.readouterr().out == f"toy@1 {said} in {folder}/toy/1\n"
        (version,) = server.versions
        (artifact,) = server.artifacts[version["id"]]
        assert artifact["uri"] == (folder / "toy" / "1").as_uri()
        assert version["customProperties"]["coco/AP"]["double_value"] == 0.5
        assert versions.aliases(folder, "toy") == {"champion": 1}
    finally:
        server.stop()


def test_nothing_is_half_registered_without_the_model_registry(
    place, tmp_path, capsys, monkeypatch
):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(kubeflow, "WAIT_SECONDS", 0.01)
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", address)
    assert cli.main(_register(place, tmp_path, "--registry", str(tmp_path / "r"))) == 1
    assert address in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
