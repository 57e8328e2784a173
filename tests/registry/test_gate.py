"""The gate: which detector may follow the champion."""

from __future__ import annotations

import json
import math

import pytest

from omnidet import config
from omnidet.registry import gate
from omnidet.registry.gate import GateConfig

CHAMPION = {
    "coco/AP": 0.50,
    "coco/AP50": 0.70,
    "refcocog/AIGT": 0.80,
    "refcocog/AIGT_plain": 0.9,
    "flickr30k/R@1": 0.60,
}


def _decide(
    champion=CHAMPION, fields: dict | None = None, **changed: float | None
) -> gate.Decision:
    """`coco_AP=0.4` changes `coco/AP` of a candidate that equals the champion; None removes it."""
    names = {name.replace("/", "_").replace("@", "_"): name for name in CHAMPION}
    candidate = {**CHAMPION, **{names.get(key, key): value for key, value in changed.items()}}
    return gate.decide(
        {k: v for k, v in candidate.items() if v is not None},
        champion,
        GateConfig(**(fields or {})),
    )


def test_as_good_passes_and_the_rows_show_the_headlines():
    decision = _decide()
    assert (decision.passed, decision.reasons) == (True, ())
    assert [row.metric for row in decision.rows] == ["coco/AP", "refcocog/AIGT", "flickr30k/R@1"]
    assert all(row.ok and row.difference == 0 for row in decision.rows)
    assert decision.rows[0].allowed == pytest.approx(0.48)


@pytest.mark.parametrize(
    ("value", "passed"), [(0.9, True), (0.481, True), (0.48, True), (0.4799, False), (0.0, False)]
)
def test_a_drop_is_allowed_up_to_the_limit(value, passed):
    decision = _decide(coco_AP=value)
    assert decision.passed == passed
    if not passed:
        (reason,) = decision.reasons
        for part in ("coco/AP", f"{value:.4f}", "0.5000", "0.02"):
            assert part in reason


def test_the_limit_is_not_missed_by_rounding():
    for step in range(3, 100):
        champion = {"coco/AP": step / 100}
        assert gate.decide({"coco/AP": (step - 2) / 100}, champion, GateConfig()).passed, step


def test_parts_of_a_benchmark_are_compared_only_where_they_are_named():
    assert _decide(refcocog_AIGT_plain=0.1, coco_AP50=0.1).passed
    decision = _decide(
        refcocog_AIGT_plain=0.1, coco_AP=0.0, fields={"metrics": ("refcocog/AIGT_plain",)}
    )
    assert [row.metric for row in decision.rows] == ["refcocog/AIGT_plain"]
    assert not decision.passed


def test_every_failure_is_a_reason():
    assert len(_decide(coco_AP=0.1, flickr30k_R_1=0.1).reasons) == 2


def test_a_metric_that_the_candidate_lacks_fails():
    decision = _decide(coco_AP=None)
    assert decision.reasons == ("coco/AP: the candidate lacks it",)
    assert decision.rows[0] == gate.Comparison("coco/AP", 0.5, None, None, 0.48, ok=False)


def test_a_metric_that_the_champion_lacks_must_exist_only_if_it_is_named():
    champion = {"coco/AP": 0.5}
    assert gate.decide({"coco/AP": 0.5, "lvis/AP": 0.1}, champion, GateConfig()).passed
    named = GateConfig(metrics=("coco/AP", "lvis/AP"))
    assert gate.decide({"coco/AP": 0.5, "lvis/AP": 0.1}, champion, named).passed
    assert gate.decide({"coco/AP": 0.5}, champion, named).reasons == (
        "lvis/AP: the candidate lacks it",
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("champion", [CHAMPION, None])
def test_what_is_not_finite_fails(value, champion):
    decision = _decide(champion, coco_AP=value)
    (reason,) = decision.reasons
    assert reason.startswith(f"coco/AP: the candidate's is {value}")
    content = decision.describe()
    assert content["rows"][0]["candidate"] is None
    json.dumps(content, allow_nan=False)


def test_a_champion_that_is_not_finite_fails():
    decision = _decide({"coco/AP": math.nan})
    (reason,) = decision.reasons
    assert "coco/AP: the champion's is nan" in reason
    json.dumps(decision.describe(), allow_nan=False)


def test_a_champion_with_nothing_to_compare_fails():
    (reason,) = _decide({"own/score": 1.0}).reasons
    assert "no AP, AIGT, R@1 (it has own/score)" in reason
    assert not _decide({}).passed
    assert not _decide(fields={"metrics": ("coco/APP",)}).passed


def test_the_first_version_passes_if_the_minimums_hold():
    assert _decide(None).passed
    fields = {"minimum": ("coco/AP50=0.7", "refcocog/AIGT=0.3")}
    assert _decide(None, fields).passed
    (reason,) = _decide(None, fields, coco_AP50=0.6).reasons
    assert "coco/AP50: 0.6000" in reason
    assert "minimum of 0.7000" in reason
    assert _decide(None, fields, coco_AP50=None).reasons == ("coco/AP50: the candidate lacks it",)


@pytest.mark.parametrize("numbers", [{}, {"coco/AP50": 0.5}])
def test_the_first_version_needs_a_headline_or_a_minimum(numbers):
    decision = gate.decide(numbers, None, GateConfig())
    assert not decision.passed
    assert decision.reasons[0].startswith("nothing to judge: the candidate has no AP, AIGT, R@1")
    assert gate.decide({"coco/AP50": 0.5}, None, GateConfig(minimum=("coco/AP50=0.3",))).passed


def test_minimums_and_the_champion_hold_together():
    fields = {"minimum": ("coco/AP=0.49",)}
    decision = _decide(coco_AP=0.485, fields=fields)
    assert decision.rows[0].allowed == 0.49
    (reason,) = decision.reasons
    assert "coco/AP: 0.4850" in reason
    assert "minimum of 0.4900" in reason
    assert _decide(coco_AP=0.495, fields=fields).passed
    assert not _decide(coco_AP=0.495, fields={"max_drop": -0.01}).passed  # must be better
    assert _decide(
        coco_AP=0.6, refcocog_AIGT=0.9, flickr30k_R_1=0.7, fields={"max_drop": -0.01}
    ).passed


@pytest.mark.parametrize("item", ["coco/AP", "=0.3", "coco/AP=", "coco/AP=much", "coco/AP=nan"])
def test_wrong_minimums(item):
    with pytest.raises(ValueError, match=r"gate\.minimum .*coco/AP50=0\.3"):
        GateConfig(minimum=(item,))


def test_settings_come_from_the_command_line():
    given = config.override(GateConfig(), "max_drop=0.1", "minimum=[coco/AP50=0.3]")
    assert (given.max_drop, given.floors()) == (0.1, {"coco/AP50": 0.3})
    with pytest.raises(ValueError, match=r"gate\.max_drop is nan"):
        config.override(GateConfig(), "max_drop=.nan")


def test_a_benchmark_or_metric_may_have_its_own_drop() -> None:
    champion = {"coco/AP": 0.50, "lvis/AP": 0.40, "refcocog/AIGT": 0.90}
    candidate = {"coco/AP": 0.49, "lvis/AP": 0.36, "refcocog/AIGT": 0.90}
    (reason,) = gate.decide(candidate, champion, GateConfig()).reasons
    assert reason.startswith("lvis/AP: 0.3600 ")
    assert "0.02" in reason
    assert gate.decide(candidate, champion, GateConfig(drops=("lvis=0.05",))).passed
    strict = gate.decide(candidate, champion, GateConfig(drops=("lvis=0.05", "lvis/AP=0.03")))
    assert "0.03" in strict.reasons[0]
    with pytest.raises(ValueError, match=r"gate\.drops 'lvis'"):
        GateConfig(drops=("lvis",))


CHANCE = {"coco/AP": (0.0120, 0.0165)}
"""Of an AP of .0143, on 72 pictures."""


def test_a_drop_that_chance_explains_is_none():
    decision = gate.decide({"coco/AP": 0.0143}, {"coco/AP": 0.0147}, GateConfig(max_drop=0), CHANCE)
    (row,) = decision.rows
    assert (decision.passed, row.ok, row.by_chance) == (True, True, True)
    (said,) = decision.excused()  # else a number fell too far, and nobody says why that passed
    assert "coco/AP fell from 0.015 to 0.014" in said
    assert not gate.decide({"coco/AP": 0.0143}, {"coco/AP": 0.0147}, GateConfig(max_drop=0)).passed


@pytest.mark.parametrize(
    ("before", "fields"),
    [
        (0.0166, {"max_drop": 0.0}),  # more than chance explains
        (0.0147, {"max_drop": -0.001}),  # a rise is asked for
        (0.0147, {"max_drop": 0.0, "minimum": ("coco/AP=0.0145",)}),
        (math.nan, {"max_drop": 0.0}),
    ],
)
def test_what_chance_does_not_excuse(before, fields):
    champion, candidate = {"coco/AP": before}, {"coco/AP": 0.0143}
    decision = gate.decide(candidate, champion, GateConfig(**fields), CHANCE)
    assert not decision.passed
    assert not decision.rows[0].by_chance


def test_a_drop_beyond_chance_says_what_chance_explains():
    champion, candidate = {"coco/AP": 0.02}, {"coco/AP": 0.0143}
    (reason,) = gate.decide(candidate, champion, GateConfig(max_drop=0), CHANCE).reasons
    assert "0.0165" in reason


def test_what_passes_anyway_does_not_pass_by_chance():
    champion, candidate = {"coco/AP": 0.0142}, {"coco/AP": 0.0143}
    decision = gate.decide(candidate, champion, GateConfig(), CHANCE)
    assert not decision.rows[0].by_chance
    assert decision.excused() == []


@pytest.mark.parametrize("value", [1.5, -1.0, 1e308])
def test_a_headline_is_a_share(value):
    sound = {"coco/AP": 0.5}
    for candidate, champion in (({"coco/AP": value}, sound), (sound, {"coco/AP": value})):
        decision = gate.decide(candidate, champion, GateConfig())
        assert not decision.passed
        assert "coco/AP" in decision.reasons[0]
        assert str(value) in decision.reasons[0]


RATE = "absent/false_positive_rate"


@pytest.mark.parametrize(("value", "passed"), [(0.0, True), (0.12, True), (0.1201, False)])
def test_of_what_is_better_when_it_falls_a_rise_is_the_drop(value, passed):
    decision = gate.decide({RATE: value}, {RATE: 0.1}, GateConfig(metrics=(RATE,)))
    assert decision.passed == passed
    assert decision.rows[0].allowed == pytest.approx(0.12)
    for reason in decision.reasons:
        assert "rise" in reason
        assert f"{value:.4f}" in reason


def test_of_what_is_better_when_it_falls_the_minimum_is_the_most_that_passes():
    limits = GateConfig(minimum=(f"{RATE}=0.11",), metrics=(RATE,))
    assert gate.decide({RATE: 0.05}, None, limits).passed
    decision = gate.decide({RATE: 0.115}, {RATE: 0.1}, limits)
    assert decision.rows[0].allowed == 0.11
    (reason,) = decision.reasons
    for part in (RATE, "0.1150", "0.1100", "maximum"):
        assert part in reason


def test_chance_explains_a_rise_of_what_is_better_when_it_falls():
    limits = GateConfig(max_drop=0, metrics=(RATE,))
    decision = gate.decide({RATE: 0.3}, {RATE: 0.2}, limits, {RATE: (0.15, 0.4)})
    assert (decision.passed, decision.rows[0].by_chance) == (True, True)
    assert "rose" in decision.excused()[0]
    (reason,) = gate.decide({RATE: 0.3}, {RATE: 0.1}, limits, {RATE: (0.15, 0.4)}).reasons
    assert "0.1500" in reason
