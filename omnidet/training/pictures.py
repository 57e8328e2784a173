"""A few images of a batch with true and predicted boxes, to look at while training runs."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw

from omnidet.boxes import cxcywh_to_xyxy
from omnidet.data.transforms.example import Pixels
from omnidet.data.vocabulary import Vocabulary
from omnidet.schema import Batch, PhraseTable, Predictions

MOST_FOUND = 10
LEAST_SCORE = 0.3
LEAST_SIDE = 320


def draw(
    batch: Batch, predictions: Predictions, vocabulary: Vocabulary, count: int = 4
) -> list[Pixels]:
    """The first images that have true boxes.

    True boxes are white. Predictions that score `LEAST_SCORE` or more are in colour, with their
    words.
    """
    if not batch.box_valid_BN.shape[1]:
        return []
    chosen = torch.nonzero(batch.box_valid_BN.any(1))[:count, 0].tolist()
    return [_draw(batch, predictions, vocabulary, b) for b in chosen]


def _draw(batch: Batch, predictions: Predictions, vocabulary: Vocabulary, b: int) -> Pixels:
    pixels_HWC = batch.images_BCHW[b].permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(pixels_HWC)
    scale = max(1, -(-LEAST_SIDE // picture.width))
    picture = picture.resize((picture.width * scale, picture.height * scale))
    side = picture.width
    canvas = ImageDraw.Draw(picture)
    for box in cxcywh_to_xyxy(batch.boxes_cxcywh_BN4[b][batch.box_valid_BN[b]]).cpu() * side:
        canvas.rectangle(_corners(box.tolist()), outline="white", width=2)
    is_name_L = batch.name_BL[b] >= 0
    scores_QL = predictions.scores_BQL[b].detach().float().sigmoid() * is_name_L
    best_Q, name_Q = scores_QL.max(1)
    top = best_Q.topk(min(MOST_FOUND, len(best_Q)))
    boxes = (cxcywh_to_xyxy(predictions.boxes_cxcywh_BQ4[b].detach().float()) * side).cpu()
    best_first = list(zip(top.values.tolist(), top.indices.tolist(), strict=True))
    for score, region in reversed(best_first):
        if score < LEAST_SCORE:
            continue
        phrase = int(batch.name_BL[b, name_Q[region]])
        colour = f"hsl({phrase * 137 % 360}, 90%, 45%)"
        x0, y0, x1, y1 = _corners(boxes[region].tolist())
        canvas.rectangle((x0, y0, x1, y1), outline=colour, width=2)
        canvas.text(
            (x0 + 2, y0 + 1), f"{words(batch.phrases, phrase, vocabulary)} {score:.2f}", fill=colour
        )
    return np.array(picture)


def words(table: PhraseTable, phrase: int, vocabulary: Vocabulary) -> str:
    """The tokens of a phrase of the batch; those of its context are in brackets."""
    ends = [*table.offsets_P.tolist(), len(table.token_ids_K)]
    ids = table.token_ids_K[ends[phrase] : ends[phrase + 1]].tolist()
    texts = []
    for place in ids:
        is_context = bool(vocabulary.is_context_T[place])
        places_T = vocabulary.context_T if is_context else vocabulary.own_T
        text = vocabulary.tokenizer.decode([int(np.flatnonzero(places_T == place)[0])]).strip()
        texts.append(f"({text})" if is_context else text)
    return " ".join(texts)


def _corners(box: list[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return x0, y0, max(x0, x1), max(y0, y1)
