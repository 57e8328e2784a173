"""timm's attention in a form that ONNX Runtime computes faster.

timm makes queries, keys and values in one product and takes them apart; in ONNX that is a split,
copies and a dozen operators for shapes. Three products with a third of the weights each give the
same numbers in the order in which they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from timm.layers import Attention  # type: ignore[attr-defined]
from torch import Tensor, nn


@contextmanager
def in_three(module: nn.Module) -> Iterator[int]:
    """Within, timm's attentions in the module are `AttentionInThree`; gives their number.

    The weights are shared, and what is not plain attention stays as it is.
    """
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if _is_plain(child):
                replaced.append((parent, name, child))
    for parent, name, child in replaced:
        setattr(parent, name, AttentionInThree(child).train(child.training))
    try:
        yield len(replaced)
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


class AttentionInThree(nn.Module):
    """What timm's `Attention` computes, without its dropout."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.num_heads, self.scale = whole.num_heads, whole.scale
        self.query, self.key, self.value = (_third(whole.qkv, part) for part in range(3))
        self.q_norm, self.k_norm = whole.q_norm, whole.k_norm
        self.norm, self.proj = getattr(whole, "norm", nn.Identity()), whole.proj

    def forward(self, tokens_BNW: Tensor, **unused: object) -> Tensor:
        """Tokens (B, N, width) -> tokens (B, N, width)."""
        asked = [name for name, value in unused.items() if value is not None and value is not False]
        if asked:
            raise ValueError(
                f"attention with {', '.join(asked)} is not exported: name another model"
            )
        batch, number, _ = tokens_BNW.shape
        query, key, value = (
            layer(tokens_BNW).reshape(batch, number, self.num_heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        weights_BHNN = (self.q_norm(query) @ self.k_norm(key).transpose(2, 3) * self.scale).softmax(
            -1
        )
        mixed_BNW = (weights_BHNN @ value).transpose(1, 2).reshape(batch, number, -1)
        mixed: Tensor = self.proj(self.norm(mixed_BNW))
        return mixed


def _is_plain(module: nn.Module) -> bool:
    return (
        type(module) is Attention
        and type(module.qkv) is nn.Linear
        and getattr(module, "gate", None) is None
    )


def _third(layer: nn.Linear, part: int) -> nn.Linear:
    """A third of a layer's outputs, with its weights."""
    width = layer.out_features // 3
    some = slice(part * width, (part + 1) * width)
    third = nn.Linear(layer.in_features, width, bias=layer.bias is not None, device="meta")
    third.weight = nn.Parameter(layer.weight.detach()[some], requires_grad=False)
    if layer.bias is not None:
        third.bias = nn.Parameter(layer.bias.detach()[some], requires_grad=False)
    return third
