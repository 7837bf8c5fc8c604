"""Configuration to objects: with models.py, embedders.py and classifiers.py all that names implementations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from streamer import weights
from streamer.addresses import Address
from streamer.annotate import Annotator
from streamer.classifiers import CLASSIFIER_WEIGHTS, classifier_id
from streamer.config import Config
from streamer.devices import Device
from streamer.embedders import EMBEDDER_WEIGHTS
from streamer.embedders import embedder_id as embedder_id
from streamer.errors import UsageError, printable
from streamer.gaps import SpanPolicy
from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.models import Models as Models
from streamer.models import scan_threads
from streamer.overload import OverloadLadder
from streamer.photos import PICTURE_SUFFIXES
from streamer.pipeline import Pipeline
from streamer.policies import annotate_style, label_policy, scan_policy, usual_effort
from streamer.queues import RunSettings
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.recognition.gallery import Gallery, load_or_empty
from streamer.recognition.knn import KnnMatcher
from streamer.recognition.trained_file import file_sha256
from streamer.recorded import RecordedEmbedder
from streamer.sinks.results import ResultsSink, RunDescription
from streamer.sinks.rtsp import RtspSink
from streamer.sinks.video import Encoding, VideoSink
from streamer.sources.camera import CameraSource
from streamer.sources.images import ImagesSource
from streamer.sources.stream import StreamSettings, StreamSource
from streamer.sources.video import VideoSource
from streamer.spans import SpanFollower
from streamer.stages import Detector, Matcher, Sink, Source, Tracker
from streamer.stats import RunStats
from streamer.trackers.kalman import KalmanTracker

# What a face that is looked at several times may lack of certainty, as a share of what one look may: the best of many
# scores is high by chance, too. Raises precision by a hundredth for as much recall of the smallest faces.
_BEST_OF_SEVERAL = 0.4
# Seconds between searches of whole frames, unless set: frames of a file wait for the next one, live ones do not.
_FILE_SCAN_SECONDS, _LIVE_SCAN_SECONDS = 0.6, 0.4
_MOST_FACES_A_PHOTO = 1000
# Of strangers looked at four to six times in different pictures up to twice as many were ever accepted as at the first
# look (calibration.py), so each look may accept half of what the whole track may.
_CHANCES_OF_A_TRACK = 2.0


def recorded_embedder(config: Config) -> RecordedEmbedder:
    """Return what the header of a results file with looks records of the net."""
    net = embedder_id(config)
    return RecordedEmbedder(net.name, net.sha256)


def open_gallery(config: Config) -> Gallery:
    """Return the configured gallery; an absent one is empty. Raises GalleryError where it cannot be read."""
    return load_or_empty(config.recognition.gallery_path, embedder_id(config))


def known_people(config: Config) -> Gallery:
    """Return `open_gallery`, or nobody where a trained matcher takes its place. Raises GalleryError."""
    return open_gallery(config) if config.recognition.matcher_file is None else Gallery(embedder_id(config))


def build_matcher(config: Config, gallery: Gallery) -> Matcher:
    """Return the matcher over a gallery for single looks at faces.

    Raises:
        GalleryError: How alike strangers are to the embedder is not known, and no threshold is set.
    """
    return _matcher(config, gallery, config.recognition.false_accept_rate)


def build_track_matcher(config: Config, gallery: Gallery) -> Matcher:
    """Return the matcher for tracks, which are looked at again and again; raises as `build_matcher` does."""
    return _matcher(config, gallery, config.recognition.false_accept_rate / _CHANCES_OF_A_TRACK)


def _matcher(config: Config, gallery: Gallery, false_accept_rate: float) -> Matcher:
    settings = config.recognition
    make = KnnMatcher if settings.matcher == "knn" else CosineMatcher
    return make(
        gallery,
        false_accept_rate=false_accept_rate,
        similarity_threshold=settings.similarity_threshold,
    )


def build_labeller(config: Config, models: Models, gallery: Gallery, stats: RunStats | None = None) -> TrackLabeller:
    """Return the labeller of videos; with an empty gallery nobody is assessed, so nobody is called unknown."""
    policy = label_policy(config)
    if config.recognition.matcher_file is not None:
        # Those matchers' probabilities seldom come near 1.
        policy = replace(policy, certain_probability=0.0)
    matcher = build_track_matcher(config, gallery) if gallery.people else None
    recognition, policy = _recognition(config, models, matcher, policy)
    return TrackLabeller(recognition, models.emotion, policy, stats)


def _recognition(
    config: Config, models: Models, matcher: Matcher | None, policy: LabelPolicy
) -> tuple[Recognition | None, LabelPolicy]:
    recognition = models.trained()
    if recognition is None and (matcher is not None or config.sinks.keep_embeddings):
        recognition = Recognition(models.embedder, matcher)
    return (recognition, policy) if recognition is None else fitting(recognition, policy)


def fitting(recognition: Recognition, policy: LabelPolicy) -> tuple[Recognition, LabelPolicy]:
    """Return an embedder with its matcher, and a policy that fits it."""
    if not isinstance(recognition.embedder, DlibEmbedder):
        # How alike two views of one person are to another net has not been measured.
        policy = replace(policy, same_similarity=None)
    return recognition, policy


def build_tracker(config: Config) -> Tracker:
    """Return a tracker for one source whose frames do not wait."""
    return KalmanTracker(
        high_score=config.detector.score_threshold,
        max_predicted_seconds=config.tracker.max_predicted_seconds,
        max_lost_seconds=config.tracker.max_lost_seconds,
    )


def build_follower(config: Config, detector: Detector, stats: RunStats) -> SpanFollower:
    """Return what follows the faces of one source whose frames wait for the next search."""
    low = min(config.tracker.low_score_threshold, config.detector.score_threshold)
    look_every = config.tracker.look_every_seconds
    tracker = KalmanTracker(
        high_score=low,
        # A face that one look missed is found again by the next search, and followed back from there.
        max_searched_seconds=1.5 * look_every,
        max_lost_seconds=config.tracker.max_lost_seconds,
    )
    is_every_frame = config.tracker.detect_every_seconds == 0
    doubt = (1 - config.detector.score_threshold) * (1 if is_every_frame else _BEST_OF_SEVERAL)
    policy = SpanPolicy(look_every_seconds=look_every, sure_score=1 - doubt)
    return SpanFollower(tracker, detector, policy, stats)


def build_pipeline(
    config: Config,
    gallery: Gallery,
    *,
    models: Models | None = None,
    detector: Detector | None = None,
    stats: RunStats | None = None,
    labeller: TrackLabeller | None = None,
) -> Pipeline:
    """Return the pipeline of a configuration.

    Args:
        config: The settings.
        gallery: Who may be named, unless a trained matcher is configured.
        models: Nets that are loaded already; None: load them.
        detector: Any object with a detector's methods, in place of the configured one.
        stats: Where the stages' times go.
        labeller: In place of the one for videos.
    """
    stats = stats if stats is not None else RunStats()
    models = models if models is not None else Models(config, stats)
    detector = detector if detector is not None else models.detector
    return Pipeline(
        detector,
        partial(build_tracker, config),
        labeller if labeller is not None else build_labeller(config, models, gallery, stats),
        scans=scan_policy(config, _LIVE_SCAN_SECONDS, can_wait=False),
        waiting_scans=scan_policy(config, _FILE_SCAN_SECONDS, can_wait=True),
        make_follower=partial(build_follower, config, detector, stats),
        stats=stats,
    )


def build_overload_ladder(config: Config, *, is_shown: bool) -> OverloadLadder:
    """Return what decides how much a live run costs; `is_shown`: its frames are drawn and shown."""
    return OverloadLadder(usual_effort(config, _LIVE_SCAN_SECONDS, is_shown=is_shown))


def build_photo_pipeline(config: Config, gallery: Gallery, models: Models) -> Pipeline:
    """Return the pipeline for single pictures: each is searched exactly, and all its faces are looked at at once."""
    tracker = config.tracker.model_copy(update={"detect_every_seconds": 0.0})
    labels = config.labels.model_copy(update={"embeddings_per_second": 2.0 * _MOST_FACES_A_PHOTO})
    config = config.model_copy(update={"tracker": tracker, "labels": labels})
    # There is only one look at a face.
    policy = replace(label_policy(config), certain_probability=0.0)
    matcher = build_matcher(config, gallery) if gallery.people else None
    recognition, policy = _recognition(config, models, matcher, policy)
    labeller = TrackLabeller(recognition, models.photo_emotion(), policy)
    return build_pipeline(config, gallery, models=models, detector=models.photo_detector(), labeller=labeller)


def build_annotator(config: Config) -> Annotator:
    """Return what draws results."""
    return Annotator(annotate_style(config))


def open_source(path: Path, config: Config) -> Source:
    """Open a video file, an image, or a folder of images as one source.

    Raises:
        SourceOpenError: It is absent, or holds no picture.
        UsageError: Only a part of images is asked for.
    """
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        if config.source.start_seconds > 0 or config.source.end_seconds is not None:
            raise UsageError(f"{printable(path)}: start and end are for videos; name the images that you want instead")
        return ImagesSource(path if path.is_dir() else [path], fps=config.source.images_fps)
    return VideoSource(path, start_seconds=config.source.start_seconds, end_seconds=config.source.end_seconds)


def open_camera(camera: int | str | Path, config: Config, *, give_up_seconds: float | None = None) -> CameraSource:
    """Open a camera by its number or path; lost, it is waited for so long, or for ever.

    Raises:
        SourceOpenError: It cannot be opened, or gives no picture.
        UsageError: No camera can be called so.
    """
    return CameraSource(
        camera,
        config.source.camera_mode,
        stall_seconds=config.source.stall_seconds,
        open_timeout_seconds=config.source.camera_open_seconds,
        give_up_seconds=give_up_seconds,
    )


def open_stream(address: Address, config: Config, source_id: str | None = None) -> StreamSource:
    """Open a network stream. Raises SourceOpenError, without credentials, where it is not there now."""
    settings = StreamSettings(
        transport=config.source.transport,
        open_timeout_seconds=config.source.open_timeout_seconds,
        read_timeout_seconds=config.source.read_timeout_seconds,
    )
    return StreamSource(address, settings=settings, source_id=source_id)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the results of one source go; None: not written."""

    video: Path | None = None
    results: Path | None = None

    def __post_init__(self) -> None:
        if self.video is None and self.results is None:
            raise UsageError("nothing would be written: ask for a video, a results file, or both")


def _has_sound(path: Path) -> bool:
    """Say whether a path may hold sound: images do not."""
    return path.is_file() and path.suffix.lower() not in PICTURE_SUFFIXES


def encoding(config: Config) -> Encoding:
    """Return how and by what videos are encoded."""
    sinks = config.sinks
    return Encoding(preset=sinks.video_preset, crf=sinks.video_crf, encoder=sinks.encoder)


def build_publisher(config: Config, address: Address) -> RtspSink:
    """Return what publishes the annotated picture. Raises UsageError where the address is not RTSP's."""
    return RtspSink(address, encoding=encoding(config))


def build_sinks(config: Config, outputs: Outputs, source: Path | None, stats: RunStats) -> Sequence[Sink]:
    """Return the sinks for one source; `source`: its file, from which the sound is taken over; None: it has none."""
    sinks: list[Sink] = []
    if outputs.video is not None:
        sinks.append(
            VideoSink(
                outputs.video,
                audio_from=source if source is not None and _has_sound(source) else None,
                start_seconds=config.source.start_seconds,
                end_seconds=config.source.end_seconds,
                encoding=encoding(config),
            )
        )
    if outputs.results is not None:
        description = replace(describe(config), source_path=_from_folder(source, outputs.results.parent))
        sinks.append(ResultsSink(outputs.results, description=description, stats=stats))
    return sinks


def build_recording(config: Config, path: Path, begin_seconds: float) -> Sink:
    """Return what writes a video that begins while its source runs, at `begin_seconds` of stream time, above 0."""
    return VideoSink(path, start_seconds=begin_seconds, encoding=encoding(config))


def _from_folder(source: Path | None, folder: Path) -> str | None:
    """Return the way from a folder to a source: a whole tree may be moved, and nobody's home is told."""
    if source is None:
        return None
    try:
        return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on Windows, another drive
        return source.resolve().as_posix()


def describe(config: Config) -> RunDescription:
    """Return what a results file says of the run: the sha256 of what it may use, and the settings."""
    embedder, classifier = embedder_id(config), classifier_id(config)
    chosen = (*EMBEDDER_WEIGHTS, *CLASSIFIER_WEIGHTS)
    models = {name: weights.sha256_of(name) for name in weights.WEIGHTS if name not in chosen}
    if classifier is not None:
        # Two files of a user may have the same name.
        name = classifier.name if classifier.name != embedder.name else f"{classifier.name} (emotion)"
        models[name] = classifier.sha256
    if config.recognition.matcher_file is not None:
        models["matcher"] = file_sha256(config.recognition.matcher_file)
    return RunDescription(
        models={**models, embedder.name: embedder.sha256},
        config=config.model_dump(mode="json"),
        embedder=recorded_embedder(config) if config.sinks.keep_embeddings else None,
    )


# For live sources: the newest frame waits in its source's queue, one is looked at, one is labelled and drawn.
LIVE_SETTINGS = RunSettings(
    batch_size=1, max_wait_seconds=0.0, queue_frames=1, scan_threads=1, ahead_frames=1, most_under_way=2
)


def run_settings(config: Config, device: Device | None = None) -> RunSettings:
    """Return how the threads are fed; `device`: where the configured nets run; None: the stages are somebody else's."""
    return RunSettings(
        batch_size=config.runtime.batch_size,
        max_wait_seconds=config.runtime.max_wait_seconds,
        queue_frames=config.runtime.queue_frames,
        scan_threads=scan_threads(config, device) if device is not None else 1,
    )
