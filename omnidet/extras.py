"""What to install for a package that is missing: omnidet itself, or one of its extras.

Packages without an extra are light, and every installation has them. torch is not among them: it is
nine tenths of what a full installation takes, and moving data, JSON and exported detectors needs
none of it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re

TORCH = ("torch", "torchvision", "timm")
"""The modules without which no detector computes."""

_REQUIREMENT = re.compile(r"""([\w.-]+)[^;]*(?:;\s*extra\s*==\s*['"]([\w-]+)['"])?$""")
_IMAGES = {"torch": "train", "evaluate,torch": "train", "train": "train", "serve": "serve"}
"""Which container image has an extra: those of steps that compute nothing have neither torch nor
pip."""
_BASE = ""
"""The extra of what every installation has."""
_PACKAGES = {"pil": "pillow", "yaml": "pyyaml", "kfp-server-api": "kfp"}
"""Of modules that are called otherwise."""


class MissingError(ModuleNotFoundError):
    """A module that a command needs; its text is one line with the remedy."""


def require(extra: str, *modules: str) -> None:
    """Raise MissingError unless all the modules can be found, before any of them is loaded.

    Args:
        extra: what brings them all, so that nobody installs one package after another.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingError(_said(module, extra), name=module)


def advice(error: ModuleNotFoundError) -> str | None:
    """One line that says what to install for a module that could not be imported; None for one that
    is no package of ours."""
    if isinstance(error, MissingError):
        return str(error)
    name = (error.name or "").partition(".")[0]
    package = _PACKAGES.get(_normal(name), name)
    extra = _extras().get(_normal(package))
    return None if extra is None else _said(package, extra)


def _said(name: str, extra: str) -> str:
    what = f"'omnidet[{extra}]'" if extra else "omnidet"
    image = _IMAGES.get(extra) if name in TORCH else None
    more = f", or use the container image {image}" if image else ""
    return f"the package {name} is not installed: pip install {what}{more}"


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
