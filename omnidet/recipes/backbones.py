"""The name of a backbone -> the settings of a recipe that choose it. No torch here."""

from __future__ import annotations

import re

from omnidet.model import weight_packages
from omnidet.model.backbones.timm_features import TimmFeatures

SMALL = "photo-small"
"""A small network that has seen photographs; its weights come with OmniDet."""
_TRANSFORMER = re.compile(
    r"(.*/)?((aimv2|beit3|deit3?|eva|eva02|flexivit|vit(?!_s?relpos))_|test_vit\d?(\.|$))"
)
"""Names of timm's vision transformers that take any image size; all others go by their stages."""


def settings(backbone: str, weights: str = "") -> list[str]:
    """`field=value` for the network and where its weights come from.

    Args:
        backbone: `photo-small` or the name of a timm model; empty leaves the recipe's.
        weights: `pip:PACKAGE`, a local or `s3://` file, `pretrained` or `random`; empty takes those
            of an installed package if one has them, else timm's, which are downloaded.

    Raises ValueError for weights without a network, or of a package that holds others.
    """
    if not backbone:
        if weights:
            raise ValueError(
                f"backbone_weights={weights}: name the network that they belong to, such as "
                f"backbone={SMALL}"
            )
        return []
    name = TimmFeatures().name if backbone == SMALL else backbone
    if not re.fullmatch(r"[A-Za-z0-9_.:/-]+", name):
        raise ValueError(f"backbone={backbone!r}: give {SMALL} or the name of a timm model")
    chosen = weights or _packaged(name) or "pretrained"
    if chosen.startswith("pip:"):
        _check_package(name, chosen)
    kind = "timm_vit" if _TRANSFORMER.match(name) else "timm_features"
    return [
        f"model.backbone={kind}",
        f"model.backbone.name={name}",
        f"model.backbone.weights={chosen}",
    ]


def _packaged(name: str) -> str:
    """The package with the weights of a timm model, as `weights` names it; empty if none has."""
    found = (p for p, known in weight_packages.PACKAGES.items() if known.model == name)
    return next((f"pip:{package}" for package in found), "")


def _check_package(name: str, weights: str) -> None:
    package = weights.removeprefix("pip:")
    weight_packages.installed(package)  # raises for one that is not known
    model = weight_packages.PACKAGES[package].model
    if model != name:
        raise ValueError(
            f"backbone_weights={weights}: they are those of {model}, not of {name}: "
            f"give backbone={model}, or weights that fit"
        )
