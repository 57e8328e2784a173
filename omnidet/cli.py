"""`omnidet COMMAND`: the parser, and what becomes of errors.

The commands themselves are in `commands/`.

torch and other heavy packages are imported by the commands that use them, so `omnidet --help` and
commands that only move files stay quick and small.

Wrong input ends with one line that names the thing and the remedy, and exit code 2; other codes are
in `commands/exit_codes.py`. `train` ends with 75 if SIGTERM interrupted it: a checkpoint is
written, and the same command continues from there.
"""

from __future__ import annotations

import argparse
import errno
import functools
import os
import sys

from omnidet import __version__, extras, local_files, standard_output
from omnidet.commands import (
    backbones,
    compare,
    demo,
    download,
    export,
    fetch_images,
    finetune,
    inspect,
    label,
    models,
    predict,
    score,
    serve,
    steps,
    summary,
)
from omnidet.commands.exit_codes import FAILED, INTERRUPTED, WRONG_INPUT
from omnidet.parsing import Parser

_COMMANDS = (
    *(steps, finetune, backbones, predict, label, export, summary),
    *(download, fetch_images, inspect, models, score, compare, serve, demo),
)
"""In the order of `omnidet --help`."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
"""A disk, or somebody's share of it, is full."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Before torch is imported. Its threads wait for one another after each operation, by default
    # busily: beside other programs, a training took six times the processor time for it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return standard_output.run("omnidet", functools.partial(_main, arguments))


def _main(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        code: int | None = options.run(options)
        print(end="", flush=True)  # so that what cannot be written is said by the command
    except (ValueError, OSError, FloatingPointError) as error:
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            error = local_files.unwritable(str(error.filename), error)
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.errno in _FULL and not error.filename:
            reason += ": make room on the disk that is written to"
        return _failed(options, reason, _exit_code(error))
    except ModuleNotFoundError as error:
        advice = extras.advice(error)
        if advice is None:
            raise
        return _failed(options, advice, WRONG_INPUT)
    except KeyboardInterrupt:
        return _failed(options, "stopped", INTERRUPTED)
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="omnidet",
        description="Open-vocabulary detection: the steps of the pipeline, and more.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add(commands)
    return parser


def _failed(options: argparse.Namespace, message: str, code: int) -> int:
    """Print the one line, and return the exit code."""
    print(f"omnidet {options.command}: {message}", file=sys.stderr)
    return code


def _exit_code(error: Exception) -> int:
    """Whether a name or a value that was given is wrong, or the work itself failed."""
    wrong = (ValueError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
    is_too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    return WRONG_INPUT if isinstance(error, wrong) or is_too_long else FAILED


if __name__ == "__main__":
    sys.exit(main())
