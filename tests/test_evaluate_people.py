"""Open-set naming: its arithmetic by hand, galleries drawn at random, and methods over vectors made for the test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from streamer.config import Config
from streamer.errors import GalleryError, UsageError
from streamer.evaluation.faces import FaceNets
from streamer.evaluation.identification import FALSE_ACCEPT_RATES, Answers, identify, summarise
from streamer.evaluation.methods import METHODS, Judge, Method, MethodSetting, Photos
from streamer.evaluation.people import (
    Album,
    DrawPlan,
    evaluate_people,
    list_people,
    list_strangers,
    read_album,
)
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.people import EmbedderId, Gallery
from streamer.recognition.trained import TrainedMatcher, train
from streamer.stages import Crops, Matcher
from tests.fakes import BLUE, GREEN, RED, ColourEmbedder, SquareDetector, draw

EMBEDDER = EmbedderId("fake", "0" * 64)
# Vectors that a test makes up are spread as no net's are, so their threshold is set.
SET = Config.model_validate({"recognition": {"similarity_threshold": 0.8}})
SETTING = MethodSetting(SET, EMBEDDER, seed=0)
NETS = FaceNets(SquareDetector(), ColourEmbedder())
DIMENSION = 64


def answers(*rows: tuple[str, float, str | None]) -> Answers:
    best, scores, named = zip(*rows, strict=True)
    return Answers(best, np.array(scores, np.float64), named)


# ---- arithmetic


def test_the_figures_of_one_gallery_by_hand() -> None:
    """Of 40 strangers two may be accepted at 5 %, so the third highest score (.6) must be beaten; none at 1 %."""
    known = answers(
        ("Ana", 0.95, "Ana"), ("Ana", 0.65, None), ("Ben", 0.9, "Ben"), ("Ben", 0.55, None), ("Ben", 0.7, "Ben")
    )
    truth = ("Ana", "Ana", "Ben", "Ben", "Ana")
    strangers = answers(("Ana", 0.8, "Ana"), ("Ben", 0.7, None), ("Ana", 0.6, None), *[("Ana", 0.1, None)] * 37)
    figures = identify(known, truth, strangers)
    assert figures.rank1 == pytest.approx(4 / 5)
    assert figures.tpir == pytest.approx((3 / 5, 2 / 5, 2 / 5))  # beaten by .95, .65 and .9, by .95 and .9
    assert figures.strangers_named == pytest.approx(1 / 40)
    assert figures.known_named == pytest.approx(2 / 5)
    assert figures.known_misnamed == pytest.approx(1 / 5)


@settings(deadline=None)  # the first call of scikit-learn takes long
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_with_one_person_the_sweep_is_scikit_learns_roc(known: list[int], strangers: list[int]) -> None:
    figures = identify(
        answers(*[("Ana", score, None) for score in known]),
        ["Ana"] * len(known),
        answers(*[("Ana", score, None) for score in strangers]),
    )
    is_known = [1] * len(known) + [0] * len(strangers)
    accepted, found, _ = roc_curve(is_known, known + strangers, drop_intermediate=False)
    for rate, share in zip(FALSE_ACCEPT_RATES, figures.tpir, strict=True):
        assert share == pytest.approx(found[accepted <= rate + 1e-9].max())


def test_draws_are_summed_up_by_mean_and_spread() -> None:
    right = identify(answers(("Ana", 0.9, "Ana")), ["Ana"], answers(("Ana", 0.1, None)))
    wrong = identify(answers(("Ana", 0.9, "Ana")), ["Ben"], answers(("Ana", 0.1, "Ana")))
    both = summarise([right, wrong])
    assert both.rank1.mean == both.known_misnamed.mean == both.strangers_named.mean == 0.5
    assert both.rank1.interval == pytest.approx((0.025, 0.975))
    assert [spread.mean for spread in both.tpir] == [0.5] * 3


# ---- methods and draws, over vectors made for the test


def photos_of(counts: dict[str, int], spread: float, seed: int = 0) -> Photos:
    """Return photos about a direction of each person's own; of 64 numbers, directions hardly ever resemble."""
    rng = np.random.default_rng(seed)
    vectors, names = [], []
    for name, count in counts.items():
        centre = np.random.default_rng(sum(map(ord, name))).normal(size=DIMENSION)
        own = centre / np.linalg.norm(centre) + rng.normal(size=(count, DIMENSION)) * spread
        vectors.append(own / np.linalg.norm(own, axis=1, keepdims=True))
        names += [name] * count
    return Photos(tuple(names), np.asarray(np.concatenate(vectors), np.float32))


PEOPLE = {f"person {letter}": 6 for letter in "abcdefgh"}


@pytest.mark.parametrize("method", ["cosine", "knn"])
def test_who_is_best_is_known_of_the_unknown_too(method: str) -> None:
    enrolled = photos_of({"Ana": 3, "Ben": 3}, 0.01)
    judge = METHODS[method].make(enrolled, SETTING)
    blurred = photos_of({"Ana": 2, "Ben": 2}, 0.12, seed=5)
    found = judge(blurred)
    assert found.best == ("Ana", "Ana", "Ben", "Ben")
    assert found.named == (None,) * 4
    assert judge(enrolled).named == enrolled.names
    assert (found.scores < judge(enrolled).scores[[0, 1, 3, 4]]).all()


@pytest.mark.parametrize("method", ["cosine", "knn"])
def test_people_that_differ_clearly_are_all_named_and_strangers_refused(method: str) -> None:
    album = Album(photos_of(PEOPLE, 0.01), None, 0)
    figures = evaluate_people(album, DrawPlan(3, 4, 5, 0, (method,)), SETTING)[0]
    assert (figures.method, figures.known_faces, figures.stranger_faces) == (method, 5 * 3 * 2, 5 * 5 * 6)
    assert figures.figures.rank1.mean == 1
    assert [spread.mean for spread in figures.figures.tpir] == [1, 1, 1]
    assert figures.figures.known_named.mean == 1
    assert figures.figures.strangers_named.mean == figures.figures.known_misnamed.mean == 0


@pytest.mark.parametrize("method", ["cosine", "knn"])
def test_the_matcher_is_the_configured_one_at_the_rate_that_is_asked_for(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float, float | None]] = []

    def recorded(config: Config, gallery: Gallery) -> Matcher:
        settings = config.recognition
        asked.append((settings.matcher, settings.false_accept_rate, settings.similarity_threshold))
        return CosineMatcher(gallery, similarity_threshold=0.8)

    monkeypatch.setattr("streamer.evaluation.methods.build_matcher", recorded)
    config = Config.model_validate({"recognition": {"false_accept_rate": 0.2}})
    METHODS[method].make(photos_of({"Ana": 3, "Ben": 3}, 0.03), MethodSetting(config, EMBEDDER, 0))
    assert asked == [(method, 0.2, None), (method, 0.2, -1.0)]


def test_a_threshold_that_is_set_takes_calibrations_place() -> None:
    """At no similarity, and at the highest one."""
    enrolled, others = photos_of({"Ana": 3, "Ben": 3}, 0.01), photos_of({"Cleo": 5}, 0.01)

    def named(method: str, threshold: float) -> int:
        config = Config.model_validate({"recognition": {"similarity_threshold": threshold}})
        judge = METHODS[method].make(enrolled, MethodSetting(config, EMBEDDER, 0))
        return sum(name is not None for name in judge(others).named)

    for method in ("cosine", "knn"):
        assert (named(method, -1.0), named(method, 1.0)) == (5, 0)


class Recording:
    """A method that keeps what it was asked, and names nobody."""

    def __init__(self) -> None:
        self.enrolled: list[Photos] = []
        self.judged: list[Photos] = []

    def make(self, enrolled: Photos, setting: MethodSetting) -> Judge:
        self.enrolled.append(enrolled)
        return self._judge

    def _judge(self, photos: Photos) -> Answers:
        self.judged.append(photos)
        return Answers(("nobody",) * len(photos), np.zeros(len(photos)), (None,) * len(photos))


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    record = Recording()
    monkeypatch.setattr("streamer.evaluation.people.METHODS", {"recording": Method(record.make)})
    return record


def keys(photos: Photos) -> set[bytes]:
    return {vector.tobytes() for vector in photos.vectors}


def test_no_photo_is_both_enrolled_and_judged_and_nobody_enrolled_is_a_stranger(recording: Recording) -> None:
    album = Album(photos_of(PEOPLE | {"person x": 2}, 0.05), None, 0)
    evaluate_people(album, DrawPlan(3, 4, 6, 1, ("recording",)), SETTING)
    for enrolled, known, strangers in zip(
        recording.enrolled, recording.judged[::2], recording.judged[1::2], strict=True
    ):
        assert {name: len(rows) for name, rows in enrolled.by_name().items()} == dict.fromkeys(enrolled.names, 4)
        assert set(known.names) == set(enrolled.names)
        assert len(set(enrolled.names)) == 3
        assert "person x" not in enrolled.names  # two photos are too few to be drawn, and enough for a stranger
        assert not keys(enrolled) & keys(known)
        assert keys(enrolled) | keys(known) | keys(strangers) == keys(album.photos)
        assert not set(strangers.names) & set(enrolled.names)
    assert len({one.names for one in recording.enrolled}) > 1


def test_the_seed_decides_the_draws(recording: Recording) -> None:
    album = Album(photos_of(PEOPLE, 0.05), None, 0)
    for seed in (3, 3, 4):
        evaluate_people(album, DrawPlan(2, 3, 1, seed, ("recording",)), SETTING)
    first, again, other = map(keys, recording.enrolled)
    assert first == again != other


def test_strangers_of_ones_own_are_all_judged(recording: Recording) -> None:
    strangers = photos_of({"somebody": 3}, 0.01)
    evaluate_people(Album(photos_of(PEOPLE, 0.05), strangers, 0), DrawPlan(8, 4, 1, 0, ("recording",)), SETTING)
    assert keys(recording.judged[1]) == keys(strangers)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (DrawPlan(9, 4, 1, 0, ("cosine",)), "only 8 people have more than 4 usable photos, 9 are needed"),
        (DrawPlan(2, 6, 1, 0, ("cosine",)), "only 0 people have more than 6 usable photos"),
        (DrawPlan(8, 4, 1, 0, ("cosine",)), "all 8 people are drawn, so nobody is left over"),
    ],
)
def test_too_few_photos_or_people_are_refused(plan: DrawPlan, message: str) -> None:
    with pytest.raises(GalleryError, match=message):
        evaluate_people(Album(photos_of(PEOPLE, 0.05), None, 0), plan, SETTING)


def test_a_method_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="no method 'magic'; choose from cosine, knn"):
        DrawPlan(1, 1, 1, 0, ("cosine", "magic"))
    with pytest.raises(UsageError, match="no method is named"):
        DrawPlan(1, 1, 1, 0, ())
    with pytest.raises(UsageError, match="at least 1 each"):
        DrawPlan(0, 1, 1, 0, ("cosine",))


# ---- the original's methods, which look at pixels


def faces_of(names: tuple[str, ...], count: int, seed: int = 0) -> Photos:
    """Return crops of 150 px: a white bar at a height of each person's own, in noise."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 60, (len(names) * count, 150, 150, 3), np.uint8)
    for place, crop in enumerate(crops):
        top = 40 + 25 * (place // count) + int(rng.integers(0, 4))
        crop[top : top + 20, 30:120] = 250
    return Photos(tuple(name for name in names for _ in range(count)), np.zeros((len(crops), 3), np.float32), crops)


def test_a_method_that_looks_at_pixels_learns_people_from_crops() -> None:
    names = ("Ana", "Ben", "Cleo")
    judge = METHODS["knn-pixels"].make(faces_of(names, 4), SETTING)
    probes = faces_of(names, 3, seed=9)
    found = judge(probes)
    assert found.best == probes.names
    assert len(found.scores) == len(found.named) == 9


@pytest.mark.parametrize("method", ["knn-pixels", "cnn"])
def test_training_gets_the_crops_the_seed_and_the_rate(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, int], int, float]] = []

    def recorded(kind: Method, crops: dict[str, Crops], *, seed: int, false_accept_rate: float) -> TrainedMatcher:
        asked.append((str(kind), {name: len(own) for name, own in crops.items()}, seed, false_accept_rate))
        return train("knn-pixels", crops, seed=seed, false_accept_rate=false_accept_rate)

    monkeypatch.setattr("streamer.recognition.trained.train", recorded)
    config = Config.model_validate({"recognition": {"false_accept_rate": 0.2}})
    METHODS[method].make(faces_of(("Ana", "Ben", "Cleo"), 4), MethodSetting(config, EMBEDDER, 7))
    assert asked == [(method, {"Ana": 4, "Ben": 4, "Cleo": 4}, 7, 0.2)]


def test_crops_are_kept_only_where_a_method_looks_at_them() -> None:
    assert DrawPlan(1, 1, 1, 0, ("cosine", "cnn")).needs_crops
    assert not DrawPlan(1, 1, 1, 0, ("cosine", "knn")).needs_crops
    with pytest.raises(ValueError, match="crops, which were not kept"):
        METHODS["knn-pixels"].make(photos_of({"Ana": 2, "Ben": 2}, 0.1), SETTING)


# ---- folders


def write(folder: Path, colour: tuple[int, int, int] | None, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        squares = [] if colour is None else [(10 * number, 20.0, colour)]
        assert cv2.imwrite(str(folder / f"{number}.png"), draw(squares))
    return folder


def test_folders_are_read_and_pictures_without_a_face_counted(tmp_path: Path) -> None:
    write(tmp_path / "people" / "Rosa", RED, 3)
    write(tmp_path / "people" / "Greta", GREEN, 3)
    write(tmp_path / "people" / "Nobody", None, 2)
    (tmp_path / "people" / "Rosa" / "broken.jpg").write_bytes(b"no picture")
    write(tmp_path / "others" / "somebody", BLUE, 2)
    assert cv2.imwrite(str(tmp_path / "others" / "flat.png"), draw([(0, 0, BLUE)]))
    plan = DrawPlan(2, 2, 3, 0, ("cosine",))
    people, others = list_people(tmp_path / "people", plan, has_strangers=True), list_strangers(tmp_path / "others")
    assert (len(people), len(others)) == (9, 3)
    steps: list[None] = []
    album = read_album(people, others, NETS, keeps_crops=False, on_picture=lambda: steps.append(None))
    assert len(steps) == 12
    assert album.unusable == 3
    assert {name: len(rows) for name, rows in album.photos.by_name().items()} == {"Greta": 3, "Rosa": 3}
    figures = evaluate_people(album, plan, SETTING)[0].figures
    assert figures.rank1.mean == figures.known_named.mean == 1
    assert figures.strangers_named.mean == 0


def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path) -> None:
    plan = DrawPlan(2, 2, 1, 0, ("cosine",))
    with pytest.raises(GalleryError, match="cannot be read"):
        list_people(tmp_path / "absent", plan)
    write(tmp_path / "people" / "Rosa", RED, 3)
    with pytest.raises(GalleryError, match=r"only 1 people in .* have more than 2 pictures, 2 are needed"):
        list_people(tmp_path / "people", plan)
    plan = DrawPlan(1, 2, 1, 0, ("cosine",))
    with pytest.raises(GalleryError, match="all 1 people are drawn, so nobody is left over"):
        list_people(tmp_path / "people", plan)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GalleryError, match="holds no pictures of strangers"):
        list_strangers(tmp_path / "empty")
    others = list_strangers(write(tmp_path / "others", None, 1))
    people = list_people(tmp_path / "people", plan, has_strangers=True)
    album = read_album(people, others, NETS, keeps_crops=False)
    with pytest.raises(GalleryError, match="no picture of the strangers"):
        evaluate_people(album, plan, SETTING)
