"""How many pods a compiled pipeline takes, as KFP 2.17 makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def count(spec: Mapping[str, Any], items: int) -> int:
    """Pods of a run whose loops have so many items and whose conditions are all met.

    A step is a driver and a container. A loop or condition is a driver, and so is each item of a
    loop, and the run itself.
    """
    return 1 + _inside(spec, spec["root"], items)


def _inside(spec: Mapping[str, Any], component: Mapping[str, Any], items: int) -> int:
    total = 0
    for task in component["dag"]["tasks"].values():
        own = spec["components"][task["componentRef"]["name"]]
        if "dag" not in own:
            total += 2
        elif "parameterIterator" in task:
            total += 1 + items * (1 + _inside(spec, own, items))
        else:
            total += 1 + _inside(spec, own, items)
    return total
