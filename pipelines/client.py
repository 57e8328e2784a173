"""Upload and run on a Kubeflow Pipelines server: a thin layer over `kfp.Client`.

It exists because `kfp run create --watch` exits with 0 when the run failed, and never ends when the
run was cancelled. `schedules` does the same for recurring runs.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry

from omnidet.http import RETRY_STATUSES, brief, connections

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})


class ServerError(RuntimeError):
    """The server is away, refuses, or lacks what was asked for; one line with the remedy.

    Attributes:
        may_pass: whether the same may succeed later.
    """

    def __init__(self, message: str, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


@dataclass(frozen=True)
class Server:
    """Where the server is, and as whom to talk to it.

    Attributes:
        namespace: of the profile; None on a server without profiles.
        token_file: read again for each connection, because tokens of service accounts change while
            a run is waited for.
        ui_host: where people see the UI, if that is not at `host`.
    """

    host: str
    namespace: str | None = None
    token: str | None = None
    token_file: Path | None = None
    ui_host: str | None = None

    def connect(self) -> Any:
        """A `kfp.Client`. Raises ServerError within seconds if no Kubeflow Pipelines answers."""
        token = self._read_token()
        self._probe(token)
        from kfp.client import Client

        # It repeats each failed call by itself, with a warning each time: `wait` says it once.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore", FutureWarning)  # "works only with KFP 2", each time
            return Client(
                host=self.host, namespace=self.namespace or "kubeflow", existing_token=token
            )

    def url(self, kind: str, identity: str) -> str:
        """Page of a run or schedule in the UI."""
        return f"{(self.ui_host or self.host).rstrip('/')}/#/{kind}/details/{identity}"

    def log(self, run_id: str, node: str) -> str | None:
        """The log of a node of a run; None if the server does not have it or does not answer.

        The SDK has no call for it: it is what the UI asks.
        """
        token = self._read_token()
        url = f"{self.host.rstrip('/')}/apis/v1alpha1/runs/{run_id}/nodes/{node}/log"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = connections(url).request(
                "GET", url, headers=headers, timeout=30, retries=Retry(2, redirect=5, status=0)
            )
        except HTTPError:
            return None
        return response.data.decode(errors="replace") if response.status == 200 else None

    def _read_token(self) -> str | None:
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ServerError(
                f"token file {self.token_file} cannot be read: {error.strerror}"
            ) from error

    def _probe(self, token: str | None) -> None:
        """Ask once: `kfp.Client` would try for half a minute and end with a page of traceback."""
        url = f"{self.host.rstrip('/')}/apis/v2beta1/healthz"
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"host {self.host!r} is not a URL: give one with http:// or https://")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = connections(url).request(
                "GET", url, headers=headers, timeout=15, retries=Retry(0, redirect=5)
            )
            if response.status >= 400:
                may_pass = response.status in RETRY_STATUSES
                raise ServerError(_refused(url, response.status, response.reason), may_pass)
            response.json()
        except HTTPError as error:
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            raise ServerError(
                f"no Kubeflow Pipelines at {self.host} ({brief(cause)}): "
                "check --host or KFP_ENDPOINT",
                may_pass=True,
            ) from error
        except ValueError as error:
            raise ServerError(
                f"{url} answers with a page, not with JSON: the host wants a login; give a token"
            ) from error


@dataclass(frozen=True)
class Uploaded:
    """One version of a pipeline on the server."""

    pipeline_id: str
    version_id: str


@dataclass(frozen=True)
class Job:
    """A run as it is asked for, once or again and again.

    Attributes:
        name: of the run, or of the recurring run.
        experiment: by name; made if it does not exist.
        parameters: of the pipeline, those that differ from the defaults.
    """

    pipeline: Uploaded
    experiment: str
    name: str
    parameters: Mapping[str, Any]


def explain(error: Exception) -> str:
    """One line about a call that the server refused or did not answer."""
    if isinstance(error, ApiException):
        return _refused("the server says", error.status, _message(error))
    return f"the server does not answer ({type(error).__name__}): check --host or KFP_ENDPOINT"


@dataclass(frozen=True)
class Package:
    """What is uploaded: a compiled pipeline, as the server is to call and describe it.

    Attributes:
        description: Markdown that the UI shows beside the pipeline and its version; the server does
            not take it from the file.
    """

    file: Path
    name: str
    version: str
    description: str = ""


def upload(client: Any, namespace: str | None, package: Package) -> Uploaded:
    """The named pipeline and this version of it; uploaded unless they exist."""
    with contextlib.redirect_stdout(io.StringIO()):  # links that lead to the API's address
        return _upload(client, namespace, package)


def _upload(client: Any, namespace: str | None, package: Package) -> Uploaded:
    name, version, file = package.name, package.version, str(package.file)
    pipeline = _pipeline_id(client, namespace, name)
    if pipeline is None:
        try:
            made = client.upload_pipeline(
                file, pipeline_name=name, description=package.description, namespace=namespace
            )
            pipeline = str(made.pipeline_id)
        except ApiException as error:
            if error.status != 409:
                raise
            pipeline = _pipeline_id(client, namespace, name)  # someone else was faster
            if pipeline is None:
                raise ServerError(
                    f"the server has a pipeline {name!r} that you may not see: "
                    "choose another --name"
                ) from error
    try:
        made = client.upload_pipeline_version(
            file, version, pipeline_id=pipeline, description=package.description
        )
    except ApiException as error:
        if error.status != 409:
            raise
        return Uploaded(pipeline, _version_id(client, pipeline, version))
    return Uploaded(pipeline, str(made.pipeline_version_id))


def submit(client: Any, namespace: str | None, job: Job) -> str:
    """Start a run and return its id."""
    with contextlib.redirect_stdout(io.StringIO()):  # links that lead to the API's address
        experiment = client.create_experiment(job.experiment, namespace=namespace)
        made = client.run_pipeline(
            experiment.experiment_id,
            job.name,
            params=dict(job.parameters),
            pipeline_id=job.pipeline.pipeline_id,
            version_id=job.pipeline.version_id,
        )
    return str(made.run_id)


def wait(
    connect: Callable[[], Any],
    run_id: str,
    timeout_seconds: float,
    poll_seconds: float = 10,
    patience_seconds: float = 600,
    look: Callable[[Any], None] | None = None,
    say: Callable[[str], None] = print,
) -> Any:
    """Wait until a run has ended, in whatever state, and return it.

    Args:
        connect: makes a client, again when the token has expired.
        patience_seconds: how long the server may stay away.
        look: gets the run each time that the server was asked.
        say: gets a line when the server goes away, and when it is back.

    Raises ServerError after `timeout_seconds`, and what the client raised if the server stays away.
    """
    client, is_away = None, False
    started = answered = time.monotonic()
    while True:
        try:
            client = client or connect()
            run = client.get_run(run_id)
        except (ApiException, HTTPError, ServerError) as error:
            status = getattr(error, "status", None)
            if not _may_pass(error) or time.monotonic() - answered > patience_seconds:
                raise
            if not is_away and status != 401:
                said = str(error) if isinstance(error, ServerError) else explain(error)
                say(f"the server is away, which the run does not mind: {said}")
                is_away = True
            time.sleep(poll_seconds)
            if status == 401:  # the token has expired
                client = None
            continue
        answered = time.monotonic()
        if is_away:
            say("the server answers again")
            is_away = False
        if look is not None:
            look(run)
        if run.state in ENDED:
            return run
        if answered - started > timeout_seconds:
            raise ServerError(
                f"run {run_id} is {run.state} after {timeout_seconds:.0f} s and goes on: "
                f"see `status {run_id}`"
            )
        time.sleep(poll_seconds)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, ServerError):
        return error.may_pass
    status = getattr(error, "status", None)
    return status is None or status in {401, *RETRY_STATUSES}


def named(name: str) -> str:
    """The filter of a list call that lets only this name through."""
    return json.dumps(
        {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    )


def _pipeline_id(client: Any, namespace: str | None, name: str) -> str | None:
    page = client.list_pipelines(page_size=100, namespace=namespace, filter=named(name))
    return next((str(p.pipeline_id) for p in page.pipelines or [] if p.display_name == name), None)


def _version_id(client: Any, pipeline: str, version: str) -> str:
    page = client.list_pipeline_versions(pipeline, page_size=100, filter=named(version))
    for found in page.pipeline_versions or []:
        if found.display_name == version:
            return str(found.pipeline_version_id)
    raise ServerError(
        f"the server says that version {version} exists, but does not show it: delete it in the UI"
    )


def _refused(what: str, status: int, reason: object) -> str:
    remedy = {
        401: ": give a valid token with --token-file or KFP_TOKEN",
        403: ": the token's account may not do this in the namespace; check --namespace",
        404: ": it does not exist",
    }
    return f"{what}: {status} {' '.join(str(reason).split())}{remedy.get(status, '')}"


def _message(error: ApiException) -> str:
    try:
        content = json.loads(error.body)
        keys = ("error_message", "message", "error")
        return str(next((content[key] for key in keys if content.get(key)), error.reason))
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)
