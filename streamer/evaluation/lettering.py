"""Writing lines of text into pictures that evaluations draw."""

from __future__ import annotations

import numpy as np

from streamer.fonts import TextRenderer
from streamer.pictures import UInt8

Colour = tuple[int, int, int]  # BGR


def write_line(sheet: UInt8, text: TextRenderer, line: str, place: tuple[int, int], size: int, colour: Colour) -> None:
    """Mix a line of text into the sheet, its left top at `place` (x, y); what would lie outside is left out."""
    _mix(sheet, text.line(line, size), place, colour)


def write_line_upwards(
    sheet: UInt8, text: TextRenderer, line: str, place: tuple[int, int], size: int, colour: Colour
) -> None:
    """Mix a line that is read from below, its left top, as it stands in the sheet, at `place` (x, y)."""
    _mix(sheet, np.rot90(text.line(line, size)), place, colour)


def _mix(sheet: UInt8, ink: UInt8, place: tuple[int, int], colour: Colour) -> None:
    left, top = place
    region = sheet[top:, left:]
    ink = ink[: region.shape[0], : region.shape[1]]
    region = region[: ink.shape[0], : ink.shape[1]]
    share = ink[:, :, None].astype(np.float32) / 255
    region[:] = np.rint(region * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)
