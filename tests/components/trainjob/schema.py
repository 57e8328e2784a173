"""Objects of Kubeflow Trainer against its published schema: models of `kubeflow-trainer-api`."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any


def lost(model: Any, content: dict[str, Any]) -> list[str]:
    """Paths of `content` that the schema does not know: a CRD's server would refuse or drop them.

    Raises:
        pydantic.ValidationError: a value is missing or has the wrong type.
    """
    return list(_differences(content, model.from_dict(copy.deepcopy(content)).to_dict(), ""))


def _differences(given: Any, kept: Any, path: str) -> Iterable[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from _differences(value, kept[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif given != kept:
        yield path
