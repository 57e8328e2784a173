"""Each component by itself: its function on toy data, and the shape that keeps it small."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import components
from components.build_shard_set import build_shard_set
from components.build_vocabulary import build_vocabulary
from components.configure import configure
from components.download import download
from components.draw_world import draw_world
from components.evaluate import evaluate
from components.gate import gate
from components.merge_shards import merge_shards
from components.plan_shards import plan_shards
from components.register import register
from components.run import train_detector
from components.show_decision import show_decision
from components.train import train
from omnidet import config, storage
from omnidet.data import shards as shard_folder
from omnidet.recipes.tiny_world import tiny_world
from omnidet.registry import versions
from tests import toys
from tests.data import hostile_server as hostile
from tests.data.download.test_archives import make_zip
from tests.registry.fake_model_registry import ModelRegistry

FOLDER = Path(components.__file__).parent
STEPS = (
    *(
        "build_shard_set",
        "build_vocabulary",
        "configure",
        "download",
        "draw_world",
        "evaluate",
        "gate",
        "merge_shards",
    ),
    *("plan_shards", "register", "show_decision", "train"),
)
MOST_LINES = 10
SETTINGS = [s for s in toys.SMALL if s.startswith(("world.", "shards.", "vocabulary."))]
NODES = train_detector.Nodes(
    3600, 1, 0, "ghcr.io/omnidet/train:0.1.0", "1", "2Gi", "1Gi", {}, [], "keys", "store", ""
)


class Artifact:
    """What KFP hands a component for an output artifact."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.metadata: dict[str, Any] = {}

    def log_metric(self, name: str, value: float) -> None:
        """As dsl.Metrics."""
        self.metadata[name] = value


def _function(step: str) -> tuple[ast.Module, ast.FunctionDef]:
    tree = ast.parse((FOLDER / f"{step}.py").read_text(encoding="utf-8"))
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return tree, function


@pytest.mark.parametrize("step", STEPS)
def test_bodies_are_thin(step):
    _, function = _function(step)
    assert function.name == step
    first = function.body[1].lineno  # behind the docstring
    assert function.end_lineno is not None
    assert function.end_lineno - first + 1 <= MOST_LINES


@pytest.mark.parametrize("step", STEPS)
def test_modules_import_little(step):
    tree, _ = _function(step)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            allowed = node.module in ("kfp", *sys.stdlib_module_names)
            assert allowed or (
                node.module == "components" and [a.name for a in node.names] == ["images"]
            )
            assert node.module != "__future__"  # KFP reads the annotations themselves
        elif isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= set(sys.stdlib_module_names)


def _configured(**changes: Any) -> train_detector.Configured:
    given: dict[str, Any] = {
        "recipe": "tiny_world", "settings": list(toys.SMALL), "train_images": 40, "image_size": 64, "train_steps": 7,
        "learning_rate": 0.01, "seed": 0, "data": "", "data_version": "", "workspace": "s3://b/w", "run_id": "abc",
        "download": [], "catalogue": "",
    }  # fmt: skip
    return configure.python_func(**{**given, **changes})


def test_configure_splits_the_settings():
    run = _configured()
    assert run.run_folder == "s3://b/w/runs/abc"
    assert run.settings[:5] == [
        *("world.train_images=40", "model.image_size=64", "train.steps=7"),
        *("train.optimizer.learning_rate=0.01", "train.seed=0"),
    ]
    assert run.settings[5:] == list(toys.SMALL)  # and so these stand above
    assert all(s.startswith(("world.", "shards.")) for s in run.data_settings)
    assert run.vocabulary_settings == ["vocabulary.size=600"]


def test_numbers_that_are_0_are_the_recipes():
    run = _configured(
        settings=[], train_images=0, image_size=0, train_steps=0, learning_rate=0, seed=3
    )
    assert run.settings == ["train.seed=3"]


def test_the_data_folder_depends_on_what_the_data_is_made_from():
    folder = _configured().data_folder
    assert folder == _configured(run_id="other", train_steps=9, seed=4).data_folder
    others = [
        _configured(data_version="2"),
        _configured(data="s3://b/d"),
        _configured(settings=[*toys.SMALL, "shards.samples_per_shard=7"]),
        _configured(data="s3://b/d", download=["coco"]),
        _configured(data="s3://b/d", download=["lvis", "coco"]),
    ]
    assert len({folder, *(other.data_folder for other in others)}) == 6
    assert (
        others[-1].data_folder
        == _configured(data="s3://b/d", download=["coco", "lvis"]).data_folder
    )


def test_given_data_leaves_the_world_alone():
    run = _configured(recipe="coco_folder", settings=[], data="s3://b/coco")
    assert not any(s.startswith("world.") for s in run.settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": ["train.stps=1"]}, "unknown field 'train.stps'"),
        ({"settings": ["train.steps=many"]}, "expected int"),
        ({"recipe": "none"}, "none"),
        ({"recipe": "coco_folder", "settings": []}, "set the parameter `data`"),
        ({"run_id": ""}, "has no id"),
        (
            {"data": "s3://b/d", "download": ["coco", "none"]},
            "there is no dataset 'none' in the catalogue: use coco, lvis",
        ),
        ({"download": ["coco"]}, r'download=\["coco"\]: set the parameter `data`'),
        (
            {"data": "s3://b/d", "download": ["flickr30k"]},
            "flickr30k needs somebody who accepts its licence at https.* leave it out",
        ),
        (
            {"data": "s3://b/d", "download": ["laion-list"]},
            "needs the access token HF_TOKEN: bring it with",
        ),
        (
            {"data": "s3://b/d", "download": ["coco"], "catalogue": "/no/such.toml"},
            "such.toml does not exist",
        ),
        ({"registry": __file__}, "is neither folder nor s3:// URI"),
        ({"workspace": ""}, "workspace is empty: give a folder or s3:// URI"),
        (
            {"settings": [], "train_images": 40},
            "refcocog_val_images is 300: give at most twice train_images",
        ),
    ],
)
def test_wrong_settings_are_told_by_the_first_step(changes, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        _configured(**changes)


def test_a_folder_of_a_pod_is_no_place_for_what_outlives_it(tmp_path, monkeypatch):
    assert _configured(data=str(tmp_path), download=["coco"])
    monkeypatch.setattr(train_detector, "NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team\n")
    for places in (
        {"data": str(tmp_path), "download": ["coco"]},
        {"workspace": str(tmp_path)},
        {"registry": str(tmp_path)},
    ):
        with pytest.raises(
            ValueError, match="is a folder of one pod, lost when it ends: give an s3:// URI"
        ):
            _configured(**places)


@pytest.fixture
def own_catalogue(tmp_path):
    """Three datasets of one file each on a web server, and the server."""
    with hostile.hostile_server() as site:
        tables = []
        for name in ("coco", "cc12m", "mine"):
            site.files[f"{name}.zip"] = make_zip(
                tmp_path / f"{name}.zip", (f"{name}.txt", name.encode())
            ).read_bytes()
            tables.append(
                f'[{name}]\n[[{name}.files]]\nname = "{name}.zip"\nurls = ["{site.url(f"{name}.zip")}"]\nunpack = "."'
            )
        path = tmp_path / "own.toml"
        path.write_text("\n".join(tables), encoding="utf-8")
        yield str(path), site


@pytest.mark.s3
def test_datasets_are_downloaded_to_where_the_recipe_reads_them(s3, own_catalogue):
    path, site = own_catalogue
    data, names = f"{s3.uri}/data", ["coco", "cc12m", "mine"]
    for _ in range(2):  # a step that is tried again
        assert download.python_func(data, "1", names, path, "coco_folder") == data
        found = [name for name in storage.list_files(data) if name.endswith(".txt")]
        assert found == ["cc12m/cc12m.txt", "coco.txt", "mine.txt"]
        assert len(site.asked) == 3
    assert (
        download.python_func(f"{s3.uri}/tiny", "1", ["coco"], path, "tiny_world")
        == f"{s3.uri}/tiny"
    )
    assert storage.read_bytes(f"{s3.uri}/tiny/coco/coco.txt") == b"coco"


def test_nothing_to_download_gives_the_data_as_it_is(tmp_path, own_catalogue):
    path, site = own_catalogue
    for data in ("", "s3://no-such-bucket/data", str(tmp_path)):
        assert download.python_func(data, "", [], path, "coco_folder") == data
    assert download.python_func(str(tmp_path / "local"), "", ["coco"], path, "coco_folder") == str(
        tmp_path / "local"
    )
    assert (tmp_path / "local" / "coco.txt").read_bytes() == b"coco"
    assert len(site.asked) == 1


def test_a_registry_that_is_away_is_told_by_the_first_step(monkeypatch):
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", "model-registry:8080")
    assert _configured()
    with pytest.raises(
        ValueError, match="MODEL_REGISTRY_ADDRESS='model-registry:8080' is not of the form"
    ):
        _configured(registry="registry")


def test_given_data_is_not_drawn(tmp_path):
    assert draw_world.python_func("s3://b/d", str(tmp_path), "tiny_world", []) == "s3://b/d"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_data_steps(tmp_path):
    folder = str(tmp_path / "data")
    data = draw_world.python_func("", folder, "tiny_world", SETTINGS)
    parts = plan_shards.python_func(data, folder, "tiny_world", SETTINGS)
    assert len(parts) == 11
    names = [build_shard_set.python_func(part) for part in parts]
    assert set(names) == {
        d.set_name for d in (*tiny_world().shards.train, *tiny_world().shards.evaluation)
    }
    with pytest.raises(ValueError, match="built were"):
        merge_shards.python_func(folder, names[1:], Artifact(tmp_path / "wrong.json"))

    dataset = Artifact(tmp_path / "dataset.json")
    location = merge_shards.python_func(folder, names, dataset)
    index = shard_folder.read_index(location)
    content = json.loads(Path(dataset.path).read_text())
    assert content["uri"] == location
    assert (
        content["dataset_version"] == dataset.metadata["dataset_version"] == index.dataset_version
    )
    assert content["samples"]["train/coco"] == dataset.metadata["samples_train_coco"]
    assert content["shards"]["train/coco"] == {s.path: s.sha256 for s in index.sets["train/coco"]}
    assert all(
        type(value) in (str, float) for value in dataset.metadata.values()
    )  # KFP's metadata takes nothing else

    words = build_vocabulary.python_func(location, folder, "tiny_world", ["vocabulary.size=600"])
    assert words == build_vocabulary.python_func(
        location, folder, "tiny_world", ["vocabulary.size=600"]
    )
    assert storage.list_files(words)
    assert train_detector.vocabulary(folder, "tiny_world", ["vocabulary.size=700"]) != words


def _run_folder(tmp_path: Path) -> str:
    folder = tmp_path / "runs" / "abc"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"coco/AP": 0.5}))
    toys.write_bundle(folder / "model")
    return str(folder)


def test_gate_decision_and_register(tmp_path, monkeypatch):
    monkeypatch.delenv("OMNIDET_MODEL_REGISTRY", raising=False)
    run, registry, settings = (
        _run_folder(tmp_path),
        str(tmp_path / "registry"),
        ["register.name=toy"],
    )
    model, numbers = storage.join(run, "model"), train_detector.metrics(run)
    assert gate.python_func(numbers, registry, run, "tiny_world", settings) is True
    shown = Artifact(tmp_path / "decision.md")
    show_decision.python_func(run, shown)
    assert '"passed": true' in Path(shown.path).read_text()

    artifact = Artifact(tmp_path / "model.json")
    assert (
        register.python_func(model, numbers, registry, run, "tiny_world", settings, artifact)
        == "toy@1"
    )
    assert artifact.metadata["version"] == "toy@1"
    assert json.loads((Path(run) / "registered.json").read_text()) == json.loads(
        Path(artifact.path).read_text()
    )

    register.python_func(
        model, numbers, registry, run, "tiny_world", settings, artifact
    )  # a step that is tried again
    (Path(run) / "metrics.json").write_text(json.dumps({"coco/AP": 0.3}))
    assert gate.python_func(numbers, registry, run, "tiny_world", settings) is False


def test_a_champion_that_changed_after_the_gate_is_not_replaced(tmp_path):
    """Two runs passed against the same champion: the second to come has to be compared with the first."""
    registry, settings = str(tmp_path / "registry"), ["register.name=toy"]
    places = []
    for seed in (0, 1):
        run = tmp_path / "runs" / str(seed)
        run.mkdir(parents=True)
        toys.write_bundle(run / "model", seed)
        (run / "metrics.json").write_text(json.dumps({"coco/AP": 0.5}))
        assert (
            gate.python_func(
                train_detector.metrics(str(run)), registry, str(run), "tiny_world", settings
            )
            is True
        )
        places.append(str(run))
    first, second = (
        (
            storage.join(run, "model"),
            train_detector.metrics(run),
            registry,
            run,
            "tiny_world",
            settings,
        )
        for run in places
    )
    artifact = Artifact(tmp_path / "model.json")
    assert register.python_func(*first, artifact) == "toy@1"
    with pytest.raises(
        ValueError,
        match="toy@champion points to version 1, not to nothing as expected: compare toy@2 with",
    ):
        register.python_func(*second, artifact)
    assert not storage.exists(storage.join(places[1], "registered.json"))
    assert versions.aliases(registry, "toy") == {"champion": 1}


def test_the_model_registry_hears_of_the_run(tmp_path, monkeypatch):
    server, run = ModelRegistry("v1alpha3"), _run_folder(tmp_path)
    for name in ("OMNIDET_RUN_ID", "OMNIDET_RUN_NAME", "OMNIDET_RUN_NAMESPACE"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", server.address)
    monkeypatch.setattr(train_detector, "NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team\n")
    try:
        places = (
            storage.join(run, "model"),
            train_detector.metrics(run),
            str(tmp_path / "registry"),
            run,
        )
        register.python_func(
            *places,
            "tiny_world",
            ["register.name=toy"],
            Artifact(tmp_path / "model.json"),
            "weekly 7",
        )
    finally:
        server.stop()
    (artifact,) = server.artifacts[server.versions[0]["id"]]
    told = {key: artifact[f"modelSource{key}"] for key in ("Kind", "Class", "Group", "Id", "Name")}
    assert told == {
        "Kind": "kfp",
        "Class": "pipelinerun",
        "Group": "team",
        "Id": "abc",
        "Name": "weekly 7",
    }


def test_evaluate_writes_what_the_ui_shows(tmp_path, monkeypatch):
    class Result:
        values = {"coco/AP": 0.25, "lvis/AP": 0.125}

    monkeypatch.setattr(train_detector.train_detector, "evaluate", lambda *_: Result)
    monkeypatch.setattr(
        train_detector.train_detector,
        "write_report",
        lambda _m, _s, _e, out, _r: storage.write_text(out, "<html>page</html>"),
    )
    metrics, table, report = (Artifact(tmp_path / name) for name in ("metrics", "table", "report"))
    run = str(tmp_path / "run")
    assert evaluate.python_func(
        "m", "s", run, "tiny_world", [], metrics, table, report
    ) == train_detector.metrics(run)
    assert metrics.metadata == json.loads(Path(metrics.path).read_text()) == Result.values
    assert "| coco/AP | 0.250 |" in Path(table.path).read_text()
    assert Path(report.path).read_text() == "<html>page</html>"


def _train(run: str, **changes: Any) -> str:
    nodes = {**vars(NODES), **changes}
    return train.python_func("shards", "words", run, "tiny_world", ["train.steps=3"], **nodes)


def test_one_process_trains_in_this_one(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        train_detector.train_detector, "train", lambda *arguments: calls.append(arguments)
    )
    run = str(tmp_path / "w" / "runs" / "abc")
    assert _train(run) == f"{run}/model"
    assert calls == [
        (
            "shards",
            "words",
            f"{run}/model",
            config.override(tiny_world(), "train.steps=3"),
            str(tmp_path / "w" / "work"),
        )
    ]
    _train("s3://b/w/runs/abc", gpus_per_node=1)
    assert calls[1][4] is None


def test_several_processes_are_started_by_torchrun(tmp_path, monkeypatch):
    run, commands = _run_folder(tmp_path), []

    def ran(command: list[str]) -> Any:
        commands.append(command)
        return type("Ran", (), {"returncode": 0 if len(commands) == 1 else 3})

    monkeypatch.setattr(train_detector.subprocess, "run", ran)
    assert _train(run, gpus_per_node=4) == f"{run}/model"
    assert commands[0][1:7] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=4",
        "--max-restarts=3",
        "-m",
    ]
    assert commands[0][-1] == f"{run}/model"
    with pytest.raises(RuntimeError, match="exit code 3"):
        _train(run, gpus_per_node=4)


def test_several_nodes_need_a_cluster_and_an_object_store(tmp_path):
    with pytest.raises(ValueError, match=r"must be s3://"):
        _train(str(tmp_path / "runs" / "abc"), num_nodes=2)
    with pytest.raises(ValueError, match="set num_nodes to 1"):
        _train("s3://b/w/runs/abc", num_nodes=2)


def test_several_nodes_are_a_trainjob(monkeypatch):
    from components.trainjob import cluster
    from components.trainjob import job as trainjob

    jobs = []
    monkeypatch.setattr(cluster, "own_namespace", lambda: "omnidet")
    monkeypatch.setattr(trainjob, "run", lambda job, _, verify: jobs.append((job, verify)))
    monkeypatch.setattr(train_detector, "_check_detector", lambda _: None)
    tolerations = [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 30.0}]
    _train(
        "s3://b/w/runs/1b2c-3d",
        num_nodes=2,
        gpus_per_node=8,
        tolerations=tolerations,
        queue="omnidet",
    )
    ((job, _),) = jobs
    assert (job.run_id, job.namespace, job.num_nodes, job.gpus_per_node) == (
        "1b2c-3d",
        "omnidet",
        2,
        8,
    )
    assert job.command[:4] == ("torchrun", "-m", "omnidet.cli", "train")
    assert job.tolerations == ({"key": "gpu", "operator": "Exists", "tolerationSeconds": 30},)
    assert job.queue == "omnidet"
    spec = json.dumps(trainjob.manifest(job)["spec"])
    assert (
        '"secretKeyRef": {"name": "keys", "key": "AWS_SECRET_ACCESS_KEY", "optional": true}' in spec
    )


def test_half_a_detector_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        train_detector._check_detector(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="safetensors"):
        train_detector._check_detector(str(tmp_path))
