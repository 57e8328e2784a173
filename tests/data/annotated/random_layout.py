"""Annotated folders in random layouts and formats, without a fault."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnidet.data.annotated.config import FORMATS, ReadConfig
from omnidet.data.class_names import phrase
from tests.data.annotated import drawing
from tests.data.annotated.drawing import Scene, Thing, Truth

NAMES = ("cat", "dog", "BoltWasher", "soda_can", "7", "Köln cake")
PREFIXES = ("img_", "train_station_", "COCO_val2014_", "my photo ", "Köln_", "a.b.", "test-", "0")


@dataclass
class Made:
    """A folder while it is made."""

    root: Path
    draw: random.Random
    kind: str
    names: tuple[str, ...]
    truth: Truth = field(default_factory=Truth)
    scenes: list[Scene] = field(default_factory=list)
    pictures: dict[int, Path] = field(default_factory=dict)
    """By number of the scene."""
    num_rows: int = 0
    """Boxes in the annotation files."""
    is_countable: bool = True
    """Whether the files are sound, so that all of their boxes can be counted."""
    has_splits: bool = False
    config: ReadConfig = field(default_factory=ReadConfig)
    dirt: list[str] = field(default_factory=list)

    def chance(self, share: float) -> bool:
        return self.draw.random() < share

    def note(self, what: str) -> None:
        self.dirt.append(what)


def lay_out(root: Path, seed: object) -> Made:
    """Draw and write one folder."""
    draw = random.Random(str(seed))
    names = tuple(draw.sample(NAMES, draw.randrange(1, 5)))
    made = Made(root, draw, draw.choice(FORMATS), names)
    places = _places(made)
    _draw_pictures(made, places)
    _write(made, places)
    return made


@dataclass(frozen=True)
class _Place:
    """Folders of the pictures and of the annotations of one part."""

    pictures: str
    annotations: str
    split: str
    """As the folders or the files spell it."""


def _places(made: Made) -> list[_Place]:
    draw = made.draw
    splits = draw.choice(
        [("",), ("",), ("train", "val"), ("train", "valid", "test"), ("train2017", "val2017")]
    )
    made.has_splits = splits != ("",)
    sites = draw.choice([("",), ("",), ("",), ("cam1", "cam2")])
    layout = draw.choice(["beside", "trees", "inside", "flat pictures"])
    images, labels = draw.choice(
        [("images", "labels"), ("JPEGImages", "Annotations"), ("img", "anns")]
    )
    places = []
    for split in splits:
        for site in sites:
            parts = [part for part in (split, site) if part]
            if layout == "beside":
                pictures = annotations = "/".join(parts)
            elif layout == "trees":
                pictures, annotations = ("/".join([top, *parts]) for top in (images, labels))
            elif layout == "inside":
                pictures, annotations = ("/".join([*parts, top]) for top in (images, labels))
            else:
                pictures, annotations = images, "/".join([labels, *parts])
            places.append(_Place(pictures, annotations, split))
    return places


def _draw_pictures(made: Made, places: Sequence[_Place]) -> None:
    draw = made.draw
    prefix, ending = draw.choice(PREFIXES), draw.choice([".png", ".jpg", ".JPG", ".bmp", ".jpeg"])
    if made.kind == "yolo" and made.names and draw.random() < 0.1:
        ending = ".webp"
    reuse = made.chance(0.4) and len({place.pictures for place in places}) == len(places)
    count = draw.randrange(2, 7)
    for number, place in enumerate(places):
        for i in range(count):
            things: list[Thing] = []
            for _ in range(draw.choice((0, 1, 1, 2, 3))):
                thing = drawing.random_thing(draw, draw.choice(made.names))
                if all(not _overlaps(thing, other) for other in things):
                    things.append(thing)
            name = f"{prefix}{i if reuse else number * 100 + i:03d}{ending}"
            scene = Scene(name, things, split=place.split)
            made.scenes.append(scene)
            path = made.root / place.pictures / name
            made.pictures[len(made.scenes) - 1] = path
            shown = [Thing(phrase(t.name), t.xywh) for t in things]
            drawing.put(path, Scene(f"{seed_of(made)}{path}", shown), made.truth)


def seed_of(made: Made) -> str:
    """So that no two pictures are the same."""
    return str(len(made.scenes))


def _overlaps(one: Thing, other: Thing) -> bool:
    (x, y, w, h), (a, b, c, d) = one.xywh, other.xywh
    return x < a + c and a < x + w and y < b + d and b < y + h


def _write(made: Made, places: Sequence[_Place]) -> None:
    """The annotations of all scenes, place by place."""
    per_place = len(made.scenes) // len(places)
    spell = _speller(made)
    names = _yolo_names(made)
    for number, place in enumerate(places):
        own = made.scenes[number * per_place : (number + 1) * per_place]
        folder = made.root / place.annotations
        made.num_rows += sum(len(scene.things) for scene in own)
        if made.kind in ("coco", "cvat", "label-studio", "createml", "via", "csv"):
            _write_together(made, place, own, folder, spell)
            continue
        for scene in own:
            if made.kind == "yolo":
                whole = made.draw.random() < 0.1
                file = f"{scene.file if whole else scene.stem}.txt"
                drawing.write(folder / file, drawing.yolo(scene, names))
            elif made.kind == "voc":
                drawing.write(folder / f"{scene.stem}.xml", drawing.voc(scene, spell(scene, place)))
            else:
                kind = made.draw.choice(["rectangle", "polygon"])
                content = drawing.labelme(scene, spell(scene, place), kind)
                drawing.write(folder / f"{scene.stem}.json", content)
    if made.kind == "voc" and made.has_splits and made.chance(0.3):
        _image_sets(made)


def _write_together(
    made: Made,
    place: _Place,
    own: Sequence[Scene],
    folder: Path,
    spell: Callable[[Scene, _Place], str],
) -> None:
    draw = made.draw
    stem = f"instances_{place.split}" if place.split else draw.choice(["result", "annotations"])
    spelled = {scene.file: spell(scene, place) for scene in own}
    if made.kind == "cvat":
        renamed = [Scene(spelled[s.file], s.things, s.size) for s in own]
        drawing.write(folder / f"{stem}.xml", drawing.cvat(renamed, made.names))
    elif made.kind in ("createml", "via", "csv"):
        renamed = [Scene(spelled[s.file], s.things, s.size) for s in own]
        if made.kind == "csv":
            drawing.write(folder / f"{stem}.csv", drawing.table(renamed))
        else:
            content = (drawing.createml if made.kind == "createml" else drawing.via)(renamed)
            drawing.write(folder / f"{stem}.json", content)
    elif made.kind == "label-studio":
        prefix = draw.choice(["/data/upload/3/0a1b2c3d-", "s3://bucket/", "/data/local-files/?d="])
        drawing.write(folder / f"{stem}.json", drawing.label_studio(own, prefix))
    else:
        style = draw.choice(["one", "one", "a picture", "a class", "a box"])
        content = drawing.coco(own, made.names, spelled)
        if style == "a picture":
            for scene in own:
                one = drawing.coco([scene], made.names, spelled)
                drawing.write(folder / f"{stem}_{scene.stem}.json", one)
            if place.split:  # the picture's name comes last: only folders say the split
                made.has_splits = made.has_splits and place.split in place.annotations
        elif style == "a class":
            for category in content["categories"]:
                kept = [a for a in content["annotations"] if a["category_id"] == category["id"]]
                one = {**content, "annotations": kept}
                drawing.write(folder / f"{category['id']}_{stem}.json", one)
        else:
            if style == "a box":
                _an_entry_each(content)
            drawing.write(folder / f"{stem}.json", content)


def _an_entry_each(content: dict[str, Any]) -> None:
    images = {image["id"]: image for image in content["images"]}
    with_box = {annotation["image_id"] for annotation in content["annotations"]}
    entries = [image for own, image in images.items() if own not in with_box]
    for place, annotation in enumerate(content["annotations"], start=1000):
        entries.append({**images[annotation["image_id"]], "id": place})
        annotation["image_id"] = place
    content["images"] = entries


def _speller(made: Made) -> Callable[[Scene, _Place], str]:
    """How the annotations spell the paths of pictures."""
    styles: list[Callable[[Scene, _Place], str]] = [
        lambda scene, _: scene.file,
        lambda scene, _: scene.file,
        lambda scene, place: f"{place.pictures}/{scene.file}".lstrip("/"),
        lambda scene, place: f"/home/me/set/{place.pictures}/{scene.file}",
        lambda scene, place: f"C:\\sets\\{place.pictures}\\{scene.file}".replace("/", "\\"),
        lambda scene, _: scene.file.upper(),
        lambda scene, _: unicodedata.normalize("NFD", scene.file),
        lambda scene, _: scene.file.replace(" ", "%20"),
    ]
    return made.draw.choice(styles)


def _yolo_names(made: Made) -> Sequence[str]:
    """Write the names of the classes; gives them in the order of their numbers."""
    if made.kind != "yolo":
        return made.names
    names, root = made.names, made.root
    style = made.draw.choice(["list", "quoted", "numbers", "classes.txt", "obj.names", "block"])
    if style == "list":
        drawing.write(root / "data.yaml", f"nc: {len(names)}\nnames: {json.dumps(names)}\n")
    elif style in ("quoted", "numbers", "block"):
        key = "'{}'" if style == "quoted" else "{}"
        lines = [f"  {key.format(i)}: {name}\n" for i, name in enumerate(names)]
        drawing.write(root / "dataset.yaml", "path: /else\nnames:\n" + "".join(lines))
    else:
        bom = "\ufeff" if made.chance(0.3) else ""
        drawing.write(root / style, bom + "\r\n".join(names) + "\n")
    return names


def _image_sets(made: Made) -> None:
    stems = [scene.stem for scene in made.scenes]
    if len(set(stems)) < len(stems):
        return
    for split in {scene.split for scene in made.scenes}:
        own = [scene.stem for scene in made.scenes if scene.split == split]
        flag = " 1" if made.chance(0.3) else ""
        text = "".join(f"{stem}{flag}\n" for stem in own)
        drawing.write(made.root / "ImageSets/Main" / f"{split}.txt", text)
