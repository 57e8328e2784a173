"""The size of the nodes that train."""

from __future__ import annotations

import pytest

from components.run.sizes import Size, number_of_bytes


@pytest.mark.parametrize(
    ("text", "size"), [("2Gi", 2**31), ("16G", 16e9), ("1.5Ti", 1.5 * 2**40), ("9000000k", 9e9)]
)
def test_memory(text, size):
    assert number_of_bytes("memory_per_node", text) == size
    Size(memory_per_node=text).require_sound()


@pytest.mark.parametrize(
    "text", ["", "0", "0Gi", "-1Gi", "16GB", "16gi", "16 Gi", "16m", "nanGi", "１６Gi"]
)
def test_what_is_no_memory(text):
    with pytest.raises(ValueError, match=r"memory_per_node=.*: give one like 16Gi"):
        Size(memory_per_node=text).require_sound()


@pytest.mark.parametrize("text", ["16", "16000", "1Gi"])
def test_memory_without_its_unit_is_too_little(text):
    with pytest.raises(ValueError, match=r"bytes, .*with its unit, such as 16Gi"):
        Size(memory_per_node=text).require_sound()


def test_cpus():
    for text in ("2", "0.5", ".5", "500m"):
        Size(cpus_per_node=text).require_sound()
    for text in ("", "0", "0m", "8Gi", "-1", "many", "２"):
        with pytest.raises(ValueError, match="cpus_per_node="):
            Size(cpus_per_node=text).require_sound()


def test_nodes_and_gpus():
    with pytest.raises(ValueError, match="num_nodes=0: give 1 or more"):
        Size(num_nodes=0).require_sound()
    with pytest.raises(ValueError, match="gpus_per_node=-1: give 0 or more"):
        Size(gpus_per_node=-1.0).require_sound()
