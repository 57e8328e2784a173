import pytest

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


def test_without_a_recipe_its_tables_are_left_out(tmp_path):
    titles = [table.title for table in tables.of_run(evaluations.index(tmp_path), {})]
    assert titles == ["Data", "Held out of training", "Left out while building"]
