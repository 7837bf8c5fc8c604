"""Trains the emotion net on pictures with votes: passes, checkpoints, a log, and the temperature at the end.

Recipe: soft vote targets, single votes removed, smoothing .03; pictures varied as augmentation_torch.py says; AdamW
(weight decay .05), rate up to 4e-4, batches of 64, gradients clipped at 5, .4 of the features dropped; bfloat16 where
the CPU computes in it.

What was tried, on FER+ (train 28,558 pictures, judged on valid: majority, 3,175 pictures, tau 0, each picture with its
mirror image, in torch and bfloat16; one figure alone has a standard error of .6 points):

| net | from | passes | valid | balanced |
|---|---|---|---|---|
| residual, 1.17 M, 48 px, maps of 12 px and less; rate 4e-3 | random | 60 | 87.8 | 76.5 |
| residual, 1.62 M, 48 px, maps of 24 px and less; stopped | random | 6 | 82.1 | 59.6 |
| all 14 of dlib's blocks, 5.0 M, picture enlarged to 112 px | dlib | 14 | 87.2 | 73.9 |
| 11 blocks, 2.0 M, 48 px, maps of 21 px and less; stopped | dlib | 2 | 78.1 | 49.8 |
| **12 blocks, 3.2 M, 48 px, maps of 24 px and less** | dlib | 6 | 84.9 | 65.0 |
| | | 12 | 87.4 | 75.1 |
| | | 17 | 88.2 | 78.7 |
| | | **32** | **88.6** | **79.6** |
| | | 36 | 88.5 | 78.5 |
| the same, half of the targets from the 60- and the 14-pass net; stopped | dlib | 12 | 86.7 | 72.6 |
| the same from pass 17 on, rate 2e-4, average of the last tenth | pass 17 | + 6 | 88.9 | 79.5 |
| | | + 7 | 88.3 | 78.3 |
| the same again, average of all from there on | + 7 | + 7 | 88.5 | 78.0 |
| the same with maps of 21 px, average as before | pass 36 | + 6 | 87.7 | 76.5 |
| mean of the weights of pass 32 and of the average at + 10 | | | 88.9 | 78.9 |
| mean of the answers of the 60-pass and the 32-pass net | | | 89.0 | 78.4 |
| pass 32, each picture also shifted by 2 px (`PICTURE_LOOKS`) | | | 89.1 | 80.2 |

Input of 64 px, widths other than dlib's and cross-fitted teachers were not tried. The shipped net is pass 32 of 36, by
a draft of this module (rate down a cosine to 0, variation down to .3 from half of it on, average of about the last
pass): some 45 minutes of one core of an AMD EPYC, had it been alone.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt

from streamer.emotion.calibration import Calibration
from streamer.emotion.ferplus_file import EmotionWeights
from streamer.emotion.training_torch import Training
from streamer.pictures import UInt8
from streamer.types import EMOTIONS, Float32

_KEEP_EVERY_SECONDS = 60.0
_COLUMNS = ("epoch", "seconds", "learning_rate", "loss", "valid_accuracy", "valid_balanced_accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Pictures with one answer each, to judge a net on.

    Attributes:
        pictures: (N, 48, 48) uint8 grey.
        classes: (N,) places in EMOTIONS.
    """

    pictures: UInt8
    classes: npt.NDArray[np.intp]

    def accuracies(self, logits: Float32) -> tuple[float, float]:
        """Return accuracy, and its mean over the classes that there are, of (N, 7) logits."""
        right = logits.argmax(axis=1) == self.classes
        return float(right.mean()), float(np.mean([right[self.classes == c].mean() for c in np.unique(self.classes)]))


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the training pictures, a line of the log.

    Attributes:
        epoch: Its number, from 1 on.
        seconds: Spent on training so far.
        learning_rate: At its end.
        loss: Mean cross-entropy over it.
        valid_accuracy: Share of the judged pictures told right, 0..1, by the moving average of the net.
        valid_balanced_accuracy: Its mean over the classes.
    """

    epoch: int
    seconds: float
    learning_rate: float
    loss: float
    valid_accuracy: float
    valid_balanced_accuracy: float


def train(
    training: Training,
    valid: Judged,
    checkpoint: Path,
    log: Path,
    *,
    on_batch: Callable[[float], None],
    on_pass: Callable[[Pass], None],
) -> None:
    """Run a training to its end, or until `on_batch` raises; then, and after passes now and then, a checkpoint is left.

    Args:
        training: Fresh or restored.
        valid: What each pass is judged on.
        checkpoint: Where the training's state goes.
        log: A CSV file of passes, begun anew unless the training is restored; lines of passes that it has yet to do are
            taken off.
        on_batch: Told the share done, 0..1, before each batch.
        on_pass: Told of each pass.

    Raises:
        OSError: A file cannot be written.
    """
    _keep_lines(log, training.epoch)
    kept_at = training.seconds
    while training.share < 1:
        losses: list[float] = []
        present = training.epoch
        try:
            on_batch(training.share)
            for loss in training.epoch_of_batches():
                losses.append(loss)
                if training.epoch == present:  # a pass that is complete is judged before anything may stop
                    on_batch(training.share)
        except BaseException:  # an interruption, too: what has been learnt is not lost
            training.save(checkpoint)
            raise
        if training.share == 1 or training.seconds - kept_at >= _KEEP_EVERY_SECONDS:
            training.save(checkpoint)
            kept_at = training.seconds
        began_at = monotonic()
        accuracy, balanced = valid.accuracies(training.logits(valid.pictures))
        training.seconds += monotonic() - began_at
        number = -(-training.done_batches // training.batches_an_epoch)
        done = Pass(number, training.seconds, training.rate, float(np.mean(losses)), accuracy, balanced)
        _append(log, done)
        on_pass(done)


def finished(training: Training, valid: Judged, prior: Float32) -> EmotionWeights:
    """Return the trained weights with the temperature that suits the judged pictures best.

    Args:
        training: Complete.
        valid: What the temperature is fitted on.
        prior: (7,) float32 shares of the emotions in training.
    """
    temperature = best_temperature(training.logits(valid.pictures), valid.classes)
    return EmotionWeights(training.tensors(), Calibration(temperature, prior))


def best_temperature(logits: Float32, classes: npt.NDArray[np.intp]) -> float:
    """Return the temperature, .2 to 5, with which (N, 7) logits have the least cross-entropy to (N,) classes."""
    rows = np.arange(len(classes))

    def cross_entropy(temperature: float) -> float:
        probabilities = Calibration(temperature).probabilities(logits, 0.0)
        return -float(np.log(np.maximum(probabilities[rows, classes], 1e-12)).mean())

    return float(min(np.geomspace(0.2, 5, 200).round(3), key=cross_entropy))


def prior_of(classes: npt.NDArray[np.intp]) -> Float32:
    """Return the (7,) shares of the emotions among (N,) places in EMOTIONS; none is below one in 10,000."""
    shares = np.maximum(np.bincount(classes, minlength=len(EMOTIONS)) / max(len(classes), 1), 1e-4)
    return np.asarray(shares / shares.sum(), np.float32)


def _keep_lines(log: Path, passes: int) -> None:
    """Leave only the header and so many lines of a log; make it where there is none."""
    rows: list[list[str]] = []
    if passes and log.exists():
        with log.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(_COLUMNS)][1 : passes + 1]
    with log.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(_COLUMNS), *rows])


def _append(log: Path, done: Pass) -> None:
    row = [done.epoch, f"{done.seconds:.0f}", f"{done.learning_rate:.3g}", f"{done.loss:.4f}"]
    row += [f"{done.valid_accuracy:.4f}", f"{done.valid_balanced_accuracy:.4f}"]
    with log.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(row)
