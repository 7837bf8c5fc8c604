"""Results files for tests of reports, written line by line as anybody could, with the names and gaps a test needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from streamer.types import EMOTIONS

Object = dict[str, Any]

FPS = 25.0


def header(source: str = "clip.mp4", **more: Any) -> Object:
    return {
        "type": "header",
        "schema_version": 1,
        "source": source,
        "width": 64,
        "height": 48,
        "declared_fps": FPS,
        "models": {"emotion-ferplus": "ab" * 32},
        "config": {},
        **more,
    }


def mood(label: str | None, strength: float = 0.88, *, strongest: str | None = None) -> Object:
    """Return an emotion; label None: abstained, `strongest` is then the likeliest."""
    top = label or strongest or "neutral"
    rest = round((1 - strength) / 6, 6)
    return {"label": label, "probabilities": {name: strength if name == top else rest for name in EMOTIONS}}


def face(
    track_id: int,
    name: str | None = None,
    emotion: Object | None = None,
    *,
    is_looked_up: bool = True,
    is_detected: bool = True,
    box: Sequence[float] = (8.0, 8.0, 40.0, 40.0),
) -> Object:
    return {
        "track_id": track_id,
        "box": list(box),
        "landmarks": None,
        "score": 0.99,
        "detected": is_detected,
        "identity": {"name": name, "similarity": 0.71, "probability": 0.98} if is_looked_up else None,
        "emotion": emotion,
    }


def frame(index: int, *faces: Object, seconds: float | None = None) -> Object:
    pts = round(index / FPS, 6) if seconds is None else seconds
    return {"type": "frame", "index": index, "pts_seconds": pts, "scanned": True, "faces": list(faces)}


def event(kind: str, seconds: float, track_id: int | None = None, name: str | None = None) -> Object:
    return {"type": "event", "kind": kind, "pts_seconds": seconds, "track_id": track_id, "name": name}


SUMMARY: Object = {"type": "summary", "frames": 0, "dropped": 0, "seconds": 1.0, "fps": 1.0, "stages": {}}


def write_lines(path: Path, lines: Iterable[Object], *, is_whole: bool = True) -> Path:
    """Write a results file; lines without a header first get one."""
    every = list(lines)
    if not every or every[0]["type"] != "header":
        every.insert(0, header())
    if is_whole:
        every.append(SUMMARY)
    path.write_text("".join(json.dumps(line) + "\n" for line in every), encoding="utf-8")
    return path


HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    '=HYPERLINK("http://evil.example","x")',
    "../../etc/passwd",
    "محمد بن عبد الله",
    "Wolfeschlegelsteinhausenbergerdorff" * 4,
    "{{ 7 * 7 }}",
    "\u202egnirts desrever\u202c",
    "line\nbreak\x00null\ud800",
)


def hostile_frames(count: int = 50) -> list[Object]:
    """Return frames in which people with names such as an attacker would choose show every emotion but anger."""
    shown = [emotion for emotion in EMOTIONS if emotion != "anger"]
    return [
        frame(
            index,
            *(
                face(place + 1, name, mood(shown[(index // 5 + place) % len(shown)], 0.5 + 0.4 * (index % 5) / 5))
                for place, name in enumerate(HOSTILE_NAMES)
            ),
        )
        for index in range(count)
    ]


def crowd_frames(strangers: int = 200) -> list[Object]:
    """Return frames through which many strangers walk, each for a second."""
    return [
        frame(
            index,
            *(
                face(track_id + 1, None, mood("neutral") if track_id % 3 else None)
                for track_id in range(strangers)
                if track_id * 5 <= index < track_id * 5 + 25
            ),
        )
        for index in range(strangers * 5 + 25)
    ]


def broken_frames() -> list[Object]:
    """Return frames of one who goes away twice, is not looked at for a while, and of whom nothing can be said."""
    lines = []
    for index in range(500):
        if 100 <= index < 150 or 300 <= index < 420:
            lines.append(frame(index))
        elif 200 <= index < 250:
            lines.append(frame(index, face(1, "Ana")))
        elif index < 60:
            lines.append(frame(index, face(1, "Ana", mood(None, 0.4, strongest="sadness"))))
        else:
            lines.append(frame(index, face(1, "Ana", mood("happiness" if index > 450 else "surprise", 0.9))))
    return lines
