"""Videos that the benchmark makes for itself: drawn scenes with exact truth, and copies of a video in other sizes.

They are encoded once, before anything is measured, so that decoding them is as real as that of any video.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType, VideoFrame

from streamer.errors import SourceOpenError, UsageError, printable
from streamer.pictures import I420Picture
from streamer.sources.portraits import demo_scene, packaged_portraits
from streamer.sources.synthetic import Actor, Occluder, Scene, SyntheticSource

# Good enough that the encoder hides no face, and about what a camera's files are like to decode.
_QUALITY = {"preset": "veryfast", "crf": "20"}
MOST_FACES = 100
_FACE_SHARE = 1 / 15  # of the scene's height: 72 px at 1080p, and a hundred of them find room
_SCENE_FPS = 25


def truth_scene(seconds: float = 12.0) -> Scene:
    """Return the scene of `streamer demo`: two people cross, hide, leave, come back, and the shot changes once.

    Raises:
        UsageError: A package that holds a portrait is not installed.
    """
    return dataclasses.replace(demo_scene(), seconds=seconds)


def faces_scene(faces: int, height: int, seconds: float) -> Scene:
    """Return a 16:9 scene of so many faces of one size that sway a little, no one in front of another.

    Raises:
        UsageError: Too many, or a package that holds a portrait is not installed.
    """
    if not 0 <= faces <= MOST_FACES:
        raise UsageError(f"a drawn scene has room for 0 to {MOST_FACES} faces, not {faces}")
    # Heads only: shoulders would hide the neighbours.
    heads = [dataclasses.replace(portrait, cut_out=None) for portrait in packaged_portraits()]
    width = height * 16 // 9 // 2 * 2
    columns = max(1, math.ceil(math.sqrt(faces * width / height)))
    rows = max(1, math.ceil(faces / columns))
    sway = height / 200
    actors = []
    for place in range(faces):
        x, y = (place % columns + 0.5) * width / columns, (place // columns + 0.5) * height / rows
        turn = 1 if place % 3 else -1
        path = tuple(
            (seconds * step / 4, x + turn * sway * math.sin(place + step), y + sway * math.cos(place + step), side)
            for step, side in enumerate([height * _FACE_SHARE] * 5)
        )
        actors.append(Actor(heads[place % 2], path))
    # At the lower edge something always moves, so that no scene, nor the one without faces, is passed over as still.
    edge = height - height / 108
    mover = Occluder(((0.0, 0.0, edge), (seconds, float(width), edge)), width=height // 10, height=height // 54)
    return Scene(width, height, _SCENE_FPS, seconds, tuple(actors), (mover,), seed=5, noise_sigma=1.2)


def write_scene(scene: Scene, path: Path) -> None:
    """Draw a scene into a video file."""
    source = SyntheticSource(scene)

    def drawn() -> Iterator[VideoFrame]:
        for index in range(scene.frame_count):
            yield _as_frame(source.draw(index), index, scene.time_base)

    _encode(drawn(), path, Fraction(1) / scene.time_base)


def write_scaled(video: Path, height: int, path: Path, end_seconds: float | None = None) -> None:
    """Write a copy of a video, or of its beginning, that is `height` px high; sound is left out.

    Raises:
        SourceOpenError: It cannot be read.
    """
    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            size = (max(2, round(stream.width * height / stream.height / 2) * 2), height // 2 * 2)

            def scaled() -> Iterator[VideoFrame]:
                for frame in container.decode(stream):
                    if end_seconds is not None and (frame.time or 0.0) >= end_seconds:
                        return
                    frame.pict_type = PictureType.NONE
                    yield frame.reformat(*size, format="yuv420p", interpolation="AREA")

            _encode(scaled(), path, Fraction(stream.average_rate or _SCENE_FPS))
    except av.FFmpegError as error:
        raise SourceOpenError(
            f"{printable(video)} cannot be scaled: {error.strerror}; give a video that plays"
        ) from error


def write_known_person(folder: Path) -> str:
    """Write a photo of one of the two people in drawn scenes, in a folder as `--people` takes it; return who it is."""
    _, known = packaged_portraits()
    name = known.name or "known"
    (folder / name).mkdir(parents=True)
    (folder / name / "portrait.png").write_bytes(cv2.imencode(".png", known.picture)[1].tobytes())
    return name


def _as_frame(picture: I420Picture, index: int, time_base: Fraction) -> VideoFrame:
    planes = np.concatenate([picture.y.reshape(-1), picture.u.reshape(-1), picture.v.reshape(-1)])
    frame = VideoFrame.from_ndarray(planes.reshape(picture.height * 3 // 2, picture.width), format="yuv420p")
    frame.pts, frame.time_base = index, time_base
    return frame


def _encode(frames: Iterator[VideoFrame], path: Path, rate: Fraction) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=_QUALITY)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if not stream.codec_context.is_open:
                stream.width, stream.height = frame.width, frame.height
                # One over the rate, by default, in which the times of uneven frames would fall together.
                stream.codec_context.time_base = frame.time_base or 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
