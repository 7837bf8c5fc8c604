"""Reads network streams (RTSP, RTMP, HTTP, SRT, UDP …) live: the newest frame, and again when the server is back.

It reads no files and no camera devices. FFmpeg's parser gives an H.264 picture out when the next one begins, so it
is one frame old when it comes: 41 ms from the server to here at 25 fps, measured over TCP on one machine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

import av

from streamer.addresses import Address
from streamer.errors import SourceOpenError
from streamer.interrupts import BackOff, Interrupt
from streamer.sources.stream_connection import Decoded, StreamConnection, StreamSettings
from streamer.sources.stream_faults import LoginRefusedError
from streamer.sources.stream_times import Freshness, LiveTimes
from streamer.sources.video_planes import PictureMaker
from streamer.types import Frame, SourceInfo, SourceState, SourceStatus

__all__ = ["StreamSettings", "StreamSource"]

_LOG = logging.getLogger(__name__)

_FALLBACK_FPS = 25.0
_TIME_BASE = Fraction(1, 90_000)
_DEFAULTS = StreamSettings()
# A server that is back is noticed within a second; one that knows us no more is not asked so often.
_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS = 0.1, 1.0
_REFUSED_WAIT_SECONDS, _MOST_REFUSED_WAIT_SECONDS = 10.0, 60.0


class StreamSource:
    """A live stream from the network; a LiveSource (stages.py).

    Where the stream ends, breaks or falls silent, `read` connects again and again until it is back or the source is
    closed. Its picture may then have another size, rate or codec. Who reads too slowly gets the newest frame:
    those that had waited longer are passed over and counted.

    Args:
        address: Where the stream is; its credentials appear nowhere.
        settings: Transport and time-outs.
        source_id: Unique in a run; None: the address without credentials.

    Raises SourceOpenError in one sentence, without credentials.

    `close` never waits. A `read` in another thread returns at once from a wait for the next attempt, with the next
    frame from a stream that runs, and at the latest after the read time-out, or twice the open one while it connects.
    """

    def __init__(self, address: Address, *, settings: StreamSettings = _DEFAULTS, source_id: str | None = None) -> None:
        self._address, self._settings = address, settings
        self._source_id = source_id if source_id is not None else str(address)
        self._closing = Interrupt()
        self._reading = threading.Lock()  # held by whoever uses the connection
        self._skipped_before = self._unconverted = self._index = 0
        self._status = SourceStatus(SourceState.INITIALISING, "connecting")
        self._back_off = BackOff(_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS)
        self._refusals = BackOff(_REFUSED_WAIT_SECONDS, _MOST_REFUSED_WAIT_SECONDS)
        self._times = LiveTimes(_TIME_BASE)
        self._connection: StreamConnection | None = None
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self._connect()
            self._first = self._next_frame()
            if self._first is None:
                raise SourceOpenError(f"{address} gives no picture: {self._fault()}")
            self._info = self._describe(self._first)
            on_error.pop_all()

    @property
    def info(self) -> SourceInfo:
        """What its first frame was like."""
        return self._info

    @property
    def skipped(self) -> int:
        """Packets and pictures so far that were damaged and passed over."""
        connection = self._connection
        return self._skipped_before + self._unconverted + (connection.skipped if connection is not None else 0)

    @property
    def status(self) -> SourceStatus:
        """How it stands now; may be asked from any thread."""
        return self._status

    def read(self) -> Frame | None:
        """Return the next frame, however long that takes; None: the source was closed."""
        with self._reading:
            frame = self._read()
        if self._closing.is_set():
            self._shut()
            return None
        return frame

    def close(self) -> None:
        """Let go of the stream and wake a `read` that waits; from any thread, also more than once."""
        self._closing.set()
        self._shut()

    def _shut(self) -> None:
        """Close the connection, unless somebody reads, who will do it then."""
        if self._reading.acquire(blocking=False):
            try:
                self._disconnect()
                self._first = None
                self._set_status(SourceState.ENDED, "closed")
            finally:
                self._reading.release()

    def _read(self) -> Frame | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        while not self._closing.is_set():
            frame = self._next_frame() if self._connection is not None or self._reconnect() else None
            if frame is not None:
                return frame
            if self._connection is not None:
                self._lose(self._fault())
        return None

    def _connect(self) -> None:
        connection = StreamConnection(self._address, self._settings)
        self._connection = connection
        self._frames: Iterator[Decoded] = connection.pictures()
        self._freshness, self._pictures = Freshness(), PictureMaker()
        self._fps = connection.declared_fps or _FALLBACK_FPS
        self._times.connected(connection.time_base, self._fps)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._skipped_before += connection.skipped
            self._frames = iter(())
            connection.close()

    def _reconnect(self) -> bool:
        """Wait and try once; return whether a connection is there."""
        if self._closing.wait(self._back_off.next_seconds()):
            return False
        try:
            self._connect()
        except LoginRefusedError as error:
            self._set_status(SourceState.RECONNECTING, str(error))
            self._closing.wait(self._refusals.next_seconds())
        except SourceOpenError as error:
            self._set_status(SourceState.RECONNECTING, str(error))
        return self._connection is not None

    def _lose(self, fault: str) -> None:
        self._disconnect()
        if self._closing.is_set():  # it was closed while it was read
            return
        if self._status.state is not SourceState.RECONNECTING:
            _LOG.warning("%s was lost: %s; connecting again", self._address, fault)
        self._set_status(SourceState.RECONNECTING, fault)

    def _fault(self) -> str:
        return self._connection.fault if self._connection is not None else ""

    def _next_frame(self) -> Frame | None:
        """Return the next frame that is not stale; None: the connection gives no more, or the source was closed."""
        for decoded in self._frames:
            if self._closing.is_set():
                return None
            frame = self._frame(decoded)
            if frame is not None:
                self._note_running()
                return frame
        return None

    def _frame(self, decoded: Decoded) -> Frame | None:
        """Return a decoded frame as one of ours; None: it is not worth it, or cannot be converted."""
        stored = decoded.frame
        pts_seconds = self._times.place(*decoded.stamps, decoded.arrived_at)
        self._freshness.note(pts_seconds, decoded.arrived_at, decoded.had_waited)
        if self._connection is not None:
            self._connection.keys_only = self._freshness.must_leap(self._connection.keys_only)
        index, self._index = self._index, self._index + 1
        if self._freshness.is_stale:
            self._set_status(self._status.state, self._status.detail, dropped=self._status.dropped + 1)
            return None
        try:
            picture = self._pictures.picture(stored)
        except av.FFmpegError:
            self._unconverted += 1
            return None
        return Frame(picture, index, pts_seconds, decoded.arrived_at, self._source_id)

    def _note_running(self) -> None:
        if self._status.state is SourceState.RUNNING or self._connection is None:
            return
        self._back_off.succeeded()
        self._refusals.succeeded()
        detail, reconnects = self._connection.description, self._status.reconnects
        if self._status.state is SourceState.RECONNECTING:
            reconnects += 1
            _LOG.info("%s is back: %s", self._address, detail)
        self._set_status(SourceState.RUNNING, detail, reconnects=reconnects)

    def _set_status(
        self, state: SourceState, detail: str, *, reconnects: int | None = None, dropped: int | None = None
    ) -> None:
        before = self._status
        self._status = SourceStatus(
            state,
            detail,
            reconnects=before.reconnects if reconnects is None else reconnects,
            dropped=before.dropped if dropped is None else dropped,
        )

    def _describe(self, first: Frame) -> SourceInfo:
        assert self._connection is not None
        aspect = Fraction(self._connection.stream.sample_aspect_ratio or 1)
        return SourceInfo(
            source_id=self._source_id,
            name=str(self._address),
            width=first.picture.width,
            height=first.picture.height,
            declared_fps=self._fps,
            is_live=True,
            time_base=_TIME_BASE,
            sample_aspect_ratio=1 / aspect if self._pictures.is_transposed else aspect,
        )
