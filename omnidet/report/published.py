"""Published results of other detectors, with source and protocol, and whether they are comparable.

Values are in percent, as in their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BLOG = "a blog post"
MMDET = "github.com/open-mmlab/mmdetection, configs/mm_grounding_dino/README.md"
GROUNDING_DINO = "github.com/IDEA-Research/GroundingDINO, README.md"
SCENIC = "github.com/google-research/scenic, owl_vit/README.md"


@dataclass(frozen=True)
class Published:
    """One number of another detector."""

    detector: str
    metric: str
    """What the same number is called here."""
    value: float
    protocol: str
    """Split and setting; empty if the source states neither."""
    source: str
    counted: tuple[str, int] | None = None
    """A key of `Metrics.details["counts"]` and its value for this split, which identifies it."""
    standard: bool = True
    """Whether it is counted as here. LVIS also has a "fixed" AP, which counts more detections and
    is higher."""


_COCO = ("images", 5_000)
_LVIS, _MINIVAL = ("images", 19_809), ("images", 4_809)
_REFCOCOG = ("expressions", 4_896)
_FLICKR = ("images", 1_000)

PUBLISHED = (
    Published("OWL-ViT", "refcocog/AIGT", 67.2, "", BLOG),
    Published("Grounding DINO", "refcocog/AIGT", 63.4, "", BLOG),
    Published("OmniDet, as claimed", "refcocog/AIGT", 72.3, "", BLOG),
    Published("Grounding DINO-T", "refcocog/AIGT", 60.4, "UMD val, zero-shot", MMDET, _REFCOCOG),
    Published(
        "Grounding DINO-T",
        "refcocog/AIGT",
        84.2,
        "UMD val, trained on RefCOCO/+/g",
        MMDET,
        _REFCOCOG,
    ),
    Published("OWL-ViT", "coco/AP", 39.8, "", BLOG),
    Published("Grounding DINO", "coco/AP", 39.1, "", BLOG),
    Published("OmniDet, as claimed", "coco/AP", 43.5, "", BLOG),
    Published("Grounding DINO-T", "coco/AP", 48.4, "val2017, zero-shot", MMDET, _COCO),
    Published("Grounding DINO-T", "coco/AP", 57.2, "val2017, fine-tuned", GROUNDING_DINO, _COCO),
    Published("OWL-ViT", "lvis/AP", 25.1, "", BLOG),
    Published("Grounding DINO", "lvis/AP", 27.5, "", BLOG),
    Published("OmniDet, as claimed", "lvis/AP", 29.9, "", BLOG),
    Published(
        "OWL-ViT B/16", "lvis/AP", 20.8, "v1 val, zero-shot, rare names removed", SCENIC, _LVIS
    ),
    Published(
        "Grounding DINO-T",
        "lvis/AP",
        28.8,
        "v1 minival, fixed AP, zero-shot",
        MMDET,
        _MINIVAL,
        standard=False,
    ),
    Published(
        "Grounding DINO-T",
        "flickr30k/R@1",
        88.1,
        "test, any box, trained on Flickr30K",
        MMDET,
        _FLICKR,
    ),
)


def rows(
    metrics: Mapping[str, float], details: Mapping[str, Any], drawn: bool
) -> list[dict[str, Any]]:
    """The numbers of this run that others have published as well, with theirs.

    Args:
        details: `counts` by benchmark, as in `Evaluation.details`.
        drawn: whether the images are synthetic, so that nothing is comparable.

    Returns:
        `metric`, `value` in percent and `others`: pairs of a `Published` and the reason why it is
        not comparable, "" if it is.
    """
    found = []
    for metric in dict.fromkeys(p.metric for p in PUBLISHED if p.metric in metrics):
        others = [(p, _reason(p, details, drawn)) for p in PUBLISHED if p.metric == metric]
        found.append(
            {
                "metric": metric.replace("/", " "),
                "value": f"{100 * metrics[metric]:.1f}",
                "others": others,
            }
        )
    return found


def _reason(published: Published, details: Mapping[str, Any], drawn: bool) -> str:
    if not published.protocol:
        return "split and protocol not stated"
    if drawn:
        return "photographs; here drawn scenes"
    if not published.standard:
        return "counted differently"
    if published.counted:
        what, number = published.counted
        own = details.get(published.metric.partition("/")[0], {}).get("counts", {}).get(what)
        if own != number:
            return f"{number:,} {what}; here {f'{own:,}' if isinstance(own, int) else 'unknown'}"
    return ""
