"""streamer finds every face in a video, follows it, says who it is and what emotion it shows.

    import streamer

    people = streamer.people_from("photos")  # one folder a person
    for result in streamer.analyse("video.mp4", gallery=people):
        for face in result.annotations:
            name = face.identity.name if face.identity else None
            mood = face.emotion.label if face.emotion else None
            print(result.frame.pts_seconds, face.track.track_id, face.track.xyxy, name, mood)

Frames may come from a path, a `Source` or an iterable of arrays (`open_source`); detectors, trackers, matchers and
sinks are plain objects with the methods of the Protocols in `streamer.stages`. The names below are public; they are
imported when first used, so that `import streamer` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.addresses import Address
    from streamer.annotate import AnnotateStyle, Annotator
    from streamer.api import Processor, analyse, open_source, people_from
    from streamer.build import Outputs, build_pipeline, open_gallery
    from streamer.canvas import Canvas
    from streamer.config import Config, load_config
    from streamer.errors import (
        GalleryError,
        SinkError,
        SourceError,
        SourceLostError,
        SourceOpenError,
        StreamerError,
        UsageError,
        WeightsError,
    )
    from streamer.pictures import BgrPicture, I420Picture
    from streamer.pipeline import Pipeline
    from streamer.queues import RunSettings, StopRequest
    from streamer.recognition.gallery import Gallery, Person
    from streamer.runner import Route, RunReport, results, run
    from streamer.sinks.collect import CollectSink
    from streamer.sinks.results import ResultsSink
    from streamer.sinks.video import VideoSink
    from streamer.sources.camera import CameraSource
    from streamer.sources.images import ImagesSource
    from streamer.sources.stream import StreamSource
    from streamer.sources.synthetic import SyntheticSource
    from streamer.sources.video import VideoSource
    from streamer.stats import RunStats
    from streamer.stills import AnnotatedImage, ImageAnnotator, annotate_image
    from streamer.types import (
        EMOTIONS,
        Annotation,
        Emotion,
        Event,
        Faces,
        Frame,
        FrameResult,
        Identity,
        SourceInfo,
        Track,
    )

_HOMES = {
    "addresses": ("Address",),
    "annotate": ("Annotator", "AnnotateStyle"),
    "api": ("Processor", "analyse", "open_source", "people_from"),
    "build": ("Outputs", "build_pipeline", "open_gallery"),
    "config": ("Config", "load_config"),
    "errors": (
        "GalleryError",
        "SinkError",
        "SourceError",
        "SourceLostError",
        "SourceOpenError",
        "StreamerError",
        "UsageError",
        "WeightsError",
    ),
    "canvas": ("Canvas",),
    "pictures": ("BgrPicture", "I420Picture"),
    "pipeline": ("Pipeline",),
    "queues": ("RunSettings", "StopRequest"),
    "recognition.gallery": ("Gallery", "Person"),
    "runner": ("Route", "RunReport", "results", "run"),
    "sinks.collect": ("CollectSink",),
    "sinks.results": ("ResultsSink",),
    "sinks.video": ("VideoSink",),
    "sources.camera": ("CameraSource",),
    "sources.images": ("ImagesSource",),
    "sources.stream": ("StreamSource",),
    "sources.synthetic": ("SyntheticSource",),
    "sources.video": ("VideoSource",),
    "stats": ("RunStats",),
    "stills": ("AnnotatedImage", "ImageAnnotator", "annotate_image"),
    "types": (
        "EMOTIONS",
        "Annotation",
        "Emotion",
        "Event",
        "Faces",
        "Frame",
        "FrameResult",
        "Identity",
        "SourceInfo",
        "Track",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EMOTIONS",
    "Address",
    "AnnotateStyle",
    "AnnotatedImage",
    "Annotation",
    "Annotator",
    "BgrPicture",
    "CameraSource",
    "Canvas",
    "CollectSink",
    "Config",
    "Emotion",
    "Event",
    "Faces",
    "Frame",
    "FrameResult",
    "Gallery",
    "GalleryError",
    "I420Picture",
    "Identity",
    "ImageAnnotator",
    "ImagesSource",
    "Outputs",
    "Person",
    "Pipeline",
    "Processor",
    "ResultsSink",
    "Route",
    "RunReport",
    "RunSettings",
    "RunStats",
    "SinkError",
    "SourceError",
    "SourceInfo",
    "SourceLostError",
    "SourceOpenError",
    "StopRequest",
    "StreamSource",
    "StreamerError",
    "SyntheticSource",
    "Track",
    "UsageError",
    "VideoSink",
    "VideoSource",
    "WeightsError",
    "analyse",
    "annotate_image",
    "build_pipeline",
    "load_config",
    "open_gallery",
    "open_source",
    "people_from",
    "results",
    "run",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'streamer' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"streamer.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
