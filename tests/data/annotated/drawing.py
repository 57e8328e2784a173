"""Small annotated folders, drawn and written as tools do, and what must come out of them."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from omnidet.data.annotated.boxes import overlap
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import Annotated, read

LOSSY = ReadConfig(max_lost=1.0)
SIZE = (96, 64)
COLOURS = {"cat": "red", "dog": "blue", "bird": "green", "fish": "orange", "bolt washer": "purple"}
Xywh = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """Something in a picture, in pixels of the picture as it is shown."""

    name: str
    xywh: Xywh


@dataclass
class Scene:
    """A picture file and what it shows."""

    file: str
    things: list[Thing]
    size: tuple[int, int] = SIZE
    split: str = ""

    @property
    def stem(self) -> str:
        return Path(self.file).stem


@dataclass
class Truth:
    """What a folder shows, by content of the picture files."""

    things: dict[bytes, list[Thing]] = field(default_factory=dict)

    def problems(self, found: Annotated) -> list[str]:
        """Everything that is silently wrong: a box that was not drawn, or a thing shown that is
        taken for absent.
        """
        wrong = []
        for picture in found.pictures():
            things = self.things[picture.opened.digest]
            left = list(things)
            for box in picture.boxes:
                hit = next((t for t in left if _is_hit(t, box.name, box.xywh)), None)
                if hit is None:
                    wrong.append(
                        f"{picture.path.name}: {box.name} {box.xywh} is not there: {things}"
                    )
                else:
                    left.remove(hit)
            wrong += [
                f"{picture.path.name}: {thing} is lost, and not unknown"
                for thing in left
                if thing.name in found.names and thing.name not in picture.unknown
            ]
        for kind, tally in found.account.tallies.items():
            left_out = sum(out.count for out in tally.left_out.values())
            if tally.read != tally.kept + left_out:
                wrong.append(f"{kind}: {tally.read} read, {tally.kept} kept, {left_out} left out")
        num_boxes = sum(len(picture.boxes) for picture in found.pictures())
        if found.account.tallies["boxes"].kept != num_boxes:
            wrong.append(f"{num_boxes} boxes, and the account says {found.account.lines()}")
        return wrong

    def num_found(self, found: Annotated) -> int:
        """Boxes that were read, all right."""
        assert self.problems(found) == []
        return sum(len(picture.boxes) for picture in found.pictures())


def _is_hit(thing: Thing, name: str, xywh: Xywh) -> bool:
    return thing.name == name and overlap(_corners(thing.xywh), _corners(xywh)) > 0.85


def _corners(xywh: Xywh) -> Xywh:
    x, y, width, height = xywh
    return x, y, x + width, y + height


def scenes(
    count: int,
    names: Sequence[str] = ("cat", "dog"),
    per_picture: int = 1,
    seed: int = 0,
    prefix: str = "img_",
    ending: str = ".png",
    split: str = "",
) -> list[Scene]:
    """Pictures that show the names in turn, nothing on top of anything else."""
    draw = random.Random(f"{seed} {prefix} {split}")
    found = []
    for number in range(count):
        things: list[Thing] = []
        while len(things) < per_picture:
            thing = random_thing(draw, names[(number + len(things)) % len(names)])
            if all(overlap(_corners(thing.xywh), _corners(t.xywh)) == 0 for t in things):
                things.append(thing)
        found.append(Scene(f"{prefix}{number:03d}{ending}", things, split=split))
    return found


def random_thing(draw: random.Random, name: str, size: tuple[int, int] = SIZE) -> Thing:
    width, height = draw.randrange(12, size[0] // 3), draw.randrange(10, size[1] // 3)
    x, y = draw.randrange(2, size[0] - width - 2), draw.randrange(2, size[1] - height - 2)
    return Thing(name, (x, y, width, height))


def put(
    path: Path, scene: Scene, truth: Truth, orientation: int = 1, mode: str = "", quality: int = 92
) -> None:
    """Draw the picture into a file, turned so that viewers with the EXIF orientation show it as the
    scene says.
    """
    image = Image.new("RGB", scene.size, "lightgrey")
    pen = ImageDraw.Draw(image)
    draw = random.Random(scene.file)
    for _ in range(20):
        x, y, grey = (
            draw.randrange(scene.size[0]),
            draw.randrange(scene.size[1]),
            draw.randrange(99, 240),
        )
        pen.rectangle((x, y, x + draw.randrange(2, 9), y + draw.randrange(2, 9)), fill=(grey,) * 3)
    for thing in scene.things:
        x, y, width, height = thing.xywh
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=COLOURS.get(thing.name, "black"))
    options: dict[str, Any] = {}
    if orientation != 1:
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
        image = image.transpose(Image.Transpose(undo))
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    if mode:
        image = image.convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG"}.get(path.suffix.lower())
    if kind:
        options["quality"] = quality
    out = io.BytesIO()
    image.save(out, kind or Image.registered_extensions()[path.suffix.lower()], **options)
    path.write_bytes(out.getvalue())
    digest = hashlib.sha256(out.getvalue()).digest()
    truth.things.setdefault(digest, list(scene.things))


def put_all(folder: Path, found: Sequence[Scene], truth: Truth, orientation: int = 1) -> None:
    for scene in found:
        put(folder / scene.file, scene, truth, orientation)


def write(path: Path, content: Any) -> Path:
    """Text, bytes, or what JSON can hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return path


def coco(
    found: Sequence[Scene],
    names: Sequence[str] = ("cat", "dog"),
    spelled: Mapping[str, str] | None = None,
    first_id: int = 1,
) -> dict[str, Any]:
    """COCO json of the scenes.

    `spelled`: what `file_name` says, where it is not the name of the file.
    """
    images, annotations = [], []
    for number, scene in enumerate(found, start=1):
        name = (spelled or {}).get(scene.file, scene.file)
        width, height = scene.size
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for thing in scene.things:
            x, y, w, h = thing.xywh
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": first_id + list(names).index(thing.name),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(names, start=first_id)]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo_row(thing: Thing, names: Sequence[str], size: tuple[int, int] = SIZE) -> str:
    x, y, w, h = thing.xywh
    shares = ((x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1])
    return " ".join([str(list(names).index(thing.name)), *(f"{share:.6f}" for share in shares)])


def yolo(scene: Scene, names: Sequence[str] = ("cat", "dog")) -> str:
    return "".join(f"{yolo_row(thing, names, scene.size)}\n" for thing in scene.things)


def voc(scene: Scene, spelled: str | None = None, size: tuple[int, int] | None = None) -> str:
    name = scene.file if spelled is None else spelled
    width, height = size or scene.size
    things = ""
    for thing in scene.things:
        x, y, w, h = thing.xywh
        box = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
        things += f"<object><name>{thing.name}</name><bndbox>{box}</bndbox></object>"
    declared = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{declared}{things}</annotation>"


def cvat(found: Sequence[Scene], names: Sequence[str] = ("cat", "dog"), subset: str = "") -> str:
    labels = "".join(f"<label><name>{name}</name></label>" for name in names)
    images = ""
    for number, scene in enumerate(found):
        boxes = ""
        for thing in scene.things:
            x, y, w, h = thing.xywh
            corners = f'xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"'
            boxes += f'<box label="{thing.name}" occluded="0" {corners}/>'
        told = f' subset="{scene.split}"' if scene.split else ""
        size = f'width="{scene.size[0]}" height="{scene.size[1]}"'
        images += f'<image id="{number}" name="{scene.file}"{told} {size}>{boxes}</image>'
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    return f"<annotations><version>1.1</version>{meta}{images}</annotations>"


def labelme(scene: Scene, spelled: str | None = None, kind: str = "rectangle") -> dict[str, Any]:
    shapes = []
    for thing in scene.things:
        x0, y0, x1, y1 = _corners(thing.xywh)
        points = [[x1, y0], [x0, y1]]
        if kind == "polygon":
            points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
        shapes.append({"label": thing.name, "points": points, "shape_type": kind})
    size = {"imageWidth": scene.size[0], "imageHeight": scene.size[1]}
    name = scene.file if spelled is None else spelled
    return {"version": "5.4", "shapes": shapes, "imagePath": name, "imageData": None, **size}


def label_studio(found: Sequence[Scene], prefix: str = "/data/upload/1/0a1b2c3d-") -> list[Any]:
    tasks = []
    for number, scene in enumerate(found):
        width, height = scene.size
        result = []
        for place, thing in enumerate(scene.things):
            x, y, w, h = thing.xywh
            value = {"x": 100 * x / width, "y": 100 * y / height, "rotation": 0}
            value |= {"width": 100 * w / width, "height": 100 * h / height}
            value["rectanglelabels"] = [thing.name]
            size = {"original_width": width, "original_height": height, "image_rotation": 0}
            result.append({"id": f"r{place}", "type": "rectanglelabels", "value": value, **size})
        data = {"image": f"{prefix}{scene.file}"}
        tasks.append({"id": number, "annotations": [{"result": result}], "data": data})
    return tasks


def createml(found: Sequence[Scene]) -> list[Any]:
    entries = []
    for scene in found:
        boxes = []
        for thing in scene.things:
            x, y, w, h = thing.xywh
            centre = {"x": x + w / 2, "y": y + h / 2, "width": w, "height": h}
            boxes.append({"label": thing.name, "coordinates": centre})
        entries.append({"image": scene.file, "annotations": boxes})
    return entries


def via(found: Sequence[Scene], attribute: str = "label") -> dict[str, Any]:
    content = {}
    for scene in found:
        regions = []
        for thing in scene.things:
            x, y, w, h = thing.xywh
            shape = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
            named = {attribute: thing.name}
            regions.append({"shape_attributes": shape, "region_attributes": named})
        content[f"{scene.file}-1"] = {"filename": scene.file, "size": -1, "regions": regions}
    return content


def table(found: Sequence[Scene], is_in_shares: bool = False) -> str:
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for scene in found:
        width, height = scene.size
        across, down = (width, height) if is_in_shares else (1, 1)
        for thing in scene.things:
            x0, y0, x1, y1 = _corners(thing.xywh)
            corners = f"{x0 / across},{y0 / down},{x1 / across},{y1 / down}"
            lines.append(f'"{scene.file}",{width},{height},{thing.name},{corners}')
    return "\n".join(lines) + "\n"


class Folder:
    """A folder that is being made, and what it shows."""

    def __init__(self, root: Path) -> None:
        self.root, self.truth = root, Truth()
        root.mkdir(exist_ok=True)

    def pictures(self, found: list[Scene], where: str = "", orientation: int = 1) -> list[Scene]:
        put_all(self.root / where, found, self.truth, orientation)
        return found

    def write(self, name: str, content) -> Path:
        return write(self.root / name, content)

    def read(self, config: ReadConfig | None = None) -> Annotated:
        """What is read; nothing of it is wrong."""
        found = read(self.root, config)
        assert self.truth.problems(found) == []
        return found

    def num_read(self, config: ReadConfig | None = None) -> int:
        return sum(len(picture.boxes) for picture in self.read(config).pictures())

    def refusal(self, config: ReadConfig | None = None) -> str:
        with pytest.raises(ValueError, match=re.escape(str(self.root))) as raised:
            read(self.root, config)
        said = str(raised.value)
        assert "\n" not in said
        return said

    def yolo(self, count: int = 8, names=("cat", "dog"), ending: str = ".png") -> list[Scene]:
        """Pictures and labels in two splits, without the names."""
        made = []
        for split, number in (("train", count), ("val", max(count // 2, 2))):
            own = self.pictures(
                scenes(number, names, prefix=f"{split[0]}_", ending=ending), f"images/{split}"
            )
            for scene in own:
                self.write(f"labels/{split}/{scene.stem}.txt", yolo(scene, names))
            made += own
        return made

    def coco(self, count: int = 8, change=lambda _: None, **spelled) -> list[Scene]:
        """Pictures in `images` and one json for each split, changed by `change` before it is
        written.
        """
        made = []
        for split, number in (("train", count), ("val", max(count // 2, 2))):
            own = self.pictures(scenes(number, prefix=f"{split[0]}_"), "images")
            content = coco(own, **spelled)
            change(content)
            self.write(f"annotations/instances_{split}.json", content)
            made += own
        return made
