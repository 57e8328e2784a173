"""What one image costs with 80, 1,203 and 100,000 names, also in Grounding DINO and OWL-ViT B/16.

    python benchmarks/concepts.py --json concepts.json --plot concepts.svg [--device cuda]

This detector has ViT-B/16 at 640 px and random weights. Its names are encoded in advance
(`OmniDet.prompt`), as the peers' prompts are tokenized in advance. Grounding DINO takes 256 tokens
per pass: its time is that of one pass, multiplied by the number of passes. OWL-ViT takes any number
of names: its text encoder is timed on 1,203 names, and the time for 100,000 is estimated from that.
It can keep encoded names: "cached".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from contestants import TINY, Size, batch, detector, grounding_dino, owlvit, owlvit_ids, prompt_ids
from many_names import alone, encoded
from side_by_side import (
    arguments,
    device,
    machine,
    peak_memory,
    print_bars,
    print_table,
    take_turns,
    write,
)

from omnidet.inference.search import best_pairs, exact_logits
from omnidet.training.loop import autocast

BARS = {
    "time_1203_over_80": ("at most", 1.05),
    "time_100000_over_80": ("at most", 1.25),
    "grounding_dino_1203_over_ours": ("at least", 30.0),
    "owlvit_1203_over_ours": ("at least", 1.1),
    "top_300_as_exhaustive": ("at least", 1.0),
}
TOP = 300
KEYS = ("ours", "grounding_dino", "owlvit", "owlvit_cached")
PROMPT_TOKENS = {80: 195, 1203: 4283}
"""Tokens of the names of COCO and LVIS in Grounding DINO's prompt, separators included: 195 for
COCO,
4,283 for LVIS (github.com/IDEA-Research/GroundingDINO/issues/129). Other counts follow LVIS's mean.
"""
PASS_TOKENS = 256


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    on = device(options.device)
    size = TINY if options.tiny else Size()
    counts = (8, 24, 2000) if options.tiny else (80, 1203, 100_000)
    keys = dict(zip(counts, (80, 1203, 100_000), strict=True))
    values: dict[str, float] = {}
    times = take_turns(_ours(size, on, counts), options.rounds, on, options.clock)
    first, second, third = (times[f"{count:,} names"] for count in counts)
    values["time_1203_over_80"], values["time_100000_over_80"] = second / first, third / first
    peers = _peers(size, on, counts[:2])
    measured = take_turns(peers, options.rounds, on, options.clock)
    table, drawn = [], {}
    for count in counts:
        costs = _costs(counts, count, keys[count], times, measured)
        own, key = costs["OmniDet"], keys[count]
        for name, taken in costs.items():
            is_estimate = name != "OmniDet" and (
                count == counts[2] or ("DINO" in name and _passes(key) > 1)
            )
            note = "estimated" if is_estimate else ""
            table.append([f"{count:,}", name, f"{taken:.3f} s", f"{taken / own:.2f}", note])
            drawn[f"{count:,} names: {name.partition(',')[0] if 'DINO' in name else name}"] = taken
        for short, taken in zip(KEYS, costs.values(), strict=True):
            values[f"seconds_{short}_{key}"] = taken
            if short != "ours":
                values[f"{short}_{key}_over_ours"] = taken / own
    print_table("One image", ["names", "detector", "time", "over OmniDet", ""], table)
    values["top_300_as_exhaustive"] = float(
        _as_exhaustive(size, on, counts[2] if options.tiny else 100_000)
    )
    if on.type == "cpu":
        values["search_memory_bytes_100000"] = peak_memory(
            alone, (size.image_size // 16) ** 2, counts[2], size.words, on=on
        )
        pairs = (size.image_size // 16) ** 2 * counts[2] * 4
        print(
            f"\nMemory of a search of {counts[2]:,} names, with the names: "
            f"{values['search_memory_bytes_100000'] / 2**20:.0f} MiB; "
            f"all scores at once would take {pairs / 2**20:.0f} MiB."
        )
    print(f"\nOn {machine(on, options.clock)}; medians of {options.rounds} turns.")
    if not options.tiny:
        print_bars(values, BARS)
    write(options, values, drawn, "s", "One image, by number of names")


def _costs(
    counts: tuple[int, ...],
    count: int,
    names: int,
    times: dict[str, float],
    measured: dict[str, float],
) -> dict[str, float]:
    """Seconds of each detector for so many names, in the order of `KEYS`.

    Args:
        names: what `count` stands for if the sizes are toys.
    """
    passes = _passes(names)
    text = measured["OWL-ViT, text"] * count / counts[1]
    cached = measured[f"OWL-ViT, {min(count, counts[1]):,} names cached"]
    return {
        "OmniDet": times[f"{count:,} names"],
        f"Grounding DINO, {passes:,} passes": passes * measured["Grounding DINO, one pass"],
        "OWL-ViT": text + cached,
        "OWL-ViT, names cached": cached,
    }


def _ours(size: Size, on: torch.device, counts: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """From pixels to the best 300, for each number of names."""
    model, image = detector(size, on).eval(), batch(size).images_BCHW[:1].to(on)
    with torch.no_grad():
        model.tokens.biases += 0.1 * torch.randn(len(model.tokens.biases), device=on)
    prompts = {count: encoded(count, size.words, model.phrases, on) for count in counts}

    def detect(count: int) -> object:
        with torch.inference_mode(), autocast(on, "auto"):
            embeddings_BQD, _, _ = model.regions(image)
        rows, biases, shared = prompts[count]
        return best_pairs(embeddings_BQD[0], rows, biases, TOP, shared)

    return {f"{count:,} names": lambda count=count: detect(count) for count in counts}


def _peers(
    size: Size, on: torch.device, counts: tuple[int, ...]
) -> dict[str, Callable[[], object]]:
    dino, owl = grounding_dino(size.tiny).to(on).eval(), owlvit(size).to(on).eval()
    pixels = batch(size).images_BCHW[:1].to(on).float() / 255
    prompt = prompt_ids(10_000, 3, PASS_TOKENS).to(on)
    ids = owlvit_ids(counts[-1]).to(on)
    width = owl.config.text_config.hidden_size

    @torch.inference_mode()
    def one_pass() -> object:
        with autocast(on, "auto"):
            return dino(
                pixel_values=pixels, input_ids=prompt, attention_mask=torch.ones_like(prompt)
            ).logits

    @torch.inference_mode()
    def read() -> object:
        with autocast(on, "auto"):
            return owl.owlvit.get_text_features(input_ids=ids, attention_mask=(ids > 0).long())

    @torch.inference_mode()
    def cached(count: int) -> object:
        queries = torch.ones(1, count, width, device=on)
        with autocast(on, "auto"):
            features, _ = owl.image_embedder(pixel_values=pixels)
            patches = features.flatten(1, 2)
            logits, _ = owl.class_predictor(patches, queries)
            owl.box_predictor(patches, features)
        return logits.flatten().topk(min(TOP, logits.numel()))

    rest = {
        f"OWL-ViT, {count:,} names cached": lambda count=count: cached(count) for count in counts
    }
    return {"Grounding DINO, one pass": one_pass, "OWL-ViT, text": read, **rest}


def _passes(count: int) -> int:
    """Passes of Grounding DINO, each with as many whole names of mean length as it holds."""
    tokens_of_a_name = PROMPT_TOKENS.get(count, count * PROMPT_TOKENS[1203] / 1203) / count
    return math.ceil(count / math.floor((PASS_TOKENS - 2) / tokens_of_a_name))


def _as_exhaustive(size: Size, on: torch.device, count: int) -> bool:
    """Whether the best 300 have the pairs, scores and order of an exhaustive search."""
    model, image = detector(size, on).eval(), batch(size).images_BCHW[:1].to(on)
    rows, biases, shared = encoded(count, size.words, model.phrases, on)
    with torch.inference_mode():
        embeddings_QD = model.regions(image)[0][0].float()
    best_logits = torch.zeros(0, dtype=torch.float64, device=on)
    best_places = torch.zeros(0, dtype=torch.int64, device=on)
    names, all_rows, all_biases = torch.arange(count, device=on), rows.double(), biases.double()
    for region, embedding_D in enumerate(embeddings_QD):
        logits = torch.cat([best_logits, all_rows @ embedding_D.double() + all_biases])
        places = torch.cat([best_places, region * count + names])
        likely = logits.topk(min(2 * TOP, len(logits))).indices.sort().values
        places = places[likely]
        exact = exact_logits(
            embeddings_QD[places // count], rows[places % count], biases[places % count]
        )
        exact, order = exact.sort(descending=True, stable=True)
        best_logits, best_places = exact[:TOP], places[order[:TOP]]
    _, region, name = best_pairs(embeddings_QD, rows, biases, TOP, shared)
    return bool(torch.equal(region * count + name, best_places))


if __name__ == "__main__":
    main()
