"""What is kept of somebody while a results file is read: the curve of their emotions, and moments worth a picture."""

from __future__ import annotations

from streamer.recorded import RecordedFace, RecordedFrame
from streamer.reports.curves import Curve
from streamer.reports.tallies import LABEL_OF
from streamer.reports.values import Moment
from streamer.types import EMOTIONS


class Subject:
    """A person with a name, or a track that has none so far."""

    __slots__ = ("_peaks", "_portrait_area", "curve", "is_lost", "portrait")

    def __init__(self) -> None:
        self.curve: Curve | None = None
        self.is_lost = False  # the curve was let go of, so there will be none
        self.portrait: Moment | None = None
        self._portrait_area = 0.0
        self._peaks: dict[str, Moment] = {}

    def add(self, frame: RecordedFrame, face: RecordedFace, step_seconds: float) -> None:
        """Take their face in a frame that stands for `step_seconds`."""
        if face.is_detected:
            area = (face.box[2] - face.box[0]) * (face.box[3] - face.box[1])
            if area > self._portrait_area:
                self._portrait_area, self.portrait = area, Moment(frame.index, frame.pts_seconds, face.box)
        emotion = face.emotion
        if emotion is None:
            return
        if not self.is_lost:
            if self.curve is None:
                self.curve = Curve()
            self.curve.add(frame.pts_seconds, step_seconds, LABEL_OF[emotion.label], emotion.probabilities)
        if emotion.label is not None and face.is_detected:
            probability = emotion.probabilities[LABEL_OF[emotion.label]]
            best = self._peaks.get(emotion.label)
            if best is None or probability > best.probability:
                self._peaks[emotion.label] = Moment(
                    frame.index, frame.pts_seconds, face.box, emotion.label, probability
                )

    def absorb(self, other: Subject) -> None:
        """Take over what was kept of a track that turned out to be theirs."""
        if other.curve is not None and not self.is_lost:
            if self.curve is None:
                self.curve = Curve()
            self.curve.merge(other.curve)
        if other._portrait_area > self._portrait_area:
            self._portrait_area, self.portrait = other._portrait_area, other.portrait
        for emotion, moment in other._peaks.items():
            if emotion not in self._peaks or moment.probability > self._peaks[emotion].probability:
                self._peaks[emotion] = moment

    def lose_curve(self) -> None:
        """Let go of the curve."""
        self.curve, self.is_lost = None, True

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The strongest moment of each emotion that was shown, in the order of EMOTIONS."""
        return tuple(self._peaks[emotion] for emotion in EMOTIONS if emotion in self._peaks)
