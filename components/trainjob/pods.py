"""Why the pods of a TrainJob failed or do not start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from urllib3.exceptions import HTTPError

from components.trainjob.cluster import Cluster, ClusterError, Object

LOG_LINES = 200
"""How many last lines of each failed pod the report has."""
HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Why a container waits that waiting hardly helps: a wrong image name, a missing secret."""


def hopeless(pods: list[Object]) -> str | None:
    """Why a pod cannot start, if it waits for something that will hardly come."""
    for pod in pods:
        for status in _containers(pod):
            waiting = status.get("state", {}).get("waiting") or {}
            if waiting.get("reason") in HOPELESS:
                message = waiting.get("message", "no message")
                return f"pod {pod['metadata']['name']}: {waiting['reason']}: {message}"
    return None


def failure_report(cluster: Cluster, namespace: str, job: str, patience_seconds: float = 60) -> str:
    """What a person needs to see first.

    Exit codes and reasons of all pods, warnings, and the last log lines of every pod that failed.
    """
    try:
        pods = cluster.pods(namespace, job, patience_seconds)
        warnings = cluster.warnings(namespace, job, patience_seconds)
    except ClusterError as error:
        return f"(the reason is unknown: {error})"
    lines = ["no pods are left to ask"]
    if pods:
        lines = ["pods:", *(f"  {_pod_line(pod)}" for pod in pods)]
    if warnings:
        lines.append("warnings:")
        lines += [
            f"  {event['involvedObject'].get('name')}: {event.get('reason')}: {_message(event)}"
            for event in warnings
        ]
    for pod in pods:
        if _has_failed(pod):
            lines.append(f"last lines of {pod['metadata']['name']}:")
            lines += _last_lines(cluster, namespace, pod)
    return "\n".join(lines)


def whole_lines(response: Any, keep_rest: bool) -> Iterator[str]:
    """The lines of a stream.

    Args:
        keep_rest: whether to yield what follows the last line end. It may be half a line, which a
            later connection gets in full.
    """
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if keep_rest and rest:
        yield rest.decode(errors="replace")


def _last_lines(cluster: Cluster, namespace: str, pod: Object) -> list[str]:
    name = pod["metadata"]["name"]
    try:
        with closing(cluster.log(namespace, name, tailLines=LOG_LINES)) as response:
            return [f"  {line}" for line in whole_lines(response, keep_rest=True)]
    except (ClusterError, HTTPError, OSError) as error:
        return [f"  (no log: {error})"]


def _pod_line(pod: Object) -> str:
    status = pod.get("status", {})
    said = [status.get("phase", "?")]
    said += [
        str(status[key]) for key in ("reason", "message") if status.get(key)
    ]  # such as Evicted
    for container in _containers(pod):
        name = container["name"]
        for state, details in container.get("state", {}).items():
            reason = details.get("reason", "no reason")
            if state == "terminated":
                said.append(f"{name} exit code {details.get('exitCode')} ({reason})")
            elif state == "waiting":
                said.append(f"{name} waits: {reason}: {details.get('message', '')}")
    return f"{pod['metadata']['name']}: {', '.join(said)}"


def _has_failed(pod: Object) -> bool:
    ended = [container.get("state", {}).get("terminated") for container in _containers(pod)]
    return pod["status"].get("phase") == "Failed" or any(
        state and state.get("exitCode") for state in ended
    )


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _message(event: Object) -> str:
    count = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
    return " ".join(str(event.get("message", "")).split()) + count
