"""The thresholds of a gallery that changes by a person at a time, as somebody who waits before a camera wants them.

They are those that calibration.py works out, from the same strangers. These are drawn once and kept, with whom each
resembles most: a new template is compared with them alone, and who was nearest to one that is gone is compared with
all again. Of 2,000 people that takes 0.02 s in place of 0.4 on two idle cores, after the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streamer.recognition import calibration
from streamer.recognition.people import Gallery
from streamer.recognition.population import Population
from streamer.recognition.thresholds import knows_strangers, population_of, templates_of
from streamer.types import Float32

# With more templates that are new or gone, all are compared again.
_MOST_CHANGES = 16


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Strangers, and whom each resembles most.

    Attributes:
        population: What the strangers were drawn from.
        strangers: (M, D) float32 unit vectors.
        rows: (P, D + 1) float32, each template with its allowance; each once.
        closest: (M,) float32, how much each stranger resembles the template that they resemble most.
        nearest: (M,) which that is.
    """

    population: Population
    strangers: Float32
    rows: Float32
    closest: Float32
    nearest: npt.NDArray[np.intp]


class GrowingThresholds:
    """Works out one gallery's thresholds after another's; not for several threads at once."""

    def __init__(self) -> None:
        self._compared: _Compared | None = None

    def calibrated(self, gallery: Gallery) -> Gallery:
        """Return a gallery with its thresholds worked out, as `thresholds.calibrated` does."""
        if gallery.calibration is not None or not gallery.people or not knows_strangers(gallery):
            return gallery
        self.prepare(gallery)
        assert self._compared is not None
        worked_out = calibration.calibration_at(np.sort(self._compared.closest))
        if gallery.strangers is not None:
            worked_out = calibration.shifted(worked_out, gallery.strangers.shift)
        return replace(gallery, calibration=worked_out)

    def prepare(self, gallery: Gallery) -> None:
        """Do what takes long for a gallery, so that the thresholds of one that is hardly different come at once."""
        if not gallery.people or not knows_strangers(gallery):
            return
        templates, counts = templates_of(gallery.people)
        rows = np.concatenate([templates, calibration.allowances(counts)[:, None]], axis=1)
        rows = np.unique(rows, axis=0)
        population = population_of(gallery)
        before = self._compared
        count = calibration.strangers_for(len(rows))
        if before is None or before.population is not population or len(before.strangers) != count:
            strangers = np.concatenate(list(population.drawn(count, calibration.DRAWN_AT_ONCE)))
            self._compared = _compared_with_all(population, strangers, rows)
        else:
            self._compared = _updated(before, rows)


def _compared_with_all(population: Population, strangers: Float32, rows: Float32) -> _Compared:
    return _Compared(population, strangers, rows, *_most_alike(strangers, rows))


def _updated(before: _Compared, rows: Float32) -> _Compared:
    """Return the comparison with other templates; those that were there before are not compared again."""
    known = {row.tobytes(): place for place, row in enumerate(rows)}
    moved = np.array([known.get(row.tobytes(), -1) for row in before.rows], np.intp)
    is_new = np.ones(len(rows), bool)
    is_new[moved[moved >= 0]] = False
    if is_new.sum() + (moved < 0).sum() > _MOST_CHANGES:
        return _compared_with_all(before.population, before.strangers, rows)
    closest, nearest = before.closest.copy(), moved[before.nearest]
    places = np.flatnonzero(is_new)
    if len(places):
        likeness, place = _most_alike(before.strangers, rows[places])
        is_closer = likeness > closest
        closest[is_closer], nearest[is_closer] = likeness[is_closer], places[place[is_closer]]
    orphans = np.flatnonzero(nearest < 0)  # those nearest to somebody who is gone, unless a new one is nearer still
    if len(orphans):
        closest[orphans], nearest[orphans] = _most_alike(before.strangers[orphans], rows)
    return _Compared(before.population, before.strangers, rows, closest, nearest)


def _most_alike(strangers: Float32, rows: Float32) -> tuple[Float32, npt.NDArray[np.intp]]:
    """Return, for each of (M, D) strangers, how much they resemble the template that they resemble most, and which."""
    templates, allowed = rows[:, :-1], rows[:, -1]
    closest, nearest = np.empty(len(strangers), np.float32), np.empty(len(strangers), np.intp)
    start = 0
    for part in calibration.in_parts(strangers, len(rows)):
        likeness = part @ templates.T + allowed
        stop = start + len(part)
        nearest[start:stop] = likeness.argmax(axis=1)
        closest[start:stop] = likeness.max(axis=1)
        start = stop
    return closest, nearest
