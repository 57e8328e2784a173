"""What the pods of a TrainJob say: the log of node 0 as it grows, and why pods failed or do not start."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from urllib3.exceptions import HTTPError

from components.trainjob.cluster import Cluster, ClusterError, Object

LOG_LINES = 200
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
"""Reasons for which a container waits and that hardly pass by themselves: a wrong image name, a missing secret."""


class NodeLog:
    """Prints the log of node 0 in a thread of its own until it is stopped.

    A stream that ends says nothing about the job: connections drop, nodes vanish, a restarted job has a new pod. So the
    thread connects again, from the time of the last line that it has seen.

    Args:
        write: gets each line without its end.
        pause_seconds: between two connections.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        job: str,
        pause_seconds: float,
        write: Callable[[str], None] = print,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._job = job
        self._pause_seconds = pause_seconds
        self._write = write
        self._pod: str | None = None
        self._last_time = ""
        self._lines_at_last_time: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log of {job}", daemon=True)

    def __enter__(self) -> NodeLog:
        """Start to print."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Print what has not been printed yet, and stop; at once where the process itself is being stopped."""
        self._ended.set()
        if kind is not None and not issubclass(kind, Exception):
            return
        self._thread.join(timeout=self._pause_seconds)
        try:
            self._connect(follow=False)
        except (ClusterError, HTTPError, OSError) as error:
            print(
                f"the end of the log of {self._job} could not be read: {error}",
                file=sys.stderr,
                flush=True,
            )

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._connect(follow=True)
            except (ClusterError, HTTPError, OSError) as error:
                if (
                    not self._ended.is_set() and getattr(error, "status", 0) != 400
                ):  # 400: the container has not started yet
                    print(
                        f"log of {self._job}: connecting again ({error})",
                        file=sys.stderr,
                        flush=True,
                    )
            self._ended.wait(self._pause_seconds)

    def _connect(self, follow: bool) -> None:
        pod = self._node_0()
        if pod is None:
            return
        if pod != self._pod:
            if self._pod is not None:
                self._write(f"--- node 0 is started again as {pod} ---")
            self._pod, self._last_time, self._lines_at_last_time = pod, "", set()
        options: dict[str, Any] = {"timestamps": "true"}
        if follow:
            options["follow"] = "true"
        if self._last_time:
            options["sinceTime"] = self._last_time
        with closing(self._cluster.log(self._namespace, pod, **options)) as response:
            for line in _whole_lines(response, keep_rest=not follow):
                if follow and self._ended.is_set():
                    return
                self._take(line)

    def _take(self, line: str) -> None:
        """Print a line unless it came before: a server resends the whole second in which the last line stood."""
        time, space, text = line.partition(" ")
        if not space and not _is_time(time):
            time, text = self._last_time, line
        with self._lock:
            if self._last_time and _sortable(time) < _sortable(self._last_time):
                return
            if time == self._last_time and text in self._lines_at_last_time:
                return
            if time != self._last_time:
                self._last_time, self._lines_at_last_time = time, set()
            self._lines_at_last_time.add(text)
            self._write(text)

    def _node_0(self) -> str | None:
        """The newest pod of node 0 that has or had a container."""
        found = [
            pod
            for pod in self._cluster.pods(self._namespace, self._job, patience_seconds=0)
            if _node_number(pod) == "0"
            and pod["status"].get("phase") in ("Running", "Succeeded", "Failed")
        ]
        newest = max(
            found, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None
        )
        return None if newest is None else str(newest["metadata"]["name"])


def hopeless(pods: list[Object]) -> str | None:
    """Why a pod cannot start, if one waits for something that hardly comes."""
    for pod in pods:
        for status in _containers(pod):
            waiting = status.get("state", {}).get("waiting") or {}
            if waiting.get("reason") in HOPELESS:
                message = waiting.get("message", "no message")
                return f"pod {pod['metadata']['name']}: {waiting['reason']}: {message}"
    return None


def failure_report(cluster: Cluster, namespace: str, job: str, patience_seconds: float = 60) -> str:
    """Exit codes, reasons, the last log lines of every failed pod, and warnings: what a person needs to see first."""
    try:
        pods = cluster.pods(namespace, job, patience_seconds)
        warnings = cluster.warnings(namespace, job, patience_seconds)
    except ClusterError as error:
        return f"(why cannot be told: {error})"
    lines = (
        ["pods:"] + [f"  {_pod_line(pod)}" for pod in pods] if pods else ["no pods are left to ask"]
    )
    if warnings:
        lines.append("warnings:")
        lines += [
            f"  {event['involvedObject'].get('name')}: {event.get('reason')}: {_message(event)}"
            for event in warnings
        ]
    for pod in pods:
        if _has_failed(pod):
            lines += [
                f"last lines of {pod['metadata']['name']}:",
                *_last_lines(cluster, namespace, pod),
            ]
    return "\n".join(lines)


def _last_lines(cluster: Cluster, namespace: str, pod: Object) -> list[str]:
    try:
        with closing(
            cluster.log(namespace, pod["metadata"]["name"], tailLines=LOG_LINES)
        ) as response:
            return [f"  {line}" for line in _whole_lines(response, keep_rest=True)]
    except (ClusterError, HTTPError, OSError) as error:
        return [f"  (no log: {error})"]


def _pod_line(pod: Object) -> str:
    status = pod.get("status", {})
    said = [status.get("phase", "?")]
    said += [
        str(status[key]) for key in ("reason", "message") if status.get(key)
    ]  # such as Evicted
    for container in _containers(pod):
        for state, details in container.get("state", {}).items():
            if state == "terminated":
                said.append(
                    f"{container['name']} exit code {details.get('exitCode')} ({details.get('reason', 'no reason')})"
                )
            elif state == "waiting":
                said.append(
                    f"{container['name']} waits: {details.get('reason')}: {details.get('message', '')}"
                )
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


def _node_number(pod: Object) -> str | None:
    metadata = pod["metadata"]
    key = "batch.kubernetes.io/job-completion-index"
    return (metadata.get("labels") or {}).get(key) or (metadata.get("annotations") or {}).get(key)


def _whole_lines(response: Any, keep_rest: bool) -> Iterator[str]:
    """Lines of a stream. What stands behind the last line end may be half a line: it comes again with the next connection."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if keep_rest and rest:
        yield rest.decode(errors="replace")


def _is_time(text: str) -> bool:
    return re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) is not None


def _sortable(time: str) -> str:
    """RFC 3339 leaves out trailing zeros of a second's fraction, so that times do not sort as text."""
    fraction = re.match(r"\.(\d+)", time[19:])
    return time[:19] + (fraction.group(1) if fraction else "").ljust(9, "0")
