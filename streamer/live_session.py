"""A live run from the opening of its source to its end, without a window: what one shows, and what is asked of it.

    opening, loading (in two threads) ─▶ the run's thread: results ─▶ the newest one, for whoever shows it
                                                            └─▶ outputs, each in its own thread
    a third thread changes who is known, so that neither the picture nor the window waits for a disk

Whoever watches calls `status` and takes from `newest`; all requests may come from any thread, and none waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from streamer import build
from streamer.build_live import build_live_labeller, build_live_people
from streamer.config import Config
from streamer.interrupts import Interrupt
from streamer.live_board import LiveBoard
from streamer.live_deeds import LiveDeeds
from streamer.live_keys import Request
from streamer.live_recorder import Recorder
from streamer.live_running import RunningParts
from streamer.live_status import LiveStatus
from streamer.live_threads import Jobs, Worker
from streamer.load import LoadMeter
from streamer.outputs import LiveOutputs
from streamer.queues import Newest, StopRequest
from streamer.recognition.gallery import Gallery
from streamer.runner import results
from streamer.sources.gated import GatedSource
from streamer.stages import LiveSource, Sink
from streamer.stats import RunStats
from streamer.types import Ending, FrameResult, SourceInfo, SourceState, SourceStatus

# Together below two seconds, within which a window that is closed should be gone.
_STOP_SECONDS, _FINISH_SECONDS, _JOBS_SECONDS = 0.7, 0.9, 0.2
_REFRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What a live run is made of.

    Attributes:
        config: The settings.
        open_source: Opens the source, which may take a while, and tells how that goes; None: it was to stop before.
        load_people: Returns who is known, and whether that is the gallery on disk, given the nets. Raises
            InterruptedError where it was to stop before.
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


@dataclass(frozen=True, slots=True)
class LiveEnd:
    """How a live run ended.

    Attributes:
        error: What ended it, or what went wrong with an output; a stage's error is as it was. None: nothing.
        is_whole: No thread hangs, in a driver or a dead connection, and is left behind.
    """

    error: Exception | None
    is_whole: bool


class LiveSession:
    """One live run.

    Args:
        plan: What it is made of.
        stop: Set, from anywhere: it ends.

    Attributes:
        newest: The newest result that nobody has taken.
        stats: Of the whole run.
    """

    def __init__(self, plan: LivePlan, stop: StopRequest) -> None:
        self.newest: Newest[FrameResult] = Newest()
        self.stats = RunStats()
        self._plan, self._stop, self._interrupt = plan, stop, Interrupt()
        self._opening = SourceStatus(SourceState.INITIALISING, "loading the nets and opening the source")
        self._running: RunningParts | None = None
        self._deeds: LiveDeeds | None = None
        self._blurs_strangers = plan.config.annotate.blur_unknown
        self._board = LiveBoard(self.stats)
        self._thread: Worker[None] = Worker("live", self._run)

    # ---- the run's own thread

    def _run(self) -> None:
        source_thread = Worker("open-source", partial(self._plan.open_source, self._interrupt, self._note_opening))
        try:
            running = self._build(source_thread)
        except BaseException as error:
            # Whatever failed, a source that opens later on must not stay open.
            if source_thread.join(_STOP_SECONDS) and source_thread.error is None:
                _close(source_thread.result())
            if isinstance(error, InterruptedError) and self._stop.is_set():
                return
            raise
        if running is None:
            return
        self._running, self._deeds = running, LiveDeeds(running, self._board.tell)
        running.blurs_strangers = self._blurs_strangers  # a key may have changed that while all was loading
        for result in results(
            [running.source],
            running.pipeline,
            settings=build.LIVE_SETTINGS,
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
        if source_thread.is_done:
            source_thread.result()  # what is wrong with the source is told before all else is loaded
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
        running = RunningParts(
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
            blurs_strangers=self._blurs_strangers,
        )
        for name, sink in plan.make_outputs(self.stats).items():
            outputs.add(name, sink)
        return running

    def _take(self, running: RunningParts, result: FrameResult) -> None:
        now = time.monotonic()
        result = running.with_events(result, now, self.stats)
        self.newest.put(result)
        running.people.see(result)
        running.outputs.deliver(result, running.drawing().draw)
        self.stats.count_frame(result.frame.captured_at)
        self._board.note_processed(now)

    def _refresh_people(self) -> None:
        line = self._running.people.refresh_if_changed() if self._running is not None else None
        if line is not None:
            self._board.tell(line)

    # ---- what it is asked

    def ask(self, request: Request) -> None:
        """Do what a key asked for, unless it concerns the window alone; nothing waits for it."""
        if self._deeds is not None:
            self._deeds.obey(request)
        else:
            self._board.tell("that comes too early: there is no picture yet")

    def advice(self, track_id: int) -> str:
        """Return what whoever gets a name should do while it is typed, in a few words; "": nothing."""
        return self._deeds.advice(track_id) if self._deeds is not None else ""

    def blur_strangers(self, is_blurred: bool) -> None:
        """Make faces without a name unrecognisable in what is recorded, too, or leave them."""
        self._blurs_strangers = is_blurred
        if self._running is not None:
            self._running.blurs_strangers = is_blurred

    # ---- how it goes

    @property
    def message(self) -> str:
        """What there is to tell just now; "": nothing."""
        return self._board.message

    @property
    def most_shown_fps(self) -> float | None:
        """How many frames a second are worth showing; None: all."""
        return self._running.ladder.effort.most_shown_fps if self._running is not None else None

    def note_shown(self, result: FrameResult) -> None:
        """Note that a frame is on the screen now."""
        self._board.note_shown(result)

    def status(self) -> LiveStatus:
        """Return how the run stands."""
        running = self._running
        return self._board.status(running) if running is not None else self._board.before(self._opening)

    @property
    def is_over(self) -> bool:
        """Say whether it has ended by itself: its source did, or something failed."""
        return self._thread.is_done

    def finish(self) -> LiveEnd:
        """End the run and all outputs, within two seconds."""
        deadline = time.monotonic() + _STOP_SECONDS + _FINISH_SECONDS + _JOBS_SECONDS
        self._stop.set()
        self._interrupt.set()
        has_ended = self._thread.join(_STOP_SECONDS)
        running, error = self._running, self._thread.error
        if running is not None:
            if not has_ended:
                Worker("close-source", running.source.close)  # which waits for whoever reads, perhaps for long
            # Without a frame there is nothing for which an earlier file should go.
            is_whole = error is None and running.last_result is not None
            ending = Ending.COMPLETE if is_whole else Ending.INTERRUPTED
            problem = running.outputs.finish(ending, _FINISH_SECONDS)
            # Whoever was given a name just before the end has it, if there is time.
            has_ended = running.jobs.stop(max(_JOBS_SECONDS, deadline - time.monotonic())) and has_ended
            error = error or problem
        return LiveEnd(error, has_ended)


def _close(source: LiveSource | None) -> None:
    if source is not None:
        source.close()
