"""What the card of a stranger says: how long they are seen, and where first and last."""

from __future__ import annotations

from streamer.cards import UNKNOWN_COLOUR, Card
from streamer.strangers import Stranger


def stranger_card(stranger: Stranger) -> Card:
    """Return the card of one stranger."""
    tracks = "1 track" if len(stranger.tracks) == 1 else f"{len(stranger.tracks)} tracks"
    lines = (
        f"{stranger.seconds:.1f} s in {tracks}",
        f"first  {first_seen(stranger)}",
        f"last  {last_seen(stranger)}",
    )
    return Card(f"Stranger {stranger.number}", stranger.crop, lines, UNKNOWN_COLOUR)


def clock(seconds: float) -> str:
    """Return a time of a stream as people read it: 1:02:03.4."""
    tenths = round(max(seconds, 0.0) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{rest / 10:04.1f}" if hours else text


def first_seen(stranger: Stranger) -> str:
    """Say where and when a stranger is seen first."""
    return f"{stranger.tracks[0].path.name} {clock(stranger.tracks[0].track.first_seconds)}"


def last_seen(stranger: Stranger) -> str:
    """Say where and when a stranger is seen last."""
    return f"{stranger.last.path.name} {clock(stranger.last.track.last_seconds)}"
