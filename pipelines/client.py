"""Upload, run and schedule on a Kubeflow Pipelines server. A thin layer over `kfp.Client`, for what that leaves open:

`kfp run create --watch` exits with 0 when the run failed and waits for ever when it was cancelled, and a schedule cannot be
updated.
"""

from __future__ import annotations

import json
import re
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
    """The server is away, refuses, or does not have what was asked for; one line with the remedy."""


@dataclass(frozen=True)
class Server:
    """Where and as whom.

    Attributes:
        namespace: of the profile; None on a server without profiles.
        token_file: read anew for each connection, as tokens of service accounts change while a run is waited for.
    """

    host: str
    namespace: str | None = None
    token: str | None = None
    token_file: Path | None = None

    def connect(self) -> Any:
        """A `kfp.Client`. Raises ServerError within seconds if no Kubeflow Pipelines answers."""
        token = self.token
        if self.token_file is not None:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ServerError(
                    f"token file {self.token_file} cannot be read: {error.strerror}"
                ) from error
        self._probe(token)
        from kfp.client import Client

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # "works with KFP 2 and later": it is told so each time
            return Client(
                host=self.host, namespace=self.namespace or "kubeflow", existing_token=token
            )

    def _probe(self, token: str | None) -> None:
        """`kfp.Client` tries for half a minute, and ends with a page of traceback."""
        url = f"{self.host.rstrip('/')}/apis/v2beta1/healthz"
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"host {self.host!r} is no URL: give one with http:// or https://")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = connections(url).request(
                "GET", url, headers=headers, timeout=15, retries=Retry(0, redirect=5)
            )
            if response.status >= 400:
                raise ServerError(_refused(url, response.status, response.reason))
            response.json()
        except HTTPError as error:
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            raise ServerError(
                f"no Kubeflow Pipelines at {self.host} ({brief(cause)}): "
                "check --host or KFP_ENDPOINT"
            ) from error
        except ValueError as error:
            raise ServerError(
                f"{url} answers with a page, not with JSON: the host wants a login; give a token"
            ) from error

    def url(self, kind: str, identity: str) -> str:
        """Page of a run or schedule in the UI."""
        return f"{self.host.rstrip('/')}/#/{kind}/details/{identity}"


def explain(error: Exception) -> str:
    """One line for a call that the server refused or did not answer."""
    if isinstance(error, ApiException):
        return _refused("the server says", error.status, _message(error))
    return f"the server does not answer ({type(error).__name__}): check --host or KFP_ENDPOINT"


def upload(
    client: Any, namespace: str | None, name: str, version: str, package: Path
) -> tuple[str, str]:
    """Ids of the named pipeline and of this version of it; made where they are not there."""
    pipeline = _pipeline_id(client, namespace, name)
    if pipeline is None:
        try:
            pipeline = client.upload_pipeline(
                str(package), pipeline_name=name, namespace=namespace
            ).pipeline_id
        except ApiException as error:
            if error.status != 409:
                raise
            pipeline = _pipeline_id(client, namespace, name)  # another one was faster
            if pipeline is None:
                raise ServerError(
                    f"the server has a pipeline {name!r} that you may not see: choose another --name"
                ) from error
    try:
        made = client.upload_pipeline_version(str(package), version, pipeline_id=pipeline)
    except ApiException as error:
        if error.status != 409:
            raise
        return pipeline, _version_id(client, pipeline, version)
    return pipeline, made.pipeline_version_id


def submit(
    client: Any, namespace: str | None, pipeline: tuple[str, str], experiment: str, name: str, values: Mapping[str, Any],
    enable_caching: bool | None = None,
) -> str:  # fmt: skip
    """Start a run of the pipeline (id and version id) and return its id."""
    place = client.create_experiment(experiment, namespace=namespace)
    made = client.run_pipeline(
        place.experiment_id, name, params=dict(values), pipeline_id=pipeline[0], version_id=pipeline[1],
        enable_caching=enable_caching,
    )  # fmt: skip
    return str(made.run_id)


def wait(
    connect: Callable[[], Any],
    run_id: str,
    timeout_seconds: float,
    poll_seconds: float = 10,
    patience_seconds: float = 600,
) -> Any:
    """The run when it has ended, whatever way. Raises ServerError after `timeout_seconds`, or if the server stays away."""
    client, state = connect(), None
    started = answered = time.monotonic()
    while True:
        try:
            run = client.get_run(run_id)
            answered = time.monotonic()
        except (ApiException, HTTPError) as error:
            status = getattr(error, "status", None)
            if (
                status is not None and status not in {401, *RETRY_STATUSES}
            ) or time.monotonic() - answered > patience_seconds:
                raise
            time.sleep(poll_seconds)
            if status == 401:  # the token has expired
                client = connect()
            continue
        if run.state != state:
            state = run.state
            print(f"run {run_id}: {state or 'PENDING'}", flush=True)
        if state in ENDED:
            return run
        if time.monotonic() - started > timeout_seconds:
            raise ServerError(
                f"run {run_id} is {state} after {timeout_seconds:.0f} s and goes on: see `status {run_id}`"
            )
        time.sleep(poll_seconds)


def why(run: Any) -> str:
    """What a run that did not succeed says of itself, in one line."""
    said = [run.error.message] if getattr(run, "error", None) and run.error.message else []
    details = getattr(run, "run_details", None)
    for task in (details.task_details if details else None) or []:
        if task.state == "FAILED":
            message = task.error.message if task.error and task.error.message else "failed"
            said.append(f"{task.display_name}: {message}")
    return " ".join("; ".join(said).split()) or "the server gives no reason: see the run's page"


def schedule(
    client: Any, namespace: str | None, pipeline: tuple[str, str], experiment: str, name: str, cron: str,
    values: Mapping[str, Any], max_concurrency: int = 1,
) -> tuple[str, str]:  # fmt: skip
    """Make the recurring run `name` what is given here; returns its id and `unchanged`, `created` or `replaced`.

    Recurring runs cannot be updated. The new one is there before the old one goes: what fails in between leaves a schedule.
    """
    check_cron(cron)
    place = client.create_experiment(experiment, namespace=namespace)
    wanted = {
        "cron": cron,
        "pipeline": pipeline,
        "experiment": place.experiment_id,
        "parameters": dict(values),
        "max_concurrency": str(max_concurrency),
        "no_catchup": True,
        "mode": "ENABLE",
    }
    found = [job for job in _recurring_runs(client, namespace, name) if job.display_name == name]
    equal = [job for job in found if _facts(job) == wanted]
    if equal:
        kept, what = str(equal[0].recurring_run_id), "unchanged"
    else:
        made = client.create_recurring_run(
            place.experiment_id, name, cron_expression=cron, max_concurrency=max_concurrency, no_catchup=True,
            params=dict(values), pipeline_id=pipeline[0], version_id=pipeline[1], enabled=True,
        )  # fmt: skip
        kept, what = str(made.recurring_run_id), "replaced" if found else "created"
    for job in found:
        if job.recurring_run_id != kept:
            client.delete_recurring_run(job.recurring_run_id)
            what = "replaced" if what == "unchanged" else what
    return kept, what


CRON_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 6),
)


def check_cron(cron: str) -> None:
    """Raise ValueError unless the expression has KFP's six fields, seconds first."""
    fields = cron.split()
    if len(fields) == 5:
        raise ValueError(f'cron {cron!r} has 5 fields: KFP wants seconds first, as "0 {cron}"')
    if len(fields) != 6:
        raise ValueError(
            f'cron {cron!r} has {len(fields)} fields: KFP wants 6, seconds first, as "0 0 3 * * *"'
        )
    for field, (name, least, most) in zip(fields, CRON_FIELDS, strict=True):
        for number in re.findall(r"(?<![/\d])\d+", field):
            if not least <= int(number) <= most:
                raise ValueError(f"cron {cron!r}: {name} {number} is not from {least} to {most}")


def _facts(job: Any) -> dict[str, Any]:
    version, cron = (
        job.pipeline_version_reference,
        job.trigger.cron_schedule if job.trigger else None,
    )
    return {
        "cron": cron.cron if cron else None,
        "pipeline": (version.pipeline_id, version.pipeline_version_id) if version else None,
        "experiment": job.experiment_id,
        "parameters": (job.runtime_config.parameters if job.runtime_config else None) or {},
        "max_concurrency": str(job.max_concurrency),
        "no_catchup": job.no_catchup,
        "mode": job.mode,
    }


def _recurring_runs(client: Any, namespace: str | None, name: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        page = client.list_recurring_runs(
            page_token=token, page_size=100, namespace=namespace, filter=_equals(name)
        )
        found += page.recurring_runs or []
        token = page.next_page_token
        if not token:
            return found


def _pipeline_id(client: Any, namespace: str | None, name: str) -> str | None:
    page = client.list_pipelines(page_size=100, namespace=namespace, filter=_equals(name))
    return next((str(p.pipeline_id) for p in page.pipelines or [] if p.display_name == name), None)


def _version_id(client: Any, pipeline: str, version: str) -> str:
    page = client.list_pipeline_versions(pipeline, page_size=100, filter=_equals(version))
    for found in page.pipeline_versions or []:
        if found.display_name == version:
            return str(found.pipeline_version_id)
    raise ServerError(
        f"the server says that version {version} exists, and does not show it: delete it in the UI"
    )


def _equals(name: str) -> str:
    return json.dumps(
        {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
    )


def _refused(what: str, status: int, reason: object) -> str:
    remedy = {
        401: ": give a valid token with --token-file or KFP_TOKEN",
        403: ": the token's account may not do this in the namespace; check --namespace",
        404: ": it is not there",
    }
    return f"{what}: {status} {' '.join(str(reason).split())}{remedy.get(status, '')}"


def _message(error: ApiException) -> str:
    try:
        content = json.loads(error.body)
        return str(
            content.get("error_message")
            or content.get("message")
            or content.get("error")
            or error.reason
        )
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)
