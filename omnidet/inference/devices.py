"""Where a detector computes, and in which precision: checked before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16", "float16")


def checked_device(name: str) -> torch.device:
    """The device. Raises ValueError for one that torch does not know, or this machine lacks."""
    import torch

    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"--device {name!r}: give cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            remedy = f"give one below cuda:{count}, or cpu" if count else "give cpu"
            raise ValueError(f"--device {name}: this machine has {count} of them: {remedy}")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("--device mps: this machine has no such device: give cpu")
    elif device.type != "cpu" or device.index:
        raise ValueError(f"--device {name}: give cpu, cuda, cuda:1 or mps")
    return device


def checked_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that the detector multiplies in.

    Raises ValueError for an unknown one, and for half precision on a processor, which has no
    instructions for it.
    """
    import torch

    if name not in PRECISIONS:
        raise ValueError(f"--precision {name!r}: give one of {', '.join(PRECISIONS)}")
    if name == "float16" and device.type == "cpu":
        raise ValueError("--precision float16 needs a GPU: give bfloat16, or --device cuda")
    found: torch.dtype = getattr(torch, name)
    return found
