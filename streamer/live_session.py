"""A live run from the opening of its source to its end, without a window: what one shows, and what is asked of it.

    opening, loading (in two threads) ─▶ the run's thread: results ─▶ the newest one, for whoever shows it
                                                            └─▶ outputs, each in its own thread
    a third thread changes who is known, so that neither the picture nor the window waits for a disk

Whoever watches calls `status` and takes from `newest`; all requests may come from any thread, and none waits.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from streamer import build
from streamer.annotate import Annotator
from streamer.build_live import build_live_labeller, build_live_people
from streamer.config import Config
from streamer.errors import StreamerError
from streamer.interrupts import Interrupt
from streamer.live_changes import Denied, Enrolled
from streamer.live_rates import LiveRates
from streamer.live_recorder import Recorder
from streamer.live_running import RunningParts
from streamer.live_status import LiveStatus
from streamer.live_threads import Jobs, Worker
from streamer.load import LoadMeter
from streamer.outputs import LiveOutputs
from streamer.queues import Newest, RunSettings, StopRequest
from streamer.recognition.gallery import Gallery
from streamer.runner import results
from streamer.sources.gated import GatedSource
from streamer.stages import LiveSource, Sink
from streamer.stats import RunStats
from streamer.types import Ending, FrameResult, SourceInfo, SourceState, SourceStatus

_LOG = logging.getLogger(__name__)

# The newest frame waits in its source's queue, one is looked at, one is labelled and drawn.
LIVE_SETTINGS = RunSettings(
    batch_size=1, max_wait_seconds=0.0, queue_frames=1, scan_threads=1, ahead_frames=1, most_under_way=2
)
# Together below two seconds, within which a window that is closed should be gone.
_STOP_SECONDS, _FINISH_SECONDS, _JOBS_SECONDS = 0.7, 0.9, 0.2
_REFRESH_SECONDS = 1.0
_MESSAGE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What a live run is made of.

    Attributes:
        config: The settings.
        open_source: Opens the source, which may take a while, and tells how that goes; None: it was to stop before.
        load_people: Returns who is known, and whether that is the gallery on disk, given the nets.
        make_outputs: Returns what is written from the first frame on, by name.
        recorder: Makes what switches recordings on and off.
        is_shown: There is a window.
    """

    config: Config
    open_source: Callable[[Interrupt, Callable[[SourceStatus], None]], LiveSource | None]
    load_people: Callable[[build.Models], tuple[Gallery, bool]]
    make_outputs: Callable[[RunStats], dict[str, Sink]]
    recorder: Callable[[LiveOutputs, SourceInfo], Recorder]
    is_shown: bool = True


class LiveSession:
    """One live run.

    Args:
        plan: What it is made of.
        stop: Set, from anywhere: it ends.

    Attributes:
        newest: The newest result that nobody has taken.
        stats: Of the whole run.
        blurs_strangers: Faces without a name are made unrecognisable in what is recorded, too.
    """

    def __init__(self, plan: LivePlan, stop: StopRequest) -> None:
        self.newest: Newest[FrameResult] = Newest()
        self.stats = RunStats()
        self.blurs_strangers = plan.config.annotate.blur_unknown
        self._plan, self._stop, self._interrupt = plan, stop, Interrupt()
        self._opening = SourceStatus(SourceState.INITIALISING, "loading the nets and opening the source")
        self._running: RunningParts | None = None
        self._shown, self._processed = LiveRates(), LiveRates()
        self._messages: deque[tuple[float, str]] = deque(maxlen=1)
        self._thread: Worker[None] = Worker("live", self._run)

    # ---- the run's own thread

    def _run(self) -> None:
        source_thread = Worker("open-source", partial(self._plan.open_source, self._interrupt, self._note_opening))
        try:
            running = self._build(source_thread)
        except BaseException:
            # Whatever failed, a source that opens later on must not stay open.
            if source_thread.join(_STOP_SECONDS) and source_thread.error is None:
                _close(source_thread.result())
            raise
        if running is None:
            return
        self._running = running
        for result in results(
            [running.source],
            running.pipeline,
            settings=LIVE_SETTINGS,
            stats=self.stats,
            stop=self._stop,
            meter=running.meter,
        ):
            self._take(running, result)

    def _note_opening(self, status: SourceStatus) -> None:
        self._opening = status

    def _build(self, source_thread: Worker[LiveSource | None]) -> RunningParts | None:
        """Load all that a run needs; None: it was to stop before its source was open."""
        plan, config = self._plan, self._plan.config
        models = build.Models(config, self.stats)
        gallery, is_kept = plan.load_people(models)
        labeller = build_live_labeller(config, models, gallery, self.stats)
        people = build_live_people(config, labeller, gallery, is_kept=is_kept)
        pipeline = build.build_pipeline(config, gallery, models=models, stats=self.stats, labeller=labeller)
        people.prepare()
        opened = source_thread.result()
        if opened is None:
            return None
        source = GatedSource(opened)
        info = source.info
        people.begin(info)
        outputs = LiveOutputs(info)
        for name, sink in plan.make_outputs(self.stats).items():
            outputs.add(name, sink)
        return RunningParts(
            source,
            pipeline,
            people,
            outputs,
            plan.recorder(outputs, info),
            build.build_overload_ladder(config, is_shown=plan.is_shown),
            LoadMeter(time.monotonic),
            build.build_annotator(config),
            models.device.name,
            Jobs("people", self._refresh_people, _REFRESH_SECONDS),
        )

    def _take(self, running: RunningParts, result: FrameResult) -> None:
        now = time.monotonic()
        result = running.with_events(result, now, self.stats)
        self.newest.put(result)
        running.people.see(result)
        running.outputs.deliver(result, running.drawn_blurred(self.blurs_strangers).draw)
        self.stats.count_frame(result.frame.captured_at)
        self._processed.add(now)

    def _refresh_people(self) -> None:
        line = self._running.people.refresh_if_changed() if self._running is not None else None
        if line is not None:
            self.tell(line)

    # ---- what it is asked

    def pause(self) -> None:
        """Stand still, or go on; frames that come meanwhile are passed over."""
        if self._running is not None:
            self._running.source.is_paused = not self._running.source.is_paused

    def record(self, *, is_clean: bool) -> None:
        """Begin or end a recording of what is drawn, or of the clean picture."""
        if self._running is None:
            self.tell("there is nothing to record yet")
            return
        try:
            last = self._running.last_result
            pts_seconds = 0.0 if last is None else last.frame.pts_seconds
            self.tell(self._running.recorder.toggle(is_clean=is_clean, pts_seconds=pts_seconds))
        except StreamerError as error:
            self.tell(str(error))

    def snapshot(self) -> None:
        """Save the newest picture, as recordings are drawn."""
        running = self._running
        if running is None or running.last_result is None:
            self.tell("there is no picture yet")
            return
        result, style = running.last_result, replace(running.annotator.style, blur_unknown=self.blurs_strangers)
        # Drawn by an annotator of its own: the run's draws in the run's thread.
        self._do(lambda: running.recorder.snapshot(Annotator(style).draw(result)))

    def watch(self, track_id: int | None) -> None:
        """Look closely at the face of a track, for its name is being typed; None: as usual again."""
        if self._running is not None:
            self._running.watch(track_id)

    def advice(self, track_id: int) -> str | None:
        """Return what whoever gets a name should do meanwhile, in a few words; None: nothing."""
        running = self._running
        return running.people.readiness(running.source_id, track_id).advice if running is not None else None

    def enrol(self, track_id: int, name: str) -> None:
        """Give the face of a track a name, and keep it in the gallery."""
        self._change(lambda running: _lines(running.people.enrol(running.source_id, track_id, name)))

    def deny(self, track_id: int) -> None:
        """Take the name from the face of a track, for good."""
        self._change(lambda running: _lines(running.people.deny(running.source_id, track_id)))

    def undo(self) -> None:
        """Take the last name that was given, or taken, back."""
        self._change(lambda running: running.people.undo())

    def _change(self, change: Callable[[RunningParts], str]) -> None:
        running = self._running
        if running is None:
            return

        def done() -> str:
            try:
                return change(running)
            finally:
                running.watch(None)

        self._do(done)

    def _do(self, job: Callable[[], str]) -> None:
        """Do something that may take a while, and tell what came of it."""

        def told() -> None:
            try:
                self.tell(job())
            except StreamerError as error:
                self.tell(str(error))

        if self._running is None or not self._running.jobs.put(told):
            self.tell("too much waits to be done already; try again in a moment")

    def tell(self, line: str) -> None:
        """Show a line for some seconds."""
        _LOG.info("%s", line)
        self._messages.append((time.monotonic() + _MESSAGE_SECONDS, line))

    # ---- how it goes

    @property
    def message(self) -> str:
        """What there is to tell just now; "": nothing."""
        last = next(iter(self._messages), None)
        return last[1] if last is not None and time.monotonic() < last[0] else ""

    @property
    def most_shown_fps(self) -> float | None:
        """How many frames a second are worth showing; None: all."""
        return self._running.ladder.effort.most_shown_fps if self._running is not None else None

    def note_shown(self, result: FrameResult) -> None:
        """Note that a frame is on the screen now."""
        now = time.monotonic()
        self._shown.add(now, now - result.frame.captured_at)
        self.stats.note("shown", now - result.frame.captured_at)

    def status(self) -> LiveStatus:
        """Return how the run stands."""
        running = self._running
        if running is None:
            return LiveStatus(self._opening.state, self._opening.detail)
        now, source = time.monotonic(), running.source.status
        details = {SourceState.RUNNING: "", SourceState.PAUSED: "space: go on"}
        summary = running.summary(self.stats, now)
        return LiveStatus(
            state=source.state,
            detail=details.get(source.state, source.detail),
            source=running.name(source),
            device=running.device,
            fps=self._processed.per_second(now),
            age_seconds=self._shown.late_value(now),
            dropped=summary.dropped,
            load=running.ladder.status,
            recordings=running.recorder.running(),
            problems=tuple(one.problem for one in running.outputs.statuses() if one.problem is not None),
            stages=tuple((stage.name, stage.seconds.p50) for stage in summary.stages),
        )

    @property
    def is_over(self) -> bool:
        """Say whether it has ended by itself: its source did, or something failed."""
        return self._thread.is_done

    def finish(self) -> bool:
        """End the run and all outputs, within two seconds.

        Returns:
            False: A thread hangs, and is left behind.

        Raises:
            StreamerError: What ended the run, or what went wrong with an output; a stage's error comes as it is.
        """
        self._stop.set()
        self._interrupt.set()
        has_ended = self._thread.join(_STOP_SECONDS)
        running, error = self._running, self._thread.error
        if running is not None:
            if not has_ended:
                running.source.close()
            ending = Ending.COMPLETE if error is None else Ending.INTERRUPTED
            problem = running.outputs.finish(ending, _FINISH_SECONDS)
            has_ended = running.jobs.stop(_JOBS_SECONDS) and has_ended
            error = error or problem
        if error is not None:
            raise error
        return has_ended


def _close(source: LiveSource | None) -> None:
    if source is not None:
        source.close()


def _lines(change: Enrolled | Denied) -> str:
    """Return what came of a change, in one line."""
    return "; ".join((change.text, *change.notes))
