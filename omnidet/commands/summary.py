"""`omnidet summary`: what a run reached, for people."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from omnidet.commands.arguments import Commands, add_command, add_registry


def add(commands: Commands) -> None:
    """Register the command."""
    parser = add_command(commands, "summary", "what a run reached, for people", run)
    parser.add_argument("--metrics", required=True, help="what `omnidet evaluate --metrics` wrote")
    add_registry(parser)
    parser.add_argument(
        "--report", type=Path, required=True, help="the run's report, whose place is printed"
    )


def run(options: argparse.Namespace) -> None:
    """Print the metrics, the registered versions that have exactly these, and the report's path."""
    from omnidet.registry import metrics_file, versions

    values = metrics_file.read(options.metrics)
    print(table(values))
    found = [
        version
        for name in versions.models(options.registry)
        for version in versions.versions(options.registry, name)
        if version.metrics == values
    ]
    for version in found:
        print(f"registered  {version} in {version.location}")
    if not found:
        # DVC brings back what a stage made, and the registry is nobody's output: it belongs to a
        # place.
        print(
            f"registered  no version in {options.registry} has these metrics: register the "
            "detector with `dvc repro --single-item --force register gate`"
        )
    print(f"report      {options.report.resolve()}")


def table(values: Mapping[str, float], indent: str = "") -> str:
    """One metric on each line, the values aligned."""
    width = max((len(name) for name in values), default=0)
    return "\n".join(f"{indent}{name:{width}}  {value:.3f}" for name, value in values.items())
