from __future__ import annotations

import pytest
import torch

from omnidet.inference.devices import checked_device, checked_precision


def test_a_processor_multiplies_in_single_precision_or_bfloat16():
    device = checked_device("cpu")
    assert device == torch.device("cpu")
    assert checked_precision("float32", device) is torch.float32
    assert checked_precision("bfloat16", device) is torch.bfloat16
    with pytest.raises(ValueError, match="float16"):
        checked_precision("float16", device)
    assert checked_precision("float16", torch.device("cuda")) is torch.float16


@pytest.mark.parametrize("name", ["gpu", "", "cpu:3", "xpu", "cuda:99", "meta"])
def test_other_devices_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"--device '?{name}"):
        checked_device(name)


@pytest.mark.parametrize("name", ["int8", "", "double"])
def test_other_precisions_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"--precision '{name}'.*float32"):
        checked_precision(name, torch.device("cpu"))
