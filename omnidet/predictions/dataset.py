"""Predictions as a dataset to correct: the pictures, and annotations that readers of datasets take.

What stands in the files is what `data/annotated` reads from them: boxes that it would leave out
are left out here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from omnidet import storage
from omnidet.data.annotated.boxes import clipped
from omnidet.data.annotated.phrases import phrases
from omnidet.data.reading.annotations import plain
from omnidet.data.reading.pixels import orientation
from omnidet.predictions import formats
from omnidet.predictions.files import QUALITY, labelled, write_bytes, write_text

if TYPE_CHECKING:
    from omnidet.inference.detections import Detections
    from omnidet.inference.pictures import Picture

PICTURES = "images"
_ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "GIF": ".gif",
    "AVIF": ".avif",
    "PPM": ".ppm",
}


def check_names(names: Sequence[str], source: str) -> None:
    """Raise ValueError unless a reader can tell the names apart, and reads them as they are.

    Args:
        source: where they come from, for messages.
    """
    for name in names:
        if plain(name) != name or "\n" in name:
            raise ValueError(
                f"{source}: the name {name!r} has spaces at its ends, or characters that "
                "annotation files lose: rename it"
            )
    phrases(names, {}, source)


class DatasetFiles:
    """Writes a picture and its annotation after the other.

    Args:
        folder: of the dataset.
        kind: one of `formats.LABELS`.
        names: all labels, in order.
    """

    def __init__(self, folder: Path, kind: str, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names
        self._format = formats.LABELS[kind]

    def write(self, line: Mapping[str, Any], found: Detections) -> dict[str, Any]:
        """Write the files; returns the line with where the picture is, and with the boxes that
        were written.
        """
        from omnidet.inference import pictures

        assert found.image is not None
        content, ending = _stored(pictures.read(found.image))
        path = f"{line['file']}{ending}"
        write_bytes(self._folder / PICTURES / path, content)
        size = line["width"], line["height"]
        kept = [e for e in line["detections"] if _is_kept(e["box"], size)]
        line = {**line, "picture": path, "below": f"{PICTURES}/{path}", "detections": kept}
        if self._format.each is not None:
            text = self._format.each(labelled(line, path, with_scores=False), self._names)
            write_text(self._folder / self._target(line), text)
        return line

    def written(self, line: Mapping[str, Any]) -> list[str]:
        """The files of a line, by their path in the folder."""
        each = [str(self._target(line))] if self._format.each is not None else []
        return [f"{PICTURES}/{line['picture']}", *each]

    def corrected(self, *_: Mapping[str, Any]) -> str | None:
        """None: a picture that changed is refused before, since annotations are corrected here."""
        return None

    def by_name(self, *_: Mapping[str, Any]) -> str | None:
        """None: the pictures of a dataset are called as their label files are."""
        return None

    def _target(self, line: Mapping[str, Any]) -> PurePosixPath:
        return PurePosixPath(self._format.folder, line["file"] + self._format.suffix)


def _is_kept(box: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether readers take the box."""
    x0, y0, x1, y1 = box
    return not isinstance(clipped((x0, y0, x1, y1), size), str)


def _stored(picture: Picture) -> tuple[bytes, str]:
    """The file of a picture and its ending.

    It is the file that was given, unless a tag turns it: tools do not agree on whether boxes are
    drawn on the picture as it is stored or as it is shown, so such a picture is stored as shown.
    """
    from PIL import Image

    source = picture.content if isinstance(picture.content, bytes) else None
    if source is None and "#" not in picture.name and "://" not in picture.name:
        path = Path(picture.name)
        source = path.read_bytes() if path.is_file() else None
    elif source is None and storage.is_s3(picture.name):
        source = storage.read_bytes(picture.name)
    if source is not None:
        with Image.open(io.BytesIO(source)) as opened:
            ending = _ENDINGS.get(opened.format or "")
            if ending is not None and orientation(opened) == 1:
                return source, ending
    buffer = io.BytesIO()
    is_photograph = source is not None and source.startswith(b"\xff\xd8")
    if is_photograph or source is None:
        picture.image().save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue(), ".jpg"
    picture.image().save(buffer, "PNG")
    return buffer.getvalue(), ".png"
