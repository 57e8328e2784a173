"""The heads that OmniDet's is compared with: their scores, losses, and that they learn."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from omnidet.data.mixing.config import Stream
from omnidet.matching.config import MatchingConfig
from omnidet.schema import Batch
from omnidet.training import objective
from omnidet.training.config import WeightedLoss
from omnidet.training.supervision import Supervision
from tests import toys

ROOT = Path(__file__).parents[2]
HEADS = ("ours", "owl", "grounding")
WEIGHTS = {"names": 2.0, "boxes_l1": 5.0, "boxes_giou": 2.0, "caption": 0.2}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def _words(kind: str):
    from heads.words import WORDS

    return WORDS[kind](toys.toy_vocabulary())


def _detector(head: str):
    import heads
    from heads.words import num_tokens

    torch.manual_seed(0)
    return heads.BUILDERS[head](toys.MODEL, num_tokens(_words("sequence"))).eval()


def _batch() -> Batch:
    return dataclasses.replace(toys.batch(), phrases=_words("sequence").table(toys.PHRASES))


def test_all_start_from_the_same_backbone_and_box_head():
    ours, *others = (_detector(head).state_dict() for head in HEADS)
    shared = [key for key in ours if key.startswith(("backbone.", "head."))]
    assert len(shared) > 20
    for other in others:
        assert all(torch.equal(ours[key], other[key]) for key in shared)


def test_a_bag_has_no_context_tokens():
    from heads.words import num_tokens

    plain, bag = toys.toy_vocabulary(), _words("bag")
    text = "star left of circle"
    assert max(plain.encode(text)[0]) >= len(plain.idf_T)
    ids, _ = bag.encode(text)
    assert {*bag.encode("star")[0], *bag.encode("circle")[0]} < set(ids)
    assert max(ids) < num_tokens(bag) == len(plain.idf_T)
    assert bag.encode("circle left of star")[0].tolist() == ids.tolist()
    assert bag.encode("red star")[1].tolist() == plain.encode("red star")[1].tolist()


def test_without_frequencies_every_word_weighs_the_same():
    rare, often = toys.toy_vocabulary().encode("big star")[1]
    assert rare != often
    equal = _words("equal").encode("big star")[1]
    np.testing.assert_allclose(equal, 0.5)


def test_an_encoder_gets_the_words_in_their_order():
    vocabulary = _words("sequence")
    star, of, circle = (vocabulary.encode(word)[0].tolist() for word in ("star", "of", "circle"))
    assert vocabulary.encode("circle of star")[0].tolist() == [*circle, *of, *star]
    assert vocabulary.encode("star star")[0].tolist() == [*star, *star]
    with pytest.raises(ValueError, match="no letter"):
        vocabulary.encode("...")


@pytest.mark.parametrize("head", ["owl", "grounding"])
def test_a_phrase_is_read_the_same_alone_and_beside_longer_ones(head, monkeypatch):
    import heads.text

    tokens, vocabulary = _detector(head).tokens, _words("sequence")
    texts = ("ring", "the big thing left of a small red ring", "red star", "star left of circle")
    together = tokens.phrases(vocabulary.table(texts))[0]
    alone = torch.cat([tokens.phrases(vocabulary.table([text]))[0] for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(heads.text, "READ_AT_ONCE", 3)
    in_parts = tokens.phrases(vocabulary.table(texts))[0]
    torch.testing.assert_close(together, in_parts, atol=1e-5, rtol=1e-5)
    turned = tokens.phrases(vocabulary.table(["circle left of star"]))[0]
    assert (turned - together[3:]).abs().max() > 1e-3  # order counts


def test_owl_s_score_is_a_scaled_and_shifted_cosine():
    detector, batch = _detector("owl"), _batch()
    torch.nn.init.normal_(detector.head.scale.weight)
    torch.nn.init.normal_(detector.head.shift.weight)
    found = detector(batch)
    head, tokens = detector.head, detector.head.norm(detector.backbone(batch.images_BCHW))
    regions = functional.normalize(head.embedding(tokens), dim=-1)
    phrases = functional.normalize(
        detector.tokens.projection(detector.tokens.read(batch.phrases).whole_PW), dim=-1
    )
    scale, shift = functional.elu(head.scale(tokens)) + 1, head.shift(tokens)
    own = phrases[batch.name_BL[2, :2]]
    expected = scale[2] * (regions[2] @ own.T + shift[2])
    torch.testing.assert_close(found.scores_BQL[2, :, :2], expected, atol=1e-4, rtol=1e-4)
    assert (scale > 0).all()


@pytest.mark.parametrize("head", ["owl", "grounding"])
def test_before_training_names_are_as_unlikely_as_with_our_head(head):
    batch = _batch()
    scores = _detector(head)(batch).scores_BQL[:2, :, :2].sigmoid()
    assert 0.001 < scores.mean() < 0.1


def test_a_phrase_s_score_is_the_mean_of_its_tokens_probabilities():
    detector, batch = _detector("grounding"), _batch()
    found = detector(batch)
    probability = found.token_logits_BQK.sigmoid()
    for b, name in ((0, 1), (2, 0)):
        own = found.token_of_BKL[b, :, name].bool()
        count = len(_words("sequence").encode(toys.PHRASES[batch.name_BL[b, name]][0])[0])
        assert own.sum() == count
        expected = probability[b][:, own].mean(1)
        torch.testing.assert_close(found.scores_BQL[b, :, name].sigmoid(), expected)


def test_fused_regions_depend_on_what_is_asked_and_images_do_not_mix():
    detector, batch = _detector("grounding"), _batch()
    whole = detector(batch)
    alone = detector(dataclasses.replace(toys.select(batch, [2]), phrases=batch.phrases))
    torch.testing.assert_close(
        alone.scores_BQL[0, :, :2], whole.scores_BQL[2, :, :2], atol=1e-4, rtol=1e-4
    )
    fewer = batch.name_BL.clone()
    fewer[0, 1:] = -1
    other = detector(dataclasses.replace(batch, name_BL=fewer))
    assert (other.embeddings_BQD[0] - whole.embeddings_BQD[0]).abs().max() > 1e-4


@torch.no_grad()
def test_the_token_loss_is_focal_on_the_positive_map():
    from heads.grounding import token_names

    batch, matches = _batch(), toys.matches()
    found = _detector("grounding")(batch)
    term = token_names(found, batch, matches)
    by_stream = [0.0, 0.0, 0.0]
    matched = dict(zip(zip(*toys.MATCHES[:2], strict=True), toys.MATCHES[2], strict=True))
    shape = found.token_logits_BQK.shape
    for b, q, k in itertools.product(*map(range, shape)):
        names = found.token_of_BKL[b, k].nonzero()[:, 0].tolist()
        if not names:
            continue  # the first token and padding
        box = matched.get((b, q))
        positive = box is not None and bool(batch.named_BNL[b, box, names[0]])
        if not positive and not batch.negative_BL[b, names[0]]:
            continue
        p = float(found.token_logits_BQK[b, q, k].sigmoid())
        right, weight = (p, 0.25) if positive else (1 - p, 0.75)
        stream = int(batch.stream_BS[b].argmax())
        by_stream[stream] += weight * (1 - right) ** 2 * -math.log(right)
    torch.testing.assert_close(term.total_S, torch.tensor(by_stream), atol=1e-3, rtol=1e-3)
    assert term.count_S.tolist() == [3, 2, 0]


@torch.no_grad()
@pytest.mark.parametrize("head", ["owl", "grounding"])
def test_contrast_is_cross_entropy_in_both_directions(head):
    from heads.contrast import contrast

    batch = _batch()
    found = _detector(head)(batch)
    term = contrast(found, batch, toys.no_matches())
    logits = found.image_embeddings_BD[3:] @ found.phrase_embeddings_PD[5:7].T
    pairs = torch.arange(2)
    expected = (
        functional.cross_entropy(logits, pairs, reduction="sum")
        + functional.cross_entropy(logits.T, pairs, reduction="sum")
    ) / 2
    torch.testing.assert_close(term.total_S, torch.tensor([0.0, 0.0, float(expected)]))
    assert term.count_S.tolist() == [0, 0, 2]
    same = dataclasses.replace(batch, caption_B=torch.tensor([-1, -1, -1, 5, 5]))
    twins = contrast(found, same, toys.no_matches())
    assert float(twins.total_S[2]) >= 2 * math.log(2) - 1e-4  # neither can win


@pytest.mark.slow
@pytest.mark.parametrize("head", ["owl", "grounding"])
def test_a_head_learns_a_batch_by_heart(head):
    from recipe_contestants import LOSSES

    detector, batch = _detector(head).train(), _batch()
    weighted = [WeightedLoss(LOSSES[head].get(n, n), w) for n, w in WEIGHTS.items()]
    supervision = Supervision(
        objective.resolve(weighted),
        [Stream(name, ("train/toy",), 1) for name in toys.STREAMS],
        1,
        MatchingConfig(),
    )
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3, weight_decay=0.0)
    losses = []
    for _ in range(120):
        loss, parts = supervision(detector(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append((float(loss.detach()), parts.read()))
    first, last = losses[0], losses[-1]
    assert last[0] < first[0] / 2
    names = LOSSES[head].get("names", "names").rpartition(":")[2]
    assert last[1][f"det/{names}"] < first[1][f"det/{names}"] / 3
    assert last[1]["img/contrast"] < 0.1
    unused = [n for n, p in detector.named_parameters() if p.grad is None]
    assert unused == []


@pytest.mark.parametrize(("head", "a_pass"), [("owl", 0), ("grounding", 1), ("grounding", 40)])
def test_the_product_s_protocols_can_ask_a_head(head, a_pass):
    import heads

    detector, image = _detector(head), toys.png(64, 48, [(5, 5, 30, 30)])
    asked = heads.asked(detector, _words("sequence"), one_by_one=a_pass == 1)
    names = ["red star", "blue circle", "star left of circle"]
    (boxes, scores), *others = asked.locate(image, names, top=3)
    assert boxes.shape == (3, 4)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert len(others) == 2
    found = asked.detect([image, image], asked.prompt(names), 20)
    assert [len(one) for one in found] == [20, 20]
    np.testing.assert_allclose(found[0].scores, found[1].scores, rtol=1e-5)
    one = asked.locate(image, names[:1], top=3)[0][1]
    if a_pass == 40:
        assert np.abs(one - scores).max() > 1e-6  # what is asked beside it matters
    else:
        np.testing.assert_allclose(one, scores, rtol=1e-3)
