"""`omnidet score`: any detector's results, in the official formats, by the official protocols."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet.commands.arguments import Commands, add_command

if TYPE_CHECKING:
    from omnidet.schema import Metrics

PROTOCOLS = {
    "coco": ("standard",),
    "lvis": ("standard", "fixed"),
    "refcocog": ("standard",),
    "flickr30k": ("any-box", "merged-box"),
}
"""For each benchmark, the default first. For Flickr30K both are printed unless one is chosen."""
SPLITS = {"refcocog": "umd/val", "flickr30k": "test"}
"""Default splits of the benchmarks whose files hold several."""


def add(commands: Commands) -> None:
    """Register the command."""
    text = "evaluate any detector's results by the official protocols"
    command = add_command(commands, "score", text, run)
    command.add_argument("benchmark", choices=list(PROTOCOLS))
    command.add_argument(
        "--ground-truth",
        required=True,
        metavar="FILE",
        help="official annotation file (docs/evaluation.md)",
    )
    command.add_argument(
        "--detections", required=True, metavar="FILE", help="results: a JSON list or JSON lines"
    )
    command.add_argument(
        "--protocol",
        help="lvis: standard (300 detections per image) or fixed (10,000 per category)",
    )
    command.add_argument(
        "--images",
        metavar="FILE",
        help="lvis: JSON list of image ids, or an annotation file such as minival's",
    )
    command.add_argument(
        "--split",
        help="refcocog: umd/val (default), umd/test, google/val; flickr30k: test (default), val",
    )
    command.add_argument(
        "--scrambled",
        metavar="FILE",
        help="refcocog: results for the same expressions with their words scrambled",
    )
    command.add_argument(
        "--scrambled-words",
        metavar="OUT",
        help="refcocog: JSON file to write: the scrambled expressions, to run a detector on",
    )
    command.add_argument(
        "--no-intervals", action="store_true", help="leave out the confidence intervals"
    )
    command.add_argument(
        "--json", metavar="OUT", help="JSON file to write: the numbers under flat keys such as AP50"
    )
    command.add_argument(
        "--details",
        metavar="OUT",
        help="JSON file to write: protocol, categories, intervals, counts",
    )


def run(options: argparse.Namespace) -> None:
    """Evaluate and print. Raises ValueError or FileNotFoundError that names what is wrong."""
    from omnidet import storage

    _check_outputs(options)
    _check_options(options)
    metrics = _EVALUATE[options.benchmark](options)
    values = dict(metrics.values)
    if not values:
        raise ValueError(
            f"{options.ground_truth} has no annotation to measure by: "
            "give the file of an annotated split"
        )
    if options.json:
        storage.write_text(options.json, json.dumps(values, indent=1) + "\n")
    if options.details:
        content = {"values": values, "protocol": metrics.protocol, "details": dict(metrics.details)}
        storage.write_text(
            options.details, json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        )
    print(metrics.protocol)
    print(table(values, metrics.details))


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise ValueError if a file to write is one that is read, or is written twice."""
    from omnidet import storage

    read = [options.ground_truth, options.detections, options.images, options.scrambled]
    if options.benchmark == "refcocog":  # its boxes are in a file next to the expressions
        read.append(str(Path(options.ground_truth).with_name("instances.json")))
    for out in filter(None, (options.json, options.details, options.scrambled_words)):
        storage.require_file_target(out, *read)
        is_within = Path(out).resolve().is_relative_to(Path(options.ground_truth).resolve())
        if options.benchmark == "flickr30k" and is_within and Path(out).suffix in (".txt", ".xml"):
            raise ValueError(
                f"{out} may be a file that is read for Flickr30K: give another place to write"
            )
        read.append(out)


def _check_options(options: argparse.Namespace) -> None:
    """Raise ValueError for an option that the benchmark does not have."""
    known = PROTOCOLS[options.benchmark]
    if options.protocol and options.protocol not in known:
        raise ValueError(
            f"{options.benchmark} has no protocol {options.protocol!r}: "
            f"give one of {', '.join(known)}"
        )
    if options.split and options.benchmark not in SPLITS:
        raise ValueError(
            f"--split is for {' and '.join(SPLITS)}: a file of {options.benchmark} is one split"
        )
    if options.images and options.benchmark != "lvis":
        raise ValueError(
            "--images is for lvis: for other benchmarks, give the annotation file of the part"
        )
    if (options.scrambled or options.scrambled_words) and options.benchmark != "refcocog":
        raise ValueError("--scrambled and --scrambled-words are for refcocog")


def table(values: Mapping[str, float], details: Mapping[str, Any]) -> str:
    """The numbers with their confidence intervals, and the counts, for people."""
    intervals = details.get("intervals", {}) if isinstance(details, Mapping) else {}
    width = max(map(len, values), default=0)
    lines = []
    for name, value in values.items():
        ends = intervals.get(name)
        lines.append(
            f"{name:{width}}  {value:.4f}" + (f"  ({ends[0]:.4f} to {ends[1]:.4f})" if ends else "")
        )
    if intervals:
        lines.append(f"in brackets: {details['interval_protocol']}")
    lines.append(
        ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in details["counts"].items())
    )
    return "\n".join(lines)


def _coco(options: argparse.Namespace) -> Metrics:
    from omnidet.evaluation import coco

    rows = _rows(options)
    return coco.evaluate(options.ground_truth, rows, intervals=not options.no_intervals)


def _lvis(options: argparse.Namespace) -> Metrics:
    from omnidet.evaluation import lvis, truth

    only = _image_ids(options.images, truth.read_json(options.images)) if options.images else None
    return lvis.evaluate(
        options.ground_truth,
        _rows(options),
        protocol=options.protocol or PROTOCOLS["lvis"][0],
        only_images=only,
        intervals=not options.no_intervals,
    )


def _rows(options: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    """The detections, with the ids of the ground truth."""
    from omnidet.evaluation import detections, own_ids

    rows = detections.read_rows(options.detections)
    return own_ids.as_in_truth(rows, options.detections, options.ground_truth)


def _image_ids(path: str, content: Any) -> list[int]:
    """The ids in a JSON list, or of the images in an annotation file. Raises ValueError."""
    listed = content.get("images") if isinstance(content, dict) else content
    if not isinstance(listed, list):
        raise ValueError(f"{path} holds no images: give a JSON list of ids or an annotation file")
    found = [image.get("id") if isinstance(image, dict) else image for image in listed]
    ids = [image_id for image_id in found if isinstance(image_id, int)]
    if len(ids) < len(found):
        raise ValueError(f"{path} holds images whose id is not a number: give a JSON list of ids")
    return ids


def _refcocog(options: argparse.Namespace) -> Metrics:
    from omnidet import storage
    from omnidet.evaluation import detections, refcocog, refcocog_files

    split = options.split or SPLITS["refcocog"]
    expressions = refcocog_files.read_expressions(options.ground_truth, split)
    boxes, missing = refcocog_files.best_boxes(
        expressions, detections.read_rows(options.detections)
    )
    counts = {"expressions_without_result": missing}
    control = None
    if options.scrambled:
        control, missing = refcocog_files.best_boxes(
            expressions, detections.read_rows(options.scrambled)
        )
        counts["scrambled_expressions_without_result"] = missing
    if options.scrambled_words:
        words = [
            {
                "id": key,
                "image_id": e.image_id.partition(":")[2],
                "sentence": refcocog.scramble(e.text),
            }
            for key, e in expressions.items()
        ]
        storage.write_text(
            options.scrambled_words, json.dumps(words, indent=1, ensure_ascii=False) + "\n"
        )
    metrics = _with_counts(refcocog.evaluate(list(expressions.values()), boxes, control), counts)
    return dataclasses.replace(metrics, protocol=f"RefCOCOg {split}; {metrics.protocol}")


def _flickr30k(options: argparse.Namespace) -> Metrics:
    from omnidet.evaluation import detections, flickr30k, flickr30k_files

    truth = flickr30k_files.read_phrases(options.ground_truth, options.split or SPLITS["flickr30k"])
    predictions, missing = flickr30k_files.ranked_boxes(
        truth, detections.read_rows(options.detections)
    )
    metrics = flickr30k.evaluate(
        [phrase for phrases in truth.values() for phrase in phrases], predictions
    )
    if options.protocol:
        is_merged = options.protocol == "merged-box"
        values = {
            name: value
            for name, value in metrics.values.items()
            if name.endswith("_merged") == is_merged
        }
        metrics = dataclasses.replace(metrics, values=values)
    return _with_counts(metrics, {"sentences_without_result": missing})


def _with_counts(metrics: Metrics, more: Mapping[str, int]) -> Metrics:
    """The metrics with more counts in their details."""
    counts: Any = metrics.details["counts"]
    return dataclasses.replace(metrics, details={**metrics.details, "counts": {**counts, **more}})


_EVALUATE: dict[str, Callable[[argparse.Namespace], Metrics]] = {
    "coco": _coco,
    "lvis": _lvis,
    "refcocog": _refcocog,
    "flickr30k": _flickr30k,
}
