"""Every measure that a recipe can name fits the type, and its two halves fit each other."""

import json

import pytest

from omnidet import plugins
from omnidet.data import shards
from omnidet.measures.config import MEASURES, Benchmark
from omnidet.measures.measure import Measure
from tests.measures.truth_teller import TruthTeller

SETS = {"lvis_fixed": "eval/lvis", "absent": "eval/lvis"}


@pytest.mark.parametrize("name", plugins.names(MEASURES))
def test_what_predict_yields_is_what_evaluate_takes(index, name):
    set_name = SETS.get(name, f"eval/{name}")
    measure = Benchmark(name, name, set_name).loaded
    assert isinstance(measure, Measure)
    records = list(shards.records(index, set_name))
    found = list(measure.predict(TruthTeller(records), index, set_name, enumerate(records)))
    assert [number for number, _ in found] == list(range(len(records)))
    rows = json.loads(json.dumps([row for _, own in found for row in own]))
    metrics = measure.evaluate(index, set_name, rows)
    assert metrics.values
    assert metrics.protocol


def test_the_files_of_two_measures_of_a_set_differ():
    names = plugins.names(MEASURES)
    files = {Benchmark(name, name, "eval/x").file_name for name in names}
    official = {name for name in names if not Benchmark(name, name, "eval/x").loaded.rows_name}
    assert len(files) == len(names) - len(official) + 1
