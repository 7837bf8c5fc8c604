"""From what a user chose to a live run: opens sources, loads people and makes outputs, when the run asks for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from streamer import build
from streamer.addresses import Address, is_address
from streamer.api import people_from
from streamer.config import Config
from streamer.errors import SourceOpenError, printable
from streamer.interrupts import Interrupt
from streamer.live_choices import LiveChoices, LiveTargets
from streamer.live_recorder import Recorder
from streamer.live_session import LivePlan
from streamer.outputs import LiveOutputs
from streamer.queues import StopRequest
from streamer.recognition.gallery import Gallery
from streamer.retries import opened_with_retries
from streamer.sinks.encoders import check_encoder
from streamer.stages import LiveSource, Sink
from streamer.stats import RunStats
from streamer.types import SourceInfo, SourceState, SourceStatus

_NUMBER = re.compile(r"\d{1,3}")
# Where recordings and snapshots go that keys ask for.
_FOLDER = Path("recordings")


def plan_live(config: Config, choices: LiveChoices, stop: StopRequest) -> LivePlan:
    """Return the parts of a live run.

    Raises UsageError where the camera or an address makes no sense, or the encoder asked for does not work here.
    """
    check_encoder(build.encoding(config))
    publish = choices.targets.publish
    address = Address(publish) if publish is not None else None
    if address is not None:
        build.build_publisher(config, address)  # said now, not once all is loaded
    return LivePlan(
        config=config,
        open_source=_opener(config, choices.camera),
        load_people=partial(_people, config, choices.people, stop),
        make_outputs=_Outputs(config, choices.targets, address),
        recorder=partial(_recorder, config),
        is_shown=choices.has_window,
    )


def _opener(config: Config, camera: str) -> Callable[[Interrupt, Callable[[SourceStatus], None]], LiveSource | None]:
    """Return what opens a camera, or keeps trying to open a stream.

    A camera that is not there is most often a wrong number, so that is said at once; a stream may be up later.
    """
    if "://" in camera or is_address(camera.strip()):
        address = Address(camera)
        return lambda interrupt, on_status: opened_with_retries(
            partial(build.open_stream, address, config), interrupt.wait, on_status
        )

    def open_camera(_interrupt: Interrupt, on_status: Callable[[SourceStatus], None]) -> LiveSource:
        if Path(camera).is_file():
            raise SourceOpenError(
                f"{printable(camera)} is a file and no camera; watch it with: streamer process {printable(camera)}"
            )
        on_status(SourceStatus(SourceState.INITIALISING, f"opening camera {printable(camera)}"))
        return build.open_camera(int(camera) if _NUMBER.fullmatch(camera.strip()) else camera, config)

    return open_camera


def _people(config: Config, folder: Path | None, stop: StopRequest, models: build.Models) -> tuple[Gallery, bool]:
    """Return who is known, and whether that is the gallery on disk."""

    def leave_if_asked(_report: object) -> None:
        if stop.is_set():
            raise InterruptedError("enrolling the photos was interrupted")

    if folder is None:
        return build.known_people(config), True
    return people_from(folder, config, models=models, on_photo=leave_if_asked), False


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Makes what is written from the first frame on."""

    config: Config
    targets: LiveTargets
    publish: Address | None

    def __call__(self, stats: RunStats) -> dict[str, Sink]:
        sinks: dict[str, Sink] = {}
        outputs = (("video", self.targets.record, None), ("results", None, self.targets.results))
        for name, video, results in outputs:
            if video is not None or results is not None:
                (sinks[name],) = build.build_sinks(self.config, build.Outputs(video, results), None, stats)
        if self.publish is not None:
            sinks["publication"] = build.build_publisher(self.config, self.publish)
        return sinks


def _recorder(config: Config, outputs: LiveOutputs, info: SourceInfo) -> Recorder:
    return Recorder(outputs, partial(build.build_recording, config), _FOLDER, info.name)
