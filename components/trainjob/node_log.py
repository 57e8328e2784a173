"""The log of node 0 of a TrainJob, printed as it grows."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from urllib3.exceptions import HTTPError

from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError, Object
from components.trainjob.pods import whole_lines
from components.trainjob.say import say


class NodeLog:
    """Prints the log of node 0 in a thread of its own until it is stopped.

    A stream that ends says nothing about the job: connections drop, nodes vanish, and a restarted
    job has a new pod. So the thread connects again, from the time of the last line it has seen.

    Args:
        pause_seconds: between two connections.
        write: gets each line without its end.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        job: str,
        pause_seconds: float,
        write: Callable[[str], None] = say,
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
        """Print what has not been printed yet, and stop; at once if this process is to end."""
        self._ended.set()
        if kind is not None and not issubclass(kind, Exception):
            return
        self._thread.join(timeout=self._pause_seconds)
        try:
            self._connect(follow=False)
        except (ClusterError, HTTPError, OSError) as error:
            say(f"the end of the log of {self._job} could not be read: {error}", sys.stderr)

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._connect(follow=True)
            except SystemExit:  # the connection was closed
                return
            except (ClusterError, HTTPError, OSError) as error:
                has_started = getattr(error, "status", 0) != 400  # 400: the container has not yet
                if has_started and not self._ended.is_set():
                    say(f"log of {self._job}: connecting again ({error})", sys.stderr)
            self._ended.wait(self._pause_seconds)

    def _connect(self, follow: bool) -> None:
        pod = self._node_0()
        if pod is None:
            return
        if pod != self._pod:
            if self._pod is not None:
                self._write(f"--- node 0 was started again as {pod} ---")
            self._pod, self._last_time, self._lines_at_last_time = pod, "", set()
        options: dict[str, Any] = {"timestamps": "true"}
        if follow:
            options["follow"] = "true"
        if self._last_time:
            options["sinceTime"] = self._last_time
        with closing(self._cluster.log(self._namespace, pod, **options)) as response:
            for line in whole_lines(response, keep_rest=not follow):
                if follow and self._ended.is_set():
                    return
                self._take(line)

    def _take(self, line: str) -> None:
        """Print a line unless it was printed before.

        A server sends the whole second of the last line again.
        """
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


def _node_number(pod: Object) -> str | None:
    metadata = pod["metadata"]
    key = "batch.kubernetes.io/job-completion-index"
    return (metadata.get("labels") or {}).get(key) or (metadata.get("annotations") or {}).get(key)


def _is_time(text: str) -> bool:
    return re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) is not None


def _sortable(time: str) -> str:
    """The time with all nine digits of its fraction.

    RFC 3339 leaves out trailing zeros, and so times do not sort as text.
    """
    fraction = re.match(r"\.(\d+)", time[19:])
    return time[:19] + (fraction.group(1) if fraction else "").ljust(9, "0")
