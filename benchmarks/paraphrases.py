"""Whether the same thing said otherwise finds the same box with the same score.

    python benchmarks/paraphrases.py --model registry/omnidet-tiny-world/1 --shards data/shards

Every phrase of the evaluation sets, without its article or number, is asked for again in other
words: in the plural, with an article, in capitals, with punctuation, with its adjectives in another
order, inside a request ("a photo of ...", "all ... there are"), and relations in other words. Per
way of saying it:

- same region: share of phrases whose best region is the same as for the plain phrase;
- same thing: share whose best box has an IoU of .5 or more with that of the plain phrase;
- spread: mean and 95th percentile of the distance between the best scores.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from side_by_side import print_table
from torch import Tensor

from omnidet.data import shards
from omnidet.data.relations import SIDES, split_relation
from omnidet.inference.detector import OmniDet
from omnidet.inference.overlaps import overlaps
from omnidet.inference.search import exact_logits, probabilities

SETS = ("eval/coco", "eval/refcocog", "eval/refcocog_unseen", "eval/flickr30k")
_NUMBER = re.compile(r"^(?:an?|the|one|two|three|four|five|six|seven|eight|nine) ")


def main() -> None:
    """Ask, compare, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--shards", required=True)
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="SET")
    parser.add_argument("--images", type=int, default=10**9, help="of each set, at most")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        detector = OmniDet.from_pretrained(options.model)
        index = shards.read_index(options.shards)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    values: dict[str, float] = {}
    for name in options.sets:
        found = _compare(detector, _images(index, name, options.images))
        rows = []
        for way, (regions, things, apart) in found.items():
            own = {
                "same_region": float(np.mean(regions)),
                "same_thing": float(np.mean(things)),
                "mean_spread": float(np.mean(apart)),
                "p95_spread": float(np.quantile(apart, 0.95)),
            }
            values |= {f"{name}/{way}/{key}": value for key, value in own.items()}
            rows.append([way, f"{len(apart)}", *(f"{value:.3f}" for value in own.values())])
        print_table(name, ["said", "phrases", "same region", "same thing", "spread", "95 %"], rows)
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n")


def ways(phrase: str) -> dict[str, str]:
    """The phrase in other words that mean the same."""
    own, context = split_relation(phrase)
    said = {
        "plural": _plural(own.split(), bool(context)) + context,
        "the": f"the {phrase}",
        "a": f"a {phrase}",
        "capitals": phrase.upper(),
        "punctuation": f" {phrase.replace(' ', '-')}.",
        "a photo of": f"a photo of a {phrase}",
        "an image showing": f"An image showing the {phrase}",
        "close-up": f"a cropped close-up photo of {phrase}",
        "show me": f"Please show me the {phrase}!",
        "there is": f"There is a {phrase} in this picture",
        "there's": f"There's a {phrase} here",
        "in image": f"detect {phrase} in image",
        "you can": f"Find me every {phrase} you can",
        "only": f"show only {phrase}",
        "there are": f"all {phrase} there are",
    }
    if not context and len(own.split()) > 2:
        *adjectives, noun = own.split()
        said["order"] = " ".join([*reversed(adjectives), noun])
    for relation in SIDES:
        if f" {relation} " in phrase:
            said["that's"] = phrase.replace(f" {relation} ", f" that's {relation} the ", 1)
    for side in ("left", "right"):
        if f" {side} of " in phrase:
            said["to the side of"] = phrase.replace(f"{side} of ", f"to the {side} of the ")
            said["from the side"] = phrase.replace(f"{side} of ", f"{side} from the ")
            said["on the side of"] = phrase.replace(f"{side} of ", f"on the {side} hand side of a ")
    return said


def _plural(words: list[str], has_relation: bool) -> str:
    """The words up to a relation with their noun in the plural."""
    noun = len(words) - 1
    if has_relation:
        noun = next((i for i, w in enumerate(words) if split_relation(f"x {w} x")[1]), noun)
        noun = next((i for i, w in enumerate(words) if w in ("left", "right", "to")), noun) - 1
    changed = [*words]
    if noun >= 0:
        changed[noun] += "es" if words[noun].endswith(("s", "x", "ch", "sh")) else "s"
    return " ".join(changed)


def _images(index: shards.Index, name: str, most: int) -> Iterable[tuple[bytes, list[str]]]:
    """Pictures with their distinct phrases in the singular."""
    for number, record in enumerate(shards.records(index, name)):
        if number >= most:
            return
        plain = {_NUMBER.sub("", text.lower()): text for text in record.phrases}
        # "two stars" is said in the plural already.
        yield record.image, [p for p, text in plain.items() if not _is_several(text)]


def _is_several(text: str) -> bool:
    first = _NUMBER.match(text.lower())
    return bool(first) and first[0] not in ("a ", "an ", "the ", "one ")


def _compare(
    detector: OmniDet, images: Iterable[tuple[bytes, list[str]]]
) -> dict[str, tuple[list[bool], list[bool], list[float]]]:
    """Per way of saying it, over all phrases: same region, same thing, distance of scores."""
    found: dict[str, tuple[list[bool], list[bool], list[float]]] = defaultdict(lambda: ([], [], []))
    for image, phrases in images:
        if not phrases:
            continue
        said = [(way, text, p) for p in phrases for way, text in {"": p, **ways(p)}.items()]
        ((boxes_Q4, embeddings_QD),) = detector.regions([image])
        best = _best(detector, embeddings_QD, [text for _, text, _ in said])
        plain = {p: own for (way, _, p), own in zip(said, best, strict=True) if not way}
        for (way, _, phrase), (region, score) in zip(said, best, strict=True):
            if way:
                before, score_before = plain[phrase]
                share = overlaps(boxes_Q4[before], boxes_Q4[[region]])[0]
                regions, things, apart = found[way]
                regions.append(region == before)
                things.append(bool(share >= 0.5))
                apart.append(abs(score - score_before))
    return found


def _best(detector: OmniDet, embeddings_QD: Tensor, phrases: list[str]) -> list[tuple[int, float]]:
    prompt = detector.prompt(phrases)
    best = []
    for row_D, bias in zip(prompt.rows_PD, prompt.biases_P, strict=True):
        logits_Q = exact_logits(embeddings_QD, row_D[None], bias[None])
        region = int(logits_Q.argmax())
        best.append((region, float(probabilities(logits_Q[region : region + 1])[0])))
    return best


if __name__ == "__main__":
    main()
