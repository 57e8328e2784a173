"""Parts that a recipe names: one plug-in per file, and the name of the file is its name.

    "hungarian" in a recipe ──load("omnidet.matching", …)──▶ `hungarian` in matching/hungarian.py

A file contains a function with the file's name. If the part has settings, it contains a frozen
dataclass with that name in CamelCase instead (`mosaic.py`: `Mosaic`), whose `kind` is the name. A
recipe contains only names and numbers: reading one imports neither torch nor timm, and its plain
form (`config.describe`) does not change when a Python module moves. A part from outside this
package is named `package.module:attribute`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from typing import Any


@functools.cache
def load(folder: str, name: str) -> Any:
    """The plug-in `name` of the package `folder`: its function, or the class of its settings.

    Raises ValueError, which lists the existing plug-ins, if there is none of that name.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        if name not in names(folder):
            known = ", ".join(names(folder))
            raise ValueError(
                f"{folder.rpartition('.')[2]} has no {name!r}: give one of {known}, "
                "or package.module:attribute for one of your own"
            )
        module_name = f"{folder}.{name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the plug-in exists, but lacks something that it imports
        raise ValueError(
            f"{name!r}: there is no module {module_name!r}: "
            "correct the name, or install its package"
        ) from error
    options = [attribute] if colon else [name, _camel_case(name)]
    for option in options:
        if hasattr(module, option):
            return getattr(module, option)
    raise ValueError(
        f"{name!r}: the module {module_name!r} has no {' or '.join(options)}: "
        "define it there, or correct the name"
    )


def make(folder: str, part: Any) -> Any:
    """What a recipe means by a part: a name's function or default settings, or given settings."""
    if not isinstance(part, str):
        return part
    loaded = load(folder, part)
    return loaded() if isinstance(loaded, type) and dataclasses.is_dataclass(loaded) else loaded


@functools.cache
def names(folder: str) -> tuple[str, ...]:
    """The plug-ins of a package: its modules, except those that it lists in SHARED."""
    package = importlib.import_module(folder)
    shared = getattr(package, "SHARED", ())
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if name not in shared))


def kind_of(part: Any) -> str | None:
    """The name of a part with settings of its own; None for any other value."""
    kind = getattr(type(part), "kind", None)
    return kind if dataclasses.is_dataclass(part) and isinstance(kind, str) else None


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
