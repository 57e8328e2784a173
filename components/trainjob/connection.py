"""One connection to the Kubernetes API: outages and expired tokens are survived.

Objects are plain dicts with the names of the REST API (`ownerReferences`, not `owner_references`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from components.trainjob.say import say
from omnidet.http import RETRY_STATUSES, brief

Object = dict[str, Any]

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


class Connection:
    """Calls that are repeated while the API is away, from any thread.

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
        self._closed = threading.Event()
        self.patience_seconds = patience_seconds
        self.pause_seconds = pause_seconds
        self.request_seconds = request_seconds

    def close(self) -> None:
        """End the threads that use this connection: their next call raises SystemExit."""
        self._closed.set()

    def fresh(self) -> Self:
        """Another connection like this one, which shares nothing with it."""
        return type(self)(
            self._connect, self.patience_seconds, self.pause_seconds, self.request_seconds
        )

    def wait(self, seconds: float) -> None:
        """Sleep. Raises SystemExit once the connection is closed."""
        if self._closed.wait(seconds):
            raise SystemExit

    def call(
        self,
        what: str,
        request: Callable[[client.ApiClient], Any],
        patience_seconds: float | None = None,
    ) -> Any:
        """What the request returns. Each try that failed is one line, the last one an error.

        Args:
            what: for people, such as "reading TrainJob a/b".
        """
        patience = self.patience_seconds if patience_seconds is None else patience_seconds
        give_up_at = time.monotonic() + patience
        pause = self.pause_seconds
        while True:
            self.wait(0)
            try:
                api = self._api or self._connect()
                self._api = api
                return request(api)
            except ConfigException as error:
                raise ClusterError(f"{what}: no credentials for a cluster: {error}", 0) from error
            except (ApiException, HTTPError) as error:
                status = int(error.status or 0) if isinstance(error, ApiException) else 0
                if status == 401:
                    self._api = None
                may_pass = isinstance(error, HTTPError) or status in PASSING
                reason = f"{what}: {_reason(error)}"
                if not may_pass or time.monotonic() + pause > give_up_at:
                    raise ClusterError(reason, status) from error
            say(f"{reason}: trying again in {pause:g} s")
            self.wait(pause)
            pause = min(2 * pause, SLOWEST_RETRY_SECONDS)

    def call_or_none(
        self,
        what: str,
        request: Callable[[client.ApiClient], Any],
        patience_seconds: float | None = None,
    ) -> Object | None:
        """The object that a call returns, or None if it does not exist."""
        try:
            return dict(self.call(what, request, patience_seconds))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise


def _reason(error: ApiException | HTTPError) -> str:
    """What the server said, in one line."""
    if isinstance(error, HTTPError):
        return f"no answer ({brief(error)})"
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    return f"{error.status} {message}"
