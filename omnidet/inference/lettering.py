"""Fonts for what is written into pictures: Pillow's own, or one of the system for letters that it
lacks, such as Cyrillic and Chinese ones.
"""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont

_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": (r"${WINDIR}\Fonts", r"${LOCALAPPDATA}\Microsoft\Windows\Fonts"),
}
_ENDINGS = (".ttf", ".otf", ".ttc")
_MOST_FONTS = 2000
_PLAIN = ("sans", "regular", "gothic", "hei")
_FANCY = ("bold", "italic", "oblique", "mono", "light", "thin", "black", "condensed", "narrow")
_UNFIT = ("lastresort", "color", "colour", "blank")
"""Fonts that have a sign for every letter, or pictures of one size."""
_ALWAYS = "…0123456789."
"""What stands in every label: its score, and where it was shortened."""
_IN_NO_FONT = "\U0010fffd"
"""Drawn as a font draws what it lacks."""
_SIZE = 20


def lettered(text: str, size: int) -> tuple[str, Font] | None:
    """A text as it is drawn, in one line, and a font that has its letters, numbers and an ellipsis;
    without accents if no font has them, and None if no font has the letters.
    """
    line = unicodedata.normalize("NFC", " ".join(text.split()))
    bare = "".join(c for c in unicodedata.normalize("NFD", line) if not unicodedata.combining(c))
    for form in dict.fromkeys((line, bare)):
        if (font := _font_for(_letters(form), size)) is not None:
            return form, font
    return None


def unwritable(texts: Iterable[str]) -> list[str]:
    """The texts that no font at hand has the letters of."""
    return [text for text in texts if lettered(text, _SIZE) is None]


def _letters(text: str) -> frozenset[str]:
    """What a font must have. Joiners and selectors are no letters of their own."""
    ignored = ("Cf", "Cc", "Zs")
    return frozenset(
        letter
        for letter in text
        if unicodedata.category(letter) not in ignored and not "\ufe00" <= letter <= "\ufe0f"
    )


@functools.lru_cache(maxsize=10_000)
def _font_for(letters: frozenset[str], size: int) -> Font | None:
    own = ImageFont.load_default(size)
    if not isinstance(own, Font):
        raise ValueError("Pillow was built without FreeType: install the one of PyPI")
    lacking = frozenset(letter for letter in letters if not _has("", letter))
    if not lacking:
        return own
    if any(map(_is_shaped, lacking)) and not features.check("raqm"):
        return None
    path = _path_for(lacking, letters)
    return None if path is None else ImageFont.truetype(path, size)


def _path_for(lacking: frozenset[str], letters: frozenset[str]) -> str | None:
    wanted = [*sorted(lacking), *sorted(letters - lacking), *_ALWAYS]
    for path in _of_system():
        if all(_has(path, letter) for letter in wanted):
            return path
    return None


def _is_shaped(letter: str) -> bool:
    """Whether a letter's place or form depends on those beside it, as in Arabic and Hindi."""
    right_to_left = unicodedata.bidirectional(letter) in ("R", "AL")
    return right_to_left or unicodedata.category(letter) in ("Mn", "Mc")


@functools.lru_cache(maxsize=100_000)
def _has(path: str, letter: str) -> bool:
    """Whether a font has a letter; the empty path is Pillow's own."""
    opened = _opened(path)
    return opened is not None and _drawn(opened, letter) != _drawn(opened, _IN_NO_FONT)


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


@functools.lru_cache(maxsize=_MOST_FONTS)
def _opened(path: str) -> Font | None:
    if not path:
        own = ImageFont.load_default(_SIZE)
        return own if isinstance(own, Font) else None
    try:
        return ImageFont.truetype(path, _SIZE)
    except OSError:  # damaged, or pictures of one size
        return None


@functools.cache
def _of_system() -> tuple[str, ...]:
    """The font files of this machine, plain ones first."""
    found: list[Path] = []
    for folder in _FOLDERS.get(sys.platform, _FOLDERS["linux"]):
        for parent, _, names in os.walk(os.path.expandvars(Path(folder).expanduser())):
            found += [Path(parent, name) for name in names if name.lower().endswith(_ENDINGS)]
    fit = [path for path in found if not any(word in path.name.lower() for word in _UNFIT)]
    return tuple(str(path) for path in sorted(fit, key=_plainness)[:_MOST_FONTS])


def _plainness(path: Path) -> tuple[bool, bool, str]:
    name = path.name.lower()
    is_fancy = any(word in name for word in _FANCY)
    return is_fancy, not any(word in name for word in _PLAIN), str(path)
