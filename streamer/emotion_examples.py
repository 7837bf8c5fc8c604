"""What an emotion net is trained and judged on, from folders of labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamer.emotion.alignment import alignments
from streamer.emotion.ferplus_data import FerPlus
from streamer.emotion.labelled_pictures import VALID_SPLITS, find_splits, list_pictures
from streamer.emotion.training import Judged, prior_of
from streamer.emotion.training_torch import TrainingSet
from streamer.errors import UsageError, printable
from streamer.labelled_faces import fer_cut, read_training_pictures
from streamer.stages import Detector
from streamer.types import Float32

_HELD_OUT = 10  # one picture of so many is judged on where nothing else is


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a training needs.

    Attributes:
        training: To learn from.
        valid: To judge each pass on, and to fit the temperature on.
        prior: (7,) float32 shares of the emotions in training, where a majority of voters agrees.
        notes: What was left out, a sentence each.
    """

    training: TrainingSet
    valid: Judged
    prior: Float32
    notes: tuple[str, ...]


def read_examples(
    folder: Path,
    valid: Path | None,
    detector: Detector,
    *,
    cropped: bool,
    seed: int,
    threads: int,
    on_share: Callable[[float], None],
) -> Examples:
    """Read pictures, cut their faces, and see how crops that were cut otherwise would be aligned.

    Args:
        folder: Labelled pictures, see `labelled_pictures`; of one with splits, train.
        valid: The same, to judge on; None: the folder's split valid, or every tenth picture.
        detector: Finds faces in the pictures.
        cropped: The pictures are FER-style crops and used whole.
        seed: Of which tenth is held out.
        threads: Of reading and cutting.
        on_share: Told the share that is done, 0..1; may raise to stop.

    Raises:
        SourceOpenError: A folder or picture cannot be read.
        UsageError: The folders are not as they should be, or hold too few pictures.
    """
    splits = find_splits(folder)
    is_split, is_judged = "train" in splits, any(name in VALID_SPLITS for name in splits)
    if splits and not is_split:
        raise UsageError(
            f"{printable(folder)} has no split train to learn from, only {', '.join(splits)}; add it, or name one of "
            "their folders"
        )
    cut = fer_cut(None if cropped else detector)
    listed = list_pictures(folder, "train" if is_split else None)
    read = read_training_pictures(listed, cut, threads=threads, on_share=lambda share: on_share(share / 3))
    notes = [f"{printable(folder)}: {note}" for note in read.notes]
    if valid is None and not (is_split and is_judged):
        learnt, judged = _held_out(read.faces, seed)
    else:
        other = list_pictures(valid) if valid is not None else list_pictures(folder)
        found = read_training_pictures(other, cut, threads=threads, on_share=lambda share: on_share((1 + share) / 3))
        learnt, judged = read.faces, found.faces
        notes += [f"{printable(valid or folder)}, to judge on: {note}" for note in found.notes]
    pictures, targets = learnt.soft_targets()
    clear, classes = judged.majority()
    if not len(pictures) or not len(clear):
        raise UsageError(f"{printable(folder)} holds too few pictures whose emotion voters agree on; add some")
    # Only of crops that were not cut by landmarks anyway.
    straight = np.tile(np.eye(2, 3, dtype=np.float32), (len(pictures), 1, 1))
    are_crops = cropped or listed.are_crops
    aligned = alignments(pictures, detector.detect, lambda share: on_share((2 + share) / 3)) if are_crops else straight
    _, learnt_classes = learnt.majority()
    prior = prior_of(learnt_classes)
    return Examples(TrainingSet(pictures, targets, aligned), Judged(clear, classes), prior, tuple(notes))


def _held_out(faces: FerPlus, seed: int) -> tuple[FerPlus, FerPlus]:
    """Return all pictures but every tenth, by lot, and those; raises UsageError where there are fewer than ten."""
    count = len(faces.pictures)
    if count < _HELD_OUT:
        raise UsageError(f"{count} pictures are too few to train on; give {_HELD_OUT} or more, or --valid DIR")
    rows = np.random.default_rng(seed).permutation(count)
    judged, learnt = np.sort(rows[: count // _HELD_OUT]), np.sort(rows[count // _HELD_OUT :])
    return _part(faces, learnt), _part(faces, judged)


def _part(faces: FerPlus, rows: npt.NDArray[np.intp]) -> FerPlus:
    return FerPlus(faces.pictures[rows], faces.votes[rows])
