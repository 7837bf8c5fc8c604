"""What holds for every matcher, and how often known faces and strangers are named right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.recognition.calibration import name_probability, similarity_thresholds
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.knn import KnnMatcher
from streamer.recognition.people import EmbedderId, Gallery, Person
from streamer.stages import Matcher
from streamer.types import Float32, Identity

EMBEDDER = EmbedderId("fake", "0" * 64)
DIMENSION = 16

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


def family(*photo_counts: int) -> Gallery:
    """Return people p0, p1 … about the axes of their numbers."""
    return Gallery(
        EMBEDDER, tuple(person(f"p{i}", near(axis(i), count, seed=i)) for i, count in enumerate(photo_counts))
    )


@st.composite
def galleries(draw: st.DrawFn) -> Gallery:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    # Random directions in 16 dimensions: cosines between people stay far below 1.
    return Gallery(
        EMBEDDER,
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
        shuffled = Gallery(EMBEDDER, tuple(data.draw(st.permutations(gallery.people))))
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
        # .93 suffices among two people with one photo each (threshold .915), not among sixteen (.931).
        probe = (0.925 * axis(0) + np.sqrt(1 - 0.925**2) * axis(15))[None].astype(np.float32)
        exact = [person(f"p{i}", axis(i)[None]) for i in range(DIMENSION - 1)]
        assert make(Gallery(EMBEDDER, tuple(exact[:2]))).match(probe)[0].name == "p0"
        assert make(Gallery(EMBEDDER, tuple(exact))).match(probe)[0].name is None

    def test_fewer_false_accepts_ask_for_more(self, make: Make) -> None:
        probe = (0.925 * axis(0) + np.sqrt(1 - 0.925**2) * axis(15))[None].astype(np.float32)
        gallery = Gallery(EMBEDDER, (person("a", axis(0)[None]),))
        assert make(gallery, false_accept_rate=0.1).match(probe)[0].name == "a"
        assert make(gallery, false_accept_rate=0.001).match(probe)[0].name is None

    def test_a_threshold_of_ones_own_replaces_the_calibrated_one(self, make: Make) -> None:
        probe = unit(axis(0) + axis(15))[None]  # cosine .707
        gallery = Gallery(EMBEDDER, (person("a", axis(0)[None]),))
        assert make(gallery).match(probe)[0].name is None
        assert make(gallery, similarity_threshold=0.7).match(probe)[0].name == "a"
        assert make(gallery, similarity_threshold=0.72).match(probe)[0].name is None

    def test_the_probability_rises_with_similarity_and_that_of_unknown_falls(self, make: Make) -> None:
        cosines = np.linspace(0.85, 0.99, 29, dtype=np.float32)
        rows = cosines[:, None] * axis(0) + np.sqrt(1 - cosines[:, None] ** 2) * axis(15)
        identities = make(Gallery(EMBEDDER, (person("a", axis(0)[None]),))).match(rows.astype(np.float32))
        named = [identity.probability for identity in identities if identity.name is not None]
        unknown = [identity.probability for identity in identities if identity.name is None]
        assert named == sorted(named)
        assert unknown == sorted(unknown, reverse=True)
        assert len(named) > 5
        assert len(unknown) > 5
        assert named[-1] > 0.99
        assert unknown[0] > 0.99

    def test_just_below_the_threshold_unknown_is_the_likelier_answer(self, make: Make) -> None:
        (threshold,) = similarity_thresholds(np.array([1]), 1, 0.01)
        cosine = float(threshold) - 1e-4
        row = cosine * axis(0) + np.sqrt(1 - cosine**2) * axis(15)
        (identity,) = make(Gallery(EMBEDDER, (person("a", axis(0)[None]),))).match(row[None].astype(np.float32))
        assert identity.name is None
        assert 0.5 <= identity.probability < 0.6

    def test_the_margin_is_to_the_second_best_person(self, make: Make) -> None:
        gallery = Gallery(EMBEDDER, (person("a", axis(0)[None]), person("b", axis(1)[None])))
        row = (np.sqrt(1 - 0.2**2) * axis(0) + 0.2 * axis(1))[None].astype(np.float32)
        (identity,) = make(gallery).match(row)
        assert identity.margin == pytest.approx(np.sqrt(1 - 0.2**2) - 0.2, abs=1e-5)

    def test_alone_in_the_gallery_there_is_no_margin(self, make: Make) -> None:
        assert make(family(3)).match(axis(0)[None])[0].margin == 0

    def test_an_empty_gallery_knows_nobody_for_sure(self, make: Make) -> None:
        assert make(Gallery(EMBEDDER)).match(np.stack([axis(0), axis(1)])) == [Identity(None, -1.0, 1.0, 0.0)] * 2

    @pytest.mark.parametrize("gallery", [Gallery(EMBEDDER), family(2, 2)], ids=["empty", "of two"])
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
        opposite = Gallery(EMBEDDER, (person("a", np.stack([axis(0), -axis(0)])),))
        assert CosineMatcher(opposite).match(axis(0)[None])[0].name is None

    def test_a_person_with_few_photos_is_named_from_a_lower_similarity(self) -> None:
        few, many = similarity_thresholds(np.array([1, 8]), rivals=10, false_accept_rate=0.01)
        cosine = float(few + many) / 2
        gallery = Gallery(EMBEDDER, (person("few", axis(0)[None]), person("many", np.tile(axis(1), (8, 1)))))
        rows = cosine * np.stack([axis(0), axis(1)]) + np.sqrt(1 - cosine**2) * axis(15)
        matcher = CosineMatcher(gallery, false_accept_rate=0.002)  # the risk of 10 people at 1 %
        assert [identity.name for identity in matcher.match(rows.astype(np.float32))] == ["few", None]


class TestKnn:
    def test_more_votes_beat_a_nearer_photo(self) -> None:
        gallery = Gallery(
            EMBEDDER, (person("many", near(axis(0), 3, seed=1, spread=0.03)), person("one", axis(0)[None]))
        )
        (identity,) = KnnMatcher(gallery, similarity_threshold=0.5).match(axis(0)[None])
        assert identity.name == "many"
        assert identity.margin == 0

    def test_an_equal_vote_goes_to_the_nearest(self) -> None:
        gallery = Gallery(EMBEDDER, (person("far", near(axis(0), 1, seed=1)), person("near", axis(0)[None])))
        assert KnnMatcher(gallery, similarity_threshold=0.5).match(axis(0)[None])[0].name == "near"

    def test_photos_below_the_threshold_have_no_vote(self) -> None:
        far = np.tile(unit(axis(0) + axis(5)), (4, 1))  # cosine .707
        gallery = Gallery(EMBEDDER, (person("crowd", far), person("one", axis(0)[None])))
        assert KnnMatcher(gallery, similarity_threshold=0.9).match(axis(0)[None])[0].name == "one"
        assert KnnMatcher(gallery, similarity_threshold=0.6).match(axis(0)[None])[0].name == "crowd"

    def test_only_k_neighbours_are_asked(self) -> None:
        gallery = Gallery(
            EMBEDDER, (person("many", near(axis(0), 3, seed=1, spread=0.03)), person("one", axis(0)[None]))
        )
        assert KnnMatcher(gallery, k=1, similarity_threshold=0.5).match(axis(0)[None])[0].name == "one"
        with pytest.raises(ValueError, match="k must be at least 1"):
            KnnMatcher(gallery, k=0)


class TestCalibration:
    def test_the_thresholds_stay_near_those_measured(self) -> None:
        """At 1 % of strangers; (people, photos, threshold) as measured on LFW, root mean square error .0016."""
        measured: Sequence[tuple[int, int, float]] = (
            (1, 1, 0.9088),
            (5, 1, 0.9232),
            (5, 8, 0.9349),
            (20, 8, 0.9433),
            (40, 4, 0.9437),
            (320, 1, 0.9468),
        )
        for people, photos, threshold in measured:
            (given_threshold,) = similarity_thresholds(np.array([photos]), people, 0.01)
            assert given_threshold == pytest.approx(threshold, abs=0.0035)

    def test_the_thresholds_never_fall_as_people_are_added(self) -> None:
        thresholds = [float(similarity_thresholds(np.array([4]), 2.0**n, 0.001)[0]) for n in range(40)]
        assert thresholds == sorted(thresholds)
        assert thresholds[-1] < 1

    def test_probabilities_are_finite_however_far_away(self) -> None:
        assert name_probability(-1e9) == pytest.approx(0)
        assert name_probability(1e9) == 1
