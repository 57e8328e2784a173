"""The served champion: what KServe and OmniDet take of the manifest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate

from omnidet import cli, s3_client
from omnidet.inference.detector import OmniDet
from omnidet.serving import server
from omnidet.serving.config import ServerConfig
from omnidet.serving.service import Service
from tests import toys
from tests.manifests.conftest import KUBERNETES, Object, one

KSERVE_FIELDS = {
    *("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "containerConcurrency"),
    *("timeout", "canaryTrafficPercent", "logger", "batcher", "labels", "annotations"),
    "deploymentStrategy",
}
"""Fields of a predictor besides those of a pod.

ComponentExtensionSpec of kserve/kserve, pkg/apis/serving/v1beta1/component.go.
"""


def test_kserve_and_omnidet_take_the_server(
    overlay: tuple[str, list[Object]], tmp_path: Path
) -> None:
    """KServe publishes no schema to use offline, but for what it makes there is one: a pod."""
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

    # The program takes these arguments, listens where the probes look, and stops in time.
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
    for key in ("AWS_ENDPOINT_URL", "AWS_REGION", s3_client.CERTIFICATES):
        assert variables[key]["valueFrom"]["configMapKeyRef"]["name"] == "omnidet-object-store"
        assert key in config or variables[key]["valueFrom"]["configMapKeyRef"]["optional"]


def _service(options: Any) -> Service:
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    return Service(detector, options.name, "1", ServerConfig(options.host, options.port))
