"""argparse, with one line for an argument that is wrong: what it is, what it was given, and what to
give.

    omnidet finetune: --minutes abc: give a number (omnidet finetune --help)
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

WRONG = 2
"""The exit code, as argparse has it."""

_KINDS = {"float": "a number", "int": "a whole number", "Path": "a path"}
_WORDINGS = (
    (
        r"argument (.+?): invalid choice: (.+?) \(choose from (.+)\)",
        "{0} {1}: invalid choice, give {2}",
    ),
    (r"argument (.+?): invalid (\w+) value: (.+)", "{0} {2}: give {kind}"),
    (r"argument (.+?): not allowed with argument (.+)", "{0} beside {1}: leave out one of them"),
    (r"argument (.+?): expected (?:one|at least one) argument", "{0}: give it a value"),
    (r"the following arguments are required: (.+)", "{0}: missing"),
    (r"one of the arguments (.+) is required", "give one of {0}"),
    (r"argument (.+?): (.+)", "{0}: {1}"),
)
"""What argparse says, and how it is said here. What it says otherwise stays as it is."""


class Parser(argparse.ArgumentParser):
    """An argument parser without the usage before each error; so are those of its commands."""

    def error(self, message: str) -> NoReturn:
        """End the program with one line and exit code 2."""
        self._refuse(self.prog, message)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """As argparse does it, but what a command does not know is said by the command."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            program = " ".join(filter(None, (self.prog, getattr(options, "command", None))))
            self._refuse(program, f"{' '.join(unknown)}: no such argument")
        return options

    def _refuse(self, program: str, message: str) -> NoReturn:
        line = " ".join(worded(message).split())
        self.exit(WRONG, f"{program}: {line} ({program} --help)\n")


def worded(message: str) -> str:
    """An error of argparse, in the words of this project."""
    for pattern, wording in _WORDINGS:
        found = re.fullmatch(pattern, message, re.DOTALL)
        if found:
            parts: list[Any] = [_plain(part) for part in found.groups()]
            return wording.format(
                *parts, kind=_KINDS.get(parts[1], f"a {parts[1]}") if parts[1:] else ""
            )
    return message


def _plain(text: str) -> str:
    """Without the quotes of Python around each value."""
    return re.sub(r"'([^']*)'", r"\1", text)
