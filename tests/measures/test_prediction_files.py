import json

from omnidet.measures import prediction_files


def test_the_parts_of_all_ranks_become_one_list_in_the_order_of_the_images(tmp_path):
    rows = {
        n: [{"image_id": n, "text": f"line\n\ttab é {k}"} for k in range(n % 3)] for n in range(10)
    }
    for rank in range(3):
        prediction_files.write_part(
            tmp_path / str(rank), ((n, rows[n]) for n in range(rank, 10, 3))
        )
    prediction_files.merge([tmp_path / str(rank) for rank in range(3)], tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8")) == [
        row for n in range(10) for row in rows[n]
    ]


def test_without_rows_the_list_is_empty(tmp_path):
    prediction_files.write_part(tmp_path / "0", iter([(0, []), (1, [])]))
    prediction_files.merge([tmp_path / "0"], tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text()) == []


def test_rows_are_written_as_they_come(tmp_path):
    """No more than the file's buffer is held in memory, however long the run."""

    def images():
        for n in range(2000):
            yield n, [{"image_id": n, "bbox": [0.0] * 40}]
        assert (tmp_path / "0").stat().st_size > 300_000

    prediction_files.write_part(tmp_path / "0", images())
