"""Time and memory of evaluators, and whether they agree: ours, the official ones, faster-coco-eval.

    python benchmarks/evaluators.py --json OUT        # 500 images for all, 20,000 for ours alone
    python benchmarks/evaluators.py --golden FOLDER   # also coco_eval_golden and lvis_eval_golden

The sets are synthetic: 1,203 categories; per image 8 present and 5 absent ones, 12 true boxes, and
300 detections, half of them near true boxes; stored as JSON lines. Each evaluator runs in a process
of its own, from reading the files to the numbers, and memory is the peak of that process.
faster-coco-eval is left out if it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

NUM_CATEGORIES, PRESENT, ABSENT, TRUE_BOXES, DETECTIONS = 1203, 8, 5, 12, 300
EVALUATORS = ("ours", "ours, no intervals", "official", "faster-coco-eval")


def draw(folder: Path, kind: str, images: int, seed: int = 0) -> tuple[Path, Path]:
    """Write a synthetic set into `folder`; the paths of its ground truth and detections."""
    random = np.random.default_rng(seed)
    truth_path, found_path = (
        folder / f"{kind}_{images}.json",
        folder / f"{kind}_{images}_found.jsonl",
    )
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [
        {"id": c + 1, "name": f"thing {c}", "frequency": "rcf"[c % 3]}
        for c in range(NUM_CATEGORIES)
    ]
    with found_path.open("w") as file:
        for image in range(1, images + 1):
            known = random.choice(NUM_CATEGORIES, PRESENT + ABSENT, replace=False) + 1
            entry = {"id": image, "width": 640, "height": 480}
            if kind == "lvis":
                entry |= {
                    "neg_category_ids": known[PRESENT:].tolist(),
                    "not_exhaustive_category_ids": known[:1].tolist(),
                }
            content["images"].append(entry)
            boxes = np.round(
                np.c_[
                    random.uniform(0, 500, (TRUE_BOXES, 2)),
                    random.lognormal(4, 0.8, (TRUE_BOXES, 2)),
                ],
                2,
            )
            own = np.r_[known[:PRESENT], random.choice(known[:PRESENT], TRUE_BOXES - PRESENT)]
            for box, category in zip(boxes.tolist(), own.tolist(), strict=True):
                number = len(content["annotations"]) + 1
                annotation = {
                    "id": number,
                    "image_id": image,
                    "category_id": category,
                    "bbox": box,
                    "iscrowd": 0,
                }
                content["annotations"].append(
                    annotation | {"area": round(box[2] * box[3] * 0.7, 2)}
                )
            for row in _detections(random, image, boxes, own, known):
                file.write(json.dumps(row) + "\n")
    truth_path.write_text(json.dumps(content))
    return truth_path, found_path


def _detections(
    random: np.random.Generator, image: int, boxes: np.ndarray, own: np.ndarray, known: np.ndarray
) -> list[dict[str, Any]]:
    near = random.integers(0, len(boxes), DETECTIONS // 2)
    moved = boxes[near] + random.normal(0, 0.12, (len(near), 4)) * np.tile(boxes[near, 2:], 2)
    rest = np.c_[
        random.uniform(0, 500, (DETECTIONS // 2, 2)), random.lognormal(4, 0.8, (DETECTIONS // 2, 2))
    ]
    other = random.integers(1, NUM_CATEGORIES + 1, DETECTIONS // 2)
    other[::4] = random.choice(known, len(other[::4]))
    found = np.round(np.r_[moved, rest].clip(0.01), 2)
    categories = np.r_[own[near], other]
    scores = np.round(
        random.beta(1, 3, DETECTIONS) + np.r_[np.full(len(near), 0.1), np.zeros(len(other))], 4
    )
    return [
        {"image_id": image, "category_id": c, "bbox": box, "score": score}
        for c, box, score in zip(categories.tolist(), found.tolist(), scores.tolist(), strict=True)
    ]


def count(evaluator: str, kind: str, truth: str, found: str) -> dict[str, float]:
    """The numbers of one evaluator."""
    from omnidet.evaluation import coco, lvis, official
    from omnidet.evaluation.detections import read_rows

    rows = read_rows(found)
    if evaluator.startswith("ours"):
        evaluate = coco.evaluate if kind == "coco" else lvis.evaluate
        return dict(evaluate(truth, rows, intervals=evaluator == "ours").values)
    if evaluator == "official":
        if kind == "coco":
            return dict(
                zip(coco.NAMES, map(float, official.coco(truth, list(rows)).stats), strict=True)
            )
        return {
            name: float(v) for name, v in official.lvis(truth, list(rows)).get_results().items()
        }
    return _faster(kind, truth, list(rows))


def _faster(kind: str, truth: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    from faster_coco_eval import COCO, COCOeval_faster

    from omnidet.evaluation import coco

    ground_truth = COCO(truth)
    if kind == "lvis":  # its loader does not limit detections to 300 per image
        by_image: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            by_image.setdefault(row["image_id"], []).append(row)
        rows = [
            r for own in by_image.values() for r in sorted(own, key=lambda r: -r["score"])[:300]
        ]
    evaluator = COCOeval_faster(
        ground_truth,
        ground_truth.loadRes(rows),
        "bbox",
        lvis_style=kind == "lvis",
        print_function=_mute,
    )
    if kind == "lvis":
        evaluator.params.maxDets = [300]
    evaluator.run()
    if kind == "coco":
        return dict(zip(coco.NAMES, map(float, evaluator.stats[:12]), strict=True))
    names = {
        "AP_all": "AP",
        "AP_50": "AP50",
        "AP_75": "AP75",
        "AP_small": "APs",
        "AP_medium": "APm",
        "AP_large": "APl",
    }
    names |= {"APr": "APr", "APc": "APc", "APf": "APf", "AR_all": "AR@300"}
    return {names[name]: float(v) for name, v in evaluator.stats_as_dict.items() if name in names}


def _mute(*_: object) -> None:
    pass


def measure(evaluator: str, kind: str, truth: Path, found: Path) -> dict[str, Any]:
    """Seconds, peak memory in MB and numbers of an evaluator, in a process of its own."""
    command = [sys.executable, __file__, "--one", evaluator, kind, str(truth), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {
            "failed": (
                done.stderr.strip().splitlines() or [f"killed by signal {-done.returncode}"]
            )[-1][:90]
        }
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(
    title: str,
    kind: str,
    truth: Path,
    found: Path,
    evaluators: tuple[str, ...],
    out: dict[str, float],
) -> None:
    """Print a line for each evaluator, with its largest difference from the official one."""
    results = {name: measure(name, kind, truth, found) for name in evaluators}
    reference = results.get("official", {}).get("values", {})
    for name, result in results.items():
        if "failed" in result:
            print(f"{title:22} {name:20} {result['failed']}", flush=True)
            continue
        shared = [key for key in reference if key in result["values"]]
        difference = max(
            (abs(reference[key] - result["values"][key]) for key in shared), default=None
        )
        cost = f"{result['seconds']:8.1f} s {result['megabytes']:8.0f} MB"
        compared = "not compared" if difference is None else f"{difference:.1e} over {len(shared)}"
        print(f"{title:22} {name:20} {cost}   {compared}", flush=True)
        key = f"{title}/{name}".replace(", ", "_").replace(" ", "_")
        out |= {f"{key}/seconds": result["seconds"], f"{key}/megabytes": result["megabytes"]}
        if difference is not None:
            out[f"{key}/difference"] = difference


def main() -> None:
    """Compare the evaluators on every set and print a table."""
    options = _options()
    if options.one:
        _count_one(options.one)
        return
    has_faster = importlib.util.find_spec("faster_coco_eval") is not None
    evaluators = EVALUATORS if has_faster else EVALUATORS[:3]
    out: dict[str, float] = {}
    print(f"{'set':22} {'evaluator':20} {'time':>10} {'peak':>11}   largest difference", flush=True)
    if options.golden:
        coco, lvis = options.golden / "coco_eval_golden", options.golden / "lvis_eval_golden"
        truth, found = "instances_val2014_100.json", "instances_val2014_fakebbox100_results.json"
        compare("coco golden", "coco", coco / truth, coco / found, evaluators, out)
        truth, found = "lvis_val_100.json", "lvis_val_100_synthetic_dets.json"
        compare("lvis golden", "lvis", lvis / truth, lvis / found, evaluators, out)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        small, large = options.small, options.large
        for kind in ("coco", "lvis"):
            compare(f"{kind} {small}", kind, *draw(folder, kind, small), evaluators, out)
        if large:
            drawn = draw(folder, "lvis", large)
            compare(f"lvis {large}", "lvis", *drawn, EVALUATORS[:2], out)
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument(
        "--golden", type=Path, help="folder with coco_eval_golden and lvis_eval_golden"
    )
    parser.add_argument(
        "--small", type=int, default=500, help="images in the set for all evaluators"
    )
    parser.add_argument(
        "--large", type=int, default=20_000, help="images in the set for ours alone; 0 for none"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to keep the drawn sets (default: a temporary folder)"
    )
    parser.add_argument("--json", type=Path, help="file to write")
    return parser.parse_args()


def _count_one(arguments: list[str]) -> None:
    """In a process of its own: print what one evaluator takes and finds."""
    started = time.perf_counter()
    values = count(*arguments)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    known = {name: value for name, value in values.items() if value > -1}
    print(json.dumps({"seconds": seconds, "megabytes": peak, "values": known}))


if __name__ == "__main__":
    main()
