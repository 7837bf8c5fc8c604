"""What a live run tells who has no window to see it in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streamer.live_loop import who_is_there
from streamer.types import Annotation, FrameResult, Identity, Track
from tests.fakes import draw, make_frame


def seen(*names: str | None) -> FrameResult:
    """Return a picture of people; "" is a face that was not compared with anybody."""
    faces = []
    for place, name in enumerate(names, start=1):
        track = Track(place, np.array([10, 20, 50, 60], np.float32), None, 0.9, True, 0.0, 0.0)
        faces.append(Annotation(track, None if name == "" else Identity(name, 0.7, 0.9, 0.2)))
    return FrameResult(make_frame(draw([]), 0), tuple(faces))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ((), "nobody"),
        (("",), "1 without a name"),
        ((None, "Zoë", "", "Ana"), "Ana, Zoë, 2 without a name"),
        ([f"P{number}" for number in range(1, 10)], "P1, P2, P3, P4, P5, P6, P7, P8, 1 more"),
    ],
)
def test_names_are_listed_and_others_counted(names: Sequence[str | None], line: str) -> None:
    assert who_is_there(seen(*names)) == line


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    assert "\n" not in who_is_there(seen("Ana\n15:00:00 ERROR all is lost"))
