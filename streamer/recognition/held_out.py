"""Learns from all photos, and besides from parts of them, to see how faces that were not learnt are scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamer.recognition.folds import Rows, folds
from streamer.recognition.learners import Learner, Learnt
from streamer.recognition.rejection import HeldOut

OnProgress = Callable[[float], None]


def learn_and_judge(
    learner: Learner, owners: Rows, outside: Rows, *, seed: int, on_progress: OnProgress | None = None
) -> tuple[Learnt, HeldOut]:
    """Return what was learnt from all photos, and the scores of those held out in folds and of strangers.

    Args:
        learner: Of the method, over a pool of crops.
        owners: (N,) whose each of the pool's first N crops is, 0 to P - 1.
        outside: Rows of the pool that show strangers.
        seed: Of who and what is held out when.
        on_progress: Called now and then with the share that is done, 0..1; what it raises ends this.
    """
    parts = list(folds(owners, seed=seed, least_people=learner.least_people))
    rounds = sum(learner.rounds(len(part.learnt)) for part in parts) + learner.rounds(len(owners))
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done / rounds)

    known, is_right, strangers = [], [], []
    for part in parts:
        learnt = learner.learn(part.learnt, part.owners, advance)
        for owner, best in zip(part.known_owners, learnt.best(part.known), strict=True):
            known.append(best.similarity)
            is_right.append(best.person == owner)
        strangers += [best.similarity for best in learnt.best(part.strangers)]
    learnt = learner.learn(np.arange(len(owners)), owners, advance)
    strangers += [best.similarity for best in learnt.best(outside)]
    return learnt, HeldOut(np.array(known, np.float32), np.array(is_right, bool), np.array(strangers, np.float32))
