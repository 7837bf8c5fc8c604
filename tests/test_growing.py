"""Thresholds of a gallery that changes by a person at a time are those that are worked out for it from nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from streamer.recognition.growing import GrowingThresholds
from streamer.recognition.people import EmbedderId, Gallery, Person, Strangers
from streamer.recognition.population import Population, dlib_population
from streamer.recognition.thresholds import calibrated
from streamer.weights import sha256_of

EMBEDDER = EmbedderId("dlib-resnet", sha256_of("dlib-resnet"))
# float32 products of other shapes differ in the last bits.
TOLERANCE = 1e-6


@cache
def people() -> tuple[Person, ...]:
    vectors = np.concatenate(list(dlib_population().drawn(90, 90, seed=3)))
    return tuple(
        Person(f"P{number}", vectors[number : number + 1 + number % 3], ("",) * (1 + number % 3))
        for number in range(60)
    )


def gallery_of(*chosen: int) -> Gallery:
    return Gallery(EMBEDDER, tuple(people()[number] for number in chosen))


def assert_same_as_from_nothing(grown: Gallery) -> None:
    expected = calibrated(grown.without_calibration())
    assert grown.calibration is not None
    assert expected.calibration is not None
    np.testing.assert_allclose(grown.calibration.thresholds, expected.calibration.thresholds, atol=TOLERANCE)


def test_one_after_another_is_added_changed_and_removed() -> None:
    growing, gallery = GrowingThresholds(), gallery_of(0, 1, 2)
    assert_same_as_from_nothing(growing.calibrated(gallery))
    steps = (
        gallery.with_person(people()[3]),
        gallery.with_person(people()[3]).with_person(replace(people()[4], name="P1")),
        gallery.with_person(people()[3]).without_person("P0"),
        gallery_of(7),
        gallery_of(7, 8, 0),
        gallery_of(*range(50)),
    )
    for step in steps:
        assert_same_as_from_nothing(growing.calibrated(step))


def test_any_way_through_galleries_leads_to_the_same_thresholds() -> None:
    random = np.random.default_rng(5)
    growing = GrowingThresholds()
    chosen = set(range(20))
    for _ in range(15):
        chosen ^= set(random.integers(0, 60, size=random.integers(1, 5)).tolist())
        assert_same_as_from_nothing(growing.calibrated(gallery_of(*sorted(chosen))))


def test_two_people_of_the_same_photos_are_compared_like_one() -> None:
    growing = GrowingThresholds()
    growing.calibrated(gallery_of(0, 1))
    twins = gallery_of(0, 1).with_person(replace(people()[0], name="twin"))
    assert_same_as_from_nothing(growing.calibrated(twins))
    assert_same_as_from_nothing(growing.calibrated(twins.without_person("P0")))


def test_what_a_users_strangers_say_counts() -> None:
    growing, gallery = GrowingThresholds(), replace(gallery_of(0, 1), strangers=Strangers(50, 0.004))
    assert_same_as_from_nothing(growing.calibrated(gallery))
    own = replace(gallery, strangers=Strangers(50, 0.0, replace(dlib_population(), mean=dlib_population().mean * 0)))
    assert_same_as_from_nothing(growing.calibrated(own))


def test_a_small_change_of_thousands_compares_no_stranger_with_all_and_draws_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    growing = GrowingThresholds()
    growing.prepare(gallery_of(*range(50)))
    monkeypatch.setattr(Population, "drawn", lambda *_: pytest.fail("strangers are drawn again"))
    assert growing.calibrated(gallery_of(*range(51))).calibration is not None


def test_thresholds_that_are_there_and_galleries_of_unknown_nets_or_nobody_are_left_alone() -> None:
    growing = GrowingThresholds()
    known = calibrated(gallery_of(0))
    assert growing.calibrated(known) is known
    assert growing.calibrated(Gallery(EMBEDDER)).calibration is None
    other = replace(gallery_of(0), embedder=EmbedderId("other", "0" * 64))
    assert growing.calibrated(other) is other
