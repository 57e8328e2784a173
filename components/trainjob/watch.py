"""The pods of a TrainJob while they live, for the diagnosis when they are gone.

JobSet removes the pods of a failed try within a second, and their logs with them. So a thread
watches the pods, and another one for each pod keeps the last lines of its log.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from contextlib import closing
from typing import Any

from urllib3.exceptions import HTTPError

from components.trainjob import pods
from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError, Object
from components.trainjob.pods import LOG_LINES, Seen, whole_lines
from components.trainjob.say import say

WATCH_SECONDS = 300
"""How long one response lasts; the next one begins with all pods as they are then."""
SETTLE_SECONDS = 10
"""How long the log of a pod that has ended is waited for."""
MOST_FOLLOWED = 32
"""Logs that are followed at once. Of more pods, the log is read when a container has ended."""


class PodWatch:
    """Keeps what was last seen of each pod of a job, in threads of its own, until it is left.

    Args:
        pause_seconds: between two connections.
    """

    def __init__(self, cluster: Cluster, namespace: str, job: str, pause_seconds: float) -> None:
        self._cluster, self._namespace, self._job = cluster, namespace, job
        self._pause_seconds = pause_seconds
        self._seen: dict[str, Seen] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"pods of {job}", daemon=True)

    def __enter__(self) -> PodWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop: what arrives from now on is not looked at."""
        self._ended.set()

    def seen(self) -> list[Seen]:
        """All pods so far, in the order in which they appeared."""
        with self._lock:
            return list(self._seen.values())

    def report(self, patience_seconds: float = 60) -> str:
        """What a person needs to see first of a job that failed."""
        problems, warnings = [], []
        try:
            for pod in self._cluster.pods(self._namespace, self._job, patience_seconds):
                self.take(pod)
            warnings = self._cluster.warnings(self._namespace, self._job, patience_seconds)
        except ClusterError as error:
            problems = [f"(there may be more: {error})"]
        for seen in self.seen():
            if seen.reader and pods.has_ended(seen.pod):
                seen.reader.join(SETTLE_SECONDS)
        return "\n".join([pods.report(self.seen(), warnings), *problems])

    def take(self, pod: Object, is_gone: bool = False) -> None:
        """Note a pod as it is now."""
        uid = str(pod["metadata"]["uid"])
        with self._lock:
            if uid not in self._seen and pods.is_stuck(pod):
                return  # of the job before, on a node that is gone
            seen = self._seen.setdefault(uid, Seen(pod))
            seen.pod, seen.is_gone = pod, seen.is_gone or is_gone
            if seen.order is None and pods.is_ending(pod):
                seen.order = next(self._numbers)
                seen.was_asked = not pods.has_ended(pod)
            if not self._ended.is_set() and not is_gone and self._should_read(seen):
                seen.reader = threading.Thread(target=self._follow, args=(seen,), daemon=True)
                seen.reader.start()

    def _should_read(self, seen: Seen) -> bool:
        if seen.is_read or (seen.reader and seen.reader.is_alive()):
            return False
        if pods.has_ended(seen.pod):
            return True
        reading = sum(bool(one.reader and one.reader.is_alive()) for one in self._seen.values())
        return pods.is_running(seen.pod) and reading < MOST_FOLLOWED

    def _follow(self, seen: Seen) -> None:
        """Keep the last lines, as they come, until the container has ended."""
        while not self._ended.is_set():
            try:
                self._read(seen)
            except SystemExit:  # the connection was closed
                return
            except (ClusterError, HTTPError, OSError) as error:
                seen.problem = str(error)
            else:
                seen.is_read = pods.has_ended(seen.pod)
            if pods.has_ended(seen.pod) or seen.is_gone:
                return
            self._ended.wait(self._pause_seconds)

    def _read(self, seen: Seen) -> None:
        name, lines = str(seen.pod["metadata"]["name"]), deque[str](maxlen=LOG_LINES)
        options: dict[str, Any] = {"follow": "true", "tailLines": LOG_LINES}
        with closing(self._cluster.log(self._namespace, name, **options)) as response:
            for line in whole_lines(response, keep_rest=True):
                lines.append(line)
                seen.lines = lines
                if self._ended.is_set():
                    return

    def _watch(self) -> None:
        is_told = False
        while not self._ended.is_set():
            try:
                self._connect()
            except SystemExit:  # the connection was closed
                return
            except (ClusterError, HTTPError, OSError, ValueError) as error:
                if not is_told and not self._ended.is_set():
                    say(f"the pods of {self._job} are not watched for now: {error}")
                is_told = True
            self._ended.wait(self._pause_seconds)

    def _connect(self) -> None:
        cluster, seconds = self._cluster, WATCH_SECONDS
        with closing(cluster.watch_pods(self._namespace, self._job, seconds)) as response:
            for line in whole_lines(response, keep_rest=False):
                if self._ended.is_set():
                    return
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                    self.take(event["object"], event["type"] == "DELETED")
