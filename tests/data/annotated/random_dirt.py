"""What goes wrong with annotated folders, one function for each kind of dirt."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from omnidet.data.class_names import phrase
from tests.data.annotated import drawing
from tests.data.annotated.drawing import SIZE, Scene, Thing
from tests.data.annotated.random_layout import Made

DECLARED = ("coco", "voc", "cvat", "labelme", "csv")
"""Formats that declare the size of the picture, so that EXIF can be told."""


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
            things = [Thing(phrase(t.name), t.xywh) for t in made.scenes[number].things]
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
