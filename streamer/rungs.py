"""The rungs of the overload ladder: how much each lets a live run cost, and how people are told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from streamer.effort import FULL, Effort

_LEVEL = 1 / 0.709  # leaves out one level of the detector's pyramid
# What is missed least comes first: who comes in is found a second later, then small faces are not found, then names
# come later in a crowd, and only at last is the picture less smooth. Each asks for something that the one before does.
_RUNGS = (
    FULL,
    Effort(2),
    Effort(4),
    Effort(4, _LEVEL),
    Effort(4, _LEVEL**2),
    Effort(4, _LEVEL**2, 1 / 2),
    Effort(4, _LEVEL**2, 1 / 4),
    Effort(4, _LEVEL**2, 1 / 4, 15),
    Effort(4, _LEVEL**2, 1 / 4, 8),
)


@dataclass(frozen=True, slots=True)
class Usual:
    """What the full effort is.

    Attributes:
        search_seconds: Between two searches of the whole picture; 0: every frame.
        min_face_pixels: The smallest face searched for.
        embeddings_per_second: Of one source; None: nobody is named.
        emotion_seconds: Between two looks at a face's emotion; None: none is told.
        is_shown: Frames are drawn and shown.
    """

    search_seconds: float
    min_face_pixels: float
    embeddings_per_second: float | None = None
    emotion_seconds: float | None = None
    is_shown: bool = False


def rungs(usual: Usual) -> tuple[Effort, ...]:
    """Return the efforts from the full one down, without those that would spare nothing."""
    has_looks = usual.embeddings_per_second is not None or usual.emotion_seconds is not None
    possible = [
        replace(
            rung, looks=rung.looks if has_looks else 1.0, most_shown_fps=rung.most_shown_fps if usual.is_shown else None
        )
        for rung in _RUNGS
    ]
    return tuple(dict.fromkeys(possible))


def change(before: Effort, after: Effort, usual: Usual) -> str:
    """Say in a few words what one effort does otherwise than another, for people to read."""
    return "; ".join(_changes(before, after, usual))


def _changes(before: Effort, after: Effort, usual: Usual) -> Iterator[str]:
    if after.search_times != before.search_times:
        yield "whole pictures are searched " + _rarer(
            *(e.search_seconds(usual.search_seconds) for e in (after, before))
        )
    if after.face_times != before.face_times:
        yield f"faces are searched for from {_smallest(after, usual)} px (was {_smallest(before, usual)})"
    if after.looks != before.looks and usual.embeddings_per_second is not None:
        new, old = (usual.embeddings_per_second * effort.looks for effort in (after, before))
        yield f"at most {new:.4g} looks a second at who faces are (was {old:.4g})"
    if after.looks != before.looks and usual.emotion_seconds is not None:
        new, old = (effort.look_seconds(usual.emotion_seconds) for effort in (after, before))
        yield f"emotions are read {_rarer(new, old)}"
    if after.most_shown_fps != before.most_shown_fps:
        yield f"{_shown(after)} frames a second are shown (was {_shown(before)})"


def status(effort: Effort) -> str:
    """Return what is left out most painfully, in at most 40 characters; "" at the full effort."""
    if effort.most_shown_fps is not None:
        return f"load: {effort.most_shown_fps:g} frames/s shown"
    if effort.looks < 1:
        return f"load: 1/{1 / effort.looks:.2g} of looks at faces"
    if effort.face_times > 1:
        return f"load: small faces (x{effort.face_times:.1f}) not searched"
    return f"load: searched {effort.search_times:.2g}x less often" if effort.search_times > 1 else ""


def _rarer(after_seconds: float, before_seconds: float) -> str:
    before = f"{before_seconds:.3g}" if before_seconds > 0 else "every frame"
    return (f"every {after_seconds:.3g} s" if after_seconds > 0 else "in every frame") + f" (was {before})"


def _smallest(effort: Effort, usual: Usual) -> str:
    return f"{usual.min_face_pixels * effort.face_times:.0f}"


def _shown(effort: Effort) -> str:
    return f"{effort.most_shown_fps:g}" if effort.most_shown_fps is not None else "all"
