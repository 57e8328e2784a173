"""Weights of a trained detector for an extended vocabulary: what retraining starts from."""

from __future__ import annotations

import torch

from omnidet.data.vocabulary import Vocabulary
from omnidet.data.vocabulary_growth import require_extension
from omnidet.model.detector import Detector
from omnidet.model.heads import PRIOR_BIAS


@torch.no_grad()
def load_grown(detector: Detector, trained: Detector, old: Vocabulary, new: Vocabulary) -> None:
    """Put the weights of `trained` into `detector`, whose vocabulary `new` extends `old`.

    The row of a new token is the mean of the rows of the subwords that its word had before,
    weighted as they were, so every phrase scores as before. Subwords that no training text had
    still have random rows, which on a trained detector's regions are noise, not knowledge: they
    count as zero, so that a word of such parts alone starts at the prior. Raises ValueError if
    `new` does not extend `old`, or if the detectors differ in anything else.
    """
    require_extension(old, new)
    state = trained.state_dict()
    for name, value in detector.state_dict().items():
        if name not in state or value.shape[1:] != state[name].shape[1:]:
            raise ValueError(
                f"the detector to start from has another architecture ({name} does not fit): "
                "keep model.* as it was"
            )
    for name in ("head.calibration.log_temperatures", "head.calibration.biases"):
        if name in state:
            # A stream that is new starts as the first, whose scores inference uses.
            count, known = len(detector.state_dict()[name]), state[name]
            state[name] = torch.cat([known[:count], known[:1].expand(max(0, count - len(known)))])
    unheard = torch.isclose(state["tokens.biases"], torch.tensor(PRIOR_BIAS), atol=1e-5)
    for name in ("tokens.embeddings", "tokens.biases"):
        grown = detector.state_dict()[name].clone()
        grown[: len(state[name])] = state[name]
        for token in range(len(old.idf_T), len(new.idf_T)):
            word = str(new.tokenizer.id_to_token(token))
            parts = old.tokenizer.encode(old.asked(word)[0]).ids
            weights = torch.from_numpy(old.idf_T[parts])
            weights = (
                weights / weights.sum()
                if weights.sum() > 0
                else torch.full_like(weights, 1 / len(parts))
            )
            for places, target in ((old.own_T, new.own_T), (old.context_T, new.context_T)):
                where = torch.from_numpy(places[parts])
                rows = state[name][where]
                if name == "tokens.embeddings":
                    rows = rows.masked_fill(unheard[where, None], 0)
                grown[int(target[token])] = torch.tensordot(weights.to(rows.dtype), rows, 1)
        state[name] = grown
    detector.load_state_dict(state)
    added = [torch.from_numpy(places[len(old.idf_T) :]) for places in (new.own_T, new.context_T)]
    detector.tokens.new_rows = torch.unique(torch.cat(added).long())
