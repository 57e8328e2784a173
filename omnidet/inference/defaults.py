"""What a detector returns unless it is asked for something else.

The command line reads these before it loads a detector, so this file imports neither torch nor a
model.
"""

from __future__ import annotations

THRESHOLD = 0.3
"""Detections with a lower score are not shown to people; benchmarks take every score."""
MAX_DETECTIONS = 100
"""For each image."""
BATCH = 8
"""Images of a list that go through the detector together, so that memory is bounded."""
