"""Which of timm's networks a detector takes: a small model of each family, with random weights.

    OMP_NUM_THREADS=1 python benchmarks/backbones.py --json OUT [--only NAME ...] [--export]

For each, as `backbone=NAME` sets it: a training step in which every parameter of the network gets a
gradient, the same numbers after saving and loading, images of another side and oblong ones, and
with --export an ONNX file compared with the detector. What is refused is listed with the line that
says so; anything else that goes wrong ends the script.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from contestants import TINY, batch
from side_by_side import print_table
from torch import Tensor

from omnidet import config
from omnidet.data import vocabulary
from omnidet.data.vocabulary import Vocabulary, VocabularyConfig
from omnidet.export.config import ExportConfig
from omnidet.export.write import write
from omnidet.inference.detector import OmniDet
from omnidet.model import bundle
from omnidet.model.detector import Detector
from omnidet.recipes import backbones
from omnidet.recipes.photographs import photographs
from omnidet.schema import Record

TRANSFORMERS = (
    *("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224"),
    *("vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3"),
    *("eva02_tiny_patch14_224", "vit_base_patch16_siglip_224", "vit_base_patch16_clip_224"),
    *("vit_base_patch16_siglip_gap_224", "vit_pe_core_tiny_patch16_384", "flexivit_small"),
    *("vit_little_patch16_reg4_gap_256", "vit_medium_patch16_rope_reg1_gap_256"),
    *("vit_small_patch16_rope_mixed_224", "vit_small_r26_s32_224", "beit3_base_patch16_224"),
    "vit_tiny_r_s16_p8_224",
)
STAGES = (
    *("tf_efficientnet_lite0", "mobilenetv4_conv_small", "mobilenetv4_hybrid_medium"),
    *("mobilenetv3_small_050", "resnet18", "resnet18d", "resnetv2_50", "regnetx_002"),
    *("res2net50_14w_8s", "convnext_atto", "convnextv2_atto", "swin_tiny_patch4_window7_224"),
    *(
        "swinv2_tiny_window8_256",
        "hiera_tiny_224",
        "mambaout_femto",
        "fastvit_t8",
        "edgenext_xx_small",
    ),
    *("repvit_m0_9", "ghostnet_100", "efficientvit_b0", "hgnetv2_b0", "pvt_v2_b0", "davit_tiny"),
    *("focalnet_tiny_srf", "inception_next_atto", "iformer_t", "poolformer_s12", "rexnet_100"),
    *("densenet121", "dla34", "cspdarknet53", "starnet_s1", "coat_lite_tiny"),
    *("mvitv2_tiny", "gcvit_xxtiny", "maxvit_tiny_tf_224", "coatnet_nano_rw_224", "mobilevit_xs"),
    *("levit_128s", "efficientvit_m0", "efficientformerv2_s0", "twins_pcpvt_small"),
    *("efficientformer_l1", "nest_tiny", "pit_ti_224", "visformer_tiny", "botnet26t_256"),
    *(
        "mobileone_s0",
        "csatv2",
        "efficientvim_m1",
        "fasternet_t0",
        "hieradet_small",
        "caformer_s18",
    ),
    *(
        "nextvit_small",
        "nfnet_l0",
        "hrnet_w18_small",
        "rdnet_tiny",
        "tresnet_m",
        "vgg11",
        "vovnet39a",
        "xception41",
    ),
    *("cspnext_l", "resnest14d", "inception_v3", "volo_d1_224", "sequencer2d_s"),
)
LAST_BLOCK = (
    *("beit_base_patch16_224", "vit_relpos_small_patch16_224", "xcit_nano_12_p16_224"),
    *("cait_xxs24_224", "samvit_base_patch16", "mixer_s16_224", "tnt_s_patch16_224"),
)
"""Networks of one stride: `model.backbone.from_strides=[16]` is set for them."""


def main() -> None:
    """Try each model and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=[*TRANSFORMERS, *STAGES, *LAST_BLOCK]
    )
    parser.add_argument("--export", action="store_true", help="also to ONNX, half a minute each")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*meshgrid.*")
    text = Record(b"", 1, 1, "drawn", "drawn:0", phrases=("red star",), caption="a red star")
    words = vocabulary.build([text], VocabularyConfig(size=300, min_frequency=1))
    found = {}
    for name in options.only:
        try:
            found[name] = tried(name, words, export=options.export)
        except ValueError as refusal:
            found[name] = {"refused": str(refusal)}
        print(name, found[name], flush=True)
    header = ["model", "kind", "M parameters", "pixels a token", "sides", "ONNX", "refused"]
    keys = ("kind", "millions", "stride", "sides", "onnx", "refused")
    rows = [[name, *(str(row.get(key, "")) for key in keys)] for name, row in found.items()]
    print_table("what a detector takes", header, rows)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def tried(name: str, words: Vocabulary, *, export: bool) -> dict[str, Any]:
    """What came out for a model. Raises ValueError with the refusal, and AssertionError."""
    changed = config.override(
        photographs(),
        *backbones.settings(name, "random"),
        f"model.image_size={14 * 16}",
        "model.embedding_width=32",
        *(["model.backbone.from_strides=[16]"] if name in LAST_BLOCK else []),
    ).model
    unit = changed.backbone.size_multiple
    side = max(64 // unit, 2) * unit
    model = dataclasses.replace(changed, image_size=side)
    torch.manual_seed(0)
    detector = Detector(model, words.num_tokens)
    _check_step(detector, side, words)
    fixed = getattr(detector.backbone, "fixed_side", None)
    if not fixed:
        for rows, columns in ((side + unit, side + unit), (side, side + 2 * unit)):
            _tokens(detector, rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        exported = _check_files(detector, side, words, Path(folder), export=export)
    return {
        "kind": model.backbone.kind,
        "millions": round(sum(p.numel() for p in detector.backbone.parameters()) / 1e6, 1),
        "stride": detector.backbone.stride,
        "sides": "one" if fixed else "any",
        **({"onnx": exported} if export else {}),
    }


def _check_step(detector: Detector, side: int, words: Vocabulary) -> None:
    size = dataclasses.replace(TINY, image_size=side, words=words.num_tokens // 2)
    detector.backbone.freeze_idle()
    made = detector.train()(batch(size))
    (made.scores_BQL.square().mean() + made.boxes_cxcywh_BQ4.square().mean()).backward()
    for name, parameter in detector.backbone.named_parameters():
        is_learnt = parameter.grad is not None and bool(parameter.grad.isfinite().all())
        assert is_learnt or not parameter.requires_grad, f"{name} has no finite gradient"
    groups = detector.backbone.parameter_groups(0.05, 0.8)
    grouped = sorted(id(p) for group in groups for p in group["params"])
    assert grouped == sorted(id(p) for p in detector.backbone.parameters() if p.requires_grad)


def _tokens(detector: Detector, rows: int, columns: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, rows, columns), dtype=torch.uint8, generator=draw)
    with torch.no_grad():
        tokens: Tensor = detector.eval().backbone(images)
    expected = rows // detector.backbone.stride * (columns // detector.backbone.stride)
    assert tokens.shape == (2, expected, detector.backbone.width)
    assert tokens.isfinite().all()
    return tokens


def _check_files(
    detector: Detector, side: int, words: Vocabulary, folder: Path, *, export: bool
) -> str:
    bundle.save(folder, detector, words, ["red star"], {})
    loaded, _, _ = bundle.load(folder)
    ours, theirs = (_tokens(one, side, side) for one in (detector, loaded))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    if not export:
        return ""
    written = write(
        OmniDet.from_pretrained(str(folder)), ExportConfig(), str(folder / "onnx"), "tried"
    )
    return "any side" if written.facts.any_size else "one side"


if __name__ == "__main__":
    main()
