"""Keeps what a run found in memory: for tests, notebooks and short clips. Memory grows with every frame."""

from __future__ import annotations

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.types import Ending, FrameResult, SourceInfo


class CollectSink:
    """Collects results, and drawn pictures where they are asked for.

    Args:
        needs_canvas: Have every frame drawn, and keep the drawings.

    Attributes:
        info: The source's; None before `open`.
        results: One a frame, in order.
        canvases: As `results`; stays empty where `needs_canvas` is False.
        ending: What `close` was told; None: not closed yet.
    """

    def __init__(self, *, needs_canvas: bool = False) -> None:
        self.needs_canvas = needs_canvas
        self.info: SourceInfo | None = None
        self.results: list[FrameResult] = []
        self.canvases: list[Canvas] = []
        self.ending: Ending | None = None

    def open(self, info: SourceInfo) -> None:
        """Remember the source."""
        self.info = info

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Keep one frame's result. Raises SinkError outside of open and close."""
        if self.info is None or self.ending is not None:
            raise SinkError("cannot collect results: the sink is not open")
        self.results.append(result)
        if self.needs_canvas and canvas is not None:
            self.canvases.append(canvas)

    def close(self, ending: Ending) -> None:
        """Note how the run ended; what was collected stays."""
        self.ending = ending
