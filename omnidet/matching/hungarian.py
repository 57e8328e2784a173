"""The assignment with the lowest total cost (Kuhn 1955), computed by scipy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from omnidet.schema import IntArray


def hungarian(cost_QN: npt.NDArray[np.float32]) -> tuple[IntArray, IntArray]:
    """Regions and boxes of the best one-to-one assignment: min(Q, N) pairs."""
    regions, columns = linear_sum_assignment(cost_QN)
    return regions.astype(np.int64), columns.astype(np.int64)
