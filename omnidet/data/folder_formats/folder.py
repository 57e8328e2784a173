"""The files of a folder, found once: links followed, leftovers of operating systems and tools
passed over.
"""

from __future__ import annotations

import filecmp
import os
import re
import unicodedata
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from omnidet.data.folder_formats.split_words import SPLITS

PICTURES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".avif",
        ".ppm",
        ".pgm",
        ".jp2",
        ".j2k",
    ]
)
"""Endings of picture files that are read."""
OTHER_PICTURES = frozenset(
    [
        ".heic",
        ".heif",
        ".jxl",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".orf",
        ".rw2",
        ".raf",
        ".psd",
        ".svg",
        ".dcm",
        ".exr",
    ]
)
"""Endings of picture files that are not."""
LEFTOVERS = frozenset(["__macosx", "@eadir", "$recycle.bin", "system volume information"])
"""Folders that no person made; whatever begins with a dot is passed over as well."""
NEUTRAL = frozenset(
    [
        "annot",
        "annotation",
        "annotations",
        "annots",
        "ann",
        "anns",
        "bbox",
        "bboxes",
        "box",
        "boxes",
        "coco",
        "data",
        "dataset",
        "datasets",
        "default",
        "detection",
        "export",
        "files",
        "frame",
        "frames",
        "gt",
        "image",
        "images",
        "img",
        "imgs",
        "instances",
        "jpegimages",
        "jpg",
        "json",
        "jsons",
        "label",
        "labelme",
        "labels",
        "media",
        "obj",
        "object",
        "photo",
        "photos",
        "picture",
        "pictures",
        "png",
        "pngimages",
        "raw",
        "rgb",
        "set",
        "split",
        "subset",
        "txt",
        "txts",
        "upload",
        "uploads",
        "voc",
        "xml",
        "xmls",
        "yolo",
    ]
)
"""Words of folder names that say what kind of files are there, not which."""

_LIST_WORDS = frozenset(["list", "lists", "ids", "paths", "index", "autosplit"])
"""Words that the name of a list of pictures may hold as well."""
POINTER = "version https://git-lfs"
"""How a file begins that git was to fetch, and has not."""
_LOCAL_FILE = re.compile(r"/local-files/?\?d=([^&]*)")


class Folder:
    """An index of the files below a folder. Paths are relative to it."""

    def __init__(self, root: Path, files: Sequence[Path] | None = None) -> None:
        """Those of `files`, or all that are there."""
        self.root = root
        self.files = sorted(walk(root)) if files is None else list(files)
        self.pictures = [path for path in self.files if path.suffix.lower() in PICTURES]
        self.other_pictures = [p for p in self.files if p.suffix.lower() in OTHER_PICTURES]
        self.endings = {ending_of(path) for path in self.pictures}
        self.kinds: dict[Path, str] = {}
        """What `readers/json_kinds.py` made of the json files."""
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        self.endings_in: dict[Path, set[str]] = defaultdict(set)
        """Endings of the files of each folder."""
        for path in self.files:
            self.endings_in[path.parent].add(path.suffix.lower())
        for path in self.pictures:
            self.by_name[self.key(path.name)].append(path)
            self.by_stem[self.key(path.stem)].append(path)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Files with one of the endings, in any case, sorted."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, *names: str) -> list[Path]:
        """Files with one of the names, in any case, sorted."""
        return [path for path in self.files if path.name.lower() in names]

    def read_bytes(self, path: Path) -> bytes:
        """The content of a file of the index."""
        return (self.root / path).read_bytes()

    def key(self, text: str) -> str:
        """The form in which names are compared. Case counts if two names differ in it alone."""
        return unicodedata.normalize("NFC", text) if self.is_case_telling else key(text)

    def with_stem(self, stem: str) -> list[Path]:
        """Pictures of the name, whatever their ending; but not if they are variants of others.

        Where pictures lie side by side under two endings, the rarer ending is that of the variants.
        """
        found = self.by_stem.get(self.key(stem), [])
        plain = {p.parent for p in found if ending_of(p) not in self.variant_endings}
        return [path for path in found if path.parent in plain]

    @cached_property
    def by_folded_stem(self) -> dict[str, Path]:
        """The first picture of each stem, without case."""
        return {key(path.stem): path for path in reversed(self.pictures)}

    @cached_property
    def is_case_telling(self) -> bool:
        """Whether the names of two pictures differ in case alone."""
        stems = {unicodedata.normalize("NFC", path.stem) for path in self.pictures}
        return len({stem.casefold() for stem in stems}) < len(stems)

    @cached_property
    def variant_endings(self) -> frozenset[str]:
        """Endings of pictures next to others of the same stem and a more common ending."""
        counts = Counter(ending_of(path) for path in self.pictures)
        together: dict[Path, set[str]] = defaultdict(set)
        for path in self.pictures:
            together[path.with_suffix("")].add(ending_of(path))
        return frozenset(
            ending
            for endings in together.values()
            for ending in endings
            if counts[ending] < max(counts[other] for other in endings)
        )

    @cached_property
    def are_names_reused(self) -> bool:
        """Whether different splits hold pictures of the same name."""
        return any(
            len({split_of_folders(path) for path in paths} - {""}) > 1
            for paths in self.by_name.values()
        )

    @cached_property
    def stems_in(self) -> dict[tuple[str, ...], dict[str, set[str]]]:
        """Names without endings, by what `telling` says of the folder and by ending; those of
        pictures under "".
        """
        found: dict[tuple[str, ...], dict[str, set[str]]] = {}
        told = {folder: tuple(telling(folder.parts)) for folder in self.endings_in}
        for path in self.files:
            suffix = path.suffix.lower()
            kinds = found.setdefault(told[path.parent], defaultdict(set))
            kinds["" if suffix in PICTURES else suffix].add(self.key(path.stem))
        return found

    def same(self, paths: Sequence[Path]) -> bool:
        """Whether all of these files hold the same bytes."""
        first = self.root / paths[0]
        return all(filecmp.cmp(first, self.root / other, shallow=False) for other in paths[1:])


def walk(root: Path) -> Iterator[Path]:
    """Every file below the folder, relative to it.

    Links are followed, but not out of a loop; leftovers are passed over.
    """

    def inside(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
        status = folder.stat()
        own = (status.st_dev, status.st_ino)
        if own in above:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in LEFTOVERS:
                    continue
                if entry.is_dir():
                    yield from inside(folder / entry.name, above | {own})
                elif entry.is_file():  # neither a socket nor a link to nothing
                    yield (folder / entry.name).relative_to(root)

    return inside(root, frozenset())


def key(text: str) -> str:
    """The text in one Unicode form and without case: file systems and tools change both."""
    return unicodedata.normalize("NFC", text).casefold()


def parts_of(declared: str) -> list[str]:
    """The folders and the name of a path as an annotation spells it, from any system; without `.`
    and `..`. Label Studio gives the address at which it serves a local file, in all its exports.
    """
    served = _LOCAL_FILE.search(declared)
    path = urllib.parse.unquote_plus(served[1]) if served else declared
    path = path.strip().replace("\\", "/")
    path = re.sub(r"^[a-z][a-z0-9+.-]*:/*", "", path, flags=re.IGNORECASE)  # C: and https:
    return [part for part in path.split("/") if part not in ("", ".", "..")]


def telling(folders: Sequence[str]) -> list[str]:
    """What folder names say beyond the kind of files in them: `images/Train/cam1` says train and
    cam1.
    """
    found = []
    for name in folders:
        words = [word for word in re.split(r"[\s_.\-]+", key(name)) if word]
        rest = [word for word in words if word not in NEUTRAL]
        if rest:
            found.append(_split_word(rest) or "_".join(rest))
    return found


def split_of_folders(path: Path) -> str:
    """The split that a folder above the file is named after, or "". A folder whose name says more
    than a split does not count.
    """
    for part in reversed(telling(path.parent.parts)):
        if part in ("train", "val", "test"):
            return part
    return ""


def split_of_file(path: Path) -> str:
    """The split that the name of an annotation file says, else its folders: `instances_train2017`,
    `shop_val`.
    """
    words = [word for word in re.split(r"[^a-z]+", key(path.stem)) if len(word) > 1]
    said = {SPLITS[word] for word in words if word in SPLITS}
    rest = [word for word in words if word not in NEUTRAL]
    if len(said) == 1 and rest and (len(rest) == 1 or rest[-1] in SPLITS):
        return said.pop()
    return split_of_folders(path)


def split_of_list(path: Path) -> str:
    """The split whose pictures a text file lists, by its name alone: `train.txt`, `val2017.txt`,
    `train_list.txt`, not `cat_train.txt`.
    """
    plain = NEUTRAL | _LIST_WORDS
    return _split_word([w for w in re.split(r"[\s_.\-]+", key(path.stem)) if w not in plain])


def _split_word(words: Sequence[str]) -> str:
    plain = [word.rstrip("0123456789") for word in words]
    plain = [word for word in plain if word and word not in NEUTRAL]
    return SPLITS.get(plain[0], "") if len(plain) == 1 else ""


def ending_of(path: Path) -> str:
    """Endings that mean the same kind of file are one."""
    ending = path.suffix.lower()
    return ".jpg" if ending in (".jpeg", ".jpe", ".jfif") else ending
