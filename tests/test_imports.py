"""What a command or a step loads: those that read and write JSON need neither torch nor seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "transformers", "scipy", "pyarrow", "dvc", "kfp")
LIGHT = (
    "omnidet",
    "omnidet.cli",
    "omnidet.recipes",
    "omnidet.registry.gate",
    "omnidet.registry.versions",
    "omnidet.data.sharding.build",
    "omnidet.data.vocabulary",
    "omnidet.steps.train_detector",
    "omnidet.steps.retrain",
    "components.run.train_detector",
    "components.run.retrain",
)


@pytest.mark.parametrize("module", LIGHT)
def test_what_only_moves_data_loads_no_torch(module):
    program = f"import sys, {module}; print(*[m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == []


def test_the_class_that_users_import_is_loaded_when_it_is_asked_for():
    program = (
        "import sys, omnidet; assert 'torch' not in sys.modules\n"
        "from omnidet import OmniDet\n"
        "from omnidet.inference.detector import OmniDet as own\n"
        "assert OmniDet is own and 'torch' in sys.modules\n"
        "assert 'OmniDet' in dir(omnidet)\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_a_name_that_there_is_not():
    import omnidet

    with pytest.raises(AttributeError, match="OmniDetector"):
        _ = omnidet.OmniDetector
