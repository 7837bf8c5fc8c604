"""Reads a camera, live: the newest picture always, and the camera again when it was lost.

A process of its own captures (`camera_capture.py`), because a driver may hang whoever reads it, time-outs or not; this
end watches the age of its pictures and replaces it. Streams from a network are not for this source.
"""

from __future__ import annotations

import contextlib
import math
import random
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from streamer.errors import SourceLostError, SourceOpenError, printable
from streamer.pictures import I420Picture, planes_of
from streamer.sources.camera_clock import TIME_BASE, CaptureClock
from streamer.sources.camera_link import Kind, Reason, Record
from streamer.sources.camera_mode import CameraMode, camera_address
from streamer.sources.camera_process import CaptureProcess
from streamer.sources.camera_words import NO_PICTURE, ended, refusal, trouble
from streamer.types import Frame, SourceInfo, SourceState, SourceStatus

_FALLBACK_FPS = 30.0
# What a reader that comes back late, or a machine that was asleep, gives the capture process to be heard.
_HEARING_SECONDS = 0.5
# A camera that was opened and gives no picture: the first one takes longer than those after it.
_FIRST_PICTURE_SECONDS = 4.0
_FIRST_RESTART_SECONDS, _LONGEST_RESTART_SECONDS = 0.3, 5.0
_SOUND_AFTER_SECONDS = 5.0  # a capture process that delivered for so long was sound
_PASSING = (Reason.NONE, Reason.NO_PICTURE)  # a camera may give a picture yet


class CameraSource:
    """The pictures of one camera, as they come. It is a `LiveSource`.

    Args:
        camera: Its number, or a path such as /dev/video0 or /dev/v4l/by-id/….
        asked: Size, rate and pixel format to ask for; `status.detail` says what was granted.
        source_id: Unique in a run; None: the camera's path or number.
        stall_seconds: After so long without a picture the capture process is replaced.
        open_timeout_seconds: How long to wait for the first picture.
        give_up_seconds: How long to wait for a lost camera; None: for ever.

    Raises SourceOpenError, in one line that says what to do, and UsageError where no camera can be called so.
    """

    def __init__(
        self,
        camera: int | str | Path,
        asked: CameraMode = CameraMode(),  # noqa: B008  frozen
        *,
        source_id: str | None = None,
        stall_seconds: float = 2.0,
        open_timeout_seconds: float = 10.0,
        give_up_seconds: float | None = None,
    ) -> None:
        self._camera = camera_address(camera)
        self._asked, self._name, self._granted = asked, "", asked
        self._source_id = source_id if source_id is not None else self._camera
        self._stall_seconds, self._open_timeout_seconds = stall_seconds, open_timeout_seconds
        self._give_up_seconds = math.inf if give_up_seconds is None else give_up_seconds
        self._status = SourceStatus(SourceState.INITIALISING)
        self._clock = CaptureClock()
        self._base = 0  # index of the running capture process's first picture
        self._last_index = self._last_delivered = -1
        self._reason, self._trouble, self._reconnects = Reason.NONE, "", 0
        self._restart_seconds = 0.0
        self._began_at = self._heard_at = self._deadline = 0.0
        self._capture: CaptureProcess | None = None
        self._held: Frame | None = None
        self._reading = threading.Lock()
        self._is_closed = False
        self._waker, self._wake_end = socket.socketpair()
        with contextlib.ExitStack() as on_error:
            on_error.callback(self.close)
            try:
                capture = self._begin()
            except OSError as error:
                raise SourceOpenError(f"no process to read the camera with can be started: {error}") from error
            self._held = self._first_frame(capture)
            self._info = self._describe(self._held)
            self._status = SourceStatus(SourceState.RUNNING, self._granted_text(self._held))
            on_error.pop_all()

    @property
    def info(self) -> SourceInfo:
        """What was known with the first picture; later ones may be of another size."""
        return self._info

    @property
    def granted(self) -> CameraMode:
        """What the camera granted of what was asked."""
        return self._granted

    @property
    def skipped(self) -> int:
        """Always 0: of pictures that it spoils, a camera tells nothing."""
        return 0

    @property
    def status(self) -> SourceStatus:
        """How it stands now; may be asked from any thread. It is brought up to date by `read`."""
        return self._status

    def read(self) -> Frame | None:
        """Return the newest picture, waiting for one that was not returned before; None once it is closed.

        Raises SourceLostError where it is lost and was not to be waited for any longer; it may be read again.
        """
        with self._reading:
            try:
                frame = self._next_frame()
            finally:
                if self._is_closed:
                    self._free()
        return None if self._is_closed else frame

    def close(self) -> None:
        """Let go of the camera; may be called from any thread, and more than once."""
        self._is_closed = True
        with contextlib.suppress(OSError):  # closed already
            self._wake_end.send(b"\0")
        # Whoever reads leaves at once and frees it all; a signal handler inside `read` would wait for itself.
        if self._reading.acquire(timeout=1.5):
            try:
                self._free()
            finally:
                self._reading.release()

    def _free(self) -> None:
        capture, self._capture, self._held = self._capture, None, None
        if capture is not None:
            capture.stop()
        self._waker.close()
        self._wake_end.close()
        self._trouble = ""
        self._set_status(SourceState.ENDED)

    # ---- pictures

    def _next_frame(self) -> Frame | None:
        entered = time.monotonic()
        while not self._is_closed and self._capture is not None:
            frame = self._newest(self._capture) or self._held
            if frame is not None:
                self._held = None
                return self._delivered(frame)
            now = time.monotonic()
            deadline = max(self._deadline, entered + min(_HEARING_SECONDS, self._stall_seconds))
            give_up_at = max(self._heard_at + self._give_up_seconds, entered + _HEARING_SECONDS)
            if now >= give_up_at:
                raise SourceLostError(f"the camera {printable(self._camera)} is lost: {self._trouble or NO_PICTURE}")
            if self._capture.has_ended:
                self._trouble = "its capture process ended"
                self._replace(self._capture, self._next_delay())
            elif now >= deadline:  # which is delay enough
                self._trouble = f"{NO_PICTURE} for {now - self._heard_at:.1f} s"
                self._replace(self._capture, 0.0)
            else:
                self._capture.wait(min(deadline, give_up_at) - now)
        return None

    def _newest(self, capture: CaptureProcess) -> Frame | None:
        """Take in all that has been told and return the newest picture of it; None: there is no new one."""
        newest: Record | None = None
        for record in capture.receive():
            self._take(record)
            newest = record if record.kind is Kind.FRAME else newest
        planes = capture.copy(newest) if newest is not None else None
        if newest is None or planes is None:
            return None
        planes.flags.writeable = False
        y, u, v = planes_of(planes)
        return Frame(
            picture=I420Picture(y[: newest.height, : newest.width], u, v),
            index=self._last_index,
            pts_seconds=self._clock.pts_seconds(newest.captured_ns),
            captured_at=newest.captured_ns / 1e9,
            source_id=self._source_id,
        )

    def _take(self, record: Record) -> None:
        """Note what the capture process tells."""
        now = time.monotonic()
        if record.kind is Kind.FRAME:
            self._last_index = self._base + record.sequence - 1
            self._heard_at = record.captured_ns / 1e9
            self._deadline = self._heard_at + self._stall_seconds
            self._reconnects += self._trouble != ""
            self._trouble = ""
        elif record.kind is Kind.OPENED:
            self._name = printable(record.text)
            self._granted = CameraMode((record.width, record.height), record.fps or None, record.pixel_format or None)
            self._deadline = now + max(_FIRST_PICTURE_SECONDS, self._stall_seconds)
        else:
            self._reason, self._trouble = record.reason, trouble(record.reason)
            self._deadline = now + self._open_timeout_seconds  # it tries again, and tells each time
            if self._last_delivered >= 0:
                self._set_status(SourceState.RECONNECTING)

    def _delivered(self, frame: Frame) -> Frame:
        passed_over = frame.index - self._last_delivered - 1
        self._last_delivered = frame.index
        state = SourceState.RECONNECTING if self._trouble else SourceState.RUNNING
        detail = self._trouble or self._granted_text(frame)
        self._status = SourceStatus(state, detail, self._reconnects, self._status.dropped + passed_over)
        if frame.captured_at - self._began_at > _SOUND_AFTER_SECONDS:
            self._restart_seconds = 0.0
        return frame

    def _granted_text(self, frame: Frame) -> str:
        granted = replace(self._granted, size=(frame.picture.width, frame.picture.height))
        return str(granted) if self._asked.is_granted_by(granted) else f"{granted} (asked for {self._asked})"

    def _set_status(self, state: SourceState) -> None:
        self._status = SourceStatus(state, self._trouble, self._reconnects, self._status.dropped)

    # ---- the capture process

    def _begin(self) -> CaptureProcess:
        self._base = self._last_index + 1
        self._began_at = time.monotonic()
        self._deadline = self._began_at + self._open_timeout_seconds
        capture = self._capture = CaptureProcess(self._camera, self._asked, self._waker)
        return capture

    def _next_delay(self) -> float:
        """Return how long to wait before the next capture process: ever longer while each ends at once."""
        delay = self._restart_seconds
        self._restart_seconds = min(max(2 * delay, _FIRST_RESTART_SECONDS), _LONGEST_RESTART_SECONDS)
        return delay * random.uniform(0.8, 1.2)  # noqa: S311  so that several cameras do not start in step

    def _replace(self, capture: CaptureProcess, delay: float) -> None:
        """Start another capture process in place of one that hangs or ended."""
        self._set_status(SourceState.RECONNECTING)
        capture.kill()
        self._pause(delay)
        if not self._is_closed:
            with contextlib.suppress(OSError):  # no room for a process now; the ended one is replaced later, then
                self._begin()

    def _pause(self, seconds: float) -> None:
        """Let time pass, unless it is closed meanwhile."""
        self._waker.settimeout(max(seconds, 1e-3))
        with contextlib.suppress(TimeoutError):
            self._waker.recv(1)

    def _first_frame(self, capture: CaptureProcess) -> Frame:
        """Wait for the first picture. Raises SourceOpenError, saying why there is none."""
        while (frame := self._newest(capture)) is None:
            left = self._began_at + self._open_timeout_seconds - time.monotonic()
            if capture.has_ended:
                raise SourceOpenError(ended(printable(self._camera)))
            if self._reason not in _PASSING or left <= 0:
                raise SourceOpenError(refusal(printable(self._camera), self._reason, self._open_timeout_seconds))
            capture.wait(left)
        return frame

    def _describe(self, first: Frame) -> SourceInfo:
        node = printable(self._camera)
        return SourceInfo(
            source_id=self._source_id,
            name=f"{self._name} ({node})" if sys.platform == "linux" else self._name,
            width=first.picture.width,
            height=first.picture.height,
            declared_fps=self._granted.fps or _FALLBACK_FPS,
            is_live=True,
            time_base=TIME_BASE,
        )
