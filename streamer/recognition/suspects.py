"""Which photos are probably of somebody else: outliers among a person's own, and those that look like another person.

How alike two pictures of one person are differs from person to person. So the measure is the share of strangers, drawn
from a population, that are as like a template as a photo is: none of the 1,229 photos of LFW's people with four and
more is less like the mean of their others than a tenth of all strangers are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.recognition.calibration import allowances
from streamer.recognition.people import Gallery, Person
from streamer.recognition.population import Population
from streamer.recognition.thresholds import calibration_for, templates_of
from streamer.types import Float32

_STRANGERS = 4000
# A photo that a larger share of strangers would match as well is no picture of that person.
_OUTLIER_SHARE = 0.1
# Two people are hardly one where so many strangers are as like the one as the other is: so it is in all of 150 pairs of
# different people of LFW, and in 4 of 150 of one.
_DIFFERENT_SHARE = 0.01
# As like anybody in the gallery as so few strangers are; the larger it is, the more like that takes.
_LIKE_RATE = 0.005
# Compared with a person's own template, for which the photo itself was left out, another one must be ahead by so much.
_AHEAD = 0.006
_FEWEST_TO_JUDGE = 3


@dataclass(frozen=True, slots=True)
class Likeness:
    """A photo that looks like somebody else: whose photo, which of theirs, and like whom."""

    name: str
    photo: int
    other: str


class Suspicion:
    """Judges people's photos by what strangers of a population look like."""

    def __init__(self, population: Population) -> None:
        self._strangers = np.concatenate(list(population.drawn(_STRANGERS, _STRANGERS)))

    def outliers(self, embeddings: Float32) -> npt.NDArray[np.bool_]:
        """Say which of one person's (K, D) photos are of somebody else; of fewer than three, none.

        The worst is left out first, and the others are judged again without it.
        """
        is_out = np.zeros(len(embeddings), bool)
        while (~is_out).sum() >= _FEWEST_TO_JUDGE:
            rows = np.flatnonzero(~is_out)
            shares = [self._share(_unit(embeddings[rows[rows != row]].mean(axis=0)), embeddings[row]) for row in rows]
            worst = int(np.argmax(shares))
            if shares[worst] < _OUTLIER_SHARE:
                break
            is_out[rows[worst]] = True
        return is_out

    def disagree(self, embeddings: Float32) -> bool:
        """Say whether a person's only two photos, (2, D), seem to be of different people."""
        return len(embeddings) == 2 and self._share(embeddings[0], embeddings[1]) >= _OUTLIER_SHARE

    def differ(self, person: Person, other: Person) -> bool:
        """Say whether two people's photos seem, as a whole, to be of different people."""
        (first, second), _ = templates_of([person, other])
        return self._share(first, second) >= _DIFFERENT_SHARE

    def look_alikes(self, gallery: Gallery, names: frozenset[str]) -> list[Likeness]:
        """Return the photos of the people `names` that look more like another person of the gallery than like theirs.

        Where a person has one photo only, that must look like the other as hardly any stranger does.
        """
        if len(gallery.people) < 2:
            return []
        templates, counts = templates_of(gallery.people)
        threshold = calibration_for(templates, counts, gallery).threshold(_LIKE_RATE)
        thresholds = np.asarray(threshold - allowances(counts), np.float32)
        return [
            Likeness(person.name, photo, gallery.people[other].name)
            for index, person in enumerate(gallery.people)
            if person.name in names
            for photo, other in _nearest_others(index, person, templates, thresholds)
        ]

    def _share(self, template: Float32, vector: Float32) -> float:
        """Return what share of strangers is as like a template as a vector is."""
        return float(np.mean(self._strangers @ template >= float(template @ vector)))


def _nearest_others(index: int, person: Person, templates: Float32, thresholds: Float32) -> Iterator[tuple[int, int]]:
    """Yield which photos of the person `index` look more like another one, and like which."""
    similarities = person.embeddings @ templates.T
    similarities[:, index] = -1
    for photo, other in enumerate((similarities - thresholds).argmax(axis=1).tolist()):
        similarity = similarities[photo, other]
        if similarity >= thresholds[other] and similarity > _own_similarity(person.embeddings, photo) + _AHEAD:
            yield photo, other


def _own_similarity(embeddings: Float32, photo: int) -> float:
    """Return how like the mean of a person's other photos one is; -1 where there is no other."""
    if len(embeddings) == 1:
        return -1.0
    return float(_unit(np.delete(embeddings, photo, axis=0).mean(axis=0)) @ embeddings[photo])


def _unit(vector: Float32) -> Float32:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)
