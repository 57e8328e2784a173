import pytest

from omnidet.report import published


def reasons(metric, counts=None, drawn=False):
    details = {metric.partition("/")[0]: {"counts": counts or {}}}
    (group,) = published.rows({metric: 0.5}, details, drawn)
    assert group["value"] == "50.0"
    return {(other.detector, other.value): reason for other, reason in group["others"]}


def test_a_claim_without_split_and_protocol_is_never_comparable():
    for metric in ("coco/AP", "lvis/AP", "refcocog/AIGT"):
        found = reasons(metric, {"images": 5000})
        claims = {
            reason
            for (name, _), reason in found.items()
            if name in ("OWL-ViT", "Grounding DINO", "OmniDet, as claimed")
        }
        assert claims == {"split and protocol not stated"}
        assert len(found) > 3


def test_a_split_is_identified_by_its_count():
    assert reasons("coco/AP", {"images": 5000})["Grounding DINO-T", 48.4] == ""
    assert reasons("coco/AP", {"images": 300})["Grounding DINO-T", 48.4] == "5,000 images; here 300"
    assert reasons("coco/AP")["Grounding DINO-T", 48.4] == "5,000 images; here unknown"
    assert reasons("refcocog/AIGT", {"expressions": 4896})["Grounding DINO-T", 60.4] == ""


def test_fixed_ap_and_drawn_scenes_are_not_comparable():
    assert "counted" in reasons("lvis/AP", {"images": 4809})["Grounding DINO-T", 28.8]
    assert reasons("lvis/AP", {"images": 19809})["OWL-ViT B/16", 20.8] == ""
    drawn = reasons("coco/AP", {"images": 5000}, drawn=True)
    assert "drawn" in drawn["Grounding DINO-T", 48.4]


@pytest.mark.parametrize(
    ("detector", "values"),
    [
        ("OWL-ViT", {"refcocog/AIGT": 67.2, "coco/AP": 39.8, "lvis/AP": 25.1}),
        ("Grounding DINO", {"refcocog/AIGT": 63.4, "coco/AP": 39.1, "lvis/AP": 27.5}),
        ("OmniDet, as claimed", {"refcocog/AIGT": 72.3, "coco/AP": 43.5, "lvis/AP": 29.9}),
    ],
)
def test_the_claims_are_copied_correctly(detector, values):
    assert {
        p.metric: p.value
        for p in published.PUBLISHED
        if p.source == published.BLOG and p.detector == detector
    } == values
