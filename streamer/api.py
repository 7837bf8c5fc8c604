"""What the commands do, importable: analyse a source frame by frame, or process a file into a video and results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamer import build
from streamer.addresses import Address, is_address
from streamer.batches import FrameStages
from streamer.config import Config
from streamer.devices import Device
from streamer.pictures import UInt8
from streamer.pipeline import Pipeline
from streamer.queues import StopRequest
from streamer.recognition.enrol import OnPhoto, enrol_folder
from streamer.recognition.gallery import Gallery
from streamer.replay import Replay
from streamer.runner import Route, RunReport, results, run
from streamer.sinks.files import check_output
from streamer.sinks.results import RESULTS_SUFFIXES
from streamer.sinks.video import VIDEO_SUFFIXES
from streamer.sources.arrays import ArraysSource
from streamer.stages import Sink, Source
from streamer.stats import RunStats
from streamer.types import FrameResult

AnySource = str | int | Path | Source | Iterable[UInt8]


def open_source(source: AnySource, config: Config | None = None, *, fps: float = 25.0) -> Source:
    """Open anything that frames can come from.

    Args:
        source: A path of a video, an image or a folder of images; the address of a stream, such as rtsp://host/path; a
            camera's number; an iterable of (H, W, 3) uint8 BGR arrays; or a source already, returned as it is.
        config: Its `source` section holds start, end and the rate of images.
        fps: Frames a second that arrays stand for.

    Raises:
        SourceOpenError: It is absent, or holds no picture.
    """
    if isinstance(source, int):
        return build.open_camera(source, config or Config())
    if isinstance(source, str) and is_address(source):
        return build.open_stream(Address(source), config or Config())
    if isinstance(source, str | Path):
        return build.open_source(Path(source), config or Config())
    if isinstance(source, Source):
        return source
    return ArraysSource(source, fps=fps)


def people_from(
    folder: str | Path,
    config: Config | None = None,
    *,
    models: build.Models | None = None,
    on_photo: OnPhoto | None = None,
) -> Gallery:
    """Enrol a folder of photos, one folder a person, in memory only.

    Args:
        folder: The folder.
        config: The settings; None: the defaults.
        models: Nets that are loaded already; None: load them.
        on_photo: Called with each photo's report as it is judged; what it raises ends the enrolment.

    Raises:
        GalleryError: The folder is empty, or a photo cannot be enrolled; tells which and why.
    """
    config = config or Config()
    models = models if models is not None else build.Models(config)
    detector, embedder = models.photo_detector(), models.embedder
    return enrol_folder(Path(folder), detector, embedder, build.embedder_id(config), on_photo=on_photo).gallery


def analyse(
    source: AnySource,
    *,
    config: Config | None = None,
    gallery: Gallery | None = None,
    pipeline: Pipeline | None = None,
    fps: float = 25.0,
) -> Generator[FrameResult, None, None]:
    """Yield the result of every frame of a source, as it comes.

    Args:
        source: See `open_source`.
        config: The settings; None: the defaults.
        gallery: Who may be named; None: the configured gallery.
        pipeline: Stages of your own (see `build_pipeline`); None: the configured ones.
        fps: Frames a second that arrays stand for.

    Raises:
        StreamerError: See `streamer.errors`; the results up to then have been yielded.
    """
    config = config or Config()
    opened = open_source(source, config, fps=fps)
    settings = build.run_settings(config)
    try:
        if pipeline is None:
            models = build.Models(config)
            settings = build.run_settings(config, models.device)
            known = build.known_people(config) if gallery is None else gallery
            pipeline = build.build_pipeline(config, known, models=models)
    except BaseException:
        opened.close()
        raise
    yield from results([opened], pipeline, settings=build.LIVE_SETTINGS if opened.info.is_live else settings)


def check_outputs(outputs: build.Outputs, source: Path | None, *, overwrite: bool) -> None:
    """Refuse outputs that could not be finished or would destroy something. Raises SinkError."""
    for output, suffixes in ((outputs.video, VIDEO_SUFFIXES), (outputs.results, RESULTS_SUFFIXES)):
        if output is not None:
            sources = [source] if source is not None else []
            check_output(output, sources=sources, suffixes=suffixes, overwrite=overwrite)


@dataclass(slots=True)
class Processor:
    """Processes any number of files with one set of loaded nets.

    Attributes:
        config: The settings.
        gallery: Who may be named; None: the configured gallery, read when it is first needed.
        stop: Set it to end the file in hand early; its outputs are finished.
        sinks: Made for each file beside the configured ones, so that results go to objects of your own, too.
    """

    config: Config = field(default_factory=Config)
    gallery: Gallery | None = None
    stop: StopRequest = field(default_factory=StopRequest)
    sinks: Callable[[], Sequence[Sink]] = tuple
    _models: build.Models | None = None
    _stats: RunStats = field(default_factory=RunStats)  # of the file in hand; the nets' stages count there, too

    @property
    def models(self) -> build.Models:
        """The nets, loaded when they are first needed."""
        if self._models is None:
            self._models = build.Models(self.config, self._stats)
        return self._models

    def process(
        self,
        source: Path | Source,
        outputs: build.Outputs,
        *,
        overwrite: bool = False,
        on_open: Callable[[Source], None] | None = None,
        on_result: Callable[[FrameResult], None] | None = None,
    ) -> RunReport:
        """Process one source.

        Args:
            source: A video, an image or a folder of images; or a source already, which is closed at the end.
            outputs: What to write, and where.
            overwrite: Existing outputs may be replaced.
            on_open: Called with the source before the first frame.
            on_result: Called with each frame's result.

        Raises:
            StreamerError: Nothing is left under the outputs' names; see `streamer.errors`.
        """
        path = source if isinstance(source, Path) else None
        check_outputs(outputs, path, overwrite=overwrite)
        opened = build.open_source(source, self.config) if isinstance(source, Path) else source
        stats = self._stats
        stats.clear()
        try:
            pipeline = self._pipeline(stats)
            if on_open is not None:
                on_open(opened)
            sinks = build.build_sinks(self.config, outputs, path, stats)
            return self._run(opened, pipeline, sinks, on_result, self.models.device)
        finally:
            opened.close()

    def redraw(
        self,
        source: Path,
        recorded: Path,
        video: Path,
        *,
        overwrite: bool = False,
        on_open: Callable[[Source], None] | None = None,
        on_result: Callable[[FrameResult], None] | None = None,
    ) -> RunReport:
        """Draw what a results file says of a video onto it, without any net.

        Args:
            source: The video, an image or a folder of images.
            recorded: Its results file.
            video: What to write.
            overwrite: An existing output may be replaced.
            on_open: Called with the source before the first frame.
            on_result: Called with each frame's result.

        Raises:
            SourceOpenError: The results file is none, or another video's.
            StreamerError: See `streamer.errors`. Nothing is left under the output's name.
        """
        outputs = build.Outputs(video=video)
        check_outputs(outputs, source, overwrite=overwrite)
        replay = Replay(recorded, stop=self.stop, is_part=self.config.source.end_seconds is not None)
        opened = build.open_source(source, self.config)
        self._stats.clear()
        try:
            if on_open is not None:
                on_open(opened)
            return self._run(opened, replay, build.build_sinks(self.config, outputs, source, self._stats), on_result)
        finally:
            opened.close()

    def _run(
        self,
        opened: Source,
        stages: FrameStages,
        sinks: Sequence[Sink],
        on_result: Callable[[FrameResult], None] | None,
        device: Device | None = None,
    ) -> RunReport:
        return run(
            [Route(opened, [*sinks, *self.sinks()])],
            stages,
            draw=build.build_annotator(self.config).draw,
            settings=build.run_settings(self.config, device),
            stats=self._stats,
            stop=self.stop,
            on_result=on_result,
        )

    def _pipeline(self, stats: RunStats) -> Pipeline:
        if self.gallery is None:
            self.gallery = build.known_people(self.config)
        return build.build_pipeline(self.config, self.gallery, models=self.models, stats=stats)
