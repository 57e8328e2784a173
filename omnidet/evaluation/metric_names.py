"""What the name of a metric says: whether it stands for its benchmark, and which way is better.

`coco/AP` is a headline, `coco/APs` is not; `lvis/AP` is better when it rises,
`absent/false_positive_rate` when it falls.
"""

from __future__ import annotations

HEADLINES = ("AP", "AIGT", "R@1")
"""One for each benchmark: compared by the gate and `omnidet compare` unless metrics are named."""
SHOWN_LARGE = ("AP", "AP50", "APr", "AIGT", "R@1")
"""Shown large in the report: the headlines, and what is usually quoted with them."""
LOWER_IS_BETTER = ("false", "error", "ECE", "seconds", "missed")
"""Parts of the names of metrics that are better when they fall."""


def is_headline(metric: str) -> bool:
    """Whether a metric such as `coco/AP` is its benchmark's headline."""
    return metric.rpartition("/")[2] in HEADLINES


def is_lower_better(metric: str) -> bool:
    """Whether a metric is better when it falls."""
    return any(part in metric.rpartition("/")[2] for part in LOWER_IS_BETTER)
