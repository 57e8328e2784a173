"""Some pictures of a benchmark, measured often: how good a detector is while it is trained."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.evaluation import coco as protocol
from omnidet.inference.detector import OmniDet
from omnidet.measures.config import SAMPLED, Benchmark
from omnidet.measures.ground_truth import ground_truth
from omnidet.model.detector import Detector
from omnidet.schema import Record

SHOWN = ("AP", "AP50")


class Sample:
    """At most so many pictures of one benchmark, always the same, chosen by a hash of their ids."""

    def __init__(self, index: shards.Index, benchmark: Benchmark, most: int) -> None:
        """Read the pictures, which stay in memory as files.

        Raises ValueError for a benchmark of another measure, or without ground truth.
        """
        if not benchmark.can_be_sampled:
            raise ValueError(
                f"benchmark {benchmark.name!r} is measured by {benchmark.measure!r}, which takes "
                f"no sample: name one of {SAMPLED!r}"
            )
        self._index, self._set_name, self._measure = index, benchmark.set_name, benchmark.loaded
        path, _ = ground_truth(index, benchmark.set_name)
        whole = json.loads(path.read_bytes())
        judged = {int(image["id"]) for image in whole["images"]}
        ids = [r.image_id for r in shards.texts(index, benchmark.set_name) if _number(r) in judged]
        chosen = set(sorted(ids, key=lambda i: hashlib.sha256(i.encode()).digest())[:most])
        self.records = [
            r for r in shards.records(index, benchmark.set_name) if r.image_id in chosen
        ]
        kept = {_number(record) for record in self.records}
        self._truth = {
            **whole,
            "images": [image for image in whole["images"] if int(image["id"]) in kept],
            "annotations": [a for a in whole["annotations"] if int(a["image_id"]) in kept],
        }

    def measure(self, detector: OmniDet) -> dict[str, float]:
        """AP and AP50 of the pictures; 0 where the pictures hold no box to find."""
        numbered = iter(list(enumerate(self.records)))
        found = self._measure.predict(detector, self._index, self._set_name, numbered)
        rows = [row for _, own in found for row in own]
        with tempfile.TemporaryDirectory(prefix="omnidet-") as folder:
            path = Path(folder, "truth.json")
            path.write_text(json.dumps(self._truth), encoding="utf-8")
            values = protocol.evaluate(path, rows, intervals=False).values
        return {name: values.get(name, 0.0) for name in SHOWN}


class Samples:
    """Samples of several benchmarks, measured on a detector in training: their mean, and each."""

    def __init__(
        self,
        index: shards.Index,
        benchmarks: Sequence[Benchmark],
        most: int,
        vocabulary: Vocabulary,
    ) -> None:
        """`most` is the number of pictures of each, at most."""
        self._samples = {b.name: Sample(index, b, most) for b in benchmarks}
        self._vocabulary = vocabulary
        self.num_images = sum(len(sample.records) for sample in self._samples.values())

    def __call__(self, detector: Detector) -> dict[str, float]:
        """`AP` and `AP50`; with several benchmarks the means, and `AP NAME` of each."""
        asked = OmniDet(detector, self._vocabulary, {})
        values = {name: sample.measure(asked) for name, sample in self._samples.items()}
        means = {key: sum(v[key] for v in values.values()) / len(values) for key in SHOWN}
        each = {f"AP {name}": own["AP"] for name, own in values.items()} if len(values) > 1 else {}
        return {**means, **each}


def _number(record: Record) -> int:
    return int(record.image_id.partition(":")[2])
