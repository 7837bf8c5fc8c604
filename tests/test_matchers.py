"""What holds for every matcher, and how often known faces and strangers are named right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import GalleryError
from streamer.recognition import calibration
from streamer.recognition.calibration import Calibration
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.knn import KnnMatcher
from streamer.recognition.people import EmbedderId, Gallery, Person, Strangers
from streamer.recognition.population import Population, dlib_population
from streamer.recognition.population_fit import fit_population
from streamer.recognition.thresholds import calibrated, calibration_of, templates_of, with_strangers
from streamer.stages import Matcher
from streamer.types import Float32, Identity
from streamer.weights import sha256_of

EMBEDDER = EmbedderId("fake", "0" * 64)
DIMENSION = 16

# Strangers in all directions alike, who resemble known people by .2 more than that: thresholds lie between .75 and .95.
EVERYWHERE = Population(
    mean=np.zeros(DIMENSION, np.float32),
    basis=np.eye(DIMENSION, dtype=np.float32),
    weights=np.ones(1, np.float32),
    centres=np.zeros((1, DIMENSION), np.float32),
    roots=np.eye(DIMENSION, dtype=np.float32)[None],
    spreads=np.zeros(0, np.float32),
)
STRANGERS = Strangers(100, 0.2, EVERYWHERE)

Make = Callable[..., Matcher]
every_matcher = pytest.mark.parametrize("make", [CosineMatcher, KnnMatcher])


def unit(vectors: npt.NDArray[np.floating]) -> Float32:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def near(centre: Float32, count: int, seed: int, spread: float = 0.02) -> Float32:
    """Return unit vectors about a centre; at this spread their cosine to it is about .997 in 16 dimensions."""
    noise = np.random.default_rng(seed).normal(size=(count, len(centre))) * spread
    return unit(centre + noise)


def axis(index: int) -> Float32:
    """Return one of 16 unit vectors at right angles: people who do not resemble each other at all."""
    return np.asarray(np.eye(DIMENSION)[index], np.float32)


def person(name: str, vectors: Float32) -> Person:
    return Person(name, vectors, tuple(f"{i}.jpg" for i in range(len(vectors))))


def gallery_of(people: Sequence[Person]) -> Gallery:
    return Gallery(EMBEDDER, tuple(people), STRANGERS)


def threshold_of(gallery: Gallery, rate: float = 0.01) -> float:
    """Return the cosine from which people with one photo are named."""
    return calibration_of(gallery).threshold(rate) - calibration.allowance(1)


def at(cosine: float) -> Float32:
    """Return a row of that cosine to the first axis, away from the next thirteen."""
    return np.asarray((cosine * axis(0) + np.sqrt(1 - cosine**2) * axis(15))[None], np.float32)


def family(*photo_counts: int) -> Gallery:
    """Return people p0, p1 … about the axes of their numbers."""
    return gallery_of(tuple(person(f"p{i}", near(axis(i), count, seed=i)) for i, count in enumerate(photo_counts)))


@st.composite
def galleries(draw: st.DrawFn) -> Gallery:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    # Random directions in 16 dimensions: cosines between people stay far below 1.
    return gallery_of(
        tuple(person(f"p{i}", near(unit(rng.normal(size=DIMENSION)), count, seed=i)) for i, count in enumerate(counts)),
    )


def probes(seed: int, gallery: Gallery, count: int) -> Float32:
    """Return as many vectors near people of the gallery as anywhere."""
    rng = np.random.default_rng(seed)
    photos = np.concatenate([person.embeddings for person in gallery.people])
    known = photos[rng.integers(len(photos), size=count)] + rng.normal(size=(count, DIMENSION)) * 0.05
    return unit(np.concatenate([known, rng.normal(size=(count, DIMENSION))]))


@every_matcher
class TestEveryMatcher:
    @settings(max_examples=25, deadline=None)
    @given(gallery=galleries(), seed=st.integers(0, 1000), data=st.data())
    def test_the_gallerys_order_changes_no_answer(
        self, make: Make, gallery: Gallery, seed: int, data: st.DataObject
    ) -> None:
        shuffled = gallery_of(tuple(data.draw(st.permutations(gallery.people))))
        embeddings = probes(seed, gallery, 4)
        assert make(gallery).match(embeddings) == make(shuffled).match(embeddings)

    @settings(max_examples=25, deadline=None)
    @given(gallery=galleries(), seed=st.integers(0, 1000))
    def test_the_batch_changes_no_answer(self, make: Make, gallery: Gallery, seed: int) -> None:
        matcher = make(gallery)
        embeddings = probes(seed, gallery, 5)
        together = matcher.match(embeddings)
        assert together == [matcher.match(row[None])[0] for row in embeddings]
        assert together[2:7] == matcher.match(embeddings[2:7])

    @settings(max_examples=25, deadline=None)
    @given(gallery=galleries())
    def test_every_enrolled_photo_is_its_own_person(self, make: Make, gallery: Gallery) -> None:
        matcher = make(gallery)
        for one in gallery.people:
            assert {identity.name for identity in matcher.match(one.embeddings)} == {one.name}

    @settings(max_examples=25, deadline=None)
    @given(gallery=galleries(), seed=st.integers(0, 1000))
    def test_every_answer_is_in_range(self, make: Make, gallery: Gallery, seed: int) -> None:
        for identity in make(gallery).match(probes(seed, gallery, 5)):
            assert identity.name is None or identity.name in gallery.names
            assert -1 <= identity.similarity <= 1
            assert 0 <= identity.probability <= 1
            assert identity.name is not None or identity.probability >= 0.5
            assert 0 <= identity.margin <= 2
            assert identity.samples == 1

    def test_the_opposite_of_a_person_is_unknown(self, make: Make) -> None:
        (identity,) = make(family(4)).match(-axis(0)[None])
        assert identity.name is None
        assert identity.similarity == pytest.approx(-1, abs=0.02)
        assert identity.probability > 0.99

    def test_somebody_at_right_angles_to_all_is_unknown(self, make: Make) -> None:
        (identity,) = make(family(1, 3, 8)).match(axis(9)[None])
        assert identity.name is None
        assert identity.probability > 0.99

    def test_a_known_face_is_named_with_a_high_probability(self, make: Make) -> None:
        identities = make(family(1, 3, 8)).match(np.stack([axis(2), axis(0)]))
        assert [identity.name for identity in identities] == ["p2", "p0"]
        assert min(identity.probability for identity in identities) > 0.95

    def test_half_way_between_two_people_it_is_neither(self, make: Make) -> None:
        (identity,) = make(family(4, 4)).match(unit(axis(0) + axis(1))[None])
        assert identity.name is None
        assert identity.margin == pytest.approx(0, abs=0.05)

    def test_the_shorter_mean_of_views_that_disagree_is_less_similar(self, make: Make) -> None:
        matcher = make(family(4, 4), similarity_threshold=0.9)
        agreeing, disagreeing = axis(0), (axis(0) + unit(axis(0) + axis(9))) / 2
        assert [identity.name for identity in matcher.match(np.stack([agreeing, disagreeing]))] == ["p0", None]
        assert matcher.match(unit(disagreeing)[None])[0].name == "p0", "as a unit vector it would pass"

    def test_a_larger_gallery_asks_for_more(self, make: Make) -> None:
        exact = [person(f"p{i}", axis(i)[None]) for i in range(DIMENSION - 1)]
        few, many = gallery_of(exact[:2]), gallery_of(exact)
        assert threshold_of(few) + 0.02 < threshold_of(many)
        probe = at((threshold_of(few) + threshold_of(many)) / 2)
        assert make(few).match(probe)[0].name == "p0"
        assert make(many).match(probe)[0].name is None

    def test_fewer_false_accepts_ask_for_more(self, make: Make) -> None:
        gallery = gallery_of((person("a", axis(0)[None]),))
        probe = at((threshold_of(gallery, 0.1) + threshold_of(gallery, 0.001)) / 2)
        assert make(gallery, false_accept_rate=0.1).match(probe)[0].name == "a"
        assert make(gallery, false_accept_rate=0.001).match(probe)[0].name is None

    def test_without_a_word_on_strangers_a_threshold_must_be_given(self, make: Make) -> None:
        unknown = Gallery(EMBEDDER, (person("a", axis(0)[None]),))
        with pytest.raises(GalleryError, match=r"people calibrate --strangers DIR.*similarity_threshold"):
            make(unknown)
        assert make(unknown, similarity_threshold=0.9).match(axis(0)[None])[0].name == "a"

    def test_who_is_more_like_a_look_alike_than_like_the_person_is_unknown(self, make: Make) -> None:
        ana = person("Ana", axis(0)[None]).with_look_alike(at(0.97)[0], "her sister")
        gallery = gallery_of((ana, person("Ben", axis(1)[None])))
        rows = np.concatenate([axis(0)[None], at(0.995), at(0.975), at(0.97)])
        assert [one.name for one in make(gallery).match(rows)] == ["Ana", "Ana", None, None]
        assert [bool(one) for one in make(gallery).candidates(rows)] == [True, True, False, False]

    def test_the_candidates_are_who_could_be_named_best_first(self, make: Make) -> None:
        gallery = gallery_of([person(f"p{i}", axis(i)[None]) for i in range(5)])
        row = unit(5 * axis(0) + 4 * axis(1) + 3 * axis(2) + 2 * axis(3))[None]
        (candidates,) = make(gallery, similarity_threshold=0.3).candidates(np.concatenate([row, axis(9)[None]]))[:1]
        assert [one.name for one in candidates] == ["p0", "p1", "p2"]
        assert [one.similarity for one in candidates] == pytest.approx([5 / 54**0.5, 4 / 54**0.5, 3 / 54**0.5])
        assert make(gallery, similarity_threshold=0.3).candidates(axis(9)[None]) == [()]
        assert make(gallery_of(())).candidates(row) == [()]

    def test_a_threshold_of_ones_own_replaces_the_calibrated_one(self, make: Make) -> None:
        probe = unit(axis(0) + axis(15))[None]  # cosine .707
        gallery = gallery_of((person("a", axis(0)[None]),))
        assert make(gallery).match(probe)[0].name is None
        assert make(gallery, similarity_threshold=0.7).match(probe)[0].name == "a"
        assert make(gallery, similarity_threshold=0.72).match(probe)[0].name is None

    def test_the_probability_rises_with_similarity_and_that_of_unknown_falls(self, make: Make) -> None:
        gallery = gallery_of((person("a", axis(0)[None]),))
        cosines = threshold_of(gallery) + np.linspace(-0.05, 0.04, 29)
        identities = make(gallery).match(np.concatenate([at(float(cosine)) for cosine in cosines]))
        named = [identity.probability for identity in identities if identity.name is not None]
        unknown = [identity.probability for identity in identities if identity.name is None]
        assert named == sorted(named)
        assert unknown == sorted(unknown, reverse=True)
        assert len(named) > 5
        assert len(unknown) > 5
        assert named[-1] > 0.99
        assert unknown[0] > 0.99

    def test_just_below_the_threshold_unknown_is_the_likelier_answer(self, make: Make) -> None:
        gallery = gallery_of((person("a", axis(0)[None]),))
        below, above = make(gallery).match(
            np.concatenate([at(threshold_of(gallery) - 1e-4), at(threshold_of(gallery) + 1e-4)])
        )
        assert below.name is None
        assert above.name == "a"
        assert 0.5 <= below.probability < 0.6

    def test_the_margin_is_to_the_second_best_person(self, make: Make) -> None:
        gallery = gallery_of((person("a", axis(0)[None]), person("b", axis(1)[None])))
        row = (np.sqrt(1 - 0.2**2) * axis(0) + 0.2 * axis(1))[None].astype(np.float32)
        (identity,) = make(gallery).match(row)
        assert identity.margin == pytest.approx(np.sqrt(1 - 0.2**2) - 0.2, abs=1e-5)

    def test_alone_in_the_gallery_there_is_no_margin(self, make: Make) -> None:
        assert make(family(3)).match(axis(0)[None])[0].margin == 0

    def test_an_empty_gallery_knows_nobody_for_sure(self, make: Make) -> None:
        assert make(gallery_of(())).match(np.stack([axis(0), axis(1)])) == [Identity(None, -1.0, 1.0, 0.0)] * 2

    @pytest.mark.parametrize("gallery", [gallery_of(()), family(2, 2)], ids=["empty", "of two"])
    def test_no_faces_give_no_answers(self, make: Make, gallery: Gallery) -> None:
        assert make(gallery).match(np.zeros((0, DIMENSION), np.float32)) == []

    @pytest.mark.parametrize(
        "embeddings",
        [np.zeros((2, DIMENSION + 1), np.float32), np.zeros(DIMENSION, np.float32)],
        ids=["too long", "one row without its axis"],
    )
    def test_vectors_of_another_length_are_refused(self, make: Make, embeddings: Float32) -> None:
        with pytest.raises(ValueError, match=r"embeddings must be \(N, 16\) float32"):
            make(family(2)).match(embeddings)

    def test_vectors_that_are_not_finite_are_refused(self, make: Make) -> None:
        with pytest.raises(ValueError, match="finite"):
            make(family(2)).match(np.full((1, DIMENSION), np.nan, np.float32))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"false_accept_rate": 0.0}, "false_accept_rate"),
            ({"false_accept_rate": 0.6}, "false_accept_rate"),
            ({"similarity_threshold": 1.5}, "similarity_threshold"),
        ],
    )
    def test_options_out_of_range_are_refused(self, make: Make, options: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make(family(1), **options)


class TestCosine:
    def test_photos_that_cancel_out_resemble_nobody(self) -> None:
        opposite = gallery_of((person("a", np.stack([axis(0), -axis(0)])),))
        assert CosineMatcher(opposite).match(axis(0)[None])[0].name is None

    def test_a_person_with_few_photos_is_named_from_a_lower_similarity(self) -> None:
        gallery = gallery_of((person("few", axis(0)[None]), person("many", np.tile(axis(1), (8, 1)))))
        many = calibration_of(gallery).threshold(0.01) - calibration.allowance(8)
        cosine = (threshold_of(gallery) + many) / 2
        rows = cosine * np.stack([axis(0), axis(1)]) + np.sqrt(1 - cosine**2) * axis(15)
        identities = CosineMatcher(gallery).match(rows.astype(np.float32))
        assert [identity.name for identity in identities] == ["few", None]

    def test_between_two_people_as_like_the_face_no_name_is_given(self) -> None:
        twins = gallery_of((person("Ada", axis(0)[None]), person("Bea", unit(axis(0) + 0.02 * axis(1))[None])))
        matcher = CosineMatcher(twins)
        (identity,) = matcher.match(unit(axis(0) + 0.01 * axis(1))[None])
        assert identity.name is None
        assert identity.probability >= 0.5
        (candidates,) = matcher.candidates(unit(axis(0) + 0.01 * axis(1))[None])
        assert {one.name for one in candidates} == {"Ada", "Bea"}


class TestKnn:
    def test_more_votes_beat_a_nearer_photo(self) -> None:
        gallery = gallery_of((person("many", near(axis(0), 3, seed=1, spread=0.03)), person("one", axis(0)[None])))
        (identity,) = KnnMatcher(gallery, similarity_threshold=0.5).match(axis(0)[None])
        assert identity.name == "many"
        assert identity.margin == 0

    def test_an_equal_vote_goes_to_the_nearest(self) -> None:
        gallery = gallery_of((person("far", near(axis(0), 1, seed=1)), person("near", axis(0)[None])))
        assert KnnMatcher(gallery, similarity_threshold=0.5).match(axis(0)[None])[0].name == "near"

    def test_photos_below_the_threshold_have_no_vote(self) -> None:
        far = np.tile(unit(axis(0) + axis(5)), (4, 1))  # cosine .707
        gallery = gallery_of((person("crowd", far), person("one", axis(0)[None])))
        assert KnnMatcher(gallery, similarity_threshold=0.9).match(axis(0)[None])[0].name == "one"
        assert KnnMatcher(gallery, similarity_threshold=0.6).match(axis(0)[None])[0].name == "crowd"

    def test_only_k_neighbours_are_asked(self) -> None:
        gallery = gallery_of((person("many", near(axis(0), 3, seed=1, spread=0.03)), person("one", axis(0)[None])))
        assert KnnMatcher(gallery, k=1, similarity_threshold=0.5).match(axis(0)[None])[0].name == "one"
        with pytest.raises(ValueError, match="k must be at least 1"):
            KnnMatcher(gallery, k=0)

    def test_of_very_many_photos_the_same_ones_are_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(3)
        centres = unit(random.normal(size=(200, DIMENSION)))
        gallery = gallery_of([person(f"p{i:03}", near(centre, 4, seed=i)) for i, centre in enumerate(centres)])
        rows = unit(centres[::10] + random.normal(size=(20, DIMENSION)) * 0.05)
        exact = KnnMatcher(gallery, similarity_threshold=0.5).match(rows)
        monkeypatch.setattr("streamer.recognition.knn._MOST_PHOTOS", 500)
        assert KnnMatcher(gallery, similarity_threshold=0.5).match(rows) == exact


DLIB = EmbedderId("dlib-resnet", sha256_of("dlib-resnet"))


def dlib_people(count: int, photos: int, seed: int) -> Gallery:
    """Return people drawn from the population; views of one person differ as much as those of LFW do."""
    random = np.random.default_rng(seed)
    (centres,) = dlib_population().drawn(count, count, seed)
    return Gallery(
        DLIB,
        tuple(
            person(f"p{i:04}", unit(centre + random.normal(size=(photos, 128)) * 0.018))
            for i, centre in enumerate(centres)
        ),
    )


def share_named(matcher: Matcher, rows: Float32) -> float:
    return float(np.mean([identity.name is not None for identity in matcher.match(rows)]))


class TestCalibration:
    @pytest.mark.parametrize(("people", "photos"), [(1, 1), (5, 8), (20, 4), (60, 1)])
    def test_of_strangers_not_seen_in_calibration_as_many_are_named_as_asked_for(
        self, people: int, photos: int
    ) -> None:
        """The population's own strangers, fewer than asked for, because the tails of real ones are fatter."""
        (strangers,) = dlib_population().drawn(20_000, 20_000, seed=77)
        gallery = dlib_people(people, photos, seed=5)
        for rate, least, most in ((0.05, 0.041, 0.059), (0.01, 0.006, 0.011), (0.001, 0.0002, 0.0011)):
            accepted = share_named(CosineMatcher(gallery, false_accept_rate=rate), strangers)
            assert least <= accepted <= most

    def test_every_person_more_makes_the_threshold_tighter(self) -> None:
        everybody = dlib_people(40, 2, seed=9)
        sizes = (1, 2, 5, 10, 20, 40)
        thresholds = [calibration_of(Gallery(DLIB, everybody.people[:size])).threshold(0.01) for size in sizes]
        assert thresholds == sorted(thresholds)
        assert thresholds[-1] - thresholds[0] > 0.01

    def test_the_thresholds_rise_smoothly_as_the_rate_falls(self) -> None:
        calibrated_for = calibration_of(dlib_people(3, 2, seed=1))
        rates = np.geomspace(0.5, 1e-4, 100)
        thresholds = [calibrated_for.threshold(float(rate)) for rate in rates]
        assert (np.diff(thresholds) > 0).all()
        assert np.diff(thresholds).max() < 0.005
        assert calibrated_for.threshold(1e-9) == thresholds[-1], "beyond what was worked out it stays"

    def test_the_same_gallery_has_the_same_thresholds_again(self) -> None:
        first, second = (calibration_of(dlib_people(4, 2, seed=2)) for _ in range(2))
        np.testing.assert_array_equal(first.thresholds, second.thresholds)

    def test_strangers_who_look_like_the_people_raise_the_thresholds(self) -> None:
        gallery = dlib_people(5, 3, seed=4)
        templates, _ = templates_of(gallery.people)
        random = np.random.default_rng(0)
        (drawn,) = dlib_population().drawn(400, 400, seed=8)
        like_ours = unit(drawn + 0.5 * templates[random.integers(5, size=400)])
        plain, adapted = calibration_of(gallery), calibration_of(with_strangers(gallery, like_ours))
        assert adapted.threshold(0.01) > plain.threshold(0.01) + 0.005
        (others,) = dlib_population().drawn(400, 400, seed=21)
        unmoved = calibration_of(with_strangers(gallery, others))
        assert unmoved.threshold(0.01) == pytest.approx(plain.threshold(0.01), abs=0.003)

    def test_of_few_strangers_little_is_believed(self) -> None:
        gallery = dlib_people(5, 3, seed=4)
        templates, _ = templates_of(gallery.people)
        few, many = (with_strangers(gallery, np.tile(templates, (times, 1))).strangers for times in (1, 100))
        assert few is not None
        assert many is not None
        assert 0 < few.shift < many.shift / 3

    def test_for_another_net_a_population_is_fitted_to_the_strangers_given(self) -> None:
        random = np.random.default_rng(0)
        vectors = unit(random.normal(size=(120, DIMENSION)) + 2 * axis(3))
        gallery = Gallery(EMBEDDER, (person("a", vectors[:2]),))
        adapted = with_strangers(gallery, vectors[20:])
        fresh = unit(random.normal(size=(4000, DIMENSION)) + 2 * axis(3))
        accepted = np.mean(
            [one.name is not None for one in CosineMatcher(adapted, false_accept_rate=0.05).match(fresh)]
        )
        assert 0.02 < accepted < 0.1
        with pytest.raises(GalleryError, match="too few"):
            with_strangers(gallery, vectors[:20])

    def test_a_gallery_of_a_net_that_nothing_is_known_of_stays_uncalibrated(self) -> None:
        unknown = Gallery(EMBEDDER, (person("a", axis(0)[None]),))
        assert calibrated(unknown) is unknown
        assert calibrated(dlib_people(2, 1, seed=0)).calibration is not None

    def test_odds_are_finite_however_far_away(self) -> None:
        odds = calibration.name_odds(np.array([-1e9, 0, 1e9], np.float32))
        assert np.isfinite(odds).all()
        assert odds[0] < 1e-20
        assert odds[2] > 1e20

    @pytest.mark.parametrize("thresholds", [np.zeros(3, np.float32), np.full(12, np.nan, np.float32)])
    def test_thresholds_of_another_shape_or_without_a_value_are_refused(self, thresholds: Float32) -> None:
        with pytest.raises(ValueError, match="thresholds"):
            Calibration(thresholds)


class TestPopulation:
    def test_what_is_drawn_has_the_mean_and_spread_of_what_it_was_fitted_to(self) -> None:
        random = np.random.default_rng(1)
        vectors = unit(random.normal(size=(600, DIMENSION)) * np.linspace(0.5, 0.05, DIMENSION) + axis(0))
        (drawn,) = fit_population(vectors).drawn(20_000, 20_000)
        assert np.allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(drawn.mean(axis=0), vectors.mean(axis=0), atol=0.02)
        np.testing.assert_allclose(drawn.std(axis=0), vectors.std(axis=0), atol=0.02)

    def test_parts_of_any_size_give_as_many_of_the_same_kind(self) -> None:
        parts = list(dlib_population().drawn(1000, 300, seed=4))
        assert [len(part) for part in parts] == [300, 300, 300, 100]
        again = list(dlib_population().drawn(1000, 300, seed=4))
        np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(again))

    def test_each_part_of_the_shipped_model_is_a_spread_of_many_people(self) -> None:
        """A part of few people would tell who they were."""
        population = dlib_population()
        assert (population.weights * 1241).min() > 20
        spreads = np.sqrt((population.roots**2).sum(axis=2))
        assert spreads.min() > 0.005

    def test_too_few_people_are_no_population(self) -> None:
        with pytest.raises(ValueError, match="at least 50"):
            fit_population(unit(np.random.default_rng(0).normal(size=(49, DIMENSION))))
