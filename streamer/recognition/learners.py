"""The three methods as learners: from crops to a file's tensors, and to what ranks people for crops not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from streamer.recognition import cnn
from streamer.recognition.folds import Rows
from streamer.recognition.rivals import NEIGHBOURS, HeadRanking, NeighbourRanking, Ranking, Rival
from streamer.recognition.trained_file import PHOTOS
from streamer.stages import Crops
from streamer.types import Float32


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What was learnt.

    Attributes:
        tensors: What a file keeps of it.
        ranking: Ranks the people.
        probes: From rows of the learner's crops to the vectors that are ranked.
    """

    tensors: Mapping[str, Float32]
    ranking: Ranking
    probes: Callable[[Rows], Float32]

    def best(self, rows: Rows) -> list[Rival]:
        """Return the best person for each of some crops."""
        return [rivals[0] for rivals in self.ranking.ranked(self.probes(rows))]


class Learner(Protocol):
    """One method over a pool of crops. Implementations: NeighbourLearner, CnnLearner."""

    @property
    def least_people(self) -> int:
        """So many people it must have to learn from."""
        ...

    @property
    def settings(self) -> Mapping[str, float]:
        """What a file says of the training."""
        ...

    def rounds(self, photos: int) -> int:
        """Return how often `learn` calls back for so many photos."""
        ...

    def learn(self, rows: Rows, owners: Rows, on_round: Callable[[], None]) -> Learnt:
        """Learn from some of the crops; `owners`: whose each is, 0 to P - 1."""
        ...


class NeighbourLearner:
    """k nearest neighbours: it keeps the photos' vectors.

    Args:
        photos: (N, D) float32 unit vectors, to be kept, of the crops that may be learnt.
        probes: (N + M, D) those of the same crops and of others as they are seen in use.
        settings: What a file says of them.
    """

    least_people = 1

    def __init__(self, photos: Float32, probes: Float32, settings: Mapping[str, float]) -> None:
        self.settings = {"k": NEIGHBOURS, **settings}
        self._photos, self._probes = photos, probes

    def rounds(self, photos: int) -> int:  # noqa: ARG002  the Protocol has it
        """Return 1."""
        return 1

    def learn(self, rows: Rows, owners: Rows, on_round: Callable[[], None]) -> Learnt:
        """Keep the vectors."""
        photos = self._photos[rows]
        learnt = Learnt({PHOTOS: photos}, NeighbourRanking(photos, owners), lambda probes: self._probes[probes])
        on_round()
        return learnt


class CnnLearner:
    """A net trained from scratch.

    Args:
        crops: The pool.
        seed: Of the training.
        make_net: What computes a trained net.
    """

    least_people = 2

    def __init__(self, crops: Crops, seed: int, make_net: Callable[[Mapping[str, Float32]], cnn.FeatureNet]) -> None:
        self._crops, self._seed, self._make_net = crops, seed, make_net
        self._grey = cnn.small_grey(crops)

    @property
    def settings(self) -> Mapping[str, float]:
        """What a file says of the training."""
        from streamer.recognition.cnn_training import BATCH

        return {"batch": BATCH, "side": cnn.SIDE, "inner": cnn.INNER}

    def rounds(self, photos: int) -> int:
        """Return the steps of the training."""
        from streamer.recognition.cnn_training import steps_for

        return steps_for(photos)

    def learn(self, rows: Rows, owners: Rows, on_round: Callable[[], None]) -> Learnt:
        """Train the net."""
        # Imported here because torch takes a second and 0.6 GB.
        from streamer.recognition.cnn_training import train_cnn

        tensors = train_cnn(self._grey[rows], owners, seed=self._seed, on_step=on_round)
        embedder = cnn.CnnEmbedder(self._make_net(tensors))
        return Learnt(tensors, HeadRanking(tensors[cnn.HEAD]), lambda probes: embedder.embed(self._crops[probes]))
