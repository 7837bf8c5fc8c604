"""Evaluates an emotion net on labelled pictures: how often it is right, for each emotion, and whether it knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.emotion.labelled_pictures import LabelledPictures
from streamer.errors import UsageError
from streamer.evaluation.shares import Share
from streamer.labelled_faces import Cut, cut_faces
from streamer.parallel import by_batches
from streamer.stages import EmotionClassifier
from streamer.types import EMOTIONS, Float32

Classes = npt.NDArray[np.intp]  # places in EMOTIONS
Counts = npt.NDArray[np.int64]

# Crops that go through the net together; they are cut meanwhile.
_BATCH = 32
_BINS = 15  # of the calibration error, as Guo et al. (ICML 2017) have it
# Probabilities from which an answer may be wanted; below the first, videos have no label by default.
CONFIDENCES = (0.4, 0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class EmotionClass:
    """How well one emotion is told.

    Attributes:
        name: One of EMOTIONS.
        recall: Of the faces that show it, those of which it is said.
        precision: Of the faces of which it is said, those that show it.
        undetected: Pictures of it in which no face was found; they are in neither share.
    """

    name: str
    recall: Share
    precision: Share
    undetected: int

    @property
    def f1(self) -> float | None:
        """The harmonic mean of recall and precision; None: no face shows it, and of none it is said."""
        faces = self.recall.total + self.precision.total
        return 2 * self.recall.hits / faces if faces else None


@dataclass(frozen=True, slots=True)
class SureAnswers:
    """What remains where only sure answers count.

    Attributes:
        confidence: The least probability of the answer, 0..1.
        coverage: Of the faces that were found, those with such an answer.
        accuracy: Of those, the ones told right.
    """

    confidence: float
    coverage: Share
    accuracy: Share


@dataclass(frozen=True, slots=True, eq=False)
class EmotionFigures:
    """How well emotions were told.

    Attributes:
        confusion: (7, 7) int64 faces, a row for each emotion that they show, a column for each that was said.
        undetected: (7,) int64 pictures in which no face was found, by what they show.
        expected_calibration_error: See the function of this name; None: no face was judged.
        sure: For each of CONFIDENCES.
        unclear: How many pictures were not judged, because no emotion of the seven has most votes.
        notes: What else was left out, a sentence each.
    """

    confusion: Counts
    undetected: Counts
    expected_calibration_error: float | None
    sure: tuple[SureAnswers, ...] = ()
    unclear: int = 0
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """All pictures that were to be judged, those in which no face was found included."""
        return int(self.confusion.sum() + self.undetected.sum())

    @property
    def accuracy(self) -> Share:
        """Of the faces that were found, those told right."""
        return Share(int(self.confusion.trace()), int(self.confusion.sum()))

    @property
    def accuracy_of_all(self) -> Share:
        """Of all pictures, those told right: where no face was found, nothing was."""
        return Share(self.accuracy.hits, self.images)

    @property
    def classes(self) -> tuple[EmotionClass, ...]:
        """All seven, in the order of EMOTIONS."""
        right, shown, said = self.confusion.diagonal(), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return tuple(
            EmotionClass(
                name,
                Share(int(right[place]), int(shown[place])),
                Share(int(right[place]), int(said[place])),
                int(self.undetected[place]),
            )
            for place, name in enumerate(EMOTIONS)
        )

    @property
    def absent(self) -> tuple[str, ...]:
        """Emotions that no face shows; they are in no mean over emotions."""
        return tuple(one.name for one in self.classes if not one.recall.total)

    @property
    def balanced_accuracy(self) -> float | None:
        """The mean of the recalls of the emotions that faces show; None: no face was judged."""
        return _mean(one.recall.value for one in self.classes if one.recall.total)

    @property
    def macro_f1(self) -> float | None:
        """The mean of the F1 of the emotions that faces show; None: no face was judged."""
        return _mean(one.f1 for one in self.classes if one.recall.total)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def confusion_matrix(truth: Classes, said: Classes) -> Counts:
    """Count (N,) pairs of what is shown and what was said: (7, 7), rows what is shown."""
    pairs = np.bincount(len(EMOTIONS) * truth + said, minlength=len(EMOTIONS) ** 2)
    return pairs.reshape(len(EMOTIONS), len(EMOTIONS)).astype(np.int64)


def expected_calibration_error(probabilities: Float32, truth: Classes) -> float | None:
    """Return how far, in the mean, the highest probabilities lie from how often they are right, 0..1; None: N is 0.

    Faces are put into fifteen bins of equal width by their highest probability; each bin counts by its faces.

    Args:
        probabilities: (N, 7), rows sum to 1.
        truth: (N,) what the faces show.
    """
    if not len(truth):
        return None
    confidence = probabilities.max(axis=1).astype(np.float64)
    surplus = confidence - (probabilities.argmax(axis=1) == truth)
    # A bin holds its upper bound, and not its lower one.
    bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    return float(np.abs(np.bincount(bins, surplus, _BINS)).sum() / len(truth))


def sure_answers(probabilities: Float32, truth: Classes) -> tuple[SureAnswers, ...]:
    """Count the answers of each confidence; arguments as of `expected_calibration_error`."""
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    found = []
    for least in CONFIDENCES:
        is_sure = confidence >= least
        sure = int(is_sure.sum())
        found.append(SureAnswers(least, Share(sure, len(truth)), Share(int((is_sure & is_right).sum()), sure)))
    return tuple(found)


def evaluate_emotions(
    pictures: LabelledPictures,
    classifier: EmotionClassifier,
    cut: Cut,
    *,
    threads: int = 1,
    on_picture: Callable[[], None] = lambda: None,
) -> EmotionFigures:
    """Judge a net on all pictures whose emotion is clear.

    Args:
        pictures: With what people say of them.
        classifier: The net.
        cut: How a picture becomes a crop as the net takes it.
        threads: That read and cut pictures, beside the net.
        on_picture: Called after each picture.

    Raises:
        SourceOpenError: A picture cannot be read.
        UsageError: No picture's emotion is clear.
    """
    rows, classes = pictures.majority()
    if not len(rows):
        raise UsageError(f"most votes are for one of {', '.join(EMOTIONS)} in none of {len(pictures)} pictures")
    truth: list[int] = []
    answers = [np.zeros((0, len(EMOTIONS)), np.float32)]
    undetected = np.zeros(len(EMOTIONS), np.int64)
    crops = zip(classes.tolist(), cut_faces(pictures, rows.tolist(), cut, threads=threads), strict=True)
    for batch in by_batches(crops, _BATCH):
        found = [(shown, crop) for shown, crop in batch if crop is not None]
        for shown, crop in batch:
            undetected[shown] += crop is None
            on_picture()
        if found:
            truth += [shown for shown, _ in found]
            answers.append(classifier.classify(np.stack([crop for _, crop in found])))
    probabilities, shows = np.concatenate(answers), np.array(truth, np.intp)
    return EmotionFigures(
        confusion_matrix(shows, probabilities.argmax(axis=1)),
        undetected,
        expected_calibration_error(probabilities, shows),
        sure_answers(probabilities, shows),
        unclear=len(pictures) - len(rows),
        notes=pictures.notes,
    )
