"""The manifests as `kubectl apply -k` would send them, against the schemas of the objects."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubeflow_trainer_api import models

import omnidet
from components.trainjob.manifest import TrainJob, manifest
from omnidet import cli
from omnidet.inference.detector import OmniDet
from omnidet.serving import server
from omnidet.serving.config import ServerConfig
from omnidet.serving.service import Service
from tests import toys
from tests.components.trainjob.schema import lost

Object = dict[str, Any]

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
OVERLAYS = {"local": "kubeflow", "cluster": "omnidet"}
KUBERNETES = "1.33"
CLUSTER_WIDE = {
    "ClusterQueue", "ClusterRole", "ClusterRoleBinding", "ClusterTrainingRuntime", "Namespace", "ResourceFlavor"
}  # fmt: skip


def objects(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document]


@functools.cache
def kustomize(folder: Path) -> str:
    """What a folder builds to, by the real tool."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize", str(folder)]
    elif found := shutil.which("kustomize"):
        command = [found, "build", str(folder)]
    else:
        pytest.skip("neither kubectl nor kustomize is installed here")
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


OPTIONS = {
    "cluster with Kueue": ("cluster", "overlays/cluster/kustomization.yaml", "LocalQueue"),
    "cluster with serving": (
        "cluster",
        "overlays/cluster/namespaced/kustomization.yaml",
        "InferenceService",
    ),
    "local with serving": (
        "local",
        "overlays/local/namespaced/kustomization.yaml",
        "InferenceService",
    ),
}
"""Overlay, the file that shows the option, and what the option brings."""


@pytest.fixture(params=[*OVERLAYS, *OPTIONS])
def overlay(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, list[Object]]:
    """Name and built objects of an overlay."""
    name = str(request.param)
    if name in OVERLAYS:
        return name, objects(kustomize(MANIFESTS / "overlays" / name))
    overlay, shown_in, brings = OPTIONS[name]
    copy = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, copy)
    file = copy / shown_in
    # The option as the file shows it: take the comment signs away.
    file.write_text(
        re.sub(
            r"^# (components:|  - (\.\./)+components/)", r"\1", file.read_text(), flags=re.MULTILINE
        )
    )
    built = objects(kustomize(copy / "overlays" / overlay))
    assert [item for item in built if item["kind"] == brings], (
        f"the overlay does not show how to add {brings}"
    )
    return overlay, built


def one(built: list[Object], kind: str, name: str) -> Object:
    (found,) = [o for o in built if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def containers(node: Any) -> Iterator[Object]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("containers", "initContainers"):
                yield from value
            yield from containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from containers(value)


@pytest.mark.slow
def test_core_objects_are_strictly_valid(overlay: tuple[str, list[Object]]) -> None:
    validated = set()
    for item in overlay[1]:
        if item["apiVersion"].partition("/")[0] not in (
            "trainer.kubeflow.org",
            "kueue.x-k8s.io",
            "serving.kserve.io",
        ):
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
            validated.add(item["kind"])
    assert {
        "ClusterRole",
        "ConfigMap",
        "CronJob",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    } <= validated


def test_the_validation_is_strict() -> None:
    wrong = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "a"},
        "automountToken": False,
    }
    with pytest.raises(kubernetes_validate.ValidationError, match="automountToken"):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_training_runtime_is_valid(overlay: tuple[str, list[Object]]) -> None:
    runtime = one(overlay[1], "ClusterTrainingRuntime", "omnidet-torch")
    assert runtime["apiVersion"] == "trainer.kubeflow.org/v1alpha1"
    assert lost(models.TrainerV1alpha1ClusterTrainingRuntime, runtime) == []
    job_set = runtime["spec"]["template"]["spec"]
    assert "ttlSecondsAfterFinished" not in job_set
    assert job_set["failurePolicy"]["maxRestarts"] >= 0
    (node,) = job_set["replicatedJobs"]
    assert node["name"] == "node"
    assert (
        node["template"]["metadata"]["labels"]["trainer.kubeflow.org/trainjob-ancestor-step"]
        == "trainer"
    )
    pod = node["template"]["spec"]["template"]
    # The pod inside is one that Kubernetes takes.
    whole = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", **pod["metadata"]},
        "spec": pod["spec"],
    }
    kubernetes_validate.validate(whole, KUBERNETES, strict=True)
    assert pod["spec"]["restartPolicy"] == "Never"
    (volume,) = pod["spec"]["volumes"]
    assert volume["emptyDir"]["medium"] == "Memory"
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "node"
    assert {"name": volume["name"], "mountPath": "/dev/shm"} in container["volumeMounts"]


def test_a_job_patches_what_the_runtime_has(overlay: tuple[str, list[Object]]) -> None:
    """Patches merge by name: one that meets no such name would add a container or volume instead of changing it."""
    job = manifest(TrainJob("run", "kubeflow", "ghcr.io/omnidet/train:0.1.0", ("torchrun",), 60))
    runtime = one(overlay[1], "ClusterTrainingRuntime", job["spec"]["runtimeRef"]["name"])
    (base,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    (patch,) = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"][
        "replicatedJobs"
    ]
    assert patch["name"] == base["name"]
    patched, pod = (side["template"]["spec"]["template"]["spec"] for side in (patch, base))
    for key in ("containers", "volumes"):
        assert {item["name"] for item in patched[key]} <= {item["name"] for item in pod[key]}


def test_queues_refer_to_one_another(overlay: tuple[str, list[Object]]) -> None:
    """Kueue's schemas are not to be had offline: its objects are checked for what ties them together."""
    queues = [o for o in overlay[1] if o["apiVersion"] == "kueue.x-k8s.io/v1beta2"]
    if not queues:
        return
    local, queue, flavor = (one(queues, kind, name) for kind, name in (
        ("LocalQueue", "omnidet"), ("ClusterQueue", "omnidet"), ("ResourceFlavor", "omnidet-gpu")
    ))  # fmt: skip
    assert local["spec"] == {"clusterQueue": queue["metadata"]["name"]}
    assert local["metadata"]["namespace"] == OVERLAYS[overlay[0]]
    assert set(flavor["spec"]) == {"nodeLabels"}
    (group,) = queue["spec"]["resourceGroups"]
    assert [f["name"] for f in group["flavors"]] == [flavor["metadata"]["name"]]
    assert [r["name"] for r in group["flavors"][0]["resources"]] == group["coveredResources"]


KSERVE_FIELDS = {
    "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "containerConcurrency", "timeout", "canaryTrafficPercent",
    "logger", "batcher", "labels", "annotations", "deploymentStrategy",
}  # fmt: skip
"""Of a predictor beside those of a pod: ComponentExtensionSpec of kserve/kserve, pkg/apis/serving/v1beta1/component.go."""


def test_the_server_is_one_that_kserve_and_omnidet_take(
    overlay: tuple[str, list[Object]], tmp_path: Path
) -> None:
    """KServe's schema is not to be had offline, but what it makes of the service is: a Deployment of that pod."""
    services = [o for o in overlay[1] if o["kind"] == "InferenceService"]
    if not services:
        return
    (service,) = services
    assert set(service) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(service["spec"]) == {"predictor"}
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", service["metadata"]["name"])
    predictor = service["spec"]["predictor"]
    assert 0 < predictor["minReplicas"] <= predictor["maxReplicas"]
    spec = {key: value for key, value in predictor.items() if key not in KSERVE_FIELDS}
    metadata = {"name": "p", "labels": predictor["labels"]}
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        KUBERNETES,
        strict=True,
    )
    one(overlay[1], "ServiceAccount", spec["serviceAccountName"])
    (container,) = spec["containers"]
    assert container["name"] == "kserve-container"  # the one that KServe sends requests to
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/work", "/tmp"}
    policy = one(overlay[1], "NetworkPolicy", "omnidet-serving")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= predictor["labels"].items()

    # The program takes these arguments, listens where the probes look, and stops sooner than it is killed.
    program, *arguments = [*container["command"], *container["args"]]
    options = cli._parser().parse_args(arguments)
    assert (program, options.command, options.host) == ("omnidet", "serve", "0.0.0.0")
    assert {port["containerPort"] for port in container["ports"]} == {options.port}
    assert [rule["port"] for rule in policy["ingress"][0]["ports"]] == [options.port]
    served = {route.path for route in server.application(_service(options)).routes}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == options.port
        assert container[probe]["httpGet"]["path"] in served
    assert predictor["terminationGracePeriodSeconds"] > server.STOP_SECONDS
    variables = {variable["name"]: variable for variable in container["env"]}
    config = one(overlay[1], "ConfigMap", "omnidet-object-store")["data"]
    for key in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        assert variables[key]["valueFrom"]["configMapKeyRef"]["name"] == "omnidet-object-store"
        assert key in config


def _service(options: Any) -> Service:
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    return Service(detector, options.name, "1", ServerConfig(options.host, options.port))


def test_only_known_kinds_are_installed(overlay: tuple[str, list[Object]]) -> None:
    known = {"v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"}
    checked_above = {
        "trainer.kubeflow.org/v1alpha1",
        "kueue.x-k8s.io/v1beta2",
        "serving.kserve.io/v1beta1",
    }
    assert {o["apiVersion"] for o in overlay[1]} <= known | checked_above


def test_objects_stand_in_the_namespace_of_the_overlay(overlay: tuple[str, list[Object]]) -> None:
    name, built = overlay
    for item in built:
        expected = None if item["kind"] in CLUSTER_WIDE else OVERLAYS[name]
        assert item["metadata"].get("namespace") == expected, (
            f"{item['kind']} {item['metadata']['name']}"
        )


def test_rights_are_few_and_go_to_accounts_that_are_named(
    overlay: tuple[str, list[Object]],
) -> None:
    name, built = overlay
    for role in (o for o in built if o["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            assert not [value for values in rule.values() for value in values if "*" in value]
            assert not {"secrets", "pods/exec", "roles", "rolebindings"} & set(rule["resources"])
        if role["kind"] == "ClusterRole":
            assert {verb for rule in role["rules"] for verb in rule["verbs"]} <= {
                "get",
                "list",
                "watch",
            }
    accounts = {o["metadata"]["name"] for o in built if o["kind"] == "ServiceAccount"}
    for binding in (o for o in built if o["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        one(built, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            # Kubernetes refuses a ServiceAccount without a namespace, which no schema says.
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", OVERLAYS[name])
            assert subject["name"] in {
                *accounts,
                "pipeline-runner" if name == "local" else "default-editor",
            }


def test_images_have_a_full_tag_that_is_named_once(overlay: tuple[str, list[Object]]) -> None:
    found = {container["image"] for container in containers(overlay[1])}
    served = {"serve"} if [o for o in overlay[1] if o["kind"] == "InferenceService"] else set()
    assert found == {
        f"ghcr.io/omnidet/{name}:{omnidet.__version__}" for name in {"control", "train", *served}
    }
    for file in MANIFESTS.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert "latest" not in text
        names_a_tag = re.search(r"image: .*(:\S+|@\S+)$", text, re.MULTILINE)
        assert not names_a_tag, f"{file} names a tag: `images:` of a kustomization sets it"


def test_no_secret_has_a_value(overlay: tuple[str, list[Object]]) -> None:
    assert not [o for o in overlay[1] if o["kind"] == "Secret"]
    (template,) = objects(
        (MANIFESTS / "base/object-store-secret.template.yaml").read_text(encoding="utf-8")
    )
    kubernetes_validate.validate(template, KUBERNETES, strict=True)
    assert set(template["stringData"].values()) == {""}
    written = [
        o for file in MANIFESTS.rglob("*.yaml") for o in objects(file.read_text(encoding="utf-8"))
    ]
    assert [o for o in written if o["kind"] == "Secret"] == [template]


def test_the_launcher_of_kfp_reads_the_secret_that_the_template_shows() -> None:
    config = one(objects(kustomize(MANIFESTS / "overlays/cluster")), "ConfigMap", "kfp-launcher")
    (template,) = objects(
        (MANIFESTS / "base/object-store-secret.template.yaml").read_text(encoding="utf-8")
    )
    reference = yaml.safe_load(config["data"]["providers"])["s3"]["default"]["credentials"][
        "secretRef"
    ]
    assert reference["secretName"] == template["metadata"]["name"]
    assert {reference["accessKeyKey"], reference["secretKeyKey"]} == set(template["stringData"])


def test_pods_are_bounded(overlay: tuple[str, list[Object]]) -> None:
    """Non-root, no new privileges, no capabilities; and the network policies meet the labels that the pods have."""
    name, built = overlay
    del name
    reaper = one(built, "CronJob", "omnidet-reaper")["spec"]["jobTemplate"]["spec"]["template"]
    runtime = one(built, "ClusterTrainingRuntime", "omnidet-torch")["spec"]["template"]["spec"][
        "replicatedJobs"
    ][0]
    for pod, policy in (
        (reaper, "omnidet-reaper"),
        (runtime["template"]["spec"]["template"], "omnidet-training"),
    ):
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        selector = one(built, "NetworkPolicy", policy)["spec"]["podSelector"]["matchLabels"]
        assert selector.items() <= pod["metadata"]["labels"].items()


def test_the_reaper_runs_what_there_is(overlay: tuple[str, list[Object]]) -> None:
    pod = one(overlay[1], "CronJob", "omnidet-reaper")["spec"]["jobTemplate"]["spec"]["template"][
        "spec"
    ]
    assert pod["containers"][0]["command"] == ["python", "-m", "components.trainjob.reaper"]
    one(overlay[1], "ServiceAccount", pod["serviceAccountName"])
