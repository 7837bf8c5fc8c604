"""Trained matchers: each method names who it learnt and calls strangers unknown; its file is safe."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from streamer.errors import GalleryError
from streamer.recognition import cnn_training, trained_file
from streamer.recognition import folds as folding
from streamer.recognition.cnn import CnnEmbedder, small_grey, standardised
from streamer.recognition.cnn_openvino import OpenVinoCnn
from streamer.recognition.cnn_torch import TorchCnn
from streamer.recognition.folds import folds
from streamer.recognition.pixels import PixelEmbedder
from streamer.recognition.rejection import HeldOut, fit_rejection
from streamer.recognition.trained import METHODS, Method, Nets, TrainedMatcher, load, train
from streamer.recognition.trained_file import serialise
from streamer.stages import Embedder
from tests.chips import drawn_people, drawn_person, drawn_strangers, small_pixels

pytestmark = pytest.mark.timeout(60)  # the first test that needs the matchers trains them

NAMES = ("Ana", "Ben", "Chloé", "Đorđe")
PHOTOS = 4
NETS = Nets(face=lambda: small_pixels)
every_method = pytest.mark.parametrize("method", METHODS)


def trained_on_drawn(method: Method) -> TrainedMatcher:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn_training, "LEAST_STEPS", 40)  # drawn people differ more than faces do
        return train(method, drawn_people(NAMES, PHOTOS), net=small_pixels)


@pytest.fixture(scope="session")
def matchers() -> dict[Method, TrainedMatcher]:
    return {method: trained_on_drawn(method) for method in METHODS}


@pytest.fixture
def saved(matchers: dict[Method, TrainedMatcher], tmp_path: Path) -> Path:
    matchers["knn"].save(tmp_path / "some.matcher")
    return tmp_path / "some.matcher"


@every_method
class TestEveryMethod:
    def test_names_unseen_photos_of_those_it_learnt(
        self, method: Method, matchers: dict[Method, TrainedMatcher]
    ) -> None:
        embedder, matcher = matchers[method].recognition(-1.0)
        for name, crops in drawn_people(NAMES, 10, seed=1).items():
            assert {answer.name for answer in matcher.match(embedder.embed(crops))} == {name}

    def test_calls_most_strangers_unknown_and_few_of_the_known(
        self, method: Method, matchers: dict[Method, TrainedMatcher]
    ) -> None:
        embedder, matcher = matchers[method].recognition()
        strangers = matcher.match(embedder.embed(drawn_strangers(60, seed=1)))
        known = [
            answer.name == name
            for name, crops in drawn_people(NAMES, 10, seed=1).items()
            for answer in matcher.match(embedder.embed(crops))
        ]
        assert sum(answer.name is not None for answer in strangers) <= 12
        assert sum(known) >= 32

    def test_probabilities_tell_the_known_from_strangers(
        self, method: Method, matchers: dict[Method, TrainedMatcher]
    ) -> None:
        embedder, matcher = matchers[method].recognition()
        named = [a.probability for a in matcher.match(embedder.embed(drawn_person(0, 10, seed=1))) if a.name]
        unknown = [a.probability for a in matcher.match(embedder.embed(drawn_strangers(30, seed=1))) if not a.name]
        assert np.mean(named) > 0.6
        assert np.mean(unknown) > 0.6

    def test_a_file_gives_the_same_answers_as_what_was_saved(
        self, method: Method, matchers: dict[Method, TrainedMatcher], tmp_path: Path
    ) -> None:
        matchers[method].save(tmp_path / "a.matcher")
        again = load(tmp_path / "a.matcher", NETS)
        crops = np.concatenate([drawn_person(1, 5, seed=2), drawn_strangers(5, seed=2)])
        answers = []
        for one in (matchers[method], again):
            embedder, matcher = one.recognition()
            answers.append(matcher.match(embedder.embed(crops)))
        assert answers[0] == answers[1]
        assert again.content.seed == 0
        assert again.content.settings == matchers[method].content.settings
        assert again.names == NAMES
        assert again.content.photo_counts == (PHOTOS,) * 4

    def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_the_people(
        self, method: Method, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cnn_training, "LEAST_STEPS", 5)
        people = drawn_people(NAMES, 3)
        again = {name: people[name] for name in reversed(NAMES)}
        first, second, other = (
            serialise(train(method, some, seed=seed, net=small_pixels).content)
            for some, seed in ((people, 7), (again, 7), (people, 8))
        )
        assert first == second
        assert first != other  # if only by the seed it tells

    def test_candidates_begin_with_the_answer_and_are_three_at_most(
        self, method: Method, matchers: dict[Method, TrainedMatcher]
    ) -> None:
        crops = np.concatenate([drawn_person(2, 5, seed=3), drawn_strangers(5, seed=3)])
        for threshold in (None, -1.0, 0.5):
            embedder, matcher = matchers[method].recognition(threshold)
            vectors = embedder.embed(crops)
            for answer, rows in zip(matcher.match(vectors), matcher.candidates(vectors), strict=True):
                assert len(rows) <= 3
                assert (answer.name is None) == (not rows)
                assert not rows or rows[0] == answer
                assert len({row.name for row in rows} - {None}) == len(rows)

    def test_the_batch_changes_no_answer(self, method: Method, matchers: dict[Method, TrainedMatcher]) -> None:
        embedder, matcher = matchers[method].recognition()
        crops = np.concatenate([drawn_person(0, 3, seed=4), drawn_strangers(4, seed=4)])
        together = matcher.match(embedder.embed(crops))
        assert together == [matcher.match(embedder.embed(crop[None]))[0] for crop in crops]
        assert matcher.match(embedder.embed(crops[:0])) == []

    def test_vectors_are_of_length_one(self, method: Method, matchers: dict[Method, TrainedMatcher]) -> None:
        embedder, _ = matchers[method].recognition()
        vectors = embedder.embed(drawn_strangers(4))
        assert vectors.shape == (4, embedder.dimension)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)

    def test_a_threshold_from_outside_is_used(self, method: Method, matchers: dict[Method, TrainedMatcher]) -> None:
        embedder, strict = matchers[method].recognition(1.0)
        assert {answer.name for answer in strict.match(embedder.embed(drawn_person(0, 4, seed=5)))} == {None}

    def test_crops_of_another_shape_are_refused(self, method: Method, matchers: dict[Method, TrainedMatcher]) -> None:
        embedder, matcher = matchers[method].recognition()
        with pytest.raises(ValueError, match="150"):
            embedder.embed(np.zeros((1, 64, 64, 3), np.uint8))
        with pytest.raises(ValueError, match="embeddings must be"):
            matcher.match(np.zeros((1, 5), np.float32))


class TestTraining:
    def test_another_seed_trains_another_net(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cnn_training, "LEAST_STEPS", 3)
        grey, owners = small_grey(np.concatenate(list(drawn_people(NAMES, 2).values()))), np.repeat(np.arange(4), 2)
        first, second = (
            cnn_training.train_cnn(grey, owners, seed=seed, on_step=lambda: None)["conv0.weight"] for seed in (0, 1)
        )
        assert not np.array_equal(first, second)

    def test_training_leaves_the_programs_random_numbers_and_threads_alone(self) -> None:
        import torch

        before, threads = torch.random.get_rng_state(), torch.get_num_threads()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cnn_training, "LEAST_STEPS", 2)
            train("cnn", drawn_people(NAMES, 2), net=small_pixels)
        assert torch.equal(before, torch.random.get_rng_state())
        assert torch.get_num_threads() == threads

    @every_method
    def test_progress_rises_to_one(self, method: Method) -> None:
        shares: list[float] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cnn_training, "LEAST_STEPS", 3)
            train(method, drawn_people(NAMES, 3), net=small_pixels, on_progress=shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)

    @every_method
    def test_what_progress_raises_ends_the_training(self, method: Method) -> None:
        def stop(_share: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(method, drawn_people(NAMES, 3), net=small_pixels, on_progress=stop)

    @every_method
    def test_too_few_people_are_refused_with_what_to_do(self, method: Method) -> None:
        with pytest.raises(GalleryError, match=r"give|needs"):
            train(method, drawn_people(NAMES[:1], 6), net=small_pixels)

    def test_one_photo_of_everybody_is_too_little(self) -> None:
        with pytest.raises(GalleryError, match="two photos"):
            train("knn-pixels", drawn_people(NAMES, 1))

    def test_nobody_a_person_without_photos_and_a_bad_name_are_refused(self) -> None:
        for people in ({}, {"Ana": drawn_person(0, 1)[:0]}, {"a\nb": drawn_person(0, 2)}):
            with pytest.raises(GalleryError):
                train("knn-pixels", people)

    def test_two_names_that_are_one_are_refused(self) -> None:
        with pytest.raises(GalleryError, match="the same"):
            train("knn-pixels", {"Ana": drawn_person(0, 3), " Ana ": drawn_person(1, 3)})

    def test_strangers_stand_in_for_other_people(self) -> None:
        """With one person known nobody else can be left out to play the stranger."""
        matcher = train("knn-pixels", drawn_people(NAMES[:1], 6), strangers=drawn_strangers(30))
        embedder, model = matcher.recognition()
        named = [answer.name for answer in model.match(embedder.embed(drawn_strangers(30, seed=1)))]
        assert sum(name is not None for name in named) <= 5

    def test_a_false_accept_rate_is_kept_on_the_strangers_given(self) -> None:
        matcher = train("knn-pixels", drawn_people(NAMES, 6), strangers=drawn_strangers(60), false_accept_rate=0.0)
        assert matcher.content.rejection.accepted == 0
        loose = train("knn-pixels", drawn_people(NAMES, 6), strangers=drawn_strangers(60), false_accept_rate=0.5)
        assert loose.content.rejection.accepted == pytest.approx(0.5, abs=0.02)
        assert loose.content.rejection.threshold < matcher.content.rejection.threshold

    def test_who_has_few_photos_is_not_outvoted_by_who_has_many(self) -> None:
        people = {"Few": drawn_person(0, 2), "Many": drawn_person(1, 12)}
        embedder, matcher = train("knn-pixels", people).recognition(-1.0)
        answers = matcher.match(embedder.embed(drawn_person(0, 8, seed=1)))
        assert {answer.name for answer in answers} == {"Few"}


class TestNets:
    def test_openvino_and_torch_compute_the_same_features(self, matchers: dict[Method, TrainedMatcher]) -> None:
        tensors = matchers["cnn"].content.tensors
        pictures = standardised(small_grey(drawn_strangers(11)))
        assert TorchCnn(tensors)(pictures) == pytest.approx(OpenVinoCnn(tensors)(pictures), abs=1e-4)

    @pytest.mark.parametrize("make", [OpenVinoCnn, TorchCnn])
    def test_a_pictures_features_do_not_depend_on_what_is_beside_it(
        self, make: Callable[..., OpenVinoCnn], matchers: dict[Method, TrainedMatcher]
    ) -> None:
        embedder = CnnEmbedder(make(matchers["cnn"].content.tensors))
        crops = drawn_strangers(11)
        alone = np.concatenate([embedder.embed(crop[None]) for crop in crops])
        assert np.array_equal(embedder.embed(crops), alone)

    def test_a_crop_of_one_colour_resembles_no_other(self) -> None:
        embedder: Embedder = PixelEmbedder()
        flat, face = embedder.embed(np.stack([np.full((150, 150, 3), 90, np.uint8), drawn_person(0, 1)[0]]))
        assert float(flat @ face) == pytest.approx(0, abs=1e-5)


class TestRejection:
    def held_out(self, known: float, strangers: float, spread: float = 0.05) -> HeldOut:
        rng = np.random.default_rng(0)
        return HeldOut(
            np.asarray(rng.normal(known, spread, 200), np.float32),
            np.ones(200, bool),
            np.asarray(rng.normal(strangers, spread, 400), np.float32),
        )

    def test_scores_far_apart_are_cut_between_them(self) -> None:
        rejection = fit_rejection(self.held_out(0.9, 0.5))
        assert 0.6 < rejection.threshold < 0.8
        assert (rejection.refused, rejection.accepted) == (0, 0)
        assert rejection.name_probability(0.9) > 0.95
        assert rejection.name_probability(0.5) < 0.05

    def test_a_probability_is_the_share_of_right_names(self) -> None:
        """With as many strangers as known faces, whose scores overlap, it is the normal distributions' ratio."""
        rejection = fit_rejection(self.held_out(0.6, 0.5))
        for similarity in (0.45, 0.55, 0.65):
            known, strangers = (np.exp(-(((similarity - mean) / 0.05) ** 2) / 2) for mean in (0.6, 0.5))
            expected = known / (known + strangers)
            assert rejection.name_probability(similarity) == pytest.approx(expected, abs=0.08)

    def test_scores_that_tell_nothing_name_nobody(self) -> None:
        rejection = fit_rejection(self.held_out(0.4, 0.6))
        assert rejection.threshold == 1.0
        assert rejection.refused == 1.0

    def test_wrong_names_count_against_a_name(self) -> None:
        held_out = self.held_out(0.9, 0.5)
        half_wrong = HeldOut(held_out.known, np.arange(200) % 2 == 0, held_out.strangers)
        assert fit_rejection(half_wrong).name_probability(0.9) == pytest.approx(0.5, abs=0.1)


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(1, 12), min_size=1, max_size=9), seed=st.integers(0, 99), least=st.integers(1, 2))
def test_folds_hold_out_each_photo_once_at_most_and_learn_from_everybody_else(
    counts: list[int], seed: int, least: int
) -> None:
    owners = np.repeat(np.arange(len(counts)), counts)
    held: list[int] = []
    played: list[int] = []
    for fold in folds(owners, seed=seed, least_people=least):
        rows = np.concatenate([fold.learnt, fold.known, fold.strangers])
        assert sorted(rows) == list(range(len(owners)))
        assert set(owners[fold.known]) <= set(owners[fold.learnt])
        assert not set(owners[fold.strangers]) & set(owners[fold.learnt])
        assert set(fold.owners) == set(range(len(set(owners[fold.learnt]))))
        number_of = dict(zip(owners[fold.learnt].tolist(), fold.owners.tolist(), strict=True))
        assert [number_of[owner] for owner in owners[fold.known].tolist()] == fold.known_owners.tolist()
        held += fold.known.tolist()
        played += fold.strangers.tolist()
    assert len(set(held)) == len(held)
    assert len(set(played)) == len(played)


# ---- files


def changed(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Write a file anew with its description changed in place, or replaced by what is returned."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description = json.loads(header["__metadata__"]["matcher"])
    other = change(description)
    text = json.dumps(description if other is None else other)
    path.write_bytes(save_tensors(load_tensors(content), {"matcher": text}))


def setting(key: str, value: object) -> Callable[[dict[str, object]], object]:
    return lambda description: description.update({key: value})


def rejection_with(key: str, value: object) -> Callable[[dict[str, object]], object]:
    def change(description: dict[str, object]) -> None:
        rejection = description["rejection"]
        assert isinstance(rejection, dict)
        rejection[key] = value

    return change


def problem(path: Path) -> str:
    """Return the line that a user sees."""
    with pytest.raises(GalleryError) as caught:
        load(path, NETS)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert caught.value.exit_code == 6
    return str(caught.value)


ONE = [{"name": "Ana", "photos": 6}]
BAD: dict[str, tuple[Callable[[dict[str, object]], object], str]] = {
    "another kind": (setting("format", "something"), "another kind"),
    "a later version": (setting("version", 2), "version is 2"),
    "a version that is true": (setting("version", True), "version"),
    "a list": (lambda _: [1], "fields"),
    "a field more": (setting("extra", 1), "fields"),
    "a field less": (lambda description: description.pop("seed") and None, "fields"),
    "an unknown method": (setting("method", "svm"), "method"),
    "a method that is a list": (setting("method", ["knn"]), "method"),
    "another method": (setting("method", "cnn"), "tensors"),
    "people of another number": (setting("people", ONE), "tensors"),
    "no people": (setting("people", []), "people"),
    "a name with a line end": (setting("people", [{"name": "a\nb", "photos": 16}]), "name"),
    "a name twice": (setting("people", [{"name": "a", "photos": 8}, {"name": "a", "photos": 8}]), "twice"),
    "a person without photos": (setting("people", [{"name": "a", "photos": 0}]), "photo"),
    "a negative number of photos": (setting("people", [{"name": "a", "photos": -16}]), "whole number"),
    "no embedder": (setting("embedder", None), "embedder"),
    "an embedder without sha256": (setting("embedder", {"name": "x"}), "fields"),
    "an embedder that is a number": (setting("embedder", {"name": 3, "sha256": "0" * 64}), "text"),
    "a threshold that is no number": (rejection_with("threshold", float("nan")), "threshold"),
    "a threshold out of range": (rejection_with("threshold", 1.5), "threshold"),
    "a threshold of a thousand digits": (rejection_with("threshold", 10**1000), "threshold"),
    "a negative slope": (rejection_with("slope", -1), "slope"),
    "a share that is text": (rejection_with("accepted", "0"), "accepted"),
    "a seed that is half": (setting("seed", 0.5), "seed"),
    "a setting that is text": (setting("settings", {"k": "5"}), "setting"),
    "another sha256": (setting("sha256", "0" * 64), "not those that were saved"),
}


class TestFile:
    @pytest.mark.parametrize("case", BAD)
    def test_a_description_that_is_not_as_it_must_be_is_refused(self, case: str, saved: Path) -> None:
        change, words = BAD[case]
        changed(saved, change)
        assert words in problem(saved)

    @pytest.mark.parametrize("content", [b"", b"x", b"\x80\x04K\x01.", b"\xff" * 40, b'{"a": 1}', b"PK\x03\x04" * 9])
    def test_what_is_no_matcher_is_refused(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "x.matcher"
        path.write_bytes(content)
        assert "not a safetensors file" in problem(path)

    def test_a_safetensors_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.matcher"
        for metadata in (None, {"matcher": "{"}, {"other": "x"}, {"matcher": "[" * 100_000}):
            path.write_bytes(save_tensors({"photos": np.zeros((1, 1), np.float32)}, metadata))
            assert "says nothing of a matcher" in problem(path)

    def test_a_file_cut_anywhere_is_refused(self, saved: Path) -> None:
        content = saved.read_bytes()
        for length in [*range(0, 200, 9), *range(200, len(content), 997), len(content) - 1]:
            saved.write_bytes(content[:length])
            problem(saved)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_changed_bytes_raise_nothing_but_a_gallery_error(self, data: st.DataObject, saved: Path) -> None:
        content = bytearray(saved.read_bytes())
        places = data.draw(st.lists(st.integers(0, 1600) | st.integers(0, len(content) - 1), min_size=1, max_size=4))
        for place in places:
            content[place] ^= data.draw(st.integers(1, 255))
        other = saved.with_name("changed.matcher")
        other.write_bytes(bytes(content))
        with contextlib.suppress(GalleryError):
            load(other, NETS)

    @pytest.mark.parametrize("damage", ["nan", "short", "half", "huge"])
    def test_vectors_that_cannot_be_compared_are_refused(
        self, damage: str, matchers: dict[Method, TrainedMatcher], tmp_path: Path
    ) -> None:
        content = matchers["knn"].content
        photos = content.tensors["photos"].copy()
        if damage == "nan":
            photos[0, 0] = np.nan
        elif damage == "huge":
            photos[0, 0] = 3e38
        elif damage == "short":
            photos[1] *= 0.5
        tensors = {"photos": photos.astype(np.float16) if damage == "half" else photos}
        path = tmp_path / "x.matcher"
        path.write_bytes(serialise(replace(content, tensors=tensors)))  # type: ignore[arg-type]
        problem(path)

    def test_vectors_of_another_net_are_refused(self, saved: Path) -> None:
        changed(saved, setting("embedder", {"name": "other", "sha256": "1" * 64}))
        assert "other" in problem(saved)

    def test_an_absent_file_a_folder_and_a_huge_file_are_refused(
        self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "streamer train" in problem(tmp_path / "absent.matcher")
        (tmp_path / "folder").mkdir()
        assert "cannot be read" in problem(tmp_path / "folder")
        monkeypatch.setattr(trained_file, "MAX_BYTES", 100)
        assert "larger" in problem(saved)

    @pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
    def test_only_the_owner_may_read_it(self, saved: Path) -> None:
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_a_save_that_is_stopped_leaves_what_was_there(
        self,
        error: BaseException,
        saved: Path,
        matchers: dict[Method, TrainedMatcher],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(_descriptor: int) -> None:
            raise error

        before = saved.read_bytes()
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(GalleryError if isinstance(error, OSError) else KeyboardInterrupt):
            matchers["cnn"].save(saved)
        assert saved.read_bytes() == before
        assert list(saved.parent.iterdir()) == [saved]


# ---- real faces


@pytest.mark.shared_data
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("method", "least_right"), [("knn-pixels", 0.5), ("knn", 0.99), ("cnn", 0.6)])
def test_real_people_are_named_as_well_as_each_method_can(
    method: Method, least_right: float, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five people of LFW × 8 photos, their other photos as probes; measured over many draws: 66, 100 and 83 %."""
    from streamer.photos import read_picture
    from streamer.recognition.photo_faces import locate_faces
    from tests.nets import dlib, mtcnn

    detector, embedder = mtcnn(), dlib()
    folder = shared_data / "lfw_dev"
    people = list(json.loads((folder / "identification.json").read_text()).items())[:5]
    crops = {}
    for name, paths in people:
        found = [locate_faces(read_picture(folder / "images" / path), detector) for path in paths]
        crops[name] = np.stack([embedder.crop(picture, faces.landmarks[0]) for picture, faces in found if len(faces)])
    # For the test's time: half of the usual steps, and fewer folds, which do not change what is learnt.
    monkeypatch.setattr(cnn_training, "LEAST_STEPS", 100)
    monkeypatch.setattr(folding, "FOLDS", 2)
    matcher = train(method, {name: some[:8] for name, some in crops.items()}, net=embedder.describe)
    embed, model = matcher.recognition(-1.0)
    right = [answer.name == name for name, some in crops.items() for answer in model.match(embed.embed(some[8:]))]
    assert np.mean(right) >= least_right
