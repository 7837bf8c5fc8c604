"""What can be set of emotions: which net reads them, and how they are told; as settings.py says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

from pydantic import Field, model_validator

from streamer.settings_values import LocalPath, Names, Numbers, Section

# Which kinds of emotion nets have which keys.
_EMOTION_KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(
    {
        ("fer-pytorch",): ("architecture",),
        ("fer-pytorch", "onnx"): ("temperature",),
        ("onnx",): ("classes", "prior", "crop_size", "crop_scale", "channels", "normalisation"),
    }
)


class EmotionSettings(Section):
    """See `Config.emotion`."""

    enabled: bool = True
    """Assess emotions; false saves their time."""
    kind: Literal["ferplus", "fer-pytorch", "onnx"] = "ferplus"
    """Which net assesses emotions: streamer's own; one of fer-pytorch's, from its checkpoint (`streamer models fetch`);
    or an ONNX file of your own, such as emotion-ferplus-8.onnx."""
    tau: float = Field(default=0.5, ge=0, le=1)
    """How far it is taken back that training has seen little anger, disgust and fear; 0: not at all, most pictures are
    told right; 1: all emotions are held equally common."""
    architecture: Literal["resnet34", "mobilenetv2_140"] | None = None
    """For kind fer-pytorch alone: which of its nets; null: resnet34."""
    path: LocalPath | None = None
    """For kind ferplus: a net that `streamer train-emotion` wrote; null: the shipped one. For kind fer-pytorch: a
    checkpoint of your own; null: the one that was fetched. For kind onnx: the ONNX file."""
    temperature: float | None = Field(default=None, gt=0, le=100)
    """For kinds fer-pytorch and onnx: what the net's logits are divided by; above 1: less sure. null: 1."""
    classes: Names | None = None
    """For kind onnx, as are the five keys below: what each output of the net stands for, in order, as in [neutral,
    happy, sad]; what is none of the seven emotions, such as contempt, is left out."""
    prior: Numbers | None = None
    """Each class's share, above 0, of what the net was trained on, in the order of classes; tau takes it back. null:
    not known, tau changes nothing."""
    crop_size: int | None = Field(default=None, ge=16, le=1024)
    """Side in pixels of the crops that the net takes; null: as the file has it, or 64."""
    crop_scale: float | None = Field(default=None, ge=0.5, le=3)
    """How large a part of the picture a crop shows, as a multiple of what FER's tight pictures show; null: 1."""
    channels: Literal["grey", "rgb", "bgr"] | None = None
    """What the net sees; null: grey where the file takes one channel, else rgb."""
    normalisation: Literal["raw", "standardise", "unit", "imagenet", "arcface", "facenet"] | None = None
    """What becomes of a pixel x of 0..255: raw: x; standardise: (x-mean)/deviation of the crop itself; the others as in
    embedder.normalisation. null: raw."""
    every_seconds: float = Field(default=0.2, ge=0, le=60)
    """Seconds between assessments of one face, half of it while its label is about to change; 0: every frame."""
    smoothing_seconds: float = Field(default=0.25, ge=0, le=60)
    """Time constant in seconds over which a face's probabilities are averaged; 0: not averaged."""
    steady_seconds: float = Field(default=1.5, ge=0, le=60)
    """Time constant in seconds of the longer average that an emotion must lead, too, which was the label a moment ago
    (within four times as long), so that labels do not flicker; 0: it need not."""
    hold_seconds: float = Field(default=1.0, ge=0, le=60)
    """Seconds for which a label stays while no emotion is likely, or the face is seen too badly to tell any."""
    least_confidence: float = Field(default=0.4, ge=0, le=1)
    """Probability below which no emotion is told: the label is null."""
    min_face_pixels: int = Field(default=24, ge=1, le=4096)
    """Shorter side in pixels of the smallest face that is told an emotion; the label of smaller ones is null."""
    max_yaw_degrees: float = Field(default=60.0, ge=0, le=90)
    """Degrees by which a face may be turned to a side and still be told an emotion."""
    least_sharpness: float = Field(default=0.012, ge=0, le=1)
    """Share of fine detail in a face from which it is told an emotion: .03 to .2 is sharp, .012 has lost a third of the
    right answers. 0: however blurred."""
    baseline_seconds: float | None = Field(default=None, gt=0, le=86_400)
    """Seconds in which a person's look at rest is learnt and taken off, for faces that look sad or angry when calm;
    null: all faces are measured alike."""

    @model_validator(mode="after")
    def _keys_suit_the_kind(self) -> Self:
        for kinds, keys in _EMOTION_KEYS.items():
            given = [key for key in keys if getattr(self, key) is not None]
            if self.kind not in kinds and given:
                raise ValueError(
                    f"only kind {' or '.join(kinds)} has {' and '.join(given)}, and kind is {self.kind}; remove what "
                    "is not meant"
                )
        if self.kind == "onnx" and (self.path is None or self.classes is None):
            raise ValueError(
                "kind onnx needs emotion.path, the ONNX file, and emotion.classes, what its outputs stand for in order"
            )
        if self.prior is not None and self.classes is not None and len(self.prior) != len(self.classes):
            raise ValueError(
                f"prior has {len(self.prior)} shares for {len(self.classes)} classes; give one for each, in their order"
            )
        return self
