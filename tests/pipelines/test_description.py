"""What the UI shows of a pipeline."""

from __future__ import annotations

from pipelines import description


def test_a_row_for_each_parameter_that_matters():
    entry = {"parameterType": "STRING", "defaultValue": "", "description": "Where it is.\nMore."}
    inputs = {name: dict(entry) for name in description.MATTERS["retrain"]}
    inputs["data"].pop("defaultValue")
    inputs["train_steps"] |= {"defaultValue": 3.0, "description": "Number\nof steps. 0 is none."}
    text = description.describe("retrain", "It learns.", inputs)
    assert text.startswith("It learns.\n\n| parameter |")
    assert "| data | required | Where it is |" in text
    assert "| train_steps | 3 | Number of steps |" in text
    assert "| registry | – | Where it is |" in text
    assert len(text.splitlines()) == 4 + len(inputs)
