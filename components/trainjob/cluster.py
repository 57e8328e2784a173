"""What the launcher and the reaper ask of the Kubernetes API."""

from __future__ import annotations

from typing import Any

from kubernetes import client

from components.trainjob.connection import ClusterError, Connection, Object

GROUP = "trainer.kubeflow.org"
VERSION = "v1alpha1"
WORKFLOWS = "argoproj.io"
"""Group of the objects that KFP's runs are."""


class Cluster(Connection):
    """The few calls that are needed."""

    def check_runtime(self, namespace: str, name: str) -> None:
        """Raise ClusterError unless there is a TrainingRuntime of that name."""
        found = self._custom_object(
            f"reading TrainingRuntime {namespace}/{name}",
            "get_namespaced_custom_object",
            namespace,
            "trainingruntimes",
            name,
        )
        if found is None:
            raise ClusterError(
                f"there is no TrainingRuntime {namespace}/{name}: install Kubeflow Trainer 2.2 "
                "or newer and `kubectl apply -k` an overlay of manifests/",
                404,
            )

    def create_job(self, manifest: Object) -> None:
        """Create a TrainJob. If its name is taken, the ClusterError has status 409."""
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        self.call(
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
        found = self.call(
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

    def change_metadata(self, job: Object, changes: Object) -> None:
        """Merge these fields into the metadata of this very TrainJob; None removes one."""
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        patch = {"metadata": {"uid": job["metadata"]["uid"], **changes}}
        self.call(
            f"changing TrainJob {namespace}/{name}",
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
            self.call(
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

    def workflow(
        self, namespace: str, name: str, patience_seconds: float | None = None
    ) -> Object | None:
        """The Workflow of that name, which is a run of Kubeflow Pipelines, or None."""
        return self.call_or_none(
            f"reading Workflow {namespace}/{name}",
            lambda api: client.CustomObjectsApi(api).get_namespaced_custom_object(
                WORKFLOWS, "v1alpha1", namespace, "workflows", name,
                _request_timeout=self.request_seconds,
            ),
            patience_seconds,
        )  # fmt: skip

    def pod(
        self, namespace: str, name: str, patience_seconds: float | None = None
    ) -> Object | None:
        """The pod of that name, or None."""
        return self.call_or_none(
            f"reading pod {namespace}/{name}",
            lambda api: api.sanitize_for_serialization(
                client.CoreV1Api(api).read_namespaced_pod(
                    name, namespace, _request_timeout=self.request_seconds
                )
            ),
            patience_seconds,
        )

    def pods(self, namespace: str, job: str, patience_seconds: float | None = None) -> list[Object]:
        """The pods of a TrainJob, ordered by name."""
        found = self.call(
            f"listing pods of TrainJob {namespace}/{job}",
            lambda api: api.sanitize_for_serialization(
                client.CoreV1Api(api).list_namespaced_pod(
                    namespace, label_selector=_pods_of(job), _request_timeout=self.request_seconds
                )
            ),
            patience_seconds,
        )
        return sorted(found["items"], key=lambda pod: str(pod["metadata"]["name"]))

    def watch_pods(self, namespace: str, job: str, seconds: int) -> Any:
        """The pods of a TrainJob, and what becomes of them: an open response, whose lines are
        events.
        """
        query = [("labelSelector", _pods_of(job)), ("watch", "true"), ("timeoutSeconds", seconds)]
        return self._stream(
            f"watching pods of TrainJob {namespace}/{job}",
            f"/api/v1/namespaces/{namespace}/pods",
            query,
            read_seconds=seconds + self.request_seconds,
        )

    def warnings(
        self, namespace: str, job: str, patience_seconds: float | None = None
    ) -> list[Object]:
        """The warning events about a TrainJob and what was made from it."""
        found = self.call(
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
        return self._stream(
            f"reading the log of pod {namespace}/{pod}",
            f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
            [("container", "node"), *options.items()],
            read_seconds=2 * self.request_seconds,
        )

    def _stream(
        self, what: str, path: str, query: list[tuple[str, Any]], read_seconds: float
    ) -> Any:
        return self.call(
            what,
            lambda api: api.call_api(
                path,
                "GET",
                query_params=query,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(self.request_seconds, read_seconds),
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

        return self.call_or_none(what, request, patience_seconds)


def _pods_of(job: str) -> str:
    """Trainer makes a JobSet of the TrainJob's name, and JobSet labels its pods."""
    return f"jobset.sigs.k8s.io/jobset-name={job}"


def _is_of(name: str, job: str) -> bool:
    return name == job or name.startswith(f"{job}-")
