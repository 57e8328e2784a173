"""Metrics against the champion's -> decision; detector + metrics -> registered version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType

from omnidet import config, storage
from omnidet.model import bundle
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as rules
from omnidet.registry import kubeflow, metrics_file, versions
from omnidet.storage import Location


def gate(
    metrics_path: Location,
    registry_location: Location,
    out: Location,
    recipe: Recipe,
    evaluation: Location | None = None,
) -> bool:
    """Whether metrics are good enough to follow the champion's.

    The decision and its numbers go to the JSON file `out`. If the registry has no champion, the
    minimums of the recipe decide alone.

    Args:
        evaluation: folder of the evaluation that the metrics are from: a drop that chance explains
            on its images is none. Raises ValueError if it holds other metrics.
    """
    values = metrics_file.read(metrics_path)
    explained = _explained(evaluation, values) if evaluation else None
    name = recipe.register.name
    versions.check(registry_location, name)
    has_champion = versions.CHAMPION in versions.aliases(registry_location, name)
    champion = (
        versions.find(registry_location, f"{name}@{versions.CHAMPION}") if has_champion else None
    )
    before = champion.metrics if champion else None
    decision = rules.decide(values, before, recipe.gate, explained)
    content = {"champion": str(champion) if champion else None, **decision.describe()}
    content["config"] = config.describe(recipe.gate)
    storage.write_text(out, json.dumps(content, indent=1) + "\n")
    return decision.passed


def _explained(evaluation: Location, values: Mapping[str, float]) -> dict[str, rules.Range]:
    from omnidet.evaluation import chance, stored

    measured = stored.read(evaluation)
    if dict(measured.values) != dict(values):
        raise ValueError(
            f"{evaluation} is not the evaluation that the metrics are from: give the folder that "
            "the same `omnidet evaluate` wrote"
        )
    return chance.ranges(measured)


def register(
    model: Location,
    metrics_path: Location,
    registry_location: Location,
    recipe: Recipe,
    alias: str = "",
    expected: int | EllipsisType | None = ...,
) -> tuple[versions.Version, bool]:
    """Trained detector + its metrics -> a version in the registry.

    It is also entered in a Kubeflow Model Registry if the environment names one
    (`registry/kubeflow.py`).

    Args:
        alias: to be pointed to the version, such as `champion`.
        expected: what the alias must point to until then, as in `versions.promote`: the version
            that the gate compared with.

    Returns:
        The version, and whether it is new.
    """
    if alias:
        versions.check_alias(alias)
    folder = storage.local_copy(model, ".cache/models")
    values = metrics_file.read(metrics_path)
    facts = bundle.read_config(folder)["provenance"]
    # First of all, so that nothing is registered if the server does not answer.
    server = kubeflow.connect() if kubeflow.address() else None
    version, is_new = versions.register(
        registry_location, recipe.register.name, folder, values, facts
    )
    if server:
        _enter(server, version)
    if alias:
        versions.promote(registry_location, version.name, version.number, alias, expected)
    return version, is_new


def _enter(server: kubeflow.Server, version: versions.Version) -> None:
    """Enter a version in a Kubeflow Model Registry."""
    plain = {k: v for k, v in version.provenance.items() if isinstance(v, str | int | float)}
    location = version.location
    uri = location if storage.is_s3(location) else Path(location).resolve().as_uri()
    values = plain | version.metrics
    server.register(version.name, str(version.number), uri, values, kubeflow.run_source())
