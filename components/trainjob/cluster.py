"""The Kubernetes API for the launcher and the reaper: outages and expired tokens are survived.

Objects are plain dicts with the names of the REST API (`ownerReferences`, not `owner_references`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from omnidet.http import RETRY_STATUSES

Object = dict[str, Any]

GROUP = "trainer.kubeflow.org"
VERSION = "v1alpha1"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SLOWEST_RETRY_SECONDS = 30.0
PASSING = frozenset({401, *RETRY_STATUSES})
"""Statuses that another try may change; 401 means a token that expired while this process ran."""


class ClusterError(RuntimeError):
    """The API refused a call, or did not answer for too long.

    Attributes:
        status: HTTP status; 0 if there was no response.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_outage(self) -> bool:
        """Whether the API was away, rather than saying no."""
        return self.status == 0 or self.status in PASSING


def connect() -> client.ApiClient:
    """A client with the credentials of this pod or, outside of pods, of the kubeconfig."""
    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)
    except ConfigException:
        config.load_kube_config(client_configuration=configuration)
    return client.ApiClient(configuration)


def own_namespace() -> str | None:
    """The namespace of this pod; None outside of a pod."""
    file = SERVICE_ACCOUNT / "namespace"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


class Cluster:
    """The few calls that are needed, each repeated while the API is away.

    Args:
        connect: makes a client with fresh credentials; called again when the old ones have expired.
        patience_seconds: how long a call is repeated before it is given up.
        pause_seconds: before the first repetition; doubles each time, up to half a minute.
        request_seconds: how long to wait for one response.
    """

    def __init__(
        self,
        connect: Callable[[], client.ApiClient] = connect,
        patience_seconds: float = 600,
        pause_seconds: float = 2,
        request_seconds: float = 30,
    ) -> None:
        self._connect = connect
        self._api: client.ApiClient | None = None
        self.patience_seconds = patience_seconds
        self.pause_seconds = pause_seconds
        self.request_seconds = request_seconds

    def check_runtime(self, name: str) -> None:
        """Raise ClusterError unless there is a ClusterTrainingRuntime of that name."""
        found = self._custom_object(
            f"reading ClusterTrainingRuntime {name}",
            "get_cluster_custom_object",
            "clustertrainingruntimes",
            name,
        )
        if found is None:
            raise ClusterError(
                f"the cluster has no ClusterTrainingRuntime {name}: install Kubeflow Trainer 2.2 "
                "or newer and `kubectl apply -k` an overlay of manifests/",
                404,
            )

    def create_job(self, manifest: Object) -> None:
        """Create a TrainJob. If its name is taken, the ClusterError has status 409."""
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        self._call(
            f"creating TrainJob {namespace}/{name}",
            lambda api: client.CustomObjectsApi(api).create_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                "trainjobs",
                manifest,
                _request_timeout=self.request_seconds,
            ),
        )

    def job(
        self, namespace: str, name: str, patience_seconds: float | None = None
    ) -> Object | None:
        """The TrainJob of that name, or None."""
        return self._custom_object(
            f"reading TrainJob {namespace}/{name}",
            "get_namespaced_custom_object",
            namespace,
            "trainjobs",
            name,
            patience_seconds=patience_seconds,
        )

    def jobs(self, namespace: str, selector: str) -> list[Object]:
        """The TrainJobs with these labels."""
        found = self._call(
            f"listing TrainJobs of {namespace}",
            lambda api: client.CustomObjectsApi(api).list_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                "trainjobs",
                label_selector=selector,
                _request_timeout=self.request_seconds,
            ),
        )
        return list(found["items"])

    def set_owners(self, job: Object, owners: list[Object]) -> None:
        """Make these objects, and no others, the owners of a TrainJob."""
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        patch = {"metadata": {"uid": job["metadata"]["uid"], "ownerReferences": owners}}
        self._call(
            f"adopting TrainJob {namespace}/{name}",
            lambda api: client.CustomObjectsApi(api).patch_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                "trainjobs",
                name,
                patch,
                _request_timeout=self.request_seconds,
            ),
        )

    def delete_job(self, job: Object, patience_seconds: float | None = None) -> None:
        """Delete this very TrainJob; its pods end after it. A job that is gone already is not an
        error.

        In the background, because a job that waits for its pods to go loses its condition `Failed`,
        and Trainer 2.3 starts it again.
        """
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        uid = {"uid": job["metadata"]["uid"]}
        try:
            self._call(
                f"deleting TrainJob {namespace}/{name}",
                lambda api: client.CustomObjectsApi(api).delete_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    namespace,
                    "trainjobs",
                    name,
                    body={"propagationPolicy": "Background", "preconditions": uid},
                    _request_timeout=self.request_seconds,
                ),
                patience_seconds,
            )
        except ClusterError as error:
            if error.status not in (404, 409):  # 409: another object has the name by now
                raise

    def pod(self, namespace: str, name: str) -> Object | None:
        """The pod of that name, or None."""
        return self._call_or_none(
            f"reading pod {namespace}/{name}",
            lambda api: api.sanitize_for_serialization(
                client.CoreV1Api(api).read_namespaced_pod(
                    name, namespace, _request_timeout=self.request_seconds
                )
            ),
        )

    def pods(self, namespace: str, job: str, patience_seconds: float | None = None) -> list[Object]:
        """The pods of a TrainJob, ordered by name."""
        # Trainer makes a JobSet of the TrainJob's name, and JobSet labels its pods.
        selector = f"jobset.sigs.k8s.io/jobset-name={job}"
        found = self._call(
            f"listing pods of TrainJob {namespace}/{job}",
            lambda api: api.sanitize_for_serialization(
                client.CoreV1Api(api).list_namespaced_pod(
                    namespace, label_selector=selector, _request_timeout=self.request_seconds
                )
            ),
            patience_seconds,
        )
        return sorted(found["items"], key=lambda pod: str(pod["metadata"]["name"]))

    def warnings(
        self, namespace: str, job: str, patience_seconds: float | None = None
    ) -> list[Object]:
        """The warning events about a TrainJob and what was made from it."""
        found = self._call(
            f"listing events of {namespace}",
            lambda api: api.sanitize_for_serialization(
                client.CoreV1Api(api).list_namespaced_event(
                    namespace, field_selector="type=Warning", _request_timeout=self.request_seconds
                )
            ),
            patience_seconds,
        )
        return [
            event
            for event in found["items"]
            if _is_of(str(event["involvedObject"].get("name", "")), job)
        ]

    def log(self, namespace: str, pod: str, **options: Any) -> Any:
        """The log of a pod's container `node`: an open response, to be read as a stream and closed.

        Args:
            options: query parameters of the REST API. `sinceTime` is one that the generated method
                for logs does not know, so the generic one is called.
        """
        query = [("container", "node"), *options.items()]
        return self._call(
            f"reading the log of pod {namespace}/{pod}",
            lambda api: api.call_api(
                f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
                "GET",
                query_params=query,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(self.request_seconds, 2 * self.request_seconds),
            ),
            patience_seconds=0,
        )

    def _custom_object(
        self, what: str, method: str, *path: str, patience_seconds: float | None = None
    ) -> Object | None:
        """An object of Kubeflow Trainer, or None."""

        def request(api: client.ApiClient) -> Any:
            call = getattr(client.CustomObjectsApi(api), method)
            return call(GROUP, VERSION, *path, _request_timeout=self.request_seconds)

        return self._call_or_none(what, request, patience_seconds)

    def _call_or_none(
        self,
        what: str,
        request: Callable[[client.ApiClient], Any],
        patience_seconds: float | None = None,
    ) -> Object | None:
        """The object that a call returns, or None if it does not exist."""
        try:
            return dict(self._call(what, request, patience_seconds))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def _call(
        self,
        what: str,
        request: Callable[[client.ApiClient], Any],
        patience_seconds: float | None = None,
    ) -> Any:
        patience = self.patience_seconds if patience_seconds is None else patience_seconds
        give_up_at = time.monotonic() + patience
        pause = self.pause_seconds
        while True:
            try:
                if self._api is None:
                    self._api = self._connect()
                return request(self._api)
            except ConfigException as error:
                raise ClusterError(f"{what}: no credentials for a cluster: {error}", 0) from error
            except (ApiException, HTTPError) as error:
                status = int(error.status or 0) if isinstance(error, ApiException) else 0
                if status == 401:
                    self._api = None
                may_pass = isinstance(error, HTTPError) or status in PASSING
                if not may_pass or time.monotonic() + pause > give_up_at:
                    raise ClusterError(f"{what}: {_reason(error)}", status) from error
            time.sleep(pause)
            pause = min(2 * pause, SLOWEST_RETRY_SECONDS)


def _is_of(name: str, job: str) -> bool:
    return name == job or name.startswith(f"{job}-")


def _reason(error: ApiException | HTTPError) -> str:
    """What the server said, in one line."""
    if isinstance(error, HTTPError):
        return f"no answer ({error})"
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    return f"{error.status} {message}"
