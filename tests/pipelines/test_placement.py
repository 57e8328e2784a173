"""What each step gets from the cluster."""

from __future__ import annotations

import yaml

from components.run.training import RUNTIME
from omnidet import s3_client
from pipelines import package

UNCACHED = {"configure", "gate", "show-decision", "register"}


def test_each_step_is_tried_again_and_ends_some_time(tasks):
    for name, entry in tasks.items():
        assert entry["task"]["retryPolicy"]["maxRetryCount"] == 2, name
        assert int(entry["kubernetes"]["activeDeadlineSeconds"]) >= 3600, name
    assert int(tasks["download"]["kubernetes"]["activeDeadlineSeconds"]) == 48 * 3600


def test_each_step_says_that_it_does_not_run_as_root(tasks):
    """Namespaces that enforce the Pod Security Standard `restricted` ask for it."""
    for name, entry in tasks.items():
        assert entry["kubernetes"]["securityContext"] == {"runAsNonRoot": True}, name


def test_only_what_depends_on_the_outside_is_not_cached(tasks):
    cached = {
        name for name, entry in tasks.items() if entry["task"]["cachingOptions"].get("enableCache")
    }
    assert cached == set(tasks) - UNCACHED


def test_each_step_finds_the_object_store_by_reference(tasks):
    for name, entry in tasks.items():
        (secret,) = entry["kubernetes"]["secretAsEnv"]
        settings, *others = entry["kubernetes"]["configMapAsEnv"]
        keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        assert _variables(secret) == keys, name
        told = {"AWS_ENDPOINT_URL", "AWS_REGION", s3_client.CERTIFICATES}
        assert _variables(settings) == told, name
        more = set().union(*(_variables(other) for other in others))
        knows_registry = name in ("configure", "register")
        told = {"MODEL_REGISTRY_ADDRESS"} if knows_registry else set()
        assert more == ({RUNTIME} if name == "train" else told), name
        assert all(given["optional"] for given in (secret, settings, *others)), name
        assert "env" not in entry["container"], name  # it would replace what DockerRunner passes on


def test_a_retraining_tells_the_model_registry_what_it_registered():
    first, platform = yaml.safe_load_all(package.path("retrain").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    know_registry = {
        name
        for name, entry in executors.items()
        for given in entry["configMapAsEnv"]
        if "MODEL_REGISTRY_ADDRESS" in _variables(given)
    }
    assert know_registry == {"exec-notice-new-data", "exec-register-retrained"}
    assert know_registry <= set(first["deploymentSpec"]["executors"])


def test_training_and_evaluation_are_placed_by_parameters(tasks):
    for name, entry in tasks.items():
        own = entry["kubernetes"]
        if name not in ("train", "evaluate"):
            assert not {"emptyDirMounts", "nodeSelector", "tolerations"} & set(own), name
            assert "resources" not in entry["container"], name
            continue
        mount = {"medium": "Memory", "mountPath": "/dev/shm", "volumeName": "dshm"}
        assert own["emptyDirMounts"] == [mount]
        assert "nodeSelectorJson" in own["nodeSelector"]
        assert "tolerationJson" in own["tolerations"][0]
        resources = entry["container"]["resources"]
        assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
        assert "memory" in resources["resourceMemoryLimit"]


def test_gpus_are_a_text_which_alone_the_driver_reads_as_a_limit():
    """KFP's driver takes `GetStringValue()` of the parameter: a number would be no limit."""
    for pipeline in ("train_detector", "retrain"):
        spec = package.spec(package.path(pipeline))
        limits = 0
        for component in [spec["root"], *spec["components"].values()]:
            for task in component.get("dag", {}).get("tasks", {}).values():
                given = task.get("inputs", {}).get("parameters", {})
                if "accelerator_count" in given:
                    limits += 1
                    channel = given["accelerator_count"]["runtimeValue"]["constant"].split("'")[1]
                    output = given[channel]["taskOutputParameter"]
                    producer = component["dag"]["tasks"][output["producerTask"]]
                    made = spec["components"][producer["componentRef"]["name"]]
                    kind = made["outputDefinitions"]["parameters"][output["outputParameterKey"]]
                    assert kind["parameterType"] == "STRING", (pipeline, channel)
        assert limits == 2, pipeline


def _variables(given: dict) -> set[str]:
    return {pair["envVar"] for pair in given["keyToEnv"]}
