"""Which extra of `pip install omnidet[...]` brings a package that is missing."""

from __future__ import annotations

import importlib.metadata
import re

_REQUIREMENT = re.compile(r"""([\w.-]+)[^;]*;\s*extra\s*==\s*['"]([\w-]+)['"]""")


def advice(error: ModuleNotFoundError) -> str | None:
    """One line that says what to install for a module that could not be imported; None for one that
    no extra has."""
    name = (error.name or "").partition(".")[0]
    extra = _extras().get(_normal(name))
    return f"the package {name} is not installed: pip install 'omnidet[{extra}]'" if extra else None


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
            found.setdefault(_normal(matched[1]), matched[2])
    return found


def _normal(name: str) -> str:
    """Package names are compared so (PEP 503); a module's name is mostly its package's."""
    return re.sub(r"[-_.]+", "-", name).lower()
