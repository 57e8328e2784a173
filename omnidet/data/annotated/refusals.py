"""Why a folder gives nothing, and what to do: what it holds in place of annotations or pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from omnidet.counted import counted
from omnidet.data.annotated import assemble, boxes, contradictions
from omnidet.data.annotated.account import Account
from omnidet.data.annotated.formats import FOREIGN, FORMATS
from omnidet.data.folder_formats import foreign, lookup, sheets, yolo
from omnidet.data.folder_formats.folder import LEFTOVERS, POINTER, Folder

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".rar", ".7z")
_MAX_LINK_BYTES = 300
_NO_CLASSES = ("", "images", "train", "val", "valid", "validation", "test", "jpegimages")
"""Names of folders that say nothing of what their pictures show."""

_KEEP = (
    "keep one of them, most often the newer, and move the others out of the folder; if each of "
    "them boxes other names, put the boxes of a picture into one file"
)
REMEDIES = {
    assemble.ORIGINS: _KEEP,
    yolo.TWO_LABELS: _KEEP,
    assemble.COPIES_DIFFER: _KEEP,
    contradictions.TWO_NAMES: "keep the right one of the files, most often the newer; if things "
    "are to have both names, put their boxes into one file",
    boxes.DISPUTED: "keep one of the files, or the annotation of one person, which Label Studio "
    "can mark as ground truth",
    lookup.AMBIGUOUS: "move the pictures that are not meant out of the folder",
    assemble.OTHER_SIZE: "put the pictures there that the boxes were drawn on",
}
"""What to do, by the reason, where it is not to mend the boxes."""


def not_a_folder(root: Path) -> str:
    """Why what was given is not read, and what to give in its place."""
    remedy = "give the one with pictures and their annotations"
    scheme = re.match(r"([a-z][a-z0-9+.-]+):/+", str(root))
    if scheme and scheme[1] == "s3":
        remedy = "addresses begin with s3://, followed by the bucket"
    elif scheme:
        remedy = "download what is there, and give the folder"
    elif root.suffix.lower() in ARCHIVES and root.is_file():
        remedy = "unpack it, and give the folder"
    elif root.is_file():
        remedy = f"give the one that it lies in, {root.parent}"
    return f"{root} is not a folder: {remedy}"


def no_box(folder: Folder, title: str, account: Account) -> str:
    """Why annotations of a format give not one box, and what to do."""
    if title == yolo.TITLE:
        known = not_read(folder, ".txt")  # rows of numbers that mean something else
        if known:
            return known
    why = account.reasons() or account.reasons("annotations") or "it holds no boxes"
    remedy = _remedy(folder, account)
    return f"{folder.root} has no usable annotation ({title}; {why})" + (remedy and f"; {remedy}")


def _remedy(folder: Folder, account: Account) -> str:
    found = hints(folder)
    if found:
        return found
    lost = {**account.tallies["annotations"].left_out, **account.tallies["boxes"].left_out}
    reason = max(lost, key=lambda reason: lost[reason].count) if lost else ""
    if reason in ("", sheets.NOT_SEARCHED):
        return "draw boxes with an annotation tool, and export them again"
    if reason == assemble.WHICH_WAY:
        return ""  # it says so itself
    if reason in REMEDIES:
        return REMEDIES[reason]
    if reason != lookup.NOT_THERE:
        return "mend them, or export them again"
    if not folder.pictures:
        return (
            "the folder has no pictures: put them there, under the names that the annotations give"
        )
    return f"the pictures have other names (there is {folder.pictures[0]}): give both the same"


def nothing(folder: Folder, kind: str) -> str:
    """Why there are no annotations of the format, or of any where `kind` is empty."""
    root = folder.root
    others = [e.name for e in FORMATS if e.name != kind and _reads(e.name, folder)] if kind else []
    if others:
        return (
            f"{root} has no {kind} annotations, but {' and '.join(others)}: "
            "leave out --format, or give that"
        )
    known = not_read(folder)
    if known:
        return known
    found = hints(folder)
    if found:
        return f"{root} has no annotations that are read: {found}"
    titles = ", ".join(entry.title for entry in FORMATS)
    classes = _folders_of_classes(folder)
    if classes:
        return (
            f"{root} has its pictures in folders ({', '.join(classes[:3])}), which say what a "
            "picture shows and not where: draw boxes around it with an annotation tool and save "
            f"them as one of {titles} (docs/formats.md)"
        )
    others = [str(path) for path in folder.files if path not in {*folder.pictures}][:3]
    there = f" (there is {', '.join(others)})" if others else ""
    return (
        f"{root} has {counted(len(folder.pictures), 'picture')} and no annotations that are "
        f"read{there}: put one of these next to them: {titles} (docs/formats.md)"
    )


def _folders_of_classes(folder: Folder) -> list[str]:
    """Folders of pictures that are called like classes, as classifiers are trained on."""
    names = {path.parent.name for path in folder.pictures}
    if len(names) < 2 or any(name.lower() in _NO_CLASSES for name in names):
        return []
    return [] if any(path not in {*folder.pictures} for path in folder.files) else sorted(names)


def not_read(folder: Folder, *endings: str) -> str:
    """A sentence that names a known format that is not read, or "" if the folder holds none.

    Args:
        endings: of the files to look at; all where none is given.
    """
    for name, path in foreign.find(folder).items():
        if not endings or path.suffix.lower() in endings:
            known = FOREIGN[name]
            return f"{folder.root} holds {known.title} ({path}), which is not read: {known.remedy}"
    return ""


def hints(folder: Folder) -> str:
    """What the folder holds where files seem to be missing, and what to do; "" if nothing."""
    said = [f"{folder.root / path} is packed: unpack it there" for path in _packed(folder)]
    said += [
        f"{folder.root / path} is a link to {target}, which is not there: put the folder itself "
        "there"
        for path, target in _dead_links(folder.root)
    ]
    said += [
        f"{folder.root / path} is a file that holds {target!r}, a link that was copied as text: "
        "put the folder itself there"
        for path, target in _links_as_text(folder)
    ]
    said += [
        f"{folder.root / path} is a pointer of Git LFS, not the file: get it with git lfs pull"
        for path in _pointers(folder)
    ]
    return "; ".join(said[:2])


def _pointers(folder: Folder) -> Iterator[Path]:
    """Files that git was to fetch and has not: the first is enough."""
    for path in folder.files:
        is_small = 0 < (folder.root / path).stat().st_size < _MAX_LINK_BYTES
        if is_small and folder.read_bytes(path).startswith(POINTER.encode()):
            yield path
            return


def _packed(folder: Folder) -> list[Path]:
    return [path for path in folder.files if path.suffix.lower() in ARCHIVES]


def _dead_links(root: Path) -> Iterator[tuple[Path, str]]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n[0] != "." and n.lower() not in LEFTOVERS)
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_symlink() and not path.exists():
                yield path.relative_to(root), str(path.readlink())


def _links_as_text(folder: Folder) -> Iterator[tuple[Path, str]]:
    for path in folder.files:
        if not path.suffix and 0 < (folder.root / path).stat().st_size < _MAX_LINK_BYTES:
            target = folder.read_bytes(path).decode("utf-8", "replace").strip()
            if "/" in target and "\n" not in target:
                yield path, target


def _reads(name: str, folder: Folder) -> bool:
    try:
        return next(e for e in FORMATS if e.name == name).read(folder) is not None
    except ValueError:
        return True
