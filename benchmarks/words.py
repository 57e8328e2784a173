"""Whether names that no training picture had are found by their words.

    python benchmarks/words.py --data FOLDER --out SCRATCH --leave-out BoltWasher AdjustableWrench

A detector is trained on the pictures without the left-out names and asked for these names in all
pictures that show them. Two questions:

- R@1: does the best box of the whole picture hit the object?
- AUC: does the score of the best box tell pictures of the name from those of the other names that
  share a word with it ("bolt washer" from "bolt" and "washer")? .5 is guessing.

The controls are the words of the name alone, the same words in the reverse order, the other
left-out names ("wrong name"), and the name without the words that no training text had. Intervals
are 95 % of bootstraps over pictures. `--how` changes the supervision:

- names: the Det stream of the recipe `photographs`;
- softmax: the token softmax on the names of boxes too;
- captions: an Img stream too, in which the names of a training picture are its caption;
- compound-captions: in the Img stream also the left-out names, as captions without boxes, of those
  pictures that the folder's split gives to the training. The other pictures are asked.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import processor_time
from side_by_side import print_table

from omnidet import boxes, config, recipes
from omnidet.data.annotated.phrases import phrase as words_of
from omnidet.data.mixing.config import Stream
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.inference.detector import OmniDet
from omnidet.inference.search import best_pairs
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.recipes.recipe import LOSSES, Recipe
from omnidet.steps import retrain, train_detector

HOW = ("names", "softmax", "captions", "compound-captions")
RESAMPLES = 2000


def main() -> None:
    """Read, train, ask, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="an annotated folder")
    parser.add_argument("--leave-out", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--how", choices=HOW, default="names")
    parser.add_argument("--out", type=Path, required=True, help="a folder for what the run makes")
    parser.add_argument("--set", action="append", default=[], help="as train.steps=300")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    left_out = [words_of(name).lower() for name in options.leave_out]
    dataset, coco, shards, words, model = (
        options.out / part for part in ("dataset", "coco", "shards", "vocabulary", "model")
    )
    if not dataset.exists():
        print(retrain.read(options.data, str(dataset), retrain.data_version(options.data)))
    pictures = _pictures(dataset, left_out)
    splits = _split(pictures, left_out, options.how)
    recipe = config.override(_recipe(options.how), *options.set)
    _lay_out(dataset, coco, splits, left_out)
    train_detector.build_shards(str(coco), str(shards), recipe)
    train_detector.build_vocabulary(str(shards), str(words), recipe)
    began = processor_time.seconds()
    train_detector.train(str(shards), str(words), str(model), recipe)
    minutes = (processor_time.seconds() - began) / 60
    evaluated = train_detector.evaluate(
        str(model), str(shards), str(options.out / "m.json"), str(options.out / "e"), recipe
    )
    detector = OmniDet.from_pretrained(model)
    known = {word for p in splits["train"] for name in p.names for word in name.split()}
    asked = _ask(detector, dataset, splits["asked"], splits["rest"], left_out)
    values = _measure(asked, left_out, known)
    values |= {"rest/AP50": evaluated.values["rest/AP50"], "train_processor_minutes": minutes}
    _print(values, left_out, options.how, evaluated.values["rest/AP50"], minutes)
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n")


@dataclass(frozen=True)
class Picture:
    """A picture, its boxes, and the names of these in lower case."""

    entry: dict[str, Any]
    boxes_xyxy: np.ndarray
    names: tuple[str, ...]
    is_training: bool
    """Whether the folder's split gives it to the training."""

    def shows(self, names: Sequence[str]) -> bool:
        return any(name in names for name in self.names)


def _pictures(dataset: Path, left_out: Sequence[str]) -> list[Picture]:
    found, known = [], set()
    for split in ("train", "evaluation"):
        content = json.loads((dataset / "annotations" / f"{split}.json").read_text())
        names = {c["id"]: c["name"].lower() for c in content["categories"]}
        known |= set(names.values())
        own = defaultdict(list)
        for annotation in content["annotations"]:
            own[annotation["image_id"]].append(annotation)
        for entry in content["images"]:
            rows = own[entry["id"]]
            xywh = np.array([row["bbox"] for row in rows], np.float32).reshape(-1, 4)
            corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
            named = tuple(names[row["category_id"]] for row in rows)
            found.append(Picture(entry, corners, named, split == "train"))
    lacking = [name for name in left_out if name not in known]
    if lacking:
        raise SystemExit(f"{lacking[0]!r} is not a name in the folder: {', '.join(sorted(known))}")
    return found


def _split(pictures: list[Picture], left_out: Sequence[str], how: str) -> dict[str, list[Picture]]:
    compounds = [p for p in pictures if p.shows(left_out)]
    others = [p for p in pictures if not p.shows(left_out)]
    train = [p for p in others if p.is_training]
    is_captioned = how == "compound-captions"
    captioned = [p for p in compounds if p.is_training and is_captioned]
    return {
        "train": train,
        "captions": [*train, *captioned],
        "rest": [p for p in others if not p.is_training],
        "asked": [p for p in compounds if not (p.is_training and is_captioned)],
    }


def _recipe(how: str) -> Recipe:
    base = recipes.by_name("photographs")
    det = dataclasses.replace(base.streams[0], sets=("train/train",), describes=how == "softmax")
    streams, train = [det], [Dataset("train/train", "coco", ".", "train")]
    if "captions" in how:
        train.append(Dataset("train/captions", "coco", ".", "captions"))
        own = {"boxes": False, "captions": True, "transforms": ("flip",)}
        streams.append(Stream("img", ("train/captions",), 4, **own))
    lacking = {"token_alignment": how == "softmax", "caption": "captions" in how}
    return dataclasses.replace(
        base,
        shards=ShardsConfig(
            train=tuple(train),
            evaluation=(Dataset("eval/rest", "coco", ".", "rest"),),
            hash_images=False,
        ),
        streams=tuple(streams),
        losses=tuple(loss for loss in LOSSES if lacking.get(loss.name, True)),
        evaluation=EvaluationConfig((Benchmark("rest", "coco", "eval/rest"),)),
    )


def _lay_out(
    dataset: Path, coco: Path, splits: dict[str, list[Picture]], left_out: Sequence[str]
) -> None:
    """The splits in COCO's layout, without the left-out names; what they show is a caption."""
    (coco / "annotations").mkdir(parents=True, exist_ok=True)
    names = sorted({n for p in splits["train"] for n in p.names if n not in left_out})
    ids = {name: number for number, name in enumerate(names, 1)}
    for split in ("train", "captions", "rest"):
        members = splits[split]
        images = [p.entry for p in members]
        if not (coco / split).exists():
            (coco / split).symlink_to((dataset / "images").resolve())
        rows = []
        for picture in members:
            for corners, name in zip(picture.boxes_xyxy.tolist(), picture.names, strict=True):
                x0, y0, x1, y1 = corners
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
                own = {"id": len(rows) + 1, "image_id": picture.entry["id"], "iscrowd": 0}
                if name in ids:
                    rows.append(own | box | {"category_id": ids[name]})
        categories = [{"id": number, "name": name} for name, number in ids.items()]
        content = {"images": images, "annotations": rows, "categories": categories}
        _dump(coco, f"instances_{split}", content)
        if split == "captions":
            texts = [
                {"id": i, "image_id": p.entry["id"], "caption": ", ".join(sorted(set(p.names)))}
                for i, p in enumerate(members, 1)
                if p.names
            ]
            _dump(coco, f"captions_{split}", {"images": images, "annotations": texts})


def _dump(coco: Path, name: str, content: dict[str, Any]) -> None:
    (coco / "annotations" / f"{name}.json").write_text(json.dumps(content))


@dataclass(frozen=True)
class Answers:
    """What a detector says about each picture and phrase."""

    phrases: dict[str, int]
    score_NP: np.ndarray
    """Score of the best box."""
    hit_NP: np.ndarray
    """Whether the best box has an IoU of .5 with a true box, whatever its name."""
    names: list[tuple[str, ...]]
    """What each picture shows."""


def _ask(
    detector: OmniDet,
    dataset: Path,
    asked: list[Picture],
    rest: list[Picture],
    left_out: Sequence[str],
) -> Answers:
    phrases = list(dict.fromkeys(p for name in left_out for p in _around(name)))
    phrases += [name for name in left_out if name not in phrases]
    prompt = detector.prompt(phrases)
    scores, hits = [], []
    shared = [p for p in rest if any(_shares_word(n, o) for n in p.names for o in left_out)]
    pictures = [*asked, *shared]
    for picture in pictures:
        image = dataset / "images" / picture.entry["file_name"]
        ((boxes_Q4, embeddings_QD),) = detector.regions([str(image)])
        own = []
        for p in range(len(phrases)):
            row, bias = prompt.rows_PD[p : p + 1], prompt.biases_P[p : p + 1]
            score, region, _ = best_pairs(embeddings_QD, row, bias, 1)
            overlaps = _iou(boxes_Q4[region.numpy()], picture.boxes_xyxy)
            own.append((float(score[0]), bool((overlaps >= 0.5).any())))
        scores.append([s for s, _ in own])
        hits.append([h for _, h in own])
    return Answers(
        {p: i for i, p in enumerate(phrases)},
        np.array(scores),
        np.array(hits),
        [p.names for p in pictures],
    )


def _iou(found_xyxy: np.ndarray, true_xyxy: np.ndarray) -> np.ndarray:
    import torch

    return boxes.iou(torch.from_numpy(found_xyxy)[:, None], torch.from_numpy(true_xyxy)).numpy()


def _around(name: str) -> Iterator[str]:
    """A name, its words, the reverse, and all of it but one word."""
    words = name.split()
    yield name
    yield " ".join(reversed(words))
    yield from words
    for i in range(len(words)):
        if len(words) > 2:
            yield " ".join([*words[:i], *words[i + 1 :]])


def _shares_word(name: str, other: str) -> bool:
    return name != other and not set(name.split()).isdisjoint(other.split())


def _measure(asked: Answers, left_out: Sequence[str], known: set[str]) -> dict[str, Any]:
    """Numbers of each name and over all names, with intervals."""
    random = np.random.default_rng(0)
    values: dict[str, Any] = {}
    draws: dict[str, list[np.ndarray]] = defaultdict(list)
    for name in left_out:
        shows_N = np.array([name in names for names in asked.names])
        near_N = np.array([any(_shares_word(n, name) for n in names) for names in asked.names])
        own = _resampled(np.flatnonzero(shows_N), random)
        near = _resampled(np.flatnonzero(near_N & ~shows_N), random)
        values[f"{name}/pictures"] = [int(shows_N.sum()), int((near_N & ~shows_N).sum())]
        for kind, phrases in _controls(name, left_out, known).items():
            columns = [asked.phrases[p] for p in phrases]
            recall_KR = np.array([asked.hit_NP[own, c].mean(1) for c in columns])
            auc_KR = np.array([_auc(asked.score_NP[:, c], own, near) for c in columns])
            # The best single word by what all pictures say, not by each draw.
            pick = {"R@1": recall_KR, "AUC": auc_KR}
            for measure, found_KR in pick.items():
                best = found_KR[:, 0].argmax()
                drawn = found_KR[best] if kind == "best word" else found_KR.mean(0)
                values[f"{name}/{measure}/{kind}"] = _interval(drawn)
                draws[f"{measure}/{kind}"].append(drawn)
    for key, drawn in draws.items():
        if len(drawn) == len(left_out):
            values[f"all/{key}"] = _interval(np.mean(drawn, 0))
    for measure in ("R@1", "AUC"):
        for other in ("best word", "wrong name"):
            if draws[f"{measure}/{other}"]:
                pairs = zip(draws[f"{measure}/name"], draws[f"{measure}/{other}"], strict=True)
                values[f"all/{measure}/name - {other}"] = _interval(
                    np.mean([a - b for a, b in pairs], 0)
                )
    return values


def _controls(name: str, left_out: Sequence[str], known: set[str]) -> dict[str, list[str]]:
    words = name.split()
    heard = [word for word in words if word in known]
    found = {"name": [name], "best word": words, "reversed": [" ".join(reversed(words))]}
    if len(heard) < len(words) and heard:
        found["known words"] = [" ".join(heard)]
        found["best word"] = heard
    wrong = [other for other in left_out if set(other.split()).isdisjoint(words)]
    return found | ({"wrong name": wrong} if wrong else {})


def _resampled(members: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(1 + resamples, members): the members themselves, then draws with replacement."""
    drawn = random.choice(members, (RESAMPLES, len(members)))
    return np.concatenate([members[None], drawn])


def _auc(score_N: np.ndarray, own_RN: np.ndarray, near_RM: np.ndarray) -> np.ndarray:
    """Share of pairs (a picture of the name, another) that the score puts in the right order."""
    order = []
    for own, near in zip(own_RN, near_RM, strict=True):
        if not len(near):
            return np.full(len(own_RN), np.nan)
        sorted_M = np.sort(score_N[near])
        below = np.searchsorted(sorted_M, score_N[own], "left")
        upto = np.searchsorted(sorted_M, score_N[own], "right")
        order.append((below + upto).mean() / 2 / len(near))
    return np.array(order)


def _interval(drawn_R: np.ndarray) -> list[float]:
    """The value, and what 95 % of the resamples lie between."""
    low, high = np.quantile(drawn_R[1:], [0.025, 0.975])
    return [round(float(v), 4) for v in (drawn_R[0], low, high)]


def _print(
    values: dict[str, Any], left_out: Sequence[str], how: str, ap50: float, minutes: float
) -> None:
    kinds = ("name", "known words", "best word", "reversed", "wrong name")
    for measure in ("R@1", "AUC"):
        rows = []
        for name in (*left_out, "all"):
            cells = [_cell(values.get(f"{name}/{measure}/{kind}")) for kind in kinds]
            rows.append([name, str(values.get(f"{name}/pictures", ""))[1:-1], *cells])
        print_table(f"{measure}, {how}", ("name", "pictures, near ones", *kinds), rows)
    for key in (k for k in values if " - " in k):
        print(f"{key}: {_cell(values[key])}")
    print(f"rest/AP50 {ap50:.3f}, {minutes:.1f} processor minutes of training")


def _cell(interval: list[float] | None) -> str:
    return "" if interval is None else "{:.2f} ({:.2f} to {:.2f})".format(*interval)


if __name__ == "__main__":
    main()
