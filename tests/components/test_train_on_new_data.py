"""The training of a retraining."""

from __future__ import annotations

from components.run import retrain
from components.train_on_new_data import train_on_new_data


def test_every_parameter_arrives(monkeypatch, capsys):
    arrived = []
    monkeypatch.setattr(retrain, "train", lambda *given: arrived.append(given) or "model")
    settings = ["retrain.steps=3"]
    given = ("folder", "s3://b/r", "tiny_world", settings)
    assert train_on_new_data.python_func(*given, gpus=2, cpu="4", memory="8Gi") == "model"
    assert arrived == [(*given, 2)]
    assert "2 GPUs, 4 CPUs, 8Gi" in capsys.readouterr().out
