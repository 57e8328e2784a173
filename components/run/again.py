"""Steps that outlast an outage of the object store or the Model Registry.

The clients repeat each request for some 20 seconds. A server that is away for longer ends a step
with an error, and Kubeflow Pipelines tries only those steps again whose pod was lost. So the step
is tried again here: what it has finished already, it finds.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PAUSES_SECONDS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
"""Before each further try: five minutes, besides the patience of the clients."""


def patiently(step: Callable[P, T]) -> Callable[P, T]:
    """The step, tried again while a server is away, with a line for each try.

    What a server says no to is not tried again. Raises the last ConnectionError, which says how
    often it was tried.
    """

    @functools.wraps(step)
    def tried(*given: P.args, **named: P.kwargs) -> T:
        for number, pause in enumerate(PAUSES_SECONDS, 1):
            try:
                return step(*given, **named)
            except ConnectionError as error:
                print(
                    f"{error}: the step is tried again in {pause:g} s "
                    f"({number} of {len(PAUSES_SECONDS)})",
                    flush=True,
                )
            time.sleep(pause)
        try:
            return step(*given, **named)
        except ConnectionError as error:
            raise ConnectionError(f"{error} (tried {len(PAUSES_SECONDS) + 1} times)") from error

    return tried
