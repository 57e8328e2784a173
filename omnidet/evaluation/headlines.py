"""The metrics that stand for a benchmark: `coco/AP` is a headline, `coco/APs` is not."""

from __future__ import annotations

HEADLINES = ("AP", "AIGT", "R@1")
"""Compared by the gate and by `omnidet compare` unless metrics are named: one for each benchmark."""
SHOWN_LARGE = ("AP", "AP50", "APr", "AIGT", "R@1")
"""Shown large in the report: the headlines, and what is usually quoted with them."""


def is_headline(metric: str) -> bool:
    """Whether a metric such as `coco/AP` is its benchmark's headline."""
    return metric.rpartition("/")[2] in HEADLINES
