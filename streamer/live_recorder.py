"""Recordings that are switched on and off while a live run goes on, and single pictures of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.live_status import Recording
from streamer.outputs import LiveOutputs
from streamer.sinks.files import part_path
from streamer.sinks.png import write_png
from streamer.stages import Sink
from streamer.types import Ending, FrameResult, SourceInfo

_UNFIT = re.compile(r"[^\w-]+")
_MOST_CHARACTERS = 40
DRAWN, CLEAN = "recording", "clean recording"


class CleanSink:
    """Gives a sink of drawn pictures those on which nothing is drawn.

    Args:
        sink: What gets them.
    """

    needs_canvas = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def open(self, info: SourceInfo) -> None:
        """Open the sink."""
        self._sink.open(info)

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:  # noqa: ARG002 (the Protocol has it)
        """Write the frame's own picture."""
        self._sink.write(result, Canvas.untouched(result.frame.picture))

    def close(self, ending: Ending) -> None:
        """Close the sink."""
        self._sink.close(ending)


class Recorder:
    """Switches recordings on and off.

    Args:
        outputs: Which they are among.
        make_sink: Returns what writes a video, given its path and the stream time at which it begins.
        folder: Where they go.
        source_name: What they are called after.
    """

    def __init__(
        self, outputs: LiveOutputs, make_sink: Callable[[Path, float], Sink], folder: Path, source_name: str
    ) -> None:
        self._outputs, self._make_sink, self._folder = outputs, make_sink, folder
        self._stem = _UNFIT.sub("-", source_name).strip("-")[:_MOST_CHARACTERS] or "live"
        self._given: set[Path] = set()  # files are made a moment later, in their sinks' threads
        self._running: dict[bool, tuple[Path, float]] = {}  # by whether they are clean: the file, and since when

    def toggle(self, *, is_clean: bool, pts_seconds: float) -> str:
        """Begin or end a recording; return what came of it, for people to read. Raises SinkError."""
        name = CLEAN if is_clean else DRAWN
        if is_clean in self._running:
            path, _ = self._running.pop(is_clean)
            has_failed = name in self._failed()
            self._outputs.remove(name)
            if not has_failed:
                return f"recorded {path}"
        path = self._new_path("-clean.mp4" if is_clean else ".mp4")
        # Above 0 also at the very first frame, so that each file begins at its own time 0.
        sink = self._make_sink(path, max(pts_seconds, 1e-6))
        self._outputs.add(name, CleanSink(sink) if is_clean else sink)
        self._running[is_clean] = (path, time.monotonic())
        return f"recording {path}"

    def snapshot(self, canvas: Canvas) -> str:
        """Write a picture; return what came of it. Raises SinkError."""
        path = self._new_path(".png")
        write_png(path, canvas.bgr())
        return f"saved {path}"

    def running(self) -> tuple[Recording, ...]:
        """Return the recordings that are being written."""
        now, failed = time.monotonic(), self._failed()
        return tuple(
            Recording(is_clean, now - since)
            for is_clean, (_, since) in self._running.items()
            if (CLEAN if is_clean else DRAWN) not in failed
        )

    def _failed(self) -> set[str]:
        return {status.name for status in self._outputs.statuses() if status.has_failed}

    def _new_path(self, ending: str) -> Path:
        """Return a path that nothing has yet, in the folder, which is made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot make the folder {self._folder}: {error.strerror}") from error
        stem = f"{self._stem}-{datetime.now():%Y-%m-%d_%H-%M-%S}"
        candidates = (self._folder / f"{stem}{more}{ending}" for more in ("", *(f"-{n}" for n in range(2, 100))))
        for path in candidates:
            if path not in self._given and not path.exists() and not part_path(path).exists():
                self._given.add(path)
                return path
        raise SinkError(f"there are a hundred files like {stem}{ending} in {self._folder}; remove some")
