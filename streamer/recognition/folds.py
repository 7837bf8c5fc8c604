"""Cuts training photos into folds: what is learnt from, whose photos are held out, and who plays the stranger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]

FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Photos by their row; people are numbered anew, without those who are left out.

    Attributes:
        learnt: (N,) rows to learn from.
        owners: (N,) whose each is, 0 to P - 1.
        known: (M,) held-out rows of the same people.
        known_owners: (M,) whose each is.
        strangers: (L,) all rows of the people left out.
    """

    learnt: Rows
    owners: Rows
    known: Rows
    known_owners: Rows
    strangers: Rows


def folds(owners: Rows, *, seed: int, least_people: int) -> Iterator[Fold]:
    """Yield at most five folds in which something is held out.

    Over all of them each photo of somebody with two or more is held out at most once, and so is each person.

    Args:
        owners: (N,) whose each photo is, 0 to P - 1.
        seed: Of who and what is held out when.
        least_people: So many must be left to learn from, or nobody is left out.
    """
    rng = np.random.default_rng(seed)
    people = rng.permutation(int(owners.max()) + 1)
    turn_of_person = np.empty(len(people), np.intp)
    turn_of_person[people] = np.arange(len(people)) % FOLDS
    turn_of_photo = np.full(len(owners), -1, np.intp)
    for person in people:
        rows = rng.permutation(np.flatnonzero(owners == person))
        if len(rows) > 1:
            # From a place of one's own, so that of people with few photos not all are held out in the first folds.
            turn_of_photo[rows] = (np.arange(len(rows)) + rng.integers(FOLDS)) % FOLDS
    for turn in range(FOLDS):
        is_out = turn_of_person == turn
        if len(people) - is_out.sum() < least_people:
            is_out[:] = False
        is_stranger = is_out[owners]
        is_held = (turn_of_photo == turn) & ~is_stranger
        if is_held.any() or is_stranger.any():
            number = np.cumsum(~is_out) - 1
            learnt, known = np.flatnonzero(~is_held & ~is_stranger), np.flatnonzero(is_held)
            yield Fold(learnt, number[owners[learnt]], known, number[owners[known]], np.flatnonzero(is_stranger))
