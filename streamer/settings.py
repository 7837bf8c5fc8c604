"""What can be set: every key with its meaning, unit, default and bounds.

A key is added by adding a field. The text below a field documents its key: `configs/default.yaml` and what
`streamer config show` prints are made from it. `config.py` reads the values.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

import platformdirs
from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from streamer.settings_emotion import EmotionSettings as EmotionSettings
from streamer.settings_source import SourceSettings as SourceSettings
from streamer.settings_values import Encoder as Encoder
from streamer.settings_values import LocalPath, Preset, Section, scalar_text
from streamer.settings_values import allowed_values as allowed_values


class DetectorSettings(Section):
    """See `Config.detector`."""

    kind: Literal["mtcnn"] = "mtcnn"
    """Which detector finds faces."""
    score_threshold: float = Field(default=0.9, ge=0.5, le=1)
    """Detector's score from which a face counts as one; higher: fewer false faces."""
    min_face_pixels: int = Field(default=20, ge=12, le=4096)
    """Side in pixels of the smallest face searched for; twice as large: a search takes about half as long."""


class TrackerSettings(Section):
    """See `Config.tracker`."""

    kind: Literal["kalman"] = "kalman"
    """Which tracker follows faces."""
    detect_every_seconds: float | None = Field(default=None, ge=0, le=60)
    """Seconds between searches of the whole picture; 0: every frame; null: 0.6 in files, where faces are followed from
    both searches into the frames between (1.2 while nobody is there), and 0.4 live."""
    look_every_seconds: float = Field(default=0.16, ge=0, le=60)
    """In files, seconds between looks near the known faces from one search to the next; 0: every frame."""
    low_score_threshold: float = Field(default=0.7, gt=0, le=1)
    """Score from which a detection may continue a track, though not start one; never above
    detector.score_threshold, which is used where it is lower."""
    max_lost_seconds: float = Field(default=1.0, ge=0, le=60)
    """Seconds for which a face may be out of sight and still keep its track."""
    max_predicted_seconds: float = Field(default=0.06, ge=0, le=60)
    """Seconds for which a box is shown that no detection confirms."""
    detect_cuts: bool = True
    """End all tracks at a shot cut, so that nobody inherits a name from where somebody stood."""


class EmbedderSettings(Section):
    """See `Config.embedder`."""

    kind: Literal["dlib-resnet", "facenet-vggface2", "onnx"] = "dlib-resnet"
    """Which net: dlib's, which comes with streamer; facenet-pytorch's, once it is fetched (`streamer models fetch`); or
    an ONNX file of your own, such as an ArcFace net. A gallery belongs to the net that made it."""
    flip: bool = False
    """Add each face's mirror image: twice the time for a third fewer errors (measured with dlib-resnet)."""
    path: LocalPath | None = None
    """The ONNX file; for kind onnx alone, as are all keys below. OpenVINO computes it, on the CPU."""
    crop_size: int | None = Field(default=None, ge=16, le=1024)
    """Side in pixels of the crops that the net takes; null: as the file has it."""
    template: Literal["arcface", "dlib", "facenet"] | None = None
    """Where eyes, nose and mouth lie in a crop; null: arcface."""
    normalisation: Literal["arcface", "facenet", "unit", "imagenet", "raw"] | None = None
    """What becomes of a pixel x of 0..255: arcface: (x-127.5)/127.5; facenet: (x-127.5)/128; unit: x/255;
    imagenet: (x/255-mean)/deviation, a colour; raw: x. null: arcface."""
    channels: Literal["rgb", "bgr"] | None = None
    """The order of colours that the net takes; null: rgb."""

    @model_validator(mode="after")
    def _keys_suit_the_kind(self) -> Self:
        keys = ("path", "crop_size", "template", "normalisation", "channels")
        given = [key for key in keys if getattr(self, key) is not None]
        if self.kind != "onnx" and given:
            raise ValueError(
                f"only kind onnx has {' and '.join(given)}, and kind is {self.kind}; remove what is not meant"
            )
        if self.kind == "onnx" and self.path is None:
            raise ValueError("kind onnx needs embedder.path, the ONNX file")
        return self


class RecognitionSettings(Section):
    """See `Config.recognition`."""

    matcher: Literal["cosine", "knn"] = "cosine"
    """How a face's vector is compared with the gallery."""
    gallery: LocalPath | None = None
    """Folder of the enrolled people; null: `gallery` in the user's data directory."""
    matcher_file: LocalPath | None = None
    """File that `streamer train` wrote, in place of gallery and matcher; null: the gallery's people are named."""
    false_accept_rate: float = Field(default=0.01, gt=0, le=0.5)
    """Share of strangers that may be given a name; the threshold is chosen for it and for the gallery."""
    similarity_threshold: float | None = Field(default=None, ge=-1, le=1)
    """Cosine similarity from which a face is named; null: chosen by false_accept_rate."""

    @property
    def gallery_path(self) -> Path:
        """Return the gallery's folder, whether it exists or not."""
        return self.gallery or platformdirs.user_data_path("streamer") / "gallery"


class LabelsSettings(Section):
    """See `Config.labels`."""

    embed_every_seconds: float = Field(default=0.4, ge=0, le=60)
    """Seconds between looks at who a face is, while that is unsure."""
    refresh_seconds: float = Field(default=3.0, ge=0, le=3600)
    """Seconds after which a face whose name is sure is looked at again."""
    embeddings_per_second: float = Field(default=60.0, ge=1, le=10_000)
    """Looks at who faces are in one second of the stream, the longest waiting first: bounds what a crowd costs."""
    look_ahead_seconds: float = Field(default=2.0, ge=0, le=60)
    """In files, seconds for which frames wait at most (fewer where 24 MiB of pictures wait) until it is sure whom they
    show, so that they carry the name that a face ends up with; 0: they do not wait."""
    revive_seconds: float = Field(default=10.0, ge=0, le=3600)
    """Seconds within which a face that left, or was cut away, goes on under its old track_id when it is back; it is
    known again by its looks, so only with a gallery. 0: never."""
    min_face_pixels: int = Field(default=32, ge=12, le=4096)
    """Side in pixels from which a face is given a name; smaller ones tell little."""


class AnnotateSettings(Section):
    """See `Config.annotate`."""

    show_emotion: bool = True
    """Write the emotion on the picture."""
    show_probability: bool = True
    """Write how sure name and emotion are, in per cent."""
    show_landmarks: bool = False
    """Draw eyes, nose and corners of the mouth as dots."""
    blur_unknown: bool = False
    """Blur the faces that have no name: strangers, and all that nobody was looked up for."""
    text_scale: float = Field(default=1.0, ge=0.25, le=4)
    """Size of the text as a multiple of what suits the picture's height."""
    font: LocalPath | None = None
    """Font file (.ttf, .otf, .ttc) for the text; null: chosen by the names' scripts."""


class SinksSettings(Section):
    """See `Config.sinks`."""

    encoder: Encoder = "auto"
    """What encodes the video as H.264; auto: the first hardware encoder that works here, else libx264."""
    video_preset: Preset = "ultrafast"
    """x264's preset: slower ones make smaller files; superfast halves them for a seventh of the speed."""
    video_crf: int = Field(default=23, ge=0, le=51)
    """x264's constant rate factor: lower is better and larger, 0 without loss."""
    keep_embeddings: bool = False
    """Keep each track's best looks, as vectors, and a crop of the face in the results file: for people strangers and
    relabel. They are biometric data, so the file is private to you."""


class RuntimeSettings(Section):
    """See `Config.runtime`."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the nets run; auto: the first NVIDIA GPU that works, else the CPU."""
    backend: Literal["auto", "openvino", "torch"] = "auto"
    """What computes the nets; auto: OpenVINO on a CPU, torch on a GPU."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads for the nets and OpenCV, bounded by the CPUs there are; null: one a physical core."""
    batch_size: int = Field(default=2, ge=1, le=256)
    """Frames that go through the nets together, at most; it changes no result."""
    max_wait_seconds: float = Field(default=0.05, ge=0, le=10)
    """Seconds that the first frame of a batch waits for more, at most."""
    queue_frames: int = Field(default=2, ge=1, le=1024)
    """Frames that may wait between two threads; a live source then drops its oldest, a file waits."""


class Config(Section):
    """All that can be set."""

    source: SourceSettings = SourceSettings()
    """What is read."""
    detector: DetectorSettings = DetectorSettings()
    """How faces are found."""
    tracker: TrackerSettings = TrackerSettings()
    """How faces are followed from frame to frame."""
    embedder: EmbedderSettings = EmbedderSettings()
    """Which net turns a face into a vector."""
    recognition: RecognitionSettings = RecognitionSettings()
    """How faces are named."""
    emotion: EmotionSettings = EmotionSettings()
    """How emotions are assessed."""
    labels: LabelsSettings = LabelsSettings()
    """When a followed face is looked at more closely."""
    annotate: AnnotateSettings = AnnotateSettings()
    """What is drawn on the picture."""
    sinks: SinksSettings = SinksSettings()
    """How outputs are written."""
    runtime: RuntimeSettings = RuntimeSettings()
    """What the machine is used for."""


def _fields() -> dict[str, dict[str, FieldInfo]]:
    """Return the fields of each section, by the names that users write."""
    sections: dict[str, dict[str, FieldInfo]] = {}
    for name, field in Config.model_fields.items():
        assert isinstance(field.default, Section)
        sections[name] = type(field.default).model_fields
    return sections


FIELDS: Mapping[str, Mapping[str, FieldInfo]] = _fields()


def as_yaml(config: Config, origins: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write every key with its meaning; reading the text back gives the same configuration.

    Args:
        config: What to write.
        origins: Where the value of a `section.key` came from, written behind it.
    """
    lines: list[str] = []
    for section, values in config:
        if lines:
            lines.append("")
        lines += [f"# {Config.model_fields[section].description}", f"{section}:"]
        for key, value in values:
            field = FIELDS[section][key]
            comment = f"{field.description} ({allowed_values(field)})"
            lines += textwrap.wrap(
                comment, 110, initial_indent="  # ", subsequent_indent="  # ", break_long_words=False
            )
            origin = origins.get(f"{section}.{key}")
            lines.append(f"  {key}: {scalar_text(value)}" + (f"  # from {' '.join(origin.split())}" if origin else ""))
    return "\n".join(lines) + "\n"
