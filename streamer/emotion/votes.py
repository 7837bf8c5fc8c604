"""What people say that a face shows: words for emotions, and votes as FER+ counts them (Barsoum et al., ICMI 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from streamer.errors import UsageError, printable
from streamer.tables import TableRow
from streamer.types import EMOTIONS, Float32

# What a voter may say, in FER+'s order. This product tells the first seven apart.
VOTES = (*EMOTIONS, "contempt", "unknown", "not_a_face")
CONTEMPT = "contempt"
# FER+ has ten voters a picture; where there are no votes but one label, it stands for all of them.
VOTERS = 10

_OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "calm": "neutral",
        "happy": "happiness",
        "joy": "happiness",
        "surprised": "surprise",
        "sad": "sadness",
        "angry": "anger",
        "disgusted": "disgust",
        "fearful": "fear",
        "afraid": "fear",
        "scared": "fear",
        "contemptuous": CONTEMPT,
    }
)
# With fewer voters than this a single vote is no noise.
_LEAST_VOTERS_OF_NOISE = 5


def emotion_of(word: str) -> str | None:
    """Return the one of `EMOTIONS`, or "contempt", that a word of a data set means; None: none of them."""
    plain = word.strip().casefold()
    plain = _OTHER_WORDS.get(plain, plain)
    return plain if plain in EMOTIONS or plain == CONTEMPT else None


def votes_for(emotion: str) -> Float32:
    """Return the (10,) votes that stand for one label."""
    votes = np.zeros(len(VOTES), np.float32)
    votes[VOTES.index(emotion)] = VOTERS
    return votes


def votes_in(path: Path, row: TableRow) -> Float32:
    """Return the (10,) votes in a row of the table `path`; an empty or absent cell is none. Raises UsageError."""
    votes = np.zeros(len(VOTES), np.float32)
    for place, name in enumerate(VOTES):
        cell = row.cells.get(name) or "0"
        try:
            votes[place] = float(cell)
        except ValueError:
            votes[place] = np.nan
        if not 0 <= votes[place] < np.inf:
            raise UsageError(
                f"{printable(path)}, line {row.line}: {printable(cell)!r} votes for {name}; give a number, 0 or more"
            )
    return votes


def without_noise(votes: Float32) -> Float32:
    """Return (N, 10) votes without single ones, as FER+'s protocol has it; few voters' votes are left as they are."""
    are_many = votes.sum(axis=1, keepdims=True) >= _LEAST_VOTERS_OF_NOISE
    return np.where(are_many & (votes <= 1), np.float32(0), votes)


def majority(votes: Float32) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows in which one of the seven emotions has more than half of the (N, 10) votes, and those emotions.

    That is FER+'s majority protocol for seven classes; all other pictures are judged by nobody.
    """
    classes = votes.argmax(axis=1)
    is_clear = (votes.max(axis=1) > votes.sum(axis=1) / 2) & (classes < len(EMOTIONS))
    rows = np.flatnonzero(is_clear)
    return rows, classes[rows]
