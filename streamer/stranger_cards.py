"""What the card of a stranger says: how long they are seen, and where first and last."""

from __future__ import annotations

from streamer.cards import UNKNOWN_COLOUR, Card
from streamer.strangers import Stranger
from streamer.times import clock


def stranger_card(stranger: Stranger) -> Card:
    """Return the card of one stranger."""
    tracks = "1 track" if len(stranger.tracks) == 1 else f"{len(stranger.tracks)} tracks"
    lines = (
        f"{stranger.seconds:.1f} s in {tracks}",
        f"first  {first_seen(stranger)}",
        f"last  {last_seen(stranger)}",
    )
    return Card(f"Stranger {stranger.number}", stranger.crop, lines, UNKNOWN_COLOUR)


def first_seen(stranger: Stranger) -> str:
    """Say where and when a stranger is seen first."""
    return f"{stranger.tracks[0].path.name} {clock(stranger.tracks[0].track.first_seconds)}"


def last_seen(stranger: Stranger) -> str:
    """Say where and when a stranger is seen last."""
    return f"{stranger.last.path.name} {clock(stranger.last.track.last_seconds)}"
