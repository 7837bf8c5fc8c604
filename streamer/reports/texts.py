"""Names, shares and durations as a page says them."""

from __future__ import annotations

import unicodedata

from streamer.times import clock


def page_text(text: object) -> str:
    """Return a name as a page may hold it: control characters and lone surrogates, which are no text, are U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(one) in ("Cc", "Cs") else one for one in str(text))


def percent(share: float) -> str:
    """Return a share for people: 52 %, and below 10 one digit more."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def length(seconds: float) -> str:
    """Return a duration for people: 0.04 s, 12.3 s, from two minutes on 2:03 min."""
    if 0 < seconds < 0.95:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 120 else f"{clock(seconds, 0)} {'h' if seconds >= 3599.5 else 'min'}"


def counted(count: int, what: str, plural: str = "") -> str:
    """Return 1 track, 2 tracks, 1,200 tracks."""
    return f"{count:,} {what if count == 1 else plural or f'{what}s'}"
