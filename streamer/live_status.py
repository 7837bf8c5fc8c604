"""What a live run tells of itself: values only, for the window, and for who watches without one."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.types import SourceState

STATE_TITLES = {
    SourceState.INITIALISING: "INITIALISING",
    SourceState.RUNNING: "RUNNING",
    SourceState.RECONNECTING: "RECONNECTING",
    SourceState.PAUSED: "PAUSED",
    SourceState.ENDED: "ENDED",
    SourceState.ERROR: "ERROR",
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is being written.

    Attributes:
        is_clean: Nothing is drawn on it.
        seconds: How long it is so far.
    """

    is_clean: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """How a live run stands.

    Attributes:
        state: What it is doing.
        detail: What it is waiting for, or what is wrong; "" while it runs.
        source: The source's name and what it grants.
        device: Where the nets run.
        fps: Frames processed a second, over the last seconds; None: not known yet.
        age_seconds: How old the picture is that is shown, p95 of the last seconds; None: nothing is shown.
        dropped: Frames passed over so far, because newer ones were there.
        load: What is left out to keep up; "" where nothing is.
        recordings: Those being written.
        problems: Outputs that were given up, a line each.
        stages: Names and median seconds of what a frame goes through.
    """

    state: SourceState = SourceState.INITIALISING
    detail: str = ""
    source: str = ""
    device: str = ""
    fps: float | None = None
    age_seconds: float | None = None
    dropped: int = 0
    load: str = ""
    recordings: tuple[Recording, ...] = ()
    problems: tuple[str, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()

    @property
    def figures(self) -> str:
        """The numbers, in one short line."""
        parts = [] if self.fps is None else [f"{self.fps:.1f} fps"]
        parts += [] if self.age_seconds is None else [f"{self.age_seconds * 1000:.0f} ms old"]
        parts += [f"{self.dropped} dropped", *([self.device] if self.device else [])]
        return " · ".join(parts)
