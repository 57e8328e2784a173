"""Which way a folder goes, what it is called, and what is refused at once."""

from __future__ import annotations

import pytest

from omnidet import cli
from omnidet.commands import finetune
from omnidet.recipes.loading import load_recipe
from omnidet.steps import retrain


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("data/Blood Cells/", "blood-cells"),
        ("s3://team/pictures", "pictures"),
        ("Zähne", "zahne"),
        ("a" * 60, "a" * 40),
    ],
)
def test_the_name_of_a_dataset_is_its_folders(folder, name):
    assert finetune.default_name(folder) == name


def test_folders_in_other_scripts_have_names_of_their_own():
    names = {finetune.default_name(folder) for folder in ("データ", "鳥", "птицы")}
    assert len(names) == 3
    for name in names:
        retrain.check_name(name)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (("--minutes", "-1"), "--minutes -1"),
        (("--steps", "0"), "--steps 0"),
        (("--val-share", "1"), "--val-share 1"),
        (("--folds", "5"), "--fold"),
        (("--fold", "2"), "--folds"),
        (("--minutes", "1e6"), "10000 at most"),
        (("--folds", "5", "--fold", "6"), "--folds 5 --fold 6"),
        (("--folds", "0"), "--folds 0"),
        (("--folds", "0", "--fold", "0"), "--folds 0 --fold 0"),
        (("--folds", "1", "--fold", "1"), "--folds 1 --fold 1"),
    ],
)
def test_numbers_that_mean_nothing(tmp_path, monkeypatch, capsys, given, value):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["finetune", "pictures", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert value in line


@pytest.mark.parametrize(
    "path", ["😀/names.yaml", "caf\udce9.yaml", 'a: "b" #c', "1:30", "x\u2028y", "long " * 100]
)
def test_odd_letters_of_a_path_reach_the_recipe(path):
    options = cli._parser().parse_args(["finetune", "pictures", "--names", path])
    recipe = load_recipe(None, "photographs", finetune._reading(options))
    assert recipe.retrain.reading.names == path


@pytest.mark.parametrize(
    "given", [("--minutes", "1", "--steps", "3"), ("--val-share", ".2", "--folds", "5")]
)
def test_two_answers_to_one_question(given):
    with pytest.raises(SystemExit) as refused:
        cli.main(["finetune", "pictures", *given])
    assert refused.value.code == 2


@pytest.mark.parametrize("out", ["/proc/x", "file/x"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch, capsys, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    assert cli.main(["finetune", "pictures", "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert out.rpartition("/")[0] in line
    assert "cannot be" in line
