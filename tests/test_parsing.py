"""An argument that is wrong is one line with its name, its value and what to give."""

from __future__ import annotations

import pytest

from omnidet.parsing import Parser


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="tool")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bake = commands.add_parser("bake")
    bake.add_argument("cake", metavar="CAKE")
    bake.add_argument("--flour", choices=("rye", "oat"))
    bake.add_argument("--eggs", type=int)
    length = bake.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float)
    length.add_argument("--until")
    return parser


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("bake pie --minutes abc", "tool bake: --minutes abc: give a number (tool bake --help)"),
        ("bake pie --eggs 1.5", "tool bake: --eggs 1.5: give a whole number (tool bake --help)"),
        ("bake pie --eggs", "tool bake: --eggs: give it a value (tool bake --help)"),
        ("bake", "tool bake: CAKE: missing (tool bake --help)"),
        ("", "tool: COMMAND: missing (tool --help)"),
        (
            "bake pie --minutes 1 --until noon",
            "tool bake: --until beside --minutes: leave out one of them (tool bake --help)",
        ),
        ("bake pie --sugar 3", "tool bake: --sugar 3: no such argument (tool bake --help)"),
        (
            "bake pie --flour pea",
            "tool bake: --flour pea: invalid choice, give rye, oat (tool bake --help)",
        ),
        ("fry", "tool: COMMAND fry: invalid choice, give bake (tool --help)"),
    ],
)
def test_a_wrong_argument_is_one_line(parser, capsys, given, line):
    with pytest.raises(SystemExit) as refused:
        parser.parse_args(given.split(" ") if given else [])
    assert refused.value.code == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_a_value_of_several_lines_is_one_line(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["bake", "pie", "--sugar", "two\nspoons"])
    assert capsys.readouterr().err.count("\n") == 1


def test_right_arguments_are_taken(parser):
    options = parser.parse_args(["bake", "pie", "--minutes", "1.5"])
    assert (options.command, options.cake, options.minutes) == ("bake", "pie", 1.5)
