"""A live source that can be paused: its frames are still read, so that the newest one comes at once when it goes on."""

from __future__ import annotations

from dataclasses import replace

from streamer.stages import LiveSource
from streamer.types import Frame, SourceInfo, SourceState, SourceStatus


class GatedSource:
    """Another live source behind a gate; the gate may be moved from any thread.

    Args:
        source: What is read; it is closed with this one.
    """

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self.is_paused = False

    @property
    def info(self) -> SourceInfo:
        """The source's."""
        return self._source.info

    @property
    def skipped(self) -> int:
        """The source's."""
        return self._source.skipped

    @property
    def status(self) -> SourceStatus:
        """The source's; PAUSED where it runs behind a closed gate."""
        status = self._source.status
        if self.is_paused and status.state is SourceState.RUNNING:
            return replace(status, state=SourceState.PAUSED)
        return status

    def read(self) -> Frame | None:
        """Return the next frame for which the gate is open, None at the end; raises as the source does."""
        while (frame := self._source.read()) is not None:
            if not self.is_paused:
                return frame
        return None

    def close(self) -> None:
        """Close the source."""
        self._source.close()
