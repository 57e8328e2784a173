"""The documents as files: length, width, links. `make docs` checks the links more closely."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import textwrap
import warnings
from pathlib import Path

import pytest
import yaml

from docs import commands
from tests import toys

ROOT = Path(__file__).parents[2]
MAX_COLUMNS = 100
GENERATED = "docs/reference/commands.md"


def _documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def _prose(text: str) -> list[tuple[int, str]]:
    """Numbered lines outside code; tables, images and links that stand alone cannot be wrapped."""
    lines, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not re.match(
            r"\s*(\||!\[|    \S|\[[^]]*\]\(\S+$|`[^`]*`[.,:]?$)", line
        ):
            lines.append((number, line))
    return lines


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_prose_is_wrapped():
    wide = [
        f"{name}:{number}"
        for name in _documents()
        for number, line in _prose((ROOT / name).read_text(encoding="utf-8"))
        if len(line) > MAX_COLUMNS
    ]
    assert wide == []


def test_links_between_documents_lead_somewhere():
    broken = []
    for name in _documents():
        text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / name).read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            path = (ROOT / name).parent / target
            if not path.exists() and path.resolve() != ROOT / GENERATED:
                broken.append(f"{name}: {target}")
    assert broken == []


def test_paths_of_the_repository_exist():
    """Those in code marks that begin with one of its folders."""
    folders = "omnidet|components|pipelines|containers|manifests|benchmarks|tests|docs"
    missing = [
        f"{name}: {path}"
        for name in _documents()
        for path in re.findall(rf"`((?:{folders})/[\w/.()-]*)`", (ROOT / name).read_text("utf-8"))
        if not (ROOT / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("language", "read"), [("yaml", yaml.safe_load), ("json", json.loads), ("python", ast.parse)]
)
def test_examples_are_well_formed(language, read):
    blocks = [
        textwrap.dedent(block)
        for name in _documents()
        for block in re.findall(
            rf"^ *```{language}\n(.*?)^ *```",
            (ROOT / name).read_text("utf-8"),
            re.DOTALL | re.MULTILINE,
        )
    ]
    assert blocks
    for block in blocks:
        assert read(block)


def _commands() -> dict[str, list[str]]:
    """The commands in the shell examples: program -> lines, without what is left out by `...`."""
    found: dict[str, list[str]] = {"omnidet": [], "pipelines": []}
    for name in _documents():
        text = (ROOT / name).read_text("utf-8")
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                own = re.match(r"\s*(?:\w+=\S+ )*(?:python -m )?(omnidet|pipelines) (.*)", line)
                if own and not re.search(r"\.\.\.|…", line):
                    found[own[1]].append(own[2])
    return found


@pytest.mark.parametrize("program", ["omnidet", "pipelines"])
def test_the_commands_in_the_examples_are_known(program):
    parser = {one.prog.split()[-1]: one for one in commands.parsers()}[program]
    lines = _commands()[program]
    assert len(lines) > 5
    for line in lines:
        given = shlex.split(line, comments=True)
        if given[1:2] and given[1] in ("train_detector", "retrain"):
            given.insert(1, "--pipeline")
        try:
            parser.parse_args(given)
        except SystemExit:
            pytest.fail(f"{program} {line}")


def test_every_decision_is_in_the_index_and_the_menu():
    notes = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    index = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.findall(r"\]\((0\d{3}-[^)]*)\)", index) == notes
    assert re.findall(r"- decisions/(0\S*)", menu) == notes


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md"])
def test_the_python_on_the_page_runs_and_names_what_it_found(page, tmp_path, monkeypatch, capsys):
    """With an untrained detector in place of the demo's: at threshold 0 it finds anything."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    version = tmp_path / "registry" / "omnidet-tiny-world" / "1"
    image = tmp_path / "data" / "world" / "coco" / "val2017" / "000000000751.jpg"
    version.parent.mkdir(parents=True)
    image.parent.mkdir(parents=True)
    toys.write_bundle(version)
    image.write_bytes(toys.png(64, 48, []))
    monkeypatch.chdir(tmp_path)
    assert "threshold=detector.threshold" in code
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the page leaves closing to Python
        warnings.filterwarnings("ignore", ".* no training text had the word")  # no toy has a heart
        exec(compile(code.replace("threshold=detector.threshold", "threshold=0"), page, "exec"), {})
    found = ast.literal_eval(capsys.readouterr().out)
    words = {"white heart", "blue dog", "dog below heart"}
    assert {phrase for phrase, _ in found} == words
    assert len(found) == 16 * len(words)  # every region of a toy detector, under every name
    assert all(len(box) == 4 for _, box in found)
