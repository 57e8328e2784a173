"""New data into the folder of the run."""

from __future__ import annotations

from components.gather_new_data import gather_new_data
from components.run import places, retrain


def test_every_parameter_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(retrain, "gather", lambda *given: arrived.append(given))
    settings = ["retrain.steps=3"]
    given = ("s3://b/d", "none", "s3://b/r", "s3://b/w", "abc", "tiny_world", settings)
    assert gather_new_data.python_func(*given, 2) == ("s3://b/w/runs/abc", "2")
    assert gather_new_data.python_func(*given, 0) == ("s3://b/w/runs/abc", "")
    recipe = places.recipe("tiny_world", settings)
    assert arrived[:1] == [("s3://b/d", "none", "s3://b/w/runs/abc", "s3://b/r", recipe)]
