"""Videos and photo folders drawn from the portraits that installed packages ship."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from streamer.sources.portraits import packaged_portraits
from streamer.sources.synthetic import Actor, Scene, SyntheticSource


def two_people_scene(seconds: float = 2.0, size: tuple[int, int] = (640, 360)) -> Scene:
    """Eileen Collins stands left, Grace Hopper walks right; nobody is hidden."""
    collins, hopper = packaged_portraits()
    width, height = size
    return Scene(
        width=width,
        height=height,
        fps=25,
        seconds=seconds,
        actors=(
            Actor(collins, ((0.0, width * 0.25, height * 0.45, height * 0.28),)),
            Actor(
                hopper,
                (
                    (0.0, width * 0.60, height * 0.5, height * 0.30),
                    (seconds, width * 0.78, height * 0.5, height * 0.30),
                ),
            ),
        ),
        seed=3,
    )


def write_video(path: Path, scene: Scene, *, with_sound: bool = True) -> Path:
    """Write a scene as H.264 with a tone."""
    source = SyntheticSource(scene)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = scene.width, scene.height, "yuv420p"
        sound = container.add_stream("aac", rate=16_000) if with_sound else None
        while (frame := source.read()) is not None:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.picture.bgr()), format="bgr24")
            picture.pts, picture.time_base = frame.index, Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if sound is not None:
            tone = np.sin(np.arange(int(16_000 * scene.seconds)) * 0.2).astype(np.float32)[None] * 0.2
            for start in range(0, tone.shape[1] - 1023, 1024):
                part = av.AudioFrame.from_ndarray(tone[:, start : start + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts = 16_000, start
                container.mux(sound.encode(part))
            container.mux(sound.encode())
    return path


def photos_of(folder: Path, *names: str) -> Path:
    """Write a folder of photos, one folder a person."""
    for portrait in packaged_portraits():
        if portrait.name in names:
            (folder / portrait.name).mkdir(parents=True)
            assert cv2.imwrite(str(folder / portrait.name / "portrait.png"), portrait.picture)
    return folder
