"""What is printed reaches standard output, or a person is told that it did not.

Python writes much of it only when the process ends: on a full disk, a run that called itself a
success would end with an error without a name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

FAILED = 1
"""The exit code."""


class UnwritableError(OSError):
    """Standard output cannot be written; the text is one line with the reason and the remedy."""


def run(program: str, main: Callable[[], int]) -> int:
    """Run a program and return its exit code: 1, after one line, if not all of what it printed
    could be written.

    While it runs, printing raises UnwritableError. A reader that has seen enough, as `head` has,
    ends the program without a word and with the exit code that shells give to that.
    """
    if sys.stderr is None:  # whoever called has closed it: `print` would put its lines into stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as we live
    if sys.stdout is None:
        return main()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error is, for odd names
    with contextlib.redirect_stdout(cast(TextIO, _Named(sys.stdout))):
        try:
            try:
                return main()
            finally:
                sys.stdout.flush()
        except UnwritableError as error:
            print(f"{program}: {error}", file=sys.stderr)
            return FAILED


def json_line(content: Any) -> str:
    """JSON in one line, with escapes only for what standard output cannot spell."""
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(content)
    return text


class _Named:
    """A stream whose errors name it. After the first one it swallows what is left in buffers, so
    that Python has nothing to say about them when the process ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._naming():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._naming():
            self._stream.flush()

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._let_go()
            raise SystemExit(128 + signal.SIGPIPE) from None
        except OSError as error:
            self._let_go()
            raise UnwritableError(
                f"standard output cannot be written ({error.strerror}): make room where it goes, "
                "or send it somewhere else"
            ) from error

    def _let_go(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
