import dataclasses

import pytest

from omnidet.data.annotated.account import Account
from omnidet.report import tables
from omnidet.report.tables import Table
from tests import evaluations


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match=r"'Data' .* 1 cells for 2 columns"):
        Table("Data", ["Set", "images"], [["train/coco"]])


def test_data_streams_and_recipe_become_tables(tmp_path):
    index = evaluations.index(tmp_path)
    recipe = {"train": {"steps": 10}, "losses": [{"loss": "names", "weight": 2.0}], "sizes": [1, 2]}
    streams = [{"name": "det", "sets": ["train/coco", "train/coco"], "images_per_step": 8}]
    made = {
        table.title: table
        for table in tables.of_run(index, {"recipe": recipe | {"streams": streams}})
    }
    assert [row[:3] for row in made["Data"].rows] == [
        ("eval/coco", "6", "2"),
        ("eval/refcocog", "6", "2"),
    ]
    assert made["Streams"].rows == [("det", "train/coco", "8")]
    assert made["Held out of training"].rows == [("train/coco", "coco val2017", "3")]
    assert made["Left out while building"].rows == [("coco: box: zero-size box", "2")]
    fields = dict(made["Every field of the recipe"].rows)
    assert (fields["train.steps"], fields["losses[1].weight"], fields["sizes"]) == (
        "10",
        "2.0",
        "1, 2",
    )


def test_the_account_of_an_annotated_folder_is_a_table(tmp_path):
    account = Account()
    account.keep("boxes", 1200)
    account.leave("boxes", "box without an area", "a.txt line 3", 2)
    account.notes.append("names from data.yaml")
    index = evaluations.index(tmp_path)
    report = {**index.report, "accounts": {"bolts": account.describe()}}
    first = tables.of_run(dataclasses.replace(index, report=report), {})[0]
    assert first.title == "What was read of bolts"
    assert first.rows[2:] == [
        ("boxes", "1,202", "1,200", "2", ""),
        ("box without an area", "", "", "2", "a.txt line 3"),
    ]
    assert first.note == "names from data.yaml"


def test_without_a_recipe_its_tables_are_left_out(tmp_path):
    titles = [table.title for table in tables.of_run(evaluations.index(tmp_path), {})]
    assert titles == ["Data", "Held out of training", "Left out while building"]
