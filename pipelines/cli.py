"""The commands of `python -m pipelines`: compile, submit, schedule, status, stop, run-local.

Exit codes:
    0  done, and the run succeeded
    1  the run failed, was cancelled or skipped, or a package is stale
    2  the input is wrong, or the server is away or refuses
    3  the gate refused the detector (`run-local`; the others with --fail-if-refused)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import psutil
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from omnidet import standard_output
from omnidet.parsing import Parser
from pipelines import checks, client, local, on_server, package, parameters

DEFAULT_EXPERIMENT = "omnidet"
PLACES = ("workspace", "registry", "data", "backbone_weights")
"""Parameters that are locations: a local run makes them absolute."""
SET_PLACES = ("retrain.replay", "download.catalogue")
"""Locations among the settings."""
NO_PLACES = (None, "", "none", *checks.KEYWORDS)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) > 1 and given[1] in package.NAMES:  # as in `schedule retrain --cron ...`
        given.insert(1, "--pipeline")
    options = _parser().parse_args(given)
    try:
        return int(options.run(options))
    except standard_output.UnwritableError:
        raise
    except (ValueError, OSError, client.ServerError) as error:
        _say(options, error)
        return 2
    except (ApiException, HTTPError) as error:
        _say(options, client.explain(error))
        return 2
    except KeyboardInterrupt:
        _say(options, "stopped")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipelines", description="OmniDet's pipelines.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    add = _command(commands, "compile", "write the packages to pipelines/compiled/", _compile)
    text = "write nothing; fail if a package is stale"
    add.add_argument("--check", action="store_true", help=text)

    _add_submit(_on_server(commands, "submit", "upload the pipeline and run it", on_server.submit))
    text = "run the pipeline again and again, at fixed times"
    _add_schedule(_on_server(commands, "schedule", text, on_server.schedule))

    text = "show a run, its steps, and what became of it"
    status = _command(commands, "status", text, on_server.status)
    status.add_argument("run_id", metavar="RUN_ID")
    _server_options(status)
    _outcome_options(status)

    stop = _command(commands, "stop", "terminate a run, and its training with it", on_server.stop)
    stop.add_argument("run_id", metavar="RUN_ID")
    _server_options(stop)

    text = "run the pipeline on this machine, without a cluster"
    _add_run_local(_command(commands, "run-local", text, _run_local))
    return parser


def _add_submit(submit: argparse.ArgumentParser) -> None:
    submit.add_argument("--run-name", help="default: name of the pipeline and version")
    submit.add_argument("--no-wait", action="store_true", help="return once the run has started")
    text = "run every step, even if it ran before"
    submit.add_argument("--no-cache", action="store_true", help=text)
    text = "wait no longer than this (default: a week)"
    submit.add_argument("--timeout", type=float, default=7 * 86400, metavar="SECONDS", help=text)
    text = "between two looks at the run (default: 10)"
    submit.add_argument("--poll", type=float, default=10, metavar="SECONDS", help=text)
    _outcome_options(submit)


def _outcome_options(command: argparse.ArgumentParser) -> None:
    text = "exit code 3 if the run succeeded, but the gate refused the detector"
    command.add_argument("--fail-if-refused", action="store_true", help=text)
    text = "print one JSON object; what is for people goes to stderr"
    command.add_argument("--json", action="store_true", help=text)


def _add_schedule(schedule: argparse.ArgumentParser) -> None:
    text = "of the recurring run; one of that name is replaced (default: the pipeline's)"
    schedule.add_argument("--schedule-name", help=text)
    text = 'six fields, seconds first: "0 0 3 * * 1" is Mondays at 3'
    schedule.add_argument("--cron", required=True, help=text)
    text = "runs at the same time (default: 1)"
    schedule.add_argument("--max-concurrency", type=int, default=1, help=text)


def _add_run_local(locally: argparse.ArgumentParser) -> None:
    locally.add_argument("--runner", choices=("subprocess", "docker"), default="subprocess")
    text = "folder of the run (default: runs/local)"
    locally.add_argument("--out", type=Path, default=Path("runs/local"), help=text)
    text = "of the images for --runner docker, such as ghcr.io/omnidet"
    locally.add_argument("--image-repository", help=text)
    locally.add_argument("--image-tag", help="of the images for --runner docker")
    _parameters(locally)


def _command(commands: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _on_server(commands: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    command = _command(commands, name, text, run)
    _server_options(command)
    text = "compiled pipeline (default: that of --pipeline in the repository)"
    command.add_argument("--package", type=Path, help=text)
    command.add_argument("--name", help="of the pipeline on the server (default: its own)")
    command.add_argument("--experiment", default=DEFAULT_EXPERIMENT)
    _parameters(command)
    return command


def _server_options(command: argparse.ArgumentParser) -> None:
    environment = os.environ
    text = "URL of Kubeflow Pipelines (or KFP_ENDPOINT)"
    command.add_argument("--host", default=environment.get("KFP_ENDPOINT"), help=text)
    text = "URL of the UI, for the links that are printed (or KFP_UI; default: the host)"
    command.add_argument("--ui-host", default=environment.get("KFP_UI"), help=text)
    text = "of the profile (or KFP_NAMESPACE)"
    command.add_argument("--namespace", default=environment.get("KFP_NAMESPACE"), help=text)
    text = "file with a bearer token (or KFP_TOKEN_FILE, KFP_TOKEN)"
    file = environment.get("KFP_TOKEN_FILE")
    command.add_argument("--token-file", type=Path, default=file, help=text)


def _parameters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--pipeline", choices=package.NAMES, default=package.NAMES[0])
    text = "parameters of the pipeline; the pipeline's name may come first"
    command.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help=text)


def _compile(options: argparse.Namespace) -> int:
    if options.check:
        stale = package.stale()
        if stale:
            names, remedy = ", ".join(stale), "; run `python -m pipelines compile`, commit"
            print(f"stale: {names}{package.other_images(stale) or remedy}", file=sys.stderr)
        return 1 if stale else 0
    for name in package.NAMES:
        package.compile_to(name, package.path(name))
        print(package.path(name))
    return 0


def _run_local(options: argparse.Namespace) -> int:
    local.use_images(options.image_repository, options.image_tag)
    values = parameters.parse(package.spec(package.path(options.pipeline)), options.parameters)
    checks.check(options.pipeline, values)
    folder = options.out.resolve()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {options.out} is a file: give a folder")
    if values.get("num_nodes", 1) != 1:
        raise ValueError(
            f"num_nodes={values['num_nodes']} trains in a TrainJob of a cluster: "
            "leave it at 1 for run-local"
        )
    from components.run import own_settings

    own = {"workspace": str(folder / "workspace"), "registry": str(folder / "registry")}
    places = {**own, **values}
    places |= {name: own_settings.value(values.get("settings", []), name) for name in SET_PLACES}
    given = {
        name: places[name]
        for name in (*PLACES, *SET_PLACES)
        if places.get(name) not in NO_PLACES and not str(places[name]).startswith("pip:")
    }
    absolute = local.absolute(given, is_downloaded=bool(values.get("download")))
    values |= {name: place for name, place in absolute.items() if name in PLACES}
    in_settings = [f"{name}={absolute[name]}" for name in SET_PLACES if name in absolute]
    if in_settings:
        values["settings"] = [*values["settings"], *in_settings]
    checks.check_store(values["registry"], values["workspace"])
    before = signal.signal(signal.SIGTERM, _end_with_steps)
    try:
        workspace = values.pop("workspace")
        outcome = local.run(options.pipeline, options.runner, folder, workspace, values)
    finally:
        signal.signal(signal.SIGTERM, before)
    return _show(outcome, values)


def _show(outcome: local.Outcome, values: dict[str, Any]) -> int:
    """Print the outcome of a local run and return the exit code."""
    for name, value in (outcome.metrics or {}).items():
        print(f"{name:28} {value:.3f}")
    if outcome.error:
        print(f"failed: {outcome.error}", file=sys.stderr)
        return 1
    if outcome.has_nothing_to_do:
        print(f"nothing new in {values['data']}: the champion knows it")
        return 0
    if not outcome.passed:
        print(f"not registered: the gate refused, see {outcome.folder}/gate.json", file=sys.stderr)
        return 3
    print(f"registered {outcome.version} in {values['registry']}\nrun        {outcome.folder}")
    return 0


def _end_with_steps(*_: object) -> NoReturn:
    """End this process and its steps, which are processes of their own and would go on.

    `timeout` and a CI job that is cancelled send SIGTERM.
    """
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    print(
        "pipelines run-local: stopped by SIGTERM; the same command goes on from what was finished",
        file=sys.stderr,
        flush=True,
    )
    os._exit(128 + signal.SIGTERM)  # kfp would take an exception for a failed step, and go on


def _say(options: argparse.Namespace, error: object) -> None:
    print(f"pipelines {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
