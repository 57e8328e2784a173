"""What people read about a pipeline in the UI: what it does, and the parameters that matter.

The form in which a run is started shows names, types and defaults, but no descriptions: the one of
the pipeline and its version is beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MATTERS = {
    "train_detector": (
        "data", "data_version", "download", "workspace", "registry", "recipe", "backbone",
        "train_steps", "settings", "num_nodes", "gpus_per_node", "memory_per_node",
    ),
    "retrain": (
        "data", "dataset", "workspace", "registry", "backbone", "train_minutes", "train_steps",
        "settings", "num_nodes", "gpus_per_node", "memory_per_node",
    ),
}  # fmt: skip
"""The parameters that most runs set, in the order in which to think of them."""


def describe(name: str, about: str, inputs: Mapping[str, Any]) -> str:
    """Markdown for the description of a pipeline.

    Args:
        about: what it does.
        inputs: the parameters of its specification.
    """
    lines = [about, "", "| parameter | default | what |", "|---|---|---|"]
    for parameter in MATTERS[name]:
        entry = inputs[parameter]
        sentences = " ".join(entry["description"].split())
        what = sentences.partition(". ")[0].rstrip(".")
        lines.append(f"| {parameter} | {_default(entry)} | {what} |")
    return "\n".join(lines)


def _default(entry: Mapping[str, Any]) -> str:
    if "defaultValue" not in entry:
        return "required"
    value = entry["defaultValue"]
    if value in ("", [], {}):
        return "–"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
