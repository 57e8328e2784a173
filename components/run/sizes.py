"""What a person gives about the nodes that train, checked: Kubernetes would refuse it hours later,
or give a pod 16 bytes for `memory_per_node=16`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LEAST_MEMORY = 2 * 2**30
"""The pods that train and evaluate ask for so much (`pipelines/placement.py`)."""
_NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
"""Not `\\d`: Python reads the digits of all scripts, and Kubernetes only these."""
_UNITS = {
    "": 1.0,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)},
}


@dataclass(frozen=True)
class Size:
    """What a person gives about the nodes that train."""

    num_nodes: int = 1
    gpus_per_node: float = 0
    cpus_per_node: str = "2"
    memory_per_node: str = "16Gi"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, object]] = ()

    def require_sound(self) -> None:
        """Raise ValueError for what is not a number of nodes, GPUs or CPUs, and for memory without
        its unit."""
        for name, least in (("num_nodes", 1), ("gpus_per_node", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name):g}: give {least} or more")
        cpus, memory = self.cpus_per_node, self.memory_per_node
        if not re.fullmatch(rf"{_NUMBER}m?", cpus) or not float(cpus.rstrip("m")):
            raise ValueError(f"cpus_per_node={cpus!r} is not a number of CPUs: give 8 or 500m")
        bytes_ = number_of_bytes("memory_per_node", memory)
        if bytes_ < LEAST_MEMORY:
            raise ValueError(
                f"memory_per_node={memory!r} is {bytes_:.0f} bytes, less than the 2Gi that a pod "
                "asks for: give it with its unit, such as 16Gi"
            )


def number_of_bytes(name: str, text: str) -> float:
    """Bytes of memory as Kubernetes writes them. Raises ValueError for anything else."""
    match = re.fullmatch(rf"({_NUMBER})([a-zA-Z]*)", text)
    if not match or match[2] not in _UNITS or not float(match[1]):
        raise ValueError(f"{name}={text!r} is not an amount of memory: give one like 16Gi")
    return float(match[1]) * _UNITS[match[2]]
