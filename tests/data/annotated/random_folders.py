"""Random annotated folders in random layouts, formats and dirt: read right, or refused.

python -m tests.data.annotated.random_folders 10000   # prints what was silently wrong; exit code 1
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnidet.data.annotated import cut, phrases, write
from omnidet.data.annotated.config import FORMATS, ReadConfig
from omnidet.data.annotated.read import Annotated, read
from omnidet.data.folder_formats.folder import SPLITS
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sources import annotated
from tests.data.annotated import drawing
from tests.data.annotated.drawing import SIZE, Scene, Thing, Truth

NAMES = ("cat", "dog", "BoltWasher", "soda_can", "7", "Köln cake")
PREFIXES = ("img_", "train_station_", "COCO_val2014_", "my photo ", "Köln_", "a.b.", "test-", "0")
DECLARED = ("coco", "voc", "cvat", "labelme", "csv")
"""Formats that declare the size of the picture, so that EXIF can be told."""


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


def make(root: Path, seed: object) -> Made:
    """Draw and write one folder."""
    draw = random.Random(str(seed))
    names = tuple(draw.sample(NAMES, draw.randrange(1, 5)))
    made = Made(root, draw, draw.choice(FORMATS), names)
    places = _places(made)
    _draw_pictures(made, places)
    rows = [_annotated_things(made, scene) for scene in made.scenes]
    _write(made, places, rows)
    chosen = draw.sample(DIRT, draw.choice((0, 1, 1, 2)))
    for dirty in sorted(chosen, key=DIRT.index):
        dirty(made)
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
            shown = [Thing(phrases.phrase(t.name), t.xywh) for t in things]
            drawing.put(path, Scene(f"{seed_of(made)}{path}", shown), made.truth)


def seed_of(made: Made) -> str:
    """So that no two pictures are the same."""
    return str(len(made.scenes))


def _overlaps(one: Thing, other: Thing) -> bool:
    (x, y, w, h), (a, b, c, d) = one.xywh, other.xywh
    return x < a + c and a < x + w and y < b + d and b < y + h


def _annotated_things(made: Made, scene: Scene) -> list[Thing]:
    return list(scene.things)


def _write(made: Made, places: Sequence[_Place], rows: Sequence[Sequence[Thing]]) -> None:
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


def _annotation_files(made: Made) -> list[Path]:
    ending = {"voc": ".xml", "cvat": ".xml", "yolo": ".txt", "csv": ".csv"}.get(made.kind, ".json")
    others = ("ImageSets", "__MACOSX", "README.txt", "classes.txt", "package.json", "captions.json")
    files = sorted(made.root.rglob(f"*{ending}"))
    return [p for p in files if not p.name.startswith("._") and not set(p.parts) & set(others)]


def _missing_pictures(made: Made) -> None:
    made.note("missing pictures")
    for path in made.draw.sample(sorted(made.pictures.values()), made.draw.choice((1, 1, 2))):
        path.unlink(missing_ok=True)


def _damaged_pictures(made: Made) -> None:
    made.note("damaged pictures")
    path = made.draw.choice(sorted(made.pictures.values()))
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(made.draw.choice([b"", b"<html>", content[: len(content) // 2]]))


def _leftovers(made: Made) -> None:
    made.note("leftovers")
    for path in [p for p in made.root.rglob("*") if p.is_file()][:20]:
        drawing.write(path.with_name(f"._{path.name}"), b"\0\5\x16\7Mac")
        relative = path.relative_to(made.root)
        drawing.write(made.root / "__MACOSX" / relative, path.read_bytes())


def _foreign_files(made: Made) -> None:
    made.note("foreign files")
    root = made.root
    drawing.write(root / "k8s.yaml", "kind: A\n---\nkind: B\n")
    drawing.write(root / "package.json", {"name": "x", "version": 1})
    drawing.write(root / "README.txt", "Pictures of cats.\n")
    drawing.write(root / "coco128.yaml", "train: images/train1234\nnames: [person, car]\n")
    drawing.write(root / "captions.json", {"images": [], "annotations": [{"caption": "a cat"}]})


def _linked(made: Made) -> None:
    made.note("links")
    folder = made.draw.choice(sorted(made.pictures.values())).parent
    if folder == made.root or any(p.is_symlink() for p in made.root.rglob("*")):
        return
    elsewhere = made.root.parent / "disk"
    shutil.move(folder, elsewhere)
    folder.symlink_to(elsewhere)
    (made.root / "loop").symlink_to(made.root)


def _broken_rows(made: Made) -> None:
    """Some boxes as nobody can read them."""
    made.note("broken rows")
    for path in _annotation_files(made):
        text = path.read_text(encoding="utf-8")
        if made.kind == "yolo":
            lines = text.splitlines()
            for i, line in enumerate(lines):
                words = line.split()
                if made.chance(0.1) and len(words) == 5:
                    words[made.draw.randrange(1, 5)] = made.draw.choice(["nan", "abc", "", "1,5"])
                    lines[i] = " ".join(words)
            drawing.write(path, "".join(f"{line}\n" for line in lines))
        elif made.kind == "coco":
            content = json.loads(text)
            for annotation in content["annotations"]:
                if made.chance(0.1):
                    x, y, w, h = annotation["bbox"]
                    odd = [None, [], [x, y, -w, h], "x", [x, y, w], [x, y, 900, 900], ["a"] * 4]
                    annotation["bbox"] = made.draw.choice(odd)
            drawing.write(path, content)
        elif made.kind == "voc":
            odd = made.draw.choice(["<ymin>abc</ymin><x>", "<ymin></ymin><x>", "<x>"])
            drawing.write(path, text.replace("<ymin>", f"{odd}", 1).replace("</ymin>", "</x>", 1))
        elif made.kind == "cvat":
            drawing.write(path, text.replace('xtl="', 'xtl="a', 1))
        elif made.kind == "labelme" and made.chance(0.3):
            content = json.loads(text)
            for shape in content["shapes"][:1]:
                shape |= made.draw.choice(
                    [{"points": [[1, 2]]}, {"shape_type": "point"}, {"points": 7}]
                )
            drawing.write(path, content)
        elif made.kind in ("createml", "via"):
            drawing.write(path, text.replace('"width": ', '"width": "a", "w": ', 1))
        elif made.kind == "csv":
            drawing.write(path, re.sub(r"(.*\n.*,)[0-9]+(,[0-9]+,[0-9]+\n)", r"\1abc\2", text))
        elif made.kind == "label-studio":
            tasks = json.loads(text)
            for task in tasks:
                for result in task["annotations"][0]["result"][:1]:
                    if made.chance(0.2):
                        result["value"] |= made.draw.choice([{"x": None}, {"width": "abc"}])
            drawing.write(path, tasks)


def _unknown_classes(made: Made) -> None:
    made.note("unknown classes")
    for path in _annotation_files(made):
        text = path.read_text(encoding="utf-8")
        if made.kind == "yolo" and made.chance(0.2):
            drawing.write(path, text.replace("0 ", "9 ", 1) if text.startswith("0 ") else text)
        elif made.kind == "coco":
            content = json.loads(text)
            for annotation in content["annotations"]:
                if made.chance(0.1):
                    annotation["category_id"] = made.draw.choice([99, None, "x", 1.5])
            drawing.write(path, content)
        elif made.kind == "voc" and made.chance(0.2):
            drawing.write(
                path,
                text.replace("<name>", "<name></name><title>", 1).replace(
                    "</name></title>", "</title>"
                ),
            )
            made.is_countable = False


def _truncated(made: Made) -> None:
    made.note("a truncated file")
    files = _annotation_files(made)
    if files and made.kind not in ("yolo", "csv"):  # of lines nobody sees that some are gone
        path = made.draw.choice(files)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
        made.is_countable = False


def _turned(made: Made) -> None:
    """Photographs with EXIF orientation, drawn on as shown."""
    if made.kind not in (*DECLARED, "label-studio", "yolo"):
        return
    made.note("EXIF")
    orientation = made.draw.choice([3, 6, 8, 5])
    for number, path in made.pictures.items():
        if path.exists() and path.suffix.lower() in (".jpg", ".jpeg") and made.chance(0.5):
            things = [Thing(phrases.phrase(t.name), t.xywh) for t in made.scenes[number].things]
            scene = Scene(f"turned {number} {path}", things)
            drawing.put(path, scene, made.truth, orientation)


def _two_endings(made: Made) -> None:
    """Another picture of the same stem beside each."""
    made.note("two endings")
    for number, path in list(made.pictures.items())[:3]:
        if not path.exists():
            continue  # the only picture of its stem may be a converted one
        other = path.with_suffix(".gif")
        drawing.put(other, Scene(f"other {number}", []), made.truth)


def _old_copy(made: Made) -> None:
    """An older state of the annotations beside them."""
    made.note("an old copy")
    files = _annotation_files(made)
    if not files:
        return
    path = made.draw.choice(files)
    text = path.read_text(encoding="utf-8")
    target = path.with_name(f"{path.stem} (copy){path.suffix}")
    made.is_countable = False
    if made.kind == "coco":
        content = json.loads(text)
        for annotation in content["annotations"]:
            if isinstance(annotation["bbox"], list) and len(annotation["bbox"]) == 4:
                annotation["bbox"][0] = 1
                annotation["area"] = None
        if made.chance(0.5):
            drawing.write(target, content if made.chance(0.5) else text)
            return
    drawing.write(target, text)


def _moved_to_another_split(made: Made) -> None:
    """A copy of a picture in the folder of another one, under a name of its own."""
    made.note("copies")
    for path in made.draw.sample(sorted(made.pictures.values()), 1):
        other = made.draw.choice(sorted(made.pictures.values())).parent
        if path.exists():
            shutil.copy(path, other / f"copy of {path.name}")


def _wrong_unit(made: Made) -> None:
    """All boxes in another unit."""
    boxes = sum(len(scene.things) for scene in made.scenes)
    if made.kind not in ("yolo", "coco") or boxes < 8 or made.dirt:
        return
    made.note("wrong unit")
    for path in _annotation_files(made):
        if made.kind == "yolo":
            lines = []
            for line in path.read_text(encoding="utf-8").splitlines():
                kind, cx, cy, w, h = line.split()
                x, y = float(cx) * SIZE[0], float(cy) * SIZE[1]
                lines.append(f"{kind} {x} {y} {float(w) * SIZE[0]} {float(h) * SIZE[1]}\n")
            drawing.write(path, "".join(lines))
        else:
            content = json.loads(path.read_text(encoding="utf-8"))
            for annotation in content["annotations"]:
                x, y, w, h = annotation["bbox"]
                annotation["bbox"] = [x / SIZE[0], y / SIZE[1], w / SIZE[0], h / SIZE[1]]
            drawing.write(path, content)


def _resized(made: Made) -> None:
    """Pictures made smaller after they were annotated."""
    if made.kind not in DECLARED:
        return
    made.note("resized pictures")
    from PIL import Image

    for path in sorted(made.pictures.values())[:2]:
        if path.exists() and "damaged pictures" not in made.dirt:
            with Image.open(path) as image:
                small = image.resize((48, 32))
            small.save(path)
            made.truth.things[_digest(path)] = []


def _digest(path: Path) -> bytes:
    import hashlib

    return hashlib.sha256(path.read_bytes()).digest()


def _case_twins(made: Made) -> None:
    """Other pictures whose names differ in case alone."""
    made.note("case twins")
    for number, path in list(made.pictures.items())[:3]:
        twin = path.with_name(path.name[0].swapcase() + path.name[1:])
        if not twin.exists() and path.exists():
            drawing.put(twin, Scene(f"twin {number}", []), made.truth)


def _renamed_pictures(made: Made) -> None:
    """Pictures that got other names after they were annotated."""
    made.note("renamed pictures")
    for path in sorted(made.pictures.values())[:2]:
        # Of twins the other one would be the only picture of the name, as on a system without case.
        if path.exists() and "case twins" not in made.dirt:
            path.rename(path.with_name(f"holiday {path.name}"))


def _one_folder(made: Made) -> None:
    """Pictures of several folders moved into one; of the same names only one is left."""
    made.note("one folder")
    first = made.draw.choice(sorted(made.pictures.values())).parent
    if not any(path.is_symlink() for path in made.root.rglob("*")):
        for path in sorted(made.pictures.values()):
            if path.exists() and path.parent != first:
                if (first / path.name).exists():
                    path.unlink()
                else:
                    path.rename(first / path.name)


def _predictions(made: Made) -> None:
    """What a detector said of the pictures, where it left it."""
    if made.kind != "yolo":
        return
    made.note("predictions")
    made.is_countable = False
    for scene in made.scenes[:3]:
        row = "0 0.3 0.3 0.25 0.25 0.81\n"
        place = made.draw.choice(["runs/detect/predict/labels", "predictions", "labels2"])
        drawing.write(made.root / place / f"{scene.stem}.txt", row)


def _more_columns(made: Made) -> None:
    """A confidence, a track or keypoints behind each box."""
    if made.kind != "yolo":
        return
    made.note("more columns")
    behind = made.draw.choice(["0.5", "0.9 7", "0.5 0.5 2 0 0 0"])
    for path in _annotation_files(made):
        lines = path.read_text(encoding="utf-8").splitlines()
        drawing.write(path, "".join(f"{line} {behind}\n" for line in lines))


def _shifted_names(made: Made) -> None:
    """Annotation files renamed in turn, what they say of their pictures kept."""
    if made.kind not in ("voc", "labelme"):
        return
    made.note("shifted names")
    files = _annotation_files(made)
    contents = [path.read_bytes() for path in files]
    for path, content in zip(files, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)


DIRT: tuple[Callable[[Made], None], ...] = (
    _missing_pictures,
    _damaged_pictures,
    _leftovers,
    _foreign_files,
    _linked,
    _broken_rows,
    _unknown_classes,
    _turned,
    _two_endings,
    _old_copy,
    _moved_to_another_split,
    _wrong_unit,
    _resized,
    _case_twins,
    _renamed_pictures,
    _one_folder,
    _predictions,
    _more_columns,
    _shifted_names,
    _truncated,
)


def problems(made: Made, out: Path) -> list[str] | None:
    """What is silently wrong with the folder as read and written; None where it is refused."""
    try:
        found = read(made.root, made.config)
    except ValueError as error:
        said = str(error)
        is_clear = str(made.root) in said and "\n" not in said
        return None if is_clear else [f"no file is named, or it is not one line: {said}"]
    wrong = made.truth.problems(found)
    tally = found.account.tallies["boxes"]
    if made.is_countable and tally.read != made.num_rows:
        wrong.append(f"{made.num_rows} boxes are in the files, {tally.read} in the account")
    wrong += _wrong_splits(made, found)
    try:
        write.write(cut.cut(found), out, "1")
    except ValueError as error:
        return wrong + ([] if str(made.root) in str(error) else [f"no file is named: {error}"])
    return wrong + _wrong_records(made, found, out)


def _wrong_splits(made: Made, found: Annotated) -> list[str]:
    """Pictures in another split than their folders or files say."""
    if "copies" in made.dirt or "links" in made.dirt or not made.has_splits:
        return []
    splits = {
        made.pictures[number]: SPLITS[scene.split.rstrip("0123456789")]
        for number, scene in enumerate(made.scenes)
    }
    return [
        f"{picture.path} is in {split!r}, not {splits[picture.path]!r}"
        for split, members in found.splits.items()
        for picture in members
        if picture.path in splits and splits[picture.path] != split
    ]


def _wrong_records(made: Made, found: Annotated, out: Path) -> list[str]:
    """Records, as training gets them, that say what is not so."""
    wrong = []
    things = {
        f"annotated:{int.from_bytes(digest[:6], 'big')}": shown
        for digest, shown in made.truth.things.items()
    }
    for split in write.SPLITS:
        quarantine = Quarantine()
        for record in annotated.read(str(out), split, quarantine):
            if clean(record, quarantine, decode=True) is None or quarantine.lines:
                wrong.append(f"the shard build refuses what was read: {quarantine.lines}")
            shown = {thing.name for thing in things[record.image_id]}
            absent = shown & set(record.absent)
            if absent:
                wrong.append(f"{record.image_id}: {absent} are there, and said to be absent")
    return wrong


def check(seed: object) -> tuple[Made, list[str] | None]:
    """Make a folder and judge what is read of it."""
    with tempfile.TemporaryDirectory(prefix="folders-") as temporary:
        root, out = Path(temporary, "data"), Path(temporary, "out")
        root.mkdir()
        out.mkdir()
        made = make(root, seed)
        return made, problems(made, out)


def main() -> int:
    parser = argparse.ArgumentParser(description="Random annotated folders, read and judged.")
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for seed in range(options.first, options.first + options.count):
        made, wrong = check(seed)
        outcome = "refused" if wrong is None else "silently wrong" if wrong else "right"
        outcomes[outcome] += 1
        kinds[f"{made.kind}: {outcome}"] += 1
        if wrong:
            print(f"seed {seed} ({made.kind}; {', '.join(made.dirt)}): {wrong[:2]}", flush=True)
    print(dict(outcomes), dict(sorted(kinds.items())))
    return 1 if outcomes["silently wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
