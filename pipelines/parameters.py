"""`name=value` on a command line -> typed parameters of a pipeline."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from omnidet.config import require_decimal

MOST_BYTES = 10_000
"""KFP refuses a run whose parameters are longer; long lists belong in a file."""
KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), 'a list like ["a", "b"]'),
    "STRUCT": ((dict,), 'a mapping like {"a": "b"}'),
}


RENAMED = {
    "train_images": "world.train_images={}",
    "image_size": "model.image_size={}",
    "learning_rate": "train.optimizer.learning_rate={}",
    "seed": "train.seed={}",
    "gpus": "gpus_per_node={}",
    "cpu": "cpus_per_node={}",
    "memory": "memory_per_node={}",
    "shared_memory": "job.shared_memory={}",
    "queue": "job.queue={}",
    "catalogue": "download.catalogue={}",
    "replay": "retrain.replay={}",
    "object_store_secret": "object_store={}, which names the Secret and the ConfigMap",
    "object_store_config": "object_store={}, which names the Secret and the ConfigMap",
}
"""What to give instead of a parameter that was once there."""


def parse(spec: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Values for the parameters of a compiled pipeline.

    A name with a dot is a field of the recipe: `model.image_size=640` is one more of `settings`.

    Raises ValueError for an unknown name, a wrong type, and a parameter without default that is
    missing.
    """
    known: dict[str, Any] = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values: dict[str, Any] = {}
    fields = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"{assignment!r} is not of the form name=value: give train_steps=100")
        if name not in known:
            if "." in name and "settings" in known:
                fields.append(assignment)
                continue
            if name in RENAMED:
                now = RENAMED[name].format(text)
                raise ValueError(f"the pipeline has no parameter {name!r} any more: give {now}")
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"the pipeline has no parameter {name!r}: {hint}")
        values[name] = _value(name, text, known[name]["parameterType"])
    if fields:
        values["settings"] = [*values.get("settings", []), *fields]
    missing = [
        name
        for name, kind in known.items()
        if "defaultValue" not in kind and not kind.get("isOptional")
    ]
    for name in missing:
        if name not in values:
            raise ValueError(f"parameter {name} has no default: give {name}=...")
    size = len(json.dumps(values).encode())
    if size > MOST_BYTES:
        raise ValueError(
            f"the parameters have {size} bytes, KFP takes {MOST_BYTES}: put long lists in a file"
        )
    return values


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    types, wanted = KINDS[kind]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if kind == "NUMBER_DOUBLE" and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        require_decimal(name, text)
    fits = isinstance(value, types) and (kind == "BOOLEAN" or not isinstance(value, bool))
    if kind == "NUMBER_DOUBLE" and fits and not math.isfinite(value):
        raise ValueError(f"{name}={text!r} is not finite: give a number")
    if not fits:
        raise ValueError(f"{name}={text!r} does not fit: expected {wanted}")
    return float(value) if kind == "NUMBER_DOUBLE" else value
