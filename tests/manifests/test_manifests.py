"""The manifests as `kubectl apply -k` sends them, against the schemas of their objects."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from kubeflow_trainer_api import models

import omnidet
from components.trainjob.manifest import TrainJob, manifest
from pipelines import package, parameters
from tests.components.trainjob.schema import lost
from tests.manifests.conftest import (
    CLUSTER_WIDE,
    KUBERNETES,
    MANIFESTS,
    OVERLAYS,
    Object,
    containers,
    kustomize,
    objects,
    one,
    the_runtime,
)


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
    runtime = the_runtime(overlay[1])
    assert runtime["apiVersion"] == "trainer.kubeflow.org/v1alpha1"
    assert lost(models.TrainerV1alpha1TrainingRuntime, runtime) == []
    job_set = runtime["spec"]["template"]["spec"]
    assert "ttlSecondsAfterFinished" not in job_set
    assert job_set["failurePolicy"]["maxRestarts"] == 3  # a lost pod does not end the run
    (node,) = job_set["replicatedJobs"]
    assert node["name"] == "node"
    assert (
        node["template"]["metadata"]["labels"]["trainer.kubeflow.org/trainjob-ancestor-step"]
        == "trainer"
    )
    pod = node["template"]["spec"]["template"]
    # Kubernetes takes the pod inside.
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
    """Patches merge by name: one that finds no such name would add a container or volume."""
    runtime = the_runtime(overlay[1])
    image, name = "ghcr.io/omnidet/train:0.1.0", runtime["metadata"]["name"]
    job = manifest(TrainJob("run", "kubeflow", image, ("torchrun",), 60, name))
    assert job["spec"]["runtimeRef"] == {
        "apiGroup": runtime["apiVersion"].partition("/")[0],
        "kind": runtime["kind"],
        "name": name,
    }
    (base,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    (patch,) = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"][
        "replicatedJobs"
    ]
    assert patch["name"] == base["name"]
    patched, pod = (side["template"]["spec"]["template"]["spec"] for side in (patch, base))
    for key in ("containers", "volumes"):
        assert {item["name"] for item in patched[key]} <= {item["name"] for item in pod[key]}


@pytest.mark.parametrize("name", package.NAMES)
def test_what_a_comment_gives_to_the_pipeline_is_taken(name: str) -> None:
    spec = package.spec(package.path(name))
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(MANIFESTS.rglob("*.yaml")))
    given = re.findall(r"#.*(?:parameter|setting) ([\w.]+=[\w-]+)", text)
    assert given == ["job.queue=omnidet"]
    required = ["data=s3://bucket/data"]
    assert parameters.parse(spec, [*required, *given])["settings"] == given


def test_queues_refer_to_one_another(overlay: tuple[str, list[Object]]) -> None:
    """Kueue publishes no schema to use offline: its objects are checked for what links them."""
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


def test_only_known_kinds_are_installed(overlay: tuple[str, list[Object]]) -> None:
    known = {"v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"}
    checked_above = {
        "trainer.kubeflow.org/v1alpha1",
        "kueue.x-k8s.io/v1beta2",
        "serving.kserve.io/v1beta1",
    }
    assert {o["apiVersion"] for o in overlay[1]} <= known | checked_above


def test_objects_are_in_the_namespace_of_the_overlay(overlay: tuple[str, list[Object]]) -> None:
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
    for role in (o for o in built if o["kind"] == "Role"):
        for rule in role["rules"]:
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            assert not [value for values in rule.values() for value in values if "*" in value]
            assert not {"secrets", "pods/exec", "roles", "rolebindings"} & set(rule["resources"])
    accounts = {o["metadata"]["name"] for o in built if o["kind"] == "ServiceAccount"}
    for binding in (o for o in built if o["kind"] == "RoleBinding"):
        one(built, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            # Kubernetes refuses a ServiceAccount without a namespace; no schema says so.
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


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_shows_how_to_name_images_of_your_own(name: str, tmp_path: Path) -> None:
    """Or the reaper of whoever builds them waits for an image that no registry has."""
    copy = shutil.copytree(MANIFESTS, tmp_path / "manifests")
    file = copy / "overlays" / name / "kustomization.yaml"
    shown = r"^# (images:|  - name: ghcr|    new)"  # as a person would: remove the comment signs
    file.write_text(re.sub(shown, r"\1", file.read_text(), flags=re.MULTILINE))
    built = objects(kustomize(file.parent))
    images = {container["image"] for container in containers(built)}
    own = "registry.example.com/omnidet"
    assert images == {f"{own}/{kind}:{omnidet.__version__}" for kind in ("control", "train")}


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
    assert [o for o in written if o.get("kind") == "Secret"] == [template]


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
    """Non-root, no new privileges, no capabilities, and network policies that select the pods."""
    _, built = overlay
    reaper = one(built, "CronJob", "omnidet-reaper")["spec"]["jobTemplate"]["spec"]["template"]
    runtime = the_runtime(built)["spec"]["template"]["spec"]["replicatedJobs"][0]
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


def test_the_reaper_runs_a_module_that_exists(overlay: tuple[str, list[Object]]) -> None:
    pod = one(overlay[1], "CronJob", "omnidet-reaper")["spec"]["jobTemplate"]["spec"]["template"][
        "spec"
    ]
    program, dash_m, module = pod["containers"][0]["command"]
    assert (program, dash_m) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None
    one(overlay[1], "ServiceAccount", pod["serviceAccountName"])
