"""What chance explains: where the numbers of another detector may lie on the images of this one.

evaluation (+ that of the other detector) -> {"coco/AP": (low, high), ...}
"""

from __future__ import annotations

from omnidet.evaluation import differences
from omnidet.evaluation.stored import Stored


def ranges(evaluation: Stored, other: Stored | None = None) -> dict[str, tuple[float, float]]:
    """For each metric with an interval, the numbers that do not differ from it beyond chance.

    Args:
        other: evaluation of the other detector on the very same images, if there is one: the
            difference on the same draws of them decides, which is narrower than the metric's own
            interval.
    """
    found = {}
    for name in evaluation.values:
        own = differences.detail(evaluation, name, "intervals")
        if own:
            found[name] = (own[0], own[1])
    if other is not None:
        for row in differences.compare(other, evaluation, same_images=True).rows:
            if row.difference_interval and row.before is not None:
                # The other's number is among them if the interval of the difference holds 0.
                low, high = row.difference_interval
                found[row.metric] = (row.before + low, row.before + high)
    return found
