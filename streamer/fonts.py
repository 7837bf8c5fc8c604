"""Lines of text in any script as masks: a shipped font first, then whatever the system has for what it lacks.

Right-to-left and combining scripts are shaped by Pillow's raqm where it is built in. A character that no font has is
drawn as an empty box and said once in the log: never dropped in silence.
"""

from __future__ import annotations

import logging
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from streamer.cmap import FontFormatError, covered_characters
from streamer.errors import UsageError
from streamer.pictures import UInt8

logger = logging.getLogger(__name__)

MAX_CHARACTERS = 80
ELLIPSIS = "…"
_SHIPPED = Path(__file__).with_name("assets") / "DejaVuSans-Bold.ttf"
_MAX_SYSTEM_FONTS = 1000
_LINES_KEPT = 512  # of 3 kB each or less
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
# Upright sans-serif families with wide coverage come first where several fonts have a character.
_PREFERRED = ("noto", "cjk", "fallback", "unicode", "sans")
_AVOIDED = ("italic", "oblique", "mono", "serif", "condensed", "thin", "light", "emoji")


def system_font_folders() -> tuple[Path, ...]:
    """Return the folders in which this system keeps fonts."""
    if sys.platform == "win32":
        return (Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts",)
    if sys.platform == "darwin":
        return (Path("/System/Library/Fonts"), Path("/Library/Fonts"), Path.home() / "Library/Fonts")
    home = Path.home()
    return (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts", home / ".local/share/fonts")


def clean_text(text: str) -> str:
    """Return text that is safe to draw on one line.

    Control characters and line ends become spaces, invisible formatting (which could turn the line around) goes, lone
    surrogates become U+FFFD, and what is longer than 80 characters is cut.
    """
    kept = []
    for character in text[: 4 * MAX_CHARACTERS]:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif category == "Cs":
            kept.append("\ufffd")
        # The joiners are needed to write Persian and several Indian scripts.
        elif category != "Cf" or character in "\u200c\u200d":
            kept.append(character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1].rstrip() + ELLIPSIS


class _Font:
    """One font file: what it covers, and its faces by size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.covered = covered_characters(path)
        layout = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
        self.face = lru_cache(maxsize=16)(lambda size: ImageFont.truetype(str(path), size, layout_engine=layout))

    def has(self, character: str) -> bool:
        place = int(np.searchsorted(self.covered, ord(character)))
        return place < self.covered.size and int(self.covered[place]) == ord(character)


class TextRenderer:
    """Draws single lines of text.

    Args:
        font: A font file to use before the shipped one; None: the shipped one.
        folders: Where to look for fonts that have what these lack; None: the system's font folders.

    Raises:
        UsageError: `font` is absent or not a font.
    """

    def __init__(self, font: Path | None = None, folders: Sequence[Path] | None = None) -> None:
        self._fonts = [_Font(_SHIPPED)]
        if font is not None:
            self._fonts.insert(0, _chosen_font(font))
        self._unread = _font_files(system_font_folders() if folders is None else folders)
        self._font_of: dict[str, _Font | None] = {}
        self._warned: set[str] = set()
        # Names, emotions and per cents come back in ever new pairs; drawing a line costs a hundred times the copying.
        self._drawn = lru_cache(maxsize=_LINES_KEPT)(self._draw)
        self._fitted = lru_cache(maxsize=_LINES_KEPT)(self._fit)

    def line_height(self, size: int) -> int:
        """Return the height of every line at a font size (px), whatever its text."""
        return self._baseline(size) + int(self._fonts[0].face(size).getmetrics()[1])

    def _baseline(self, size: int) -> int:
        # Signs above Arabic capitals and Indian vowels rise above the ascent that fonts declare.
        return int(self._fonts[0].face(size).getmetrics()[0]) + size // 12

    def width(self, text: str, size: int) -> int:
        """Return the width of a line, px."""
        return sum(self._run_width(font, run, size) for font, run in self._runs(text))

    def fit(self, text: str, size: int, max_width: int) -> str:
        """Return the text, or as much of its beginning as fits into `max_width` px, and an ellipsis."""
        return self._fitted(text, size, max_width)

    def _fit(self, text: str, size: int, max_width: int) -> str:
        if self.width(text, size) <= max_width:
            return text
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self.width(text[:middle].rstrip() + ELLIPSIS, size) <= max_width:
                fits = middle
            else:
                too_long = middle
        return text[:fits].rstrip() + ELLIPSIS

    def line(self, text: str, size: int) -> UInt8:
        """Draw a line: (line_height, width) uint8, read-only, 255 where the ink is."""
        return self._drawn(text, size)

    def _draw(self, text: str, size: int) -> UInt8:
        runs = self._runs(text)
        widths = [self._run_width(font, run, size) for font, run in runs]
        image = Image.new("L", (max(1, sum(widths)), self.line_height(size)))
        draw = ImageDraw.Draw(image)
        baseline, x = self._baseline(size), 0
        for (font, run), width in zip(runs, widths, strict=True):
            if font is not None:
                draw.text((x, baseline), run, fill=255, font=font.face(size), anchor="ls")
            else:
                for place in range(_boxes(run)):
                    _draw_missing(draw, x + place * _missing_width(size), baseline, size)
            x += width
        mask = np.array(image, np.uint8)
        mask.flags.writeable = False
        return mask

    def _run_width(self, font: _Font | None, run: str, size: int) -> int:
        if font is None:
            return _boxes(run) * _missing_width(size)
        return int(np.ceil(font.face(size).getlength(run)))

    def _runs(self, text: str) -> list[tuple[_Font | None, str]]:
        """Split into pieces that one font can draw, in the order in which they stand from left to right."""
        runs: list[tuple[_Font | None, str]] = []
        for character in text:
            font = runs[-1][0] if runs and _continues(character, runs[-1][0]) else self._find(character)
            if runs and runs[-1][0] is font:
                runs[-1] = (font, runs[-1][1] + character)
            else:
                runs.append((font, character))
        strong = (unicodedata.bidirectional(character) for character in text)
        return runs[::-1] if next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L" else runs

    def _find(self, character: str) -> _Font | None:
        if character not in self._font_of:
            font = next((font for font in self._fonts if font.has(character)), None) or self._search(character)
            if font is None:
                self._warn(character)
            self._font_of[character] = font
        return self._font_of[character]

    def _search(self, character: str) -> _Font | None:
        """Read further system fonts, each at most once, until one has the character."""
        for path in self._unread:
            try:
                font = _Font(path)
                font.face(16)
            except (OSError, FontFormatError):
                logger.debug("font %s cannot be used", path)
                continue
            self._fonts.append(font)
            if font.has(character):
                return font
        return None

    def _warn(self, character: str) -> None:
        script = unicodedata.name(character, "UNNAMED").split()[0]
        if script not in self._warned:
            self._warned.add(script)
            package = "fonts-noto-cjk" if script in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else "fonts-noto-core"
            logger.warning(
                "no installed font can draw %r (%s); install e.g. %s or set annotate.font", character, script, package
            )


def _chosen_font(path: Path) -> _Font:
    try:
        font = _Font(path)
        font.face(16)
    except (OSError, FontFormatError) as error:
        raise UsageError(f"{path} cannot be used as a font ({error}); name a .ttf, .otf or .ttc file") from error
    return font


def _continues(character: str, font: _Font | None) -> bool:
    """Whether a mark, a space or a sign stays with the run before it, as shaping and right-to-left order need."""
    if unicodedata.category(character)[0] not in "MZPC":
        return False
    return font.has(character) if font is not None else unicodedata.category(character)[0] == "M"


def _boxes(run: str) -> int:
    return sum(unicodedata.category(character) not in ("Mn", "Me", "Cf") for character in run)


def _missing_width(size: int) -> int:
    return max(4, round(size * 0.62))


def _draw_missing(draw: ImageDraw.ImageDraw, x: int, baseline: int, size: int) -> None:
    edge = max(1, round(size / 14))
    right = x + _missing_width(size) - 1 - edge
    draw.rectangle((x + edge, baseline - round(size * 0.72), right, baseline), outline=255, width=edge)


def _font_files(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield font files, the likely ones first; folders are only read when the first one is asked for."""
    found: list[Path] = []
    for folder in folders:
        for root, _, names in os.walk(folder):
            found += [Path(root) / name for name in names if name.lower().endswith(_SUFFIXES)]
            if len(found) >= _MAX_SYSTEM_FONTS:
                break

    def rank(path: Path) -> tuple[int, int, str]:
        name = path.name.lower()
        return sum(word in name for word in _AVOIDED), -sum(word in name for word in _PREFERRED), str(path)

    yield from sorted(found, key=rank)[:_MAX_SYSTEM_FONTS]
