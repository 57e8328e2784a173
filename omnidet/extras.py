"""What to install for a package that is missing: omnidet itself, or one of its extras."""

from __future__ import annotations

import importlib.metadata
import re

_REQUIREMENT = re.compile(r"""([\w.-]+)[^;]*(?:;\s*extra\s*==\s*['"]([\w-]+)['"])?$""")
_BASE = ""
"""The extra of what every installation has."""


def advice(error: ModuleNotFoundError) -> str | None:
    """One line that says what to install for a module that could not be imported; None for one that
    is no package of ours."""
    name = (error.name or "").partition(".")[0]
    extra = _extras().get(_normal(name))
    if extra is None:
        return None
    missing = f"the package {name} is not installed"
    if extra == _BASE:  # installed without dependencies, as in images of steps that need no torch
        return f"{missing}: pip install omnidet, or use the container image train"
    return f"{missing}: pip install 'omnidet[{extra}]'"


def _extras() -> dict[str, str]:
    """The first extra, in the order of pyproject.toml, that names each package."""
    try:
        lines = importlib.metadata.requires("omnidet") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        return {}
    found: dict[str, str] = {}
    for line in lines:
        matched = _REQUIREMENT.match(line)
        if matched and _normal(matched[1]) != "omnidet" and matched[2] not in ("dev", "docs"):
            found.setdefault(_normal(matched[1]), matched[2] or _BASE)
    return found


def _normal(name: str) -> str:
    """Package names are compared so (PEP 503); a module's name is mostly its package's."""
    return re.sub(r"[-_.]+", "-", name).lower()
