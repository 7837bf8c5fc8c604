"""The thresholds of a gallery: from what is kept with it, or worked out now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from streamer.errors import GalleryError
from streamer.recognition import calibration
from streamer.recognition.calibration import Calibration
from streamer.recognition.people import SAME_PICTURE_SIMILARITY, Gallery, Person, Strangers
from streamer.recognition.population import Population, dlib_population
from streamer.recognition.population_fit import FEWEST_PEOPLE, fit_population
from streamer.types import Float32
from streamer.weights import WEIGHTS


def templates_of(people: Sequence[Person]) -> tuple[Float32, npt.NDArray[np.intp]]:
    """Return the (P, D) unit templates of people, the means of their photos' vectors, and (P,) their photo counts."""
    means = np.stack([person.embeddings.mean(axis=0) for person in people])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    # Photos that cancel out have no common direction: such a template of zeros resembles nobody.
    templates = np.asarray(means / np.maximum(lengths, 1e-6), np.float32)
    return templates, np.array([len(person.embeddings) for person in people], np.intp)


def calibration_of(gallery: Gallery) -> Calibration:
    """Return a gallery's thresholds; those that are kept with it, or worked out now.

    Raises:
        GalleryError: Nothing is known of strangers' vectors of the gallery's net.
    """
    if gallery.calibration is not None:
        return gallery.calibration
    return calibration_for(*templates_of(gallery.people), gallery)


def calibration_for(templates: Float32, photo_counts: npt.NDArray[np.intp], gallery: Gallery) -> Calibration:
    """Return thresholds for templates of a gallery's net, given the strangers that the gallery knows of.

    Raises:
        GalleryError: Nothing is known of strangers' vectors of that net.
    """
    worked_out = calibration.calibrate(templates, photo_counts, population_of(gallery))
    return calibration.shifted(worked_out, gallery.strangers.shift) if gallery.strangers is not None else worked_out


def calibrated(gallery: Gallery) -> Gallery:
    """Return a gallery with its thresholds worked out, where anybody is in it and strangers are known of."""
    if gallery.calibration is not None or not gallery.people or not knows_strangers(gallery):
        return gallery
    return replace(gallery, calibration=calibration_of(gallery))


def without_look_alikes_of(person: Person, gallery: Gallery) -> Gallery:
    """Return a gallery in which nobody's look-alike is a picture of a person who is not in it.

    That is the same picture, or one that would be given their name if they were alone in the gallery.
    """
    if not any(len(other.look_alikes) for other in gallery.people):
        return gallery
    template, counts = templates_of([person])
    threshold = np.inf
    if knows_strangers(gallery):
        alone = calibration_for(template, counts, gallery)
        threshold = alone.threshold(calibration.DEFAULT_FALSE_ACCEPT_RATE) - calibration.allowance(int(counts[0]))
    for other in gallery.people:
        likeness = (other.look_alikes @ person.embeddings.T).max(axis=1)
        is_theirs = (likeness >= SAME_PICTURE_SIMILARITY) | (other.look_alikes @ template[0] >= threshold)
        if is_theirs.any():
            gallery = gallery.with_replaced(other.name, other.without_look_alikes(is_theirs))
    return gallery


def with_strangers(gallery: Gallery, vectors: Float32) -> Gallery:
    """Return a gallery that knows what (M, D) float32 unit vectors of real strangers are like.

    Raises:
        GalleryError: They are too few for a net that the package has no population of.
    """
    population = None
    if not _is_dlib(gallery):
        if len(vectors) < FEWEST_PEOPLE:
            raise GalleryError(
                f"{len(vectors)} usable pictures of strangers are too few to set thresholds for the net "
                f"{gallery.embedder.name}; give at least {FEWEST_PEOPLE}, or set recognition.similarity_threshold"
            )
        population = fit_population(vectors)
    plain = replace(gallery, strangers=Strangers(len(vectors), population=population), calibration=None)
    if not gallery.people:
        return plain
    templates, counts = templates_of(gallery.people)
    shift = calibration.stranger_shift(templates, counts, population_of(plain), vectors)
    return replace(plain, strangers=Strangers(len(vectors), shift, population))


def population_of(gallery: Gallery) -> Population:
    """Return where a gallery's strangers are drawn from. Raises GalleryError where nothing is known of them."""
    if gallery.strangers is not None and gallery.strangers.population is not None:
        return gallery.strangers.population
    if _is_dlib(gallery):
        return dlib_population()
    raise GalleryError(
        f"how alike strangers are to the net {gallery.embedder.name} is not known, so no threshold can be chosen; "
        "run `people calibrate --strangers DIR`, or set recognition.similarity_threshold"
    )


def knows_strangers(gallery: Gallery) -> bool:
    """Return whether thresholds can be worked out."""
    has_own = gallery.strangers is not None and gallery.strangers.population is not None
    return has_own or _is_dlib(gallery)


def _is_dlib(gallery: Gallery) -> bool:
    return gallery.embedder.sha256 == WEIGHTS["dlib-resnet"].sha256
