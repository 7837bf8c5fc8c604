"""The order of the stages, and labels that follow the track, on scenes whose truth is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from streamer.emotion.policy import EmotionPolicy
from streamer.gaps import SpanPolicy
from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.pictures import Picture, UInt8
from streamer.pipeline import Pipeline
from streamer.recognition.vote import TrackEvidence, view_quality
from streamer.scans import ScanPolicy
from streamer.spans import SpanFollower
from streamer.stats import RunStats
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Annotation, Faces, Float32, FrameResult, Identity, SourceInfo, Track
from tests.fakes import (
    BLUE,
    GREEN,
    RED,
    ColourEmbedder,
    ColourMatcher,
    GreyEmotion,
    SquareDetector,
    draw,
    landmarks_in,
    make_frame,
)


class Bench:
    """A pipeline of fakes, with the fakes at hand."""

    def __init__(self, policy: LabelPolicy | None = None, *, detect_every_seconds: float = 0.2) -> None:
        self.detector, self.embedder, self.emotion = SquareDetector(), ColourEmbedder(), GreyEmotion()
        labeller = TrackLabeller(Recognition(self.embedder, ColourMatcher()), self.emotion, policy)
        self.pipeline = Pipeline(
            self.detector,
            KalmanTracker,
            labeller,
            scans=ScanPolicy(every_seconds=detect_every_seconds, still_seconds=0),
        )

    def run(self, pictures: Sequence[UInt8], batch_size: int = 1, fps: float = 25.0) -> list[FrameResult]:
        frames = [make_frame(picture, index, fps) for index, picture in enumerate(pictures)]
        results: list[FrameResult] = []
        for first in range(0, len(frames), batch_size):
            results += self.pipeline.process(frames[first : first + batch_size])
        return results


def crossing(index: int) -> UInt8:
    """Rosa walks right, Greta left on a lower line; a stranger stands still."""
    return draw([(10 + 4 * index, 20, RED), (260 - 4 * index, 80, GREEN), (140, 135, BLUE)])


def names_by_track(result: FrameResult) -> dict[int, str | None]:
    return {a.track.track_id: a.identity.name if a.identity else None for a in result.annotations}


def as_lines(results: Sequence[FrameResult]) -> list[str]:
    """Return all that is known, to the last bit, for comparison."""
    return [f"{[_as_text(a) for a in result.annotations]} {result.events} {result.scanned}" for result in results]


def _as_text(annotation: Annotation) -> str:
    track = annotation.track
    emotion = annotation.emotion.probabilities.tolist() if annotation.emotion else None
    return f"{track.track_id} {track.xyxy.tolist()} {track.is_detected} {annotation.identity} {emotion}"


def test_each_person_has_one_track_and_its_own_name_from_the_first_frame() -> None:
    results = Bench().run([crossing(index) for index in range(50)])
    for result in results:
        assert names_by_track(result) == {1: None, 2: "Greta", 3: "Rosa"}


@pytest.mark.parametrize("batch_size", [2, 3, 8, 50])
def test_the_result_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    pictures = [crossing(index) for index in range(25)] + [draw([(100, 60, RED)])] * 15 + [draw([])] * 10
    assert as_lines(Bench().run(pictures)) == as_lines(Bench().run(pictures, batch_size))


def test_the_whole_frame_is_searched_as_often_as_asked_at_every_frame_rate() -> None:
    for fps in (10.0, 25.0, 30.0, 60.0):
        results = Bench(detect_every_seconds=0.2).run([crossing(0)] * round(2 * fps), fps=fps)
        scans = [result.frame.pts_seconds for result in results if result.scanned]
        gaps = np.diff(scans)
        assert (gaps >= 0.2 - 1e-3).all()
        assert (gaps <= 0.2 + 1 / fps).all()


def test_every_frame_is_searched_when_asked() -> None:
    assert all(result.scanned for result in Bench(detect_every_seconds=0).run([crossing(i) for i in range(10)]))


def test_whole_frame_searches_of_a_batch_go_to_the_detector_in_one_call() -> None:
    bench = Bench(detect_every_seconds=0.08)
    bench.run([crossing(index) for index in range(8)], batch_size=8)
    assert bench.detector.scanned == [4]


def test_nothing_is_refined_where_nobody_is() -> None:
    bench = Bench()
    bench.run([draw([])] * 10)
    assert bench.detector.refined == []


def test_a_cut_is_searched_at_once_and_nobody_inherits_a_name() -> None:
    def room(colour: tuple[int, int, int], seed: int) -> UInt8:
        ground = np.random.default_rng(seed).integers(0, 120, (9, 16, 1)).repeat(3, axis=2)
        picture = np.kron(ground, np.ones((20, 20, 1))).astype(np.uint8)
        picture[60:100, 100:140] = colour
        return picture

    results = Bench().run([room(RED, 1)] * 12 + [room(BLUE, 2)] * 12)
    before, after = results[11], results[12]
    assert names_by_track(before) == {1: "Rosa"}
    assert after.scanned
    assert names_by_track(after) == {2: None}
    kinds = [(event.kind, event.track_id, event.name) for event in after.events]
    assert kinds == [("cut", None, None), ("left", 1, "Rosa"), ("appeared", 2, None)]


def test_frames_of_two_sources_keep_their_tracks_apart() -> None:
    bench = Bench()
    left = [make_frame(draw([(10 + 3 * i, 20, RED)]), i, source_id="left") for i in range(10)]
    right = [make_frame(draw([(200 - 3 * i, 90, GREEN)]), i, source_id="right") for i in range(10)]
    mixed = [frame for pair in zip(left, right, strict=True) for frame in pair]
    results = bench.pipeline.process(mixed[:7]) + bench.pipeline.process(mixed[7:])
    assert [result.frame for result in results] == mixed
    for result in results:
        expected = "Rosa" if result.frame.source_id == "left" else "Greta"
        assert names_by_track(result) == {1: expected}


def test_events_tell_each_life_once() -> None:
    results = Bench().run([draw([(50, 50, RED)])] * 10 + [draw([])] * 40)
    events = [(event.kind, event.track_id, event.name) for result in results for event in result.events]
    assert events == [("appeared", 1, None), ("identified", 1, "Rosa"), ("left", 1, "Rosa")]


def test_a_sure_track_is_embedded_rarely_and_an_unsure_one_often() -> None:
    policy = LabelPolicy(embed_every_seconds=0.2, refresh_seconds=2.0, sure_samples=3)
    sure = Bench(policy)
    sure.run([draw([(50, 50, RED)])] * 100)
    assert sum(sure.embedder.calls) == pytest.approx(3 + (4.0 - 0.4) / 2.0, abs=1)
    unsure = Bench(LabelPolicy(first_looks_seconds=0.2, embed_every_seconds=0.2, sure_probability=1.0))
    unsure.run([draw([(50, 50, RED)])] * 100)
    assert sum(unsure.embedder.calls) == 20


def test_a_track_back_from_absence_is_embedded_at_once() -> None:
    bench = Bench(LabelPolicy(absence_seconds=0.3, refresh_seconds=100.0))
    pictures = [draw([(50, 50, RED)])] * 40 + [draw([])] * 12 + [draw([(50, 50, RED)])] * 10
    bench.run(pictures)
    assert sum(bench.embedder.calls) == 4


@pytest.mark.parametrize("gap_frames", [0, 20])
def test_who_took_over_a_track_has_an_id_and_a_name_of_their_own_within_a_second(gap_frames: int) -> None:
    """However long it was sure of its name; nothing but the face's look tells."""
    red, green = draw([(50, 50, RED)]), draw([(50, 50, GREEN)])
    policy = LabelPolicy(refresh_seconds=0.5, left_after_seconds=2.0)
    bench = Bench(policy)
    bench.pipeline = Pipeline(
        bench.detector,
        lambda: KalmanTracker(max_lost_seconds=2.0),
        TrackLabeller(Recognition(bench.embedder, ColourMatcher()), None, policy),
        scans=ScanPolicy(detect_cuts=False, still_seconds=0),
    )
    results = bench.run([red] * 150 + [draw([])] * gap_frames + [green] * 50)
    events = [event for result in results for event in result.events if event.kind != "left"]
    assert [(event.kind, event.track_id, event.name) for event in events] == [
        ("appeared", 1, None),
        ("identified", 1, "Rosa"),
        ("appeared", 2, None),
        ("identified", 2, "Greta"),
    ]
    assert events[-1].pts_seconds - (150 + gap_frames) / 25 < 1.0
    assert names_by_track(results[-1]) == {2: "Greta"}


def test_one_odd_look_changes_no_name() -> None:
    bench = Bench(LabelPolicy(refresh_seconds=0.2, embed_every_seconds=0.2))
    pictures = [draw([(50, 50, RED)])] * 80
    pictures[50] = draw([(50, 50, GREEN)])  # a frame in which the track is looked at
    names = {name for result in bench.run(pictures) for name in names_by_track(result).values()}
    assert names == {"Rosa"}
    # One more than every 0.2 s: the odd one is checked at once.
    assert sum(bench.embedder.calls) == 17


def test_a_face_with_equal_landmarks_is_not_looked_at() -> None:
    class Pointless(SquareDetector):
        def detect(
            self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
        ) -> list[Faces]:
            found = super().detect(pictures)
            return [Faces(faces.xyxy, faces.scores, np.zeros_like(faces.landmarks)) for faces in found]

    bench = Bench()
    bench.pipeline = Pipeline(
        Pointless(),
        KalmanTracker,
        TrackLabeller(None, GreyEmotion()),
        scans=ScanPolicy(every_seconds=0, still_seconds=0),
    )
    assert bench.run([draw([(50, 50, RED)])] * 3)[-1].annotations[0].emotion is None


def test_a_source_that_begins_again_is_searched_at_once_and_inherits_nothing() -> None:
    bench = Bench()
    bench.run([draw([(50, 50, RED)])] * 10)
    bench.pipeline.begin(SourceInfo("drawn", "drawn", 320, 180, 25.0, is_live=True))
    results = bench.run([draw([(50, 50, GREEN)])] * 3)
    assert results[0].scanned
    assert names_by_track(results[0]) == {1: "Greta"}


def test_no_more_crops_are_embedded_than_the_budget_of_a_second_allows() -> None:
    """Half a second's are there at first, and all faces have their turn."""
    bench = Bench(LabelPolicy(embeddings_per_second=4.0, sure_probability=1.0, embed_every_seconds=0.1))
    row = draw([(10 + 60 * column, 50, RED) for column in range(5)])
    results = bench.run([row] * 76)
    assert sum(bench.embedder.calls) == pytest.approx(2 + 3 * 4, abs=1)
    assert max(bench.embedder.calls) == 2
    assert all(annotation.identity is not None for annotation in results[-1].annotations)


def test_faces_too_small_to_read_are_neither_named_nor_told_an_emotion() -> None:
    """That no emotion is told is not the same as that none was assessed."""
    policy = LabelPolicy(min_face_pixels=60, emotion=EmotionPolicy(min_face_pixels=60))
    result = Bench(policy).run([draw([(50, 50, RED)])] * 5)[-1]
    assert result.annotations[0].identity is None
    emotion = result.annotations[0].emotion
    assert emotion is not None
    assert emotion.label is None
    assert emotion.probabilities[1] == pytest.approx(250 / 255, abs=0.01)


def test_an_emotion_follows_a_change_within_its_time_constant() -> None:
    bench = Bench(LabelPolicy(emotion=EmotionPolicy(smoothing_seconds=0.4, every_seconds=0.04)))
    dark = (0, 0, 160)
    results = bench.run([draw([(50, 50, RED)])] * 20 + [draw([(50, 50, dark)])] * 25)
    happy = [result.annotations[0].emotion for result in results]
    assert all(emotion is not None for emotion in happy)
    levels = [float(emotion.probabilities[1]) for emotion in happy if emotion is not None]
    start, end = 250 / 255, 160 / 255
    expected = end + (start - end) * math.exp(-0.4 / 0.4)
    assert levels[19] == pytest.approx(start, abs=0.01)
    assert levels[29] == pytest.approx(expected, abs=0.03)


def test_without_a_gallery_nobody_is_assessed() -> None:
    pipeline = Pipeline(SquareDetector(), KalmanTracker, TrackLabeller(None, None))
    annotation = pipeline.process([make_frame(draw([(50, 50, RED)]), 0)])[0].annotations[0]
    assert annotation.identity is None
    assert annotation.emotion is None


def test_a_name_does_not_jump_between_two_like_faces() -> None:
    """Similarities that waver by .01 around each other: the first holder keeps the name."""

    class Wavering(ColourMatcher):
        calls = 0

        def match(self, embeddings: Float32) -> list[Identity]:
            Wavering.calls += 1
            return [
                Identity("Rosa", 0.95 + 0.01 * ((index + Wavering.calls) % 2), 0.9, 0.1)
                for index in range(len(embeddings))
            ]

        def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
            return [(answer,) for answer in self.match(embeddings)]

    bench = Bench(LabelPolicy(embed_every_seconds=0.04, sure_probability=1.0))
    labeller = TrackLabeller(Recognition(bench.embedder, Wavering()), None, LabelPolicy(embed_every_seconds=0.04))
    bench.pipeline = Pipeline(bench.detector, KalmanTracker, labeller)
    results = bench.run([draw([(20, 50, RED), (200, 50, RED)])] * 50)
    kinds = [event.kind for result in results for event in result.events]
    assert kinds.count("identified") == 1
    assert kinds.count("renamed") == 0


def track_of(side: float, nose_shift: float = 0.0, score: float = 1.0) -> Track:
    xyxy = np.array([0, 0, side, side], np.float32)
    landmarks = landmarks_in(xyxy)
    landmarks[2, 0] += nose_shift * side
    return Track(1, xyxy, landmarks, score, True, 0.0, 0.0)


def test_larger_and_more_frontal_views_are_worth_more() -> None:
    assert view_quality(track_of(112)) == pytest.approx(1.0)
    assert view_quality(track_of(56)) == pytest.approx(0.5)
    assert view_quality(track_of(112, 0.1)) < view_quality(track_of(112))
    assert view_quality(track_of(112, 0.4)) == 0.05


def test_evidence_points_where_most_of_its_weight_points_and_can_turn() -> None:
    evidence = TrackEvidence()
    first, second = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    for _ in range(20):
        evidence.add(first, 1.0)
    assert evidence.mean() @ first == pytest.approx(1.0)
    assert np.linalg.norm(evidence.mean()) == pytest.approx(1.0)
    turned = 0
    while evidence.mean() @ second < evidence.mean() @ first:
        evidence.add(second, 1.0)
        turned += 1
    assert turned <= 6
    assert np.linalg.norm(evidence.mean()) < 0.8  # views that disagree are shorter together
    assert evidence.samples == 20 + turned


def test_evidence_without_a_view_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no view"):
        TrackEvidence().mean()


def two_shots(index: int) -> UInt8:
    """Rosa walks; after frame 12 Greta does, elsewhere, before a light wall."""
    if index < 13:
        return draw([(10 + 2 * index, 20, RED)])
    light = draw([(200 - 2 * index, 100, GREEN)])
    light[:90] = 120
    return light


class WaitingBench:
    """A pipeline whose frames wait for the next search, as a file's do."""

    def __init__(self, *, spares: bool = False) -> None:
        self.detector = SquareDetector()
        self.pipeline = Pipeline(
            self.detector,
            KalmanTracker,
            TrackLabeller(Recognition(ColourEmbedder(), ColourMatcher()), GreyEmotion()),
            waiting_scans=ScanPolicy(every_seconds=0.2, still_seconds=0, spares=spares),
            make_follower=lambda: SpanFollower(
                KalmanTracker(max_searched_seconds=0.2), self.detector, SpanPolicy(), RunStats()
            ),
        )
        self.pipeline.begin(SourceInfo("s", "drawn", 320, 180, 25.0))

    def run(self, pictures: Sequence[UInt8], batch_size: int = 4) -> list[FrameResult]:
        frames = [make_frame(picture, index, source_id="s") for index, picture in enumerate(pictures)]
        results: list[FrameResult] = []
        for first in range(0, len(frames), batch_size):
            results += self.pipeline.process(frames[first : first + batch_size])
        return results + self.pipeline.finish()


def test_the_last_frame_of_a_shot_is_searched_ahead_and_never_while_tracks_are_followed() -> None:
    bench = WaitingBench()
    frames = [make_frame(two_shots(index), index, source_id="s") for index in range(28)]
    results: list[FrameResult] = []
    for batch in (bench.pipeline.plan(frames[:20]), bench.pipeline.plan(frames[20:]), bench.pipeline.plan_end()):
        bench.pipeline.search(batch)
        searched = list(bench.detector.scanned)
        for some in bench.pipeline.follow(batch):
            results += bench.pipeline.label(some)
        assert bench.detector.scanned == searched
    results += bench.pipeline.release()
    assert [result.frame.index for result in results] == list(range(28))
    assert [result.frame.index for result in results if result.scanned] == [0, 5, 10, 12, 13, 18, 23, 27]
    assert names_by_track(results[12]) == {1: "Rosa"}
    assert names_by_track(results[13]) == {2: "Greta"}
    assert [event.kind for event in results[13].events] == ["cut", "left", "appeared", "identified"]


def entering(index: int) -> UInt8:
    """Nobody; from frame 7 on Rosa walks."""
    return draw([(10 + 3 * index, 20, RED)] if index >= 7 else [])


def scanned(results: Sequence[FrameResult]) -> list[int]:
    return [result.frame.index for result in results if result.scanned]


def test_while_nobody_is_there_every_second_search_is_left_out() -> None:
    results = WaitingBench(spares=True).run([draw([])] * 28)
    assert [result.frame.index for result in results] == list(range(28))
    assert scanned(results) == [0, 10, 20, 27]


def test_who_came_in_before_a_search_that_was_left_out_is_there_from_the_first_frame() -> None:
    results = WaitingBench(spares=True).run([entering(index) for index in range(28)])
    assert [len(result.annotations) for result in results] == [0] * 7 + [1] * 21
    # The one at frame 10 found her, so that at 15 is not left out.
    assert scanned(results) == [0, 10, 15, 20, 25, 27]


def test_a_shot_that_ends_on_a_search_left_out_ends_with_one_all_the_same() -> None:
    pictures = [draw([])] * 5 + [entering(20)] * 1
    results = WaitingBench(spares=True).run(pictures)
    assert scanned(results) == [0, 5]
    assert [len(result.annotations) for result in results] == [0] * 5 + [1]


@pytest.mark.parametrize("spares", [False, True])
@pytest.mark.parametrize("scene", [two_shots, entering])
def test_frames_that_wait_give_the_same_results_in_batches_of_any_size(
    scene: Callable[[int], UInt8], spares: bool
) -> None:
    pictures = [scene(index) for index in range(28)]
    lines = [as_lines(WaitingBench(spares=spares).run(pictures, size)) for size in (1, 3, 28)]
    assert lines[0] == lines[1] == lines[2]
    assert len(lines[0]) == 28


def test_a_file_of_one_frame_is_finished_too() -> None:
    bench = WaitingBench()
    assert bench.pipeline.process([make_frame(two_shots(0), 0, source_id="s")]) == []
    (only,) = bench.pipeline.finish()
    assert names_by_track(only) == {1: "Rosa"}
    assert bench.pipeline.finish() == []
