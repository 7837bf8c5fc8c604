"""The ways of naming faces that are compared, each behind one function: from enrolled photos to a judge of others.

A method that is added to `METHODS` appears in `streamer evaluate people`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from streamer.build import build_matcher
from streamer.config import Config
from streamer.evaluation.identification import Answers
from streamer.recognition.people import EmbedderId, Gallery, Person
from streamer.stages import Crops, Embedder, Matcher
from streamer.types import Float32

TrainedMethod: TypeAlias = Literal["knn-pixels", "cnn"]

# Below every cosine, so that whoever is best is named.
_NAMES_ANYBODY = -1.0
_CROPS_A_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """Photos of faces.

    Attributes:
        names: N: who they show; of strangers, anything.
        vectors: (N, D) float32 unit vectors.
        crops: (N, S, S, 3) uint8 BGR; None: no method at hand needs them.
    """

    names: tuple[str, ...]
    vectors: Float32
    crops: Crops | None = None

    def __len__(self) -> int:
        return len(self.names)

    def of(self, rows: Sequence[int]) -> Photos:
        """Return the photos in `rows`."""
        places = np.asarray(rows, np.intp)
        crops = None if self.crops is None else self.crops[places]
        return Photos(tuple(self.names[row] for row in rows), self.vectors[places], crops)

    def by_name(self) -> dict[str, list[int]]:
        """Return the rows of each person, by name."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            rows.setdefault(name, []).append(row)
        return rows


@dataclass(frozen=True, slots=True)
class MethodSetting:
    """What a method may know besides the photos.

    Attributes:
        config: The settings; `recognition.false_accept_rate` is what calibration shall keep to, unless
            `recognition.similarity_threshold` is set, which takes its place.
        embedder: Which net made the vectors.
        seed: For what draws at random.
    """

    config: Config
    embedder: EmbedderId
    seed: int


Judge: TypeAlias = Callable[[Photos], Answers]
MakeJudge: TypeAlias = Callable[[Photos, MethodSetting], Judge]


@dataclass(frozen=True, slots=True)
class Method:
    """A way of naming faces; `needs_crops`: it looks at pixels, not only at vectors."""

    make: MakeJudge
    needs_crops: bool = False


def _gallery_judge(matcher: Literal["cosine", "knn"], enrolled: Photos, setting: MethodSetting) -> Judge:
    """Return the configured matcher over a gallery of the enrolled photos.

    An answer "unknown" does not say who came closest, which rank-1 and the sweep ask for: a second matcher, which names
    anybody, does.
    """
    people = tuple(
        Person(name, enrolled.vectors[rows], tuple(str(row) for row in rows))
        for name, rows in enrolled.by_name().items()
    )
    gallery = Gallery(setting.embedder, people)
    threshold = setting.config.recognition.similarity_threshold
    calibrated = _matcher(matcher, gallery, setting.config, threshold)
    eager = _matcher(matcher, gallery, setting.config, _NAMES_ANYBODY)
    return lambda photos: _answers(calibrated, eager, photos.vectors)


def _matcher(
    kind: Literal["cosine", "knn"], gallery: Gallery, config: Config, similarity_threshold: float | None
) -> Matcher:
    chosen = {"matcher": kind, "similarity_threshold": similarity_threshold}
    recognition = config.recognition.model_copy(update=chosen)
    return build_matcher(config.model_copy(update={"recognition": recognition}), gallery)


def _answers(calibrated: Matcher, eager: Matcher, vectors: Float32) -> Answers:
    """Return who is best, how similar, and who is named; of one person's two similarities the eager matcher's."""
    closest = eager.match(vectors)
    return Answers(
        best=tuple(identity.name or "" for identity in closest),
        scores=np.array([identity.similarity for identity in closest], np.float64),
        named=tuple(identity.name for identity in calibrated.match(vectors)),
    )


def _trained_judge(method: TrainedMethod, enrolled: Photos, setting: MethodSetting) -> Judge:
    """Return a matcher that is trained on the enrolled crops, and looks at crops itself."""
    # Imported here because it takes half a second.
    from streamer.recognition.trained import train

    trained = train(
        method,
        {name: _crops(enrolled)[rows] for name, rows in enrolled.by_name().items()},
        seed=setting.seed,
        false_accept_rate=setting.config.recognition.false_accept_rate,
    )
    embedder, calibrated = trained.recognition(setting.config.recognition.similarity_threshold)
    _, eager = trained.recognition(_NAMES_ANYBODY)
    return lambda photos: _answers(calibrated, eager, _embedded(_crops(photos), embedder))


def _crops(photos: Photos) -> Crops:
    if photos.crops is None:
        raise ValueError("this method looks at crops, which were not kept")
    return photos.crops


def _embedded(crops: Crops, embedder: Embedder) -> Float32:
    """Return (N, D) vectors; a few crops at a time, for nets compute with numbers four times as large."""
    parts = [embedder.embed(crops[start : start + _CROPS_A_BATCH]) for start in range(0, len(crops), _CROPS_A_BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, embedder.dimension), np.float32)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "cosine": Method(partial(_gallery_judge, "cosine")),
        "knn": Method(partial(_gallery_judge, "knn")),
        "knn-pixels": Method(partial(_trained_judge, "knn-pixels"), needs_crops=True),
        "cnn": Method(partial(_trained_judge, "cnn"), needs_crops=True),
    }
)
