"""Whose track is it? People who cross, leave, come and are cut away, on drawn squares, in file and in live mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from streamer.dossiers import Dossier, Face, Trail
from streamer.emotion.policy import EmotionPolicy
from streamer.emotion.smoothing import EmotionSmoother
from streamer.gaps import SpanPolicy
from streamer.geometry import iou
from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.lookahead import LookAhead
from streamer.pictures import UInt8
from streamer.pipeline import Pipeline
from streamer.scans import ScanPolicy
from streamer.spans import SpanFollower
from streamer.stats import RunStats
from streamer.telling import Sighting
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Float32, FrameResult, Identity, SourceInfo, Track
from tests.fakes import (
    BLUE,
    GREEN,
    NAMES,
    RED,
    SIDE,
    ColourEmbedder,
    ColourMatcher,
    GreyEmotion,
    SquareDetector,
    landmarks_in,
    make_frame,
)

Colour = tuple[int, int, int]
Person = tuple[float, float, Colour]  # left, top and colour
MODES = pytest.mark.parametrize("is_live", [False, True], ids=["file", "live"])
FPS = pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])


def drawn(people: Sequence[Person], ground_seed: int | None = None) -> UInt8:
    """Draw squares whose stripes, told apart by their direction, are a face's features; the last one in front."""
    picture = np.zeros((180, 320, 3), np.uint8)
    if ground_seed is not None:
        ground = np.random.default_rng(ground_seed).integers(0, 120, (9, 16, 1)).repeat(3, axis=2)
        picture = np.kron(ground, np.ones((20, 20, 1))).astype(np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    stripes = {RED: rows, GREEN: columns, BLUE: rows + columns}
    for left, top, colour in people:
        light = np.where(stripes.get(colour, rows) // 5 % 2, 1.0, 0.7)[..., None]
        x, y = round(left), round(top)
        picture[y : y + SIDE, x : x + SIDE] = (light * np.array(colour)).astype(np.uint8)
    return picture


class Show:
    """A pipeline of fakes over frames of people whose places are known."""

    def __init__(self, policy: LabelPolicy | None = None, *, is_live: bool, fps: float = 25.0) -> None:
        self.fps, self.is_live = fps, is_live
        self.detector, self.embedder = SquareDetector(), ColourEmbedder()
        self.pipeline = Pipeline(
            self.detector,
            lambda: KalmanTracker(max_predicted_seconds=0.0),
            TrackLabeller(Recognition(self.embedder, ColourMatcher()), GreyEmotion(), policy),
            scans=ScanPolicy(every_seconds=0.1, still_seconds=0),
            waiting_scans=ScanPolicy(every_seconds=0.4, still_seconds=0),
            make_follower=lambda: SpanFollower(
                KalmanTracker(max_searched_seconds=0.24), self.detector, SpanPolicy(), RunStats()
            ),
        )
        self.pipeline.begin(SourceInfo("s", "drawn", 320, 180, fps, is_live=is_live))

    def run(self, pictures: Sequence[UInt8], batch_size: int = 4) -> list[FrameResult]:
        frames = [make_frame(picture, index, self.fps, "s") for index, picture in enumerate(pictures)]
        results: list[FrameResult] = []
        for first in range(0, len(frames), batch_size):
            results += self.pipeline.process(frames[first : first + batch_size])
        return results + self.pipeline.finish()


def shown(result: FrameResult) -> list[tuple[int, str | None, Colour]]:
    """Return id, name and the colour that really is there of every face of a frame."""
    found = []
    for annotation in result.annotations:
        x, y = (annotation.track.xyxy[:2] + annotation.track.xyxy[2:]) / 2
        pixel = result.frame.picture.bgr()[int(y), int(x)]
        colour = max(NAMES, key=lambda known: int(pixel[int(np.argmax(known))]))
        name = annotation.identity.name if annotation.identity is not None else None
        found.append((annotation.track.track_id, name, colour if pixel.max() > 150 else (0, 0, 0)))
    return found


def ids_by_person(results: Sequence[FrameResult]) -> dict[Colour, set[int]]:
    ids: dict[Colour, set[int]] = {}
    for result in results:
        for track_id, _, colour in shown(result):
            ids.setdefault(colour, set()).add(track_id)
    return ids


def wrong_names(results: Sequence[FrameResult]) -> list[tuple[int, str]]:
    return [
        (result.frame.index, name)
        for result in results
        for _, name, colour in shown(result)
        if name is not None and name != NAMES.get(colour)
    ]


def missing_names(results: Sequence[FrameResult]) -> list[int]:
    return [r.frame.index for r in results for _, name, colour in shown(r) if name is None and NAMES.get(colour)]


def crossing(seconds: float) -> list[Person]:
    """Rosa walks right, behind Greta, who walks left on nearly the same line."""
    return [(20 + 80 * seconds, 60, RED), (260 - 80 * seconds, 66, GREEN)]


def replaced(seconds: float, gap_seconds: float = 0.0) -> list[Person]:
    """A stranger stands where Rosa stood until a moment before."""
    if seconds < 1.5:
        return [(120, 60, RED)]
    return [(122, 61, BLUE)] if seconds >= 1.5 + gap_seconds else []


def frames_of(scene: Callable[[float], list[Person]], seconds: float, fps: float) -> list[UInt8]:
    return [drawn(scene(index / fps)) for index in range(round(seconds * fps))]


@MODES
@FPS
def test_two_who_cross_keep_their_names_and_ids(is_live: bool, fps: float) -> None:
    """Rosa is hidden for a moment; a box may be shown where she is behind Greta."""
    results = Show(is_live=is_live, fps=fps).run(frames_of(crossing, 3.0, fps))
    ids: dict[str | None, set[int]] = {}
    for result in results:
        people = crossing(result.frame.pts_seconds)
        for annotation in result.annotations:
            boxes = np.array([[x, y, x + SIDE, y + SIDE] for x, y, _ in people], np.float32)
            overlaps = iou(annotation.track.xyxy[None], boxes)[0]
            there = [NAMES[people[row][2]] for row in np.flatnonzero(overlaps > 0.2)]
            assert annotation.identity is None or annotation.identity.name in there
            if len(there) == 1:
                ids.setdefault(there[0], set()).add(annotation.track.track_id)
    assert sorted(map(sorted, ids.values())) == [[1], [2]]


@MODES
@FPS
@pytest.mark.parametrize("gap_seconds", [0.0, 0.2, 0.5, 1.5])
def test_who_comes_where_somebody_left_inherits_neither_name_nor_id(
    is_live: bool, fps: float, gap_seconds: float
) -> None:
    results = Show(is_live=is_live, fps=fps).run(frames_of(lambda at: replaced(at, gap_seconds), 4.0, fps))
    assert wrong_names(results) == []
    assert missing_names(results) == []
    ids = ids_by_person(results)
    assert ids.pop(RED) == {1}
    assert ids.pop(BLUE) == {2}
    assert not ids  # nobody is shown where nobody is


@MODES
@FPS
def test_a_cut_puts_a_stranger_where_a_known_face_stood_and_the_known_one_comes_back(is_live: bool, fps: float) -> None:
    shots = [(RED, 1), (BLUE, 2), (RED, 3)]
    pictures = [drawn([(100, 60, colour)], seed) for colour, seed in shots for _ in range(round(1.2 * fps))]
    results = Show(is_live=is_live, fps=fps).run(pictures)
    assert wrong_names(results) == []
    assert missing_names(results) == []
    assert ids_by_person(results) == {RED: {1}, BLUE: {2}}
    told = [(event.kind, event.track_id, event.name) for result in results for event in result.events]
    assert told[:6] == [
        ("appeared", 1, None),
        ("identified", 1, "Rosa"),
        ("cut", None, None),
        ("left", 1, "Rosa"),
        ("appeared", 2, None),
        ("cut", None, None),
    ]
    assert told[7:9] == [("revived", 1, "Rosa")] + ([] if is_live else [("left", 1, "Rosa")])


@pytest.mark.parametrize("scene", [crossing, replaced])
def test_frames_that_wait_for_names_give_the_same_results_in_batches_of_any_size(
    scene: Callable[[float], list[Person]],
) -> None:
    pictures = frames_of(scene, 3.0, 25.0)
    told = [
        [(shown(result), result.events) for result in Show(is_live=False).run(pictures, size)] for size in (1, 7, 75)
    ]
    assert told[0] == told[1] == told[2]


def unclear_at_first(seconds: float) -> list[Person]:
    """Rosa's first views resemble nobody: the light is yellow."""
    return [(100 + 10 * seconds, 60, (0, 190, 250) if seconds < 0.3 else RED)]


def test_a_files_first_frames_have_the_name_that_a_track_ends_up_with() -> None:
    results = Show(is_live=False).run(frames_of(unclear_at_first, 2.0, 25.0))
    assert {name for result in results for _, name, _ in shown(result)} == {"Rosa"}
    events = [(event.kind, event.pts_seconds) for result in results for event in result.events]
    assert events == [("appeared", 0.0), ("identified", 0.0), ("left", 49 / 25)]


@pytest.mark.parametrize("is_live", [False, True])
def test_frames_that_do_not_wait_are_named_as_they_come(is_live: bool) -> None:
    """Live, or without look-ahead: the first frames say that it is nobody who is known."""
    show = Show(LabelPolicy(look_ahead_seconds=0.0), is_live=is_live)
    names = [name for result in show.run(frames_of(unclear_at_first, 2.0, 25.0)) for _, name, _ in shown(result)]
    assert names[0] is None
    assert names[-1] == "Rosa"


def away_for(gap_seconds: float) -> Callable[[float], list[Person]]:
    return lambda at: [(40, 60, RED)] if at < 1 else [(200, 90, RED)] if at >= 1 + gap_seconds else []


@MODES
def test_who_is_back_within_the_stated_time_has_the_old_id_wherever_it_stands(is_live: bool) -> None:
    results = Show(is_live=is_live).run(frames_of(away_for(2.0), 4.0, 25.0))
    assert ids_by_person(results) == {RED: {1}}
    kinds = [event.kind for result in results for event in result.events]
    assert kinds == ["appeared", "identified", "left", "revived"] + ([] if is_live else ["left"])
    first = [result.annotations[0].track.first_seen_seconds for result in results if result.annotations]
    assert set(first) == {0.0}


@pytest.mark.parametrize("policy", [LabelPolicy(revive_seconds=1.5), LabelPolicy(revive_seconds=0)])
def test_who_is_back_later_is_somebody_new(policy: LabelPolicy) -> None:
    results = Show(policy, is_live=False).run(frames_of(away_for(2.0), 4.0, 25.0))
    assert ids_by_person(results) == {RED: {1, 2}}


def test_an_embedder_whose_scale_is_not_known_revives_nobody_and_changes_names_only() -> None:
    policy = LabelPolicy(same_similarity=None, refresh_seconds=0.4)
    results = Show(policy, is_live=False).run(frames_of(replaced, 4.0, 25.0))
    assert ids_by_person(results) == {RED: {1}, BLUE: {1}}
    assert wrong_names(results) == []
    events = [(event.kind, event.name) for result in results for event in result.events]
    assert events == [("appeared", None), ("identified", "Rosa"), ("renamed", None), ("left", None)]


class Doubtful(ColourMatcher):
    """Takes two colours for Rosa, of whom GREEN is less like her."""

    def match(self, embeddings: Float32) -> list[Identity]:
        return [
            Identity("Rosa", float(vector.max()), 0.999 if vector.argmax() == 2 else 0.8, 0.1) for vector in embeddings
        ]

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        return [(answer,) for answer in self.match(embeddings)]


@MODES
def test_who_lost_a_name_does_not_get_it_when_its_holder_leaves(is_live: bool) -> None:
    show = Show(is_live=is_live)
    labeller = TrackLabeller(Recognition(ColourEmbedder(), Doubtful()), None)
    show.pipeline._labeller = labeller
    show.pipeline.begin(SourceInfo("s", "drawn", 320, 180, 25.0, is_live=is_live))
    both = [(40.0, 60.0, RED), (200.0, 60.0, GREEN)]
    results = show.run([drawn(both)] * 40 + [drawn(both[1:])] * 60)
    assert {name for result in results for _, name, colour in shown(result) if colour == GREEN} == {None}
    assert {name for result in results for _, name, colour in shown(result) if colour == RED} == {"Rosa"}


@pytest.mark.parametrize("keep_looks", [False, True])
def test_looks_are_kept_only_where_asked_and_only_in_frames_in_which_there_was_one(keep_looks: bool) -> None:
    show = Show(LabelPolicy(keep_looks=keep_looks), is_live=False)
    results = show.run(frames_of(lambda at: [(100, 60, RED)], 2.0, 25.0))
    looks = [annotation.look for result in results for annotation in result.annotations]
    kept = [look for look in looks if look is not None]
    assert len(kept) == (sum(show.embedder.calls) if keep_looks else 0)
    for look in kept:
        assert look.crop.shape == (8, 8, 3)
        assert float(np.linalg.norm(look.vector)) == pytest.approx(1)
        assert 0 < look.quality <= 1


def sighting(index: int, *, is_sure: bool) -> Sighting:
    """One frame of 100 × 100 px at 10 fps with one face."""
    box = np.array([10, 10, 50, 50], np.float32)
    track = Track(1, box, landmarks_in(box), 0.99, True, 0.0, index / 10)
    dossier = Dossier(1, EmotionSmoother(EmotionPolicy()), 0.0)
    if is_sure:
        dossier.identity = Identity("Ana", 0.99, 0.99, 0.1)
        for _ in range(3):
            dossier.learn(np.ones(2, np.float32), 1.0)
    frame = make_frame(np.zeros((100, 100, 3), np.uint8), index, 10.0)
    return Sighting(frame, [Face(frame.pts_seconds, track, Trail(dossier), dossier)], False, False)


FRAME_BYTES = 100 * 100 * 3 // 2


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        (LabelPolicy(look_ahead_seconds=1.0), 10),
        (LabelPolicy(look_ahead_seconds=60.0, look_ahead_bytes=4 * FRAME_BYTES), 4),
        (LabelPolicy(look_ahead_seconds=0.0), 1),
    ],
)
def test_frames_wait_for_no_longer_and_in_no_more_memory_than_stated(policy: LabelPolicy, most: int) -> None:
    ahead = LookAhead(policy, ColourMatcher, can_wait=True)
    left: list[int] = []
    for index in range(40):
        left += [result.frame.index for result in ahead.add(sighting(index, is_sure=False))]
        assert index + 1 - len(left) <= most
    assert index + 1 - len(left) == most
    left += [result.frame.index for result in ahead.finish()]
    assert left == list(range(40))


def test_frames_leave_as_soon_as_their_faces_are_sure_and_the_last_one_at_the_end() -> None:
    ahead = LookAhead(LabelPolicy(), ColourMatcher, can_wait=True)
    assert list(ahead.add(sighting(0, is_sure=True))) == []
    assert [result.frame.index for result in ahead.add(sighting(1, is_sure=True))] == [0]
    (last,) = ahead.finish()
    assert [event.kind for event in last.events] == ["appeared", "identified", "left"]


def test_live_frames_never_wait() -> None:
    ahead = LookAhead(LabelPolicy(), ColourMatcher, can_wait=False)
    for index in range(3):
        assert [result.frame.index for result in ahead.add(sighting(index, is_sure=False))] == [index]
    assert list(ahead.finish()) == []


def test_where_nobody_is_named_no_frame_waits_for_a_name() -> None:
    ahead = LookAhead(replace(LabelPolicy(), look_ahead_seconds=60.0), lambda: None, can_wait=True)
    assert [len(list(ahead.add(sighting(index, is_sure=False)))) for index in range(3)] == [0, 1, 1]


class Hasty(ColourMatcher):
    """Takes the first look for Rosa, and that not surely; no other."""

    def __init__(self, probability: float) -> None:
        self._probability, self._calls = probability, 0

    def match(self, embeddings: Float32) -> list[Identity]:
        self._calls += 1
        if self._calls <= 2:  # the first look, and what it comes to
            return [Identity("Rosa", 0.95, self._probability, 0.1)] * len(embeddings)
        return [Identity(None, 0.9, 0.95, 0.1)] * len(embeddings)


@pytest.mark.parametrize(("probability", "names"), [(0.8, {None}), (0.97, {"Rosa", None})])
def test_a_name_after_one_look_must_be_all_but_certain(probability: float, names: set[str | None]) -> None:
    """Live, where it cannot wait for more."""
    show = Show(is_live=True)
    show.pipeline._labeller = TrackLabeller(Recognition(ColourEmbedder(), Hasty(probability)), None)
    show.pipeline.begin(SourceInfo("s", "drawn", 320, 180, 25.0, is_live=True))
    results = show.run(frames_of(lambda at: [(100, 60, RED)], 2.0, 25.0))
    assert {name for result in results for _, name, _ in shown(result)} == names
