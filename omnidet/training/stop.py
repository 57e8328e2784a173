"""SIGTERM, which a drained node sends: finish the step, write a checkpoint, ask for a restart."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

import torch

from omnidet.training import distributed
from omnidet.training.finite import Later

RESTART_EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, try again. torchrun and Trainer restart on any code
but 0. No failure of `omnidet` itself uses this code, so a script can tell them apart.
"""


INTERRUPTED_EXIT_CODE = 130
"""What shells use for Ctrl-C."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class InterruptedRunError(SystemExit):
    """The run was asked to stop.

    It exits with `RESTART_EXIT_CODE` and can go on from its checkpoint.
    """

    def __init__(self, step: int, number: int = signal.SIGTERM) -> None:
        """`number` is the signal that asked; after Ctrl-C, the code does not ask for a restart."""
        super().__init__(INTERRUPTED_EXIT_CODE if number == signal.SIGINT else RESTART_EXIT_CODE)
        self.step = step


class StopSignal:
    """Whether to stop.

    All ranks agree on it, since only some may be on the node that is drained.
    """

    def __init__(self, world: distributed.World) -> None:
        self._world, self._process = world, os.getpid()
        self._is_asked = False
        self._vote: Later | None = None
        self._before: dict[int, object] = {}
        self.number: int = signal.SIGTERM
        """The number of the signal that asked, on this rank."""

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            self._before = {n: signal.signal(n, self._ask) for n in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                signal.signal(number, before)  # type: ignore[arg-type]

    def agreed(self) -> bool:
        """Whether to stop after this step. Every rank must call this after every step.

        With several ranks the answer is that of the step before, which has arrived by now.
        """
        if self._world.size == 1:
            return self._is_asked
        last = self._vote
        wish = torch.full((1,), float(self._is_asked), device=self._world.device)
        self._vote = Later(distributed.sum_over_ranks(wish))
        return last is not None and bool(last.read() > 0)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker of the loader has nothing to save
            os._exit(128 + number)
        # somebody does not want to wait for the step
        if number == signal.SIGINT and self._is_asked:
            raise KeyboardInterrupt
        self._is_asked, self.number = True, number
