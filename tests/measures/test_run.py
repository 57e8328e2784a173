"""All benchmarks of a recipe: names, files, and any number of ranks."""

import pytest

from omnidet.data import shards
from omnidet.inference.detector import OmniDet
from omnidet.measures import run
from omnidet.measures.config import Benchmark, EvaluationConfig
from tests import toys
from tests.measures.truth_teller import TruthTeller


def test_metrics_are_named_by_benchmark_and_suffix(index, tmp_path):
    sets = ("eval/refcocog", "eval/refcocog_unseen")
    records = [record for name in sets for record in shards.records(index, name)]
    config = EvaluationConfig(
        (
            Benchmark("refcocog", "refcocog", "eval/refcocog"),
            Benchmark("refcocog", "refcocog", "eval/refcocog_unseen", suffix="unseen"),
            Benchmark("other", "coco", "eval/none", optional=True),
        )
    )
    result = run.in_one_process(TruthTeller(records), index, config, tmp_path)
    keys = (
        "refcocog/AIGT",
        "refcocog/AIGT_plain",
        "refcocog/AIGT_relational",
        "refcocog/AIGT_unseen",
    )
    plain = {key: value for key, value in result.values.items() if "scrambled" not in key}
    assert plain == dict.fromkeys(keys, 1.0)
    assert set(result.details) == {"refcocog", "refcocog_unseen"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "eval_refcocog.json",
        "eval_refcocog_unseen.json",
    }
    assert "AIGT" in result.protocols["refcocog"]


def test_a_missing_set_is_named_before_anything_is_predicted(index, tmp_path):
    config = EvaluationConfig((Benchmark("coco", "coco", "eval/none"),))
    field = r"--set evaluation\.benchmarks\.coco\.set_name=SET"
    with pytest.raises(ValueError, match=f"'eval/none' .*holds .*eval/lvis.*{field}"):
        run.in_one_process(TruthTeller([]), index, config, tmp_path)


def test_no_setting_is_offered_that_would_change_two_benchmarks(index, tmp_path):
    """`--set` changes all of a name: both would be measured on one set."""
    present = Benchmark("refcocog", "refcocog", "eval/refcocog")
    lacking = Benchmark("refcocog", "refcocog", "eval/none", suffix="unseen")
    with pytest.raises(ValueError, match="'eval/none'") as caught:
        run.in_one_process(TruthTeller([]), index, EvaluationConfig((present, lacking)), tmp_path)
    assert "--set" not in str(caught.value)


def test_a_set_without_ground_truth_is_named(index, tmp_path):
    config = EvaluationConfig((Benchmark("coco", "coco", "eval/refcocog"),))
    with pytest.raises(ValueError, match="'eval/refcocog'"):
        run.in_one_process(TruthTeller([]), index, config, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_any_number_of_ranks_gives_the_same_files_and_numbers(index, tmp_path, ranks):
    sets = {name: f"eval/{name}" for name in ("coco", "lvis", "refcocog", "flickr30k")}
    sets["absent"] = "eval/lvis"
    config = EvaluationConfig(
        tuple(Benchmark(name, name, set_name) for name, set_name in sets.items())
    )
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    (tmp_path / "alone").mkdir()
    expected = run.in_one_process(detector, index, config, tmp_path / "alone")
    parts = [tmp_path / str(rank) for rank in range(ranks)]
    for rank, part in enumerate(parts):
        part.mkdir()
        run.predict(detector, index, config, part, rank, ranks)
    (tmp_path / "together").mkdir()
    assert run.evaluate(index, config, parts, tmp_path / "together") == expected
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == [
        "eval_coco.json",
        "eval_flickr30k.json",
        "eval_lvis.absent.json",
        "eval_lvis.json",
        "eval_refcocog.json",
    ]
    for name in names:
        together, alone = (tmp_path / folder / name for folder in ("together", "alone"))
        assert together.read_bytes() == alone.read_bytes()
