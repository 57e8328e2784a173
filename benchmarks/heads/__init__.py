"""Heads that OmniDet's is compared with, on the same backbone, box head, data and loop.

    words.py      how a phrase becomes tokens: in their order, without roles, without frequencies
    text.py       a transformer that reads a phrase: in place of the product's token table
    contrast.py   captions by contrast within the batch
    owl.py        OWL-ViT style: normalised dot product with a scale and a shift of each region
    grounding.py  Grounding DINO style: image and text attend to each other before the head

They are `Detector`s, so `training.loop.fit` trains them and `OmniDet` asks them. To add one, write
a file with `build(config, num_tokens)` and name it in `BUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from heads import grounding, owl
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.detector import OmniDet
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector

BUILDERS: dict[str, Callable[[ModelConfig, int], Detector]] = {
    "ours": Detector,
    "owl": owl.build,
    "grounding": grounding.build,
}


def asked(detector: Detector, vocabulary: Vocabulary, *, one_by_one: bool = False) -> OmniDet:
    """The detector as the benchmarks ask it.

    Args:
        one_by_one: whether each phrase is asked alone. It matters to a head that sees the phrases
            together; the score of the others depends on nothing else that is asked.
    """
    if isinstance(detector, grounding.Fused):
        return grounding.Asked(detector, vocabulary, 1 if one_by_one else grounding.NAMES_A_PASS)
    return OmniDet(detector, vocabulary, {})
