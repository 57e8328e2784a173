"""What the exit code of a command means.

Training adds 75, "interrupted, run me again": `training/stop.py`.
"""

from __future__ import annotations

FAILED = 1
"""Something else went wrong: a full disk, no answer from a server, a loss that is not finite."""
WRONG_INPUT = 2
"""An argument or a file is wrong, as the one line of the message says. argparse uses it too."""
NOT_PASSED = 3
"""The work is done, but the numbers are not good enough: `gate`, `finetune` and `compare`."""
INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as shells do it."""
