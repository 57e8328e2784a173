"""Batch norms that do not change, folded into the convolutions before them.

A frozen batch norm is a scale and a shift per channel. Multiplying the convolution's weights by the
scale gives the same numbers and the same gradients, without a pass over the activations forwards
and backwards: a tenth of a training step on a CPU.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from timm.layers import BatchNormAct2d  # type: ignore[attr-defined]
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

_TOLERANCE = 1e-3


def fold_batch_norms(network: nn.Module, side: int) -> int:
    """Fold every batch norm that directly follows a convolution; gives their number.

    Parameters, buffers and their names stay as they are. Nothing is folded if the network then
    gives other numbers, which happens if something else reads a convolution's output too.

    Args:
        side: of square images that the network takes, in pixels.
    """
    training = network.training
    network.eval()
    # Random, so that no two tensors agree by chance.
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    images = images.to(next(network.parameters()).dtype)
    with torch.no_grad():
        before = _features(network, images)
        pairs = _pairs(network, images)
        for convolution, norm in pairs:
            # Set on the instance: modules, names and state stay, and a copy of the model works.
            convolution.forward = functools.partial(_folded, convolution, norm)  # type: ignore[method-assign]
            norm.forward = functools.partial(_activation, norm)  # type: ignore[method-assign]
        after = _features(network, images)
    if not torch.allclose(before, after, rtol=_TOLERANCE, atol=_TOLERANCE * float(before.std())):
        for module in (one for pair in pairs for one in pair):
            del module.forward
        pairs = []
    network.train(training)
    return len(pairs)


def _features(network: Any, images: Tensor) -> Tensor:
    found: Tensor | list[Tensor] = network.forward_features(images)
    # HRNet has several resolutions to the end.
    return found if isinstance(found, Tensor) else torch.cat([one.flatten() for one in found])


def _pairs(network: Any, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions whose output the next batch norm takes."""
    last: list[tuple[nn.Conv2d, Tensor]] = []
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after_convolution(module: nn.Conv2d, _: tuple[Tensor, ...], output: Tensor) -> None:
        last[:] = [(module, output)]

    def before_norm(module: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        if last and last[0][1] is inputs[0]:
            pairs.append((last[0][0], module))

    hooks = []
    for module in network.modules():
        if type(module) in (nn.Conv2d, Conv2dSame) and module.padding_mode == "zeros":
            hooks.append(module.register_forward_hook(after_convolution))
        if type(module) in (nn.BatchNorm2d, BatchNormAct2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(before_norm))
    _features(network, images)
    for hook in hooks:
        hook.remove()
    return pairs


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d, images_BCHW: Tensor) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    offset = (
        -norm.running_mean if convolution.bias is None else convolution.bias - norm.running_mean
    )
    shift = offset * scale
    if norm.affine:
        shift = shift + norm.bias
    padding = convolution.padding
    if isinstance(convolution, Conv2dSame):
        images_BCHW, padding = functional.pad(images_BCHW, _same(convolution)), (0, 0)
    return functional.conv2d(
        images_BCHW,
        convolution.weight * scale[:, None, None, None],
        shift,
        convolution.stride,
        padding,
        convolution.dilation,
        convolution.groups,
    )


def _same(convolution: nn.Conv2d) -> list[int]:
    """TensorFlow's padding: left, right, above, below.

    It depends on the side in general, but not if the stride divides the side, as a backbone's
    `size_multiple` sees to. Sizes that are computed make the export of a model of any size endless.
    """
    sides = []
    for kernel, stride, dilation in zip(
        reversed(convolution.kernel_size),
        reversed(convolution.stride),
        reversed(convolution.dilation),
        strict=True,
    ):
        both = max((kernel - 1) * dilation + 1 - stride, 0)
        sides += [both // 2, both - both // 2]
    return sides


def _activation(norm: Any, images_BCHW: Tensor) -> Tensor:
    """What follows the batch norm in timm's combined module; nothing in PyTorch's."""
    if isinstance(norm, BatchNormAct2d):
        images_BCHW = norm.act(norm.drop(images_BCHW))
    return images_BCHW
