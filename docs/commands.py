"""Write the reference of every command from the parsers: `python docs/commands.py OUT.md`.

`make docs` runs it, so the page is always that of the code it is built with.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INTRODUCTION = """\
# Commands

Every command, its arguments and their defaults. Input that is wrong ends with one line that names
the problem and its remedy, and exit code 2; 1 is any other failure.
"""


def main(out: Path) -> None:
    """Write the page."""
    out.write_text(page(parsers()), encoding="utf-8")


def parsers() -> list[argparse.ArgumentParser]:
    """Those of `omnidet` and `python -m pipelines`."""
    for name in (
        "KFP_ENDPOINT",
        "KFP_NAMESPACE",
        "KFP_TOKEN_FILE",
    ):  # defaults of options: this machine's are in no page
        os.environ.pop(name, None)
    from omnidet import cli
    from pipelines import cli as pipelines

    return [cli._parser(), pipelines._parser()]


def page(programs: list[argparse.ArgumentParser]) -> str:
    """Markdown with a section for each program and each of its commands."""
    parts = [INTRODUCTION]
    for program in programs:
        parts.append(f"## {program.prog}\n\n{_text(program.description)}\n")
        parts.extend(_section(command) for command in commands(program))
    return "\n".join(parts)


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands of a parser, those of commands among them.

    argparse has no public way to walk a parser: `_actions` has been its list since Python 2.7.
    """
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield command
                yield from commands(command)


def _section(command: argparse.ArgumentParser) -> str:
    lines = [
        f"### {command.prog}",
        "",
        _text(command.description),
        "",
        "```text",
        command.format_usage().rstrip(),
        "```",
        "",
    ]
    rows = [_row(action) for action in command._actions if not _is_hidden(action)]
    if rows:
        lines += ["| argument | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _is_hidden(action: argparse.Action) -> bool:
    """Help texts, and the list of a command's own commands, which have sections of their own."""
    return (
        action.help == argparse.SUPPRESS
        or isinstance(action.choices, dict)
        or action.dest == "help"
    )


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    name = (
        ", ".join(f"`{option}{value}`" for option in action.option_strings) or f"`{value.strip()}`"
    )
    help_text = (action.help or "").replace("%(default)s", str(action.default))
    parts = [_text(help_text)] if help_text else []
    if action.choices:
        parts.append(
            "one of " + ", ".join(f"`{choice}`" for choice in action.choices if choice != "")
        )
    if _has_default(action):
        parts.append(f"default: `{action.default}`")
    required = "**required** " if action.required and action.option_strings else ""
    meaning = f"{required}{'; '.join(parts)}".strip()
    return f"| {_cell(name)} | {_cell(meaning)} |"


def _has_default(action: argparse.Action) -> bool:
    """Whether there is a default worth a word that the help does not give itself."""
    unset = action.default in (None, False, "", [], argparse.SUPPRESS)
    return not unset and action.const is None and "default" not in (action.help or "")


def _text(text: str | None) -> str:
    """Help as Markdown: argparse doubles percent signs, and `<name>` would be an HTML tag."""
    return (text or "").replace("%%", "%").replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    os.environ["COLUMNS"] = "98"  # at which argparse breaks usage lines
    sys.path.insert(0, str(ROOT))  # where `pipelines` is, which is not installed everywhere
    main(Path(sys.argv[1]))
