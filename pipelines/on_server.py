"""The commands that talk to a server: submit, schedule, status and stop."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pipelines import checks, client, ending, package, parameters, progress, run_steps, schedules

NOT_REGISTERED = 3
"""Exit code with --fail-if-refused, as that of `run-local`."""
UNKNOWN = 2
"""Exit code with --fail-if-refused if no log tells what the gate decided: it may have refused."""


def submit(options: argparse.Namespace) -> int:
    """Upload the pipeline and run it; wait for its end unless told otherwise."""
    given = _given(options)
    server = _server(options)
    connection = server.connect()
    with _cached(given, options.no_cache) as chosen:
        uploaded = client.upload(connection, server.namespace, chosen)
    what = f"{chosen.name} {chosen.version}"
    run_name = options.run_name or what
    job = client.Job(uploaded, options.experiment, run_name, given.parameters)
    run_id = client.submit(connection, server.namespace, job)
    url = server.url("runs", run_id)
    say = _sayer(options)
    say(f"run {run_id} of {what}: {url}")
    if options.no_wait:
        if options.json:
            print(json.dumps({"run_id": run_id, "url": url}))
        return 0
    with _leaving(options, run_id, url):
        look = progress.Progress(say).look
        run = client.wait(server.connect, run_id, options.timeout, options.poll, look=look, say=say)
        return _end(options, server, run)


def schedule(options: argparse.Namespace) -> int:
    """Upload the pipeline and make its recurring run what is wanted."""
    schedules.check(options.cron, options.max_concurrency)
    given = _given(options)
    server = _server(options)
    connection = server.connect()
    uploaded = client.upload(connection, server.namespace, given.package)
    job = client.Job(
        uploaded, options.experiment, options.schedule_name or given.package.name, given.parameters
    )
    wanted = schedules.Schedule(job, options.cron, options.max_concurrency)
    identity, what = schedules.schedule(connection, server.namespace, wanted)
    url = server.url("recurringrun", identity)
    print(f"schedule {job.name} of {given.package.name} {given.package.version} {what}: {url}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Show a run and its steps as they stand."""
    server = _server(options)
    run = server.connect().get_run(options.run_id)
    say = _sayer(options)
    for step in run_steps.steps(run):
        if run.state not in client.ENDED or step.state not in ("WAITING", "RUNNING"):
            say(_shown(step))
    if run.state in client.ENDED:
        return _end(options, server, run)
    if options.json:
        _print_json(server, ending.Ended(run.run_id, run.state, _steps(run), {}, None))
    else:
        print(f"run {run.run_id}: {run.state}")
    return 0


def stop(options: argparse.Namespace) -> int:
    """Terminate a run, as the button of the UI does."""
    server = _server(options)
    connection = server.connect()
    run = connection.get_run(options.run_id)
    if run.state in client.ENDED:
        print(f"run {run.run_id} has ended already: {run.state}")
        return 0
    connection.terminate_run(run.run_id)
    print(f"run {run.run_id} is being stopped: {server.url('runs', run.run_id)}")
    return 0


def _end(options: argparse.Namespace, server: client.Server, run: Any) -> int:
    """Print what became of a run, and return the exit code."""
    ended = ending.ended(run, lambda node: server.log(run.run_id, node))
    is_refused = ended.outcome is not None and ended.outcome.kind == "refused"
    if options.json:
        _print_json(server, ended)
    elif ended.state != "SUCCEEDED":
        print(f"run {ended.run_id}: {ended.state}: {ended.why}", file=sys.stderr)
    else:
        if ended.outcome is not None:
            print(ended.outcome)
        print(f"run {ended.run_id}: SUCCEEDED")
    if ended.state != "SUCCEEDED":
        return 1
    if ended.outcome is None:
        print(
            f"run {ended.run_id}: whether the gate refused the detector is not known, for the "
            f"server gives no log that says it: see {server.url('runs', ended.run_id)}",
            file=sys.stderr,
        )
        return UNKNOWN if options.fail_if_refused else 0
    return NOT_REGISTERED if is_refused and options.fail_if_refused else 0


def _print_json(server: client.Server, ended: ending.Ended) -> None:
    told = ended.outcome
    content: dict[str, Any] = {
        "run_id": ended.run_id,
        "url": server.url("runs", ended.run_id),
        "state": ended.state,
        "outcome": told.kind if told else None,
        "outcome_text": told.text if told else None,
        "failed": ended.failed,
        "why": None if ended.state != "FAILED" else ended.why,
        "steps": [
            {"name": step.name, "state": step.state, "tries": step.tries, "seconds": step.seconds}
            for step in ended.steps
        ],
    }
    if told is not None and told.kind == "registered":
        content["version"] = told.text.partition(",")[0]
    print(json.dumps(content))


def _steps(run: Any) -> tuple[run_steps.Step, ...]:
    return tuple(run_steps.steps(run))


def _shown(step: run_steps.Step) -> str:
    took = "" if step.seconds is None else f" {step.seconds:.0f} s"
    said = f" ({progress.waits(step)})" if step.state == "WAITING" and step.message else ""
    tries = f", try {step.tries}" if step.tries > 1 else ""
    return f"{step.name:24} {step.state.lower()}{took}{tries}{said}"


def _sayer(options: argparse.Namespace) -> Any:
    """Prints a line for people: with --json to stderr, because stdout holds one JSON object."""
    file = sys.stderr if options.json else sys.stdout
    return lambda line: print(line, file=file, flush=True)


@contextmanager
def _leaving(options: argparse.Namespace, run_id: str, url: str) -> Iterator[None]:
    """On ^C and SIGTERM, say that the run goes on, how to look at it and how to stop it."""
    to_server = ""
    for option, variable in (("host", "KFP_ENDPOINT"), ("token_file", "KFP_TOKEN_FILE")):
        value = getattr(options, option)
        if value and str(value) != os.environ.get(variable):  # the next command lacks it
            to_server += f" --{option.replace('_', '-')} {shlex.quote(str(value))}"

    def leave(number: int, _: object) -> NoReturn:
        print(
            f"pipelines submit: stopped watching; run {run_id} goes on: see "
            f"`python -m pipelines status {run_id}{to_server}`, and stop it with "
            f"`python -m pipelines stop {run_id}{to_server}` or Terminate at {url}",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class _Given:
    """What a command line asks for, checked before anything is sent.

    Attributes:
        parameters: those that were given.
    """

    package: client.Package
    parameters: dict[str, Any]


def _given(options: argparse.Namespace) -> _Given:
    file = options.package or package.path(options.pipeline)
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} does not exist: make it with `python -m pipelines compile`"
        )
    spec = package.spec(file)
    values = parameters.parse(spec, options.parameters)
    if options.package is None:  # made from this very code, which knows what its first step takes
        package.require_images(options.pipeline)
        checks.check(options.pipeline, values, is_on_cluster=True)
    name = options.name or spec["pipelineInfo"]["name"]
    described = package.described(file)
    return _Given(client.Package(file, name, package.version(file), described), values)


@contextmanager
def _cached(given: _Given, is_without: bool) -> Iterator[client.Package]:
    """The package as it is, or a version of it that takes nothing from the cache."""
    if not is_without:
        yield given.package
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, given.package.file.name)
        package.without_cache(given.package.file, file)
        version = package.version(file)
        yield dataclasses.replace(given.package, file=file, version=version)


def _server(options: argparse.Namespace) -> client.Server:
    if not options.host:
        raise ValueError("no host: give --host or KFP_ENDPOINT, such as http://localhost:8080")
    token_file = Path(options.token_file) if options.token_file else None
    token = os.environ.get("KFP_TOKEN")
    ui_host = options.ui_host
    if ui_host and not ui_host.startswith(("http://", "https://")):
        raise ValueError(f"--ui-host {ui_host!r} is not a URL: give one with http:// or https://")
    return client.Server(options.host, options.namespace, token, token_file, ui_host)
