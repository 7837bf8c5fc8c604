"""Which photos are suspected to be of somebody else: drawn people of the shipped population, and real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamer.recognition.people import EmbedderId, Gallery, Person
from streamer.recognition.photo_reader import PhotoReader, largest_face
from streamer.recognition.population import dlib_population
from streamer.recognition.suspects import Likeness, Suspicion
from streamer.types import Float32
from streamer.weights import sha256_of
from tests.nets import dlib, mtcnn

DLIB = EmbedderId("dlib-resnet", sha256_of("dlib-resnet"))
_SPREAD = 0.018  # views of one person differ as much as those of LFW do


@pytest.fixture(scope="module")
def suspicion() -> Suspicion:
    return Suspicion(dlib_population())


def drawn(people: int, photos: int, seed: int = 0) -> list[Float32]:
    """Return (photos, 128) unit vectors of each person."""
    random = np.random.default_rng(seed)
    (centres,) = dlib_population().drawn(people, people, seed + 100)
    views = [centre + random.normal(size=(photos, 128)) * _SPREAD for centre in centres]
    return [np.asarray(own / np.linalg.norm(own, axis=1, keepdims=True), np.float32) for own in views]


def person(name: str, vectors: Float32) -> Person:
    return Person(name, vectors, tuple(f"{number}.jpg" for number in range(len(vectors))))


def gallery(people: list[Float32]) -> Gallery:
    return Gallery(DLIB, tuple(person(f"p{number}", own) for number, own in enumerate(people)))


class TestOutliers:
    def test_hardly_any_photo_of_the_person_is_suspected(self, suspicion: Suspicion) -> None:
        assert sum(int(suspicion.outliers(own).sum()) for own in drawn(100, 5)) <= 2

    @pytest.mark.parametrize("photos", [3, 5, 8])
    def test_one_photo_of_somebody_else_is_found_wherever_it_stands(self, suspicion: Suspicion, photos: int) -> None:
        people = drawn(30, photos, seed=photos)
        found = 0
        for number, own in enumerate(people):
            mixed, place = own.copy(), number % photos
            mixed[place] = people[number - 1][0]
            found += np.flatnonzero(suspicion.outliers(mixed)).tolist() == [place]
        assert found >= 24, "a tenth of all strangers is too like to be told by this measure"

    def test_two_photos_of_somebody_else_are_found_among_six(self, suspicion: Suspicion) -> None:
        first, second = drawn(2, 6, seed=4)
        assert np.flatnonzero(suspicion.outliers(np.concatenate([first[:4], second[:2]]))).tolist() == [4, 5]

    def test_of_fewer_than_three_none_is_an_outlier_but_two_may_disagree(self, suspicion: Suspicion) -> None:
        first, second = drawn(2, 3, seed=4)
        mixed = np.stack([first[0], second[0]])
        assert not suspicion.outliers(mixed).any()
        assert suspicion.disagree(mixed)
        assert not suspicion.disagree(first[:2])
        assert not suspicion.disagree(first)


class TestLookAlikes:
    def test_a_photo_of_a_known_person_under_a_new_name_is_found(self, suspicion: Suspicion) -> None:
        people = drawn(20, 4, seed=1)
        known = [own[:3] for own in people]
        found = sum(
            suspicion.look_alikes(gallery([*known, people[index][3:]]), frozenset({"p20"}))
            == [Likeness("p20", 0, f"p{index}")]
            for index in range(20)
        )
        assert found >= 19

    def test_one_photo_of_a_known_person_among_anothers_is_found(self, suspicion: Suspicion) -> None:
        first, second = drawn(2, 4, seed=2)
        mixed = np.concatenate([second, first[3:]])
        assert suspicion.look_alikes(gallery([first[:3], mixed]), frozenset({"p1"})) == [Likeness("p1", 4, "p0")]

    @pytest.mark.parametrize("people", [5, 400])
    def test_however_many_people_there_are_few_new_ones_are_suspected(self, suspicion: Suspicion, people: int) -> None:
        """The more there are, the more like one of them a stranger is by chance."""
        everybody = gallery(drawn(people, 1, seed=3))
        assert len(suspicion.look_alikes(everybody, frozenset(everybody.names))) <= max(1, people // 50)

    def test_only_photos_of_the_named_are_judged_and_alone_nobody_looks_like_another(
        self, suspicion: Suspicion
    ) -> None:
        first = drawn(1, 4)[0]
        twice = gallery([first[:2], first[2:3]])
        assert suspicion.look_alikes(twice, frozenset()) == []
        assert suspicion.look_alikes(gallery([first]), frozenset({"p0"})) == []
        assert [likeness.name for likeness in suspicion.look_alikes(twice, frozenset({"p1"}))] == ["p1"]

    def test_people_as_a_whole_are_one_or_two(self, suspicion: Suspicion) -> None:
        first, second = drawn(2, 6, seed=6)
        assert suspicion.differ(person("a", first), person("b", second))
        assert not suspicion.differ(person("a", first[:3]), person("b", first[3:]))


@pytest.mark.shared_data
@pytest.mark.timeout(60)
def test_real_photos_among_anothers_are_told(suspicion: Suspicion, shared_data: Path) -> None:
    folder = shared_data / "lfw_dev"
    chosen = json.loads((folder / "identification.json").read_text())
    reader = PhotoReader(mtcnn(), dlib(), largest_face, accept_faults=True)
    people = [
        np.stack([reader.read(folder / "images" / path).vector for path in chosen[name][:6]])
        for name in sorted(chosen)[:6]
    ]
    for index, own in enumerate(people):
        assert not suspicion.outliers(own).any()
        mixed = np.concatenate([own, people[index - 1][:1]])
        outliers = np.flatnonzero(suspicion.outliers(mixed)).tolist()
        with_others = gallery([*[other for place, other in enumerate(people) if place != index], mixed])
        alike = [one.photo for one in suspicion.look_alikes(with_others, frozenset({"p5"}))]
        assert outliers == [6] or alike == [6], "the gate has both ways to find it"
