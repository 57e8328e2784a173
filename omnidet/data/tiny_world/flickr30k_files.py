"""The tiny world as Flickr30K Entities: sentences with tags, box files, lists of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.data.tiny_world import words
from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.tiny_world.damage import FILE_DAMAGE, damages, write_image
from omnidet.data.tiny_world.scenes import Picture, Scene

Json = dict[str, Any]


def write_flickr30k(
    root: Path, rng: np.random.Generator, config: TinyWorld, pictures: Sequence[Picture]
) -> Json:
    """All files below `root`; returns what was planted, for `world.json`."""
    sizes = {
        "train": config.flickr30k_train,
        "val": config.flickr30k_val,
        "test": config.flickr30k_test,
    }
    ids = rng.choice(
        np.arange(10_000_000, 999_999_999, 1009), len(pictures), replace=False
    ).tolist()
    for folder in ("Sentences", "Annotations", "flickr30k-images"):
        (root / folder).mkdir(parents=True)
    damage = damages(
        config,
        [*FILE_DAMAGE, "zero-size box", "box outside the image", "box larger than the image"],
    )
    for i, (image_id, picture) in enumerate(zip(ids, pictures, strict=True)):
        sentences, chains = words.tagged_sentences(rng, picture.scene, first_chain=1000 + 20 * i)
        (root / "Sentences" / f"{image_id}.txt").write_text("\n".join(sentences) + "\n")
        xml = box_file(image_id, picture.scene, chains, damage.get(i, ""))
        (root / "Annotations" / f"{image_id}.xml").write_text(xml)
        write_image(root / "flickr30k-images" / f"{image_id}.jpg", picture.jpeg, damage.get(i, ""))
    rest = iter(ids)
    for split, size in sizes.items():
        (root / f"{split}.txt").write_text("".join(f"{next(rest)}\n" for _ in range(size)))
    return {"images": sizes, "broken": dict(Counter(damage.values()))}


def box_file(image_id: int, scene: Scene, chains: Sequence[words.Chain], damage: str) -> str:
    """One <object> per box with all its chains, then the chains without a box."""
    side = scene.image_size
    lines = ["<annotation>", f"  <filename>{image_id}.jpg</filename>"]
    lines.append(f"  <size><width>{side}</width><height>{side}</height><depth>3</depth></size>")
    is_sound = True
    for i, thing in enumerate(scene.things):
        names = "".join(f"<name>{chain.number}</name>" for chain in chains if i in chain.members)
        if not names:
            continue
        x0, y0, x1, y1 = thing.box_xyxy
        if is_sound:
            bad = {
                "zero-size box": (x0, y0, x0, y1),
                "box outside the image": (x0 + 2000, y0, x1 + 2000, y1),
            }
            x0, y0, x1, y1 = (bad | {"box larger than the image": (0, 0, 90_000, 90_000)}).get(
                damage, thing.box_xyxy
            )
            is_sound = False  # one bad box per image
        # Flickr30K Entities counts pixels from 1 and includes the last.
        corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        lines.append(f"  <object>{names}<bndbox>{corners}</bndbox></object>")
    for chain in chains:
        if not chain.members:
            marks = f"<scene>{int(chain.is_scene)}</scene>"
            marks += f"<nobndbox>{int(not chain.is_scene)}</nobndbox>"
            lines.append(f"  <object><name>{chain.number}</name>{marks}</object>")
    return "\n".join([*lines, "</annotation>", ""])
