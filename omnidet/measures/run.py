"""All benchmarks of a recipe: a detector on the evaluation sets of a shard folder.

predict ─rows─▶ one part for each rank ─▶ evaluate ─▶ one file of rows for each set, and Evaluation
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from omnidet import progress, storage
from omnidet.data import shards
from omnidet.evaluation.detections import read_rows
from omnidet.inference.detector import OmniDet
from omnidet.measures import prediction_files
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import Evaluation
from omnidet.schema import Record


def in_one_process(
    detector: OmniDet, index: shards.Index, config: EvaluationConfig, folder: Path
) -> Evaluation:
    """Predict and evaluate in one process; the rows go to `folder`.

    Raises:
        ValueError: if an evaluation set is missing and not optional.
    """
    parts = folder / "parts"
    parts.mkdir()
    predict(detector, index, config, parts)
    result = evaluate(index, config, [parts], folder)
    storage.remove(parts)
    return result


def predict(
    detector: OmniDet,
    index: shards.Index,
    config: EvaluationConfig,
    folder: Path,
    rank: int = 0,
    ranks: int = 1,
) -> None:
    """Write the rows of every `ranks`-th image of each set to `folder`."""
    written = set()
    for benchmark in _present(index, config):
        if benchmark.file_name not in written:
            images = itertools.islice(
                enumerate(_images(index, benchmark.set_name)), rank, None, ranks
            )
            found = benchmark.loaded.predict(detector, index, benchmark.set_name, images)
            prediction_files.write_part(folder / benchmark.file_name, found)
            written.add(benchmark.file_name)


def evaluate(
    index: shards.Index, config: EvaluationConfig, parts: Sequence[Path], folder: Path
) -> Evaluation:
    """The numbers of what all ranks predicted.

    Args:
        parts: the folders that the ranks wrote.
        folder: where the rows go, one JSON list for each set.
    """
    result = Evaluation({}, {}, {})
    for benchmark in _present(index, config):
        path = folder / benchmark.file_name
        if not path.exists():
            prediction_files.merge([part / benchmark.file_name for part in parts], path)
        metrics = benchmark.loaded.evaluate(index, benchmark.set_name, read_rows(path))
        ending = f"_{benchmark.suffix}" if benchmark.suffix else ""
        for metric, value in metrics.values.items():
            # With a suffix, only whole metrics are kept: a part, such as AIGT_plain, has its own
            # suffix.
            if not (ending and "_" in metric):
                result.values[f"{benchmark.name}/{metric}{ending}"] = value
        result.protocols[benchmark.name] = metrics.protocol
        result.details[benchmark.name + ending] = dict(metrics.details)
    return result


def set_hashes(index: shards.Index, config: EvaluationConfig) -> dict[str, str]:
    """The hash of what each entry of the details was measured on."""
    return {
        f"{b.name}_{b.suffix}" if b.suffix else b.name: index.sha256(b.set_name)
        for b in _present(index, config)
    }


def _present(index: shards.Index, config: EvaluationConfig) -> list[Benchmark]:
    chosen = [b for b in config.benchmarks if not b.optional or b.set_name in index.sets]
    for benchmark in chosen:
        if benchmark.set_name not in index.sets:  # said before hours of work
            # Which of the sets has what this benchmark measures is for people to say.
            is_only = [b.name for b in config.benchmarks].count(benchmark.name) == 1
            remedy = (
                f"name the right one with --set evaluation.benchmarks.{benchmark.name}.set_name=SET"
                if is_only
                else "give the shards that have it, or a recipe with other benchmarks"
            )
            raise ValueError(
                f"{index.location} has no set {benchmark.set_name!r} for the benchmark "
                f"{benchmark.name}: it holds {', '.join(index.sets) or 'nothing'}; {remedy}"
            )
        if benchmark.loaded.needs_truth:
            ground_truth(index, benchmark.set_name)
    return chosen


def _images(index: shards.Index, set_name: str) -> Iterator[Record]:
    total = shards.num_samples(index.shards(set_name))
    yield from progress.bar(
        shards.records(index, set_name), desc=set_name, unit="image", total=total
    )
