"""What the pipeline does with less than the full effort: live sources cost less, and files notice nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import streamer
from streamer.build import Models, build_overload_ladder, build_pipeline
from streamer.config import load_config
from streamer.effort import FULL, Effort
from streamer.emotion.policy import EmotionPolicy
from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.load import Load
from streamer.pictures import Picture, UInt8
from streamer.pipeline import Pipeline
from streamer.policies import scan_policy
from streamer.recognition.gallery import Gallery
from streamer.rungs import rungs
from streamer.scans import ScanPlanner, ScanPolicy
from streamer.sources.portraits import packaged_portraits
from streamer.sources.synthetic import Actor, Scene, SyntheticSource
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Faces, Frame, FrameResult, SourceInfo
from tests.drawn import photos_of
from tests.fakes import BLUE, GREEN, RED, ColourEmbedder, ColourMatcher, GreyEmotion, SquareDetector, draw, make_frame
from tests.machines import USUAL
from tests.test_pipeline import WaitingBench, as_lines, crossing, names_by_track, two_shots

LOWEST = rungs(USUAL)[-1]
FPS = 25.0


class ChoosyDetector(SquareDetector):
    """Notes how small the faces are that are searched for, and passes over smaller ones."""

    def __init__(self) -> None:
        super().__init__()
        self.smallest: list[float] = []

    def detect(
        self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
    ) -> list[Faces]:
        self.smallest.append(20.0 if min_face_pixels is None else min_face_pixels)
        found = super().detect(pictures, min_face_pixels=min_face_pixels)
        return [faces[faces.xyxy[:, 2] - faces.xyxy[:, 0] >= self.smallest[-1]] for faces in found]


class LiveBench:
    """A pipeline of a live source, with the fakes at hand."""

    def __init__(self, policy: LabelPolicy | None = None, every_seconds: float = 0.4) -> None:
        self.detector, self.embedder, self.emotion = ChoosyDetector(), ColourEmbedder(), GreyEmotion()
        self.pipeline = Pipeline(
            self.detector,
            lambda: KalmanTracker(max_lost_seconds=2.0),
            TrackLabeller(Recognition(self.embedder, ColourMatcher()), self.emotion, policy),
            scans=ScanPolicy(every_seconds=every_seconds, coarse_min_face_pixels=28.0, still_seconds=0),
        )
        self.pipeline.begin(SourceInfo("drawn", "drawn", 320, 180, FPS, is_live=True))
        self.results: list[FrameResult] = []

    def run(self, picture_at: Callable[[int], UInt8], count: int) -> None:
        for _ in range(count):
            index = len(self.results)
            self.results += self.pipeline.process([make_frame(picture_at(index), index, FPS)])

    def scanned_seconds(self) -> list[float]:
        return [result.frame.pts_seconds for result in self.results if result.scanned]


def crowd(count: int) -> UInt8:
    """Many people, of three kinds, who stand still."""
    places = [(left, top) for top in range(4, 140, 44) for left in range(4, 280, 44)]
    return draw([(*place, (RED, GREEN, BLUE)[n % 3]) for n, place in enumerate(places[:count])])


# ---- searches


def test_live_pictures_are_searched_as_many_times_less_often_and_again_as_often_at_once() -> None:
    bench = LiveBench()
    bench.run(lambda _: crossing(0), 40)
    bench.pipeline.set_effort(Effort(search_times=4))
    bench.run(lambda _: crossing(0), 120)
    bench.pipeline.set_effort(FULL)
    bench.run(lambda _: crossing(0), 40)
    # That at 6.4 s comes at once, though 1.6 s after the one before it would not have been due.
    assert bench.scanned_seconds() == pytest.approx([0.0, 0.4, 0.8, 1.2, 2.8, 4.4, 6.0, 6.4, 6.8, 7.2, 7.6])


def test_smaller_faces_are_passed_over_also_by_the_first_search_of_a_shot() -> None:
    bench = LiveBench()
    bench.pipeline.set_effort(Effort(face_times=2))
    bench.run(crossing, 40)
    assert bench.detector.smallest == [40.0, 56.0, 56.0, 40.0]
    bench.pipeline.set_effort(FULL)
    bench.run(crossing, 30)
    assert bench.detector.smallest[4:] == [28.0, 28.0, 20.0]


def test_where_every_frame_is_searched_less_often_is_less_often_too() -> None:
    planner = ScanPlanner(ScanPolicy(every_seconds=0.0, still_seconds=0))
    planned = [index for index in range(25) if planner.scan(make_frame(crossing(index), index), Effort(search_times=2))]
    assert planned == [0, 5, 10, 15, 20]


def test_large_live_pictures_are_searched_no_more_often_than_small_ones() -> None:
    """No frame waits for the search, so none needs memory."""
    policy = scan_policy(
        load_config(overrides=["tracker.detect_every_seconds=0.4"], environment={}), 0.2, can_wait=False
    )
    planner = ScanPlanner(policy)
    ground = np.zeros((2160, 3840, 3), np.uint8)
    planned = []
    for index in range(21):
        ground[:] = 10 * index
        if planner.scan(make_frame(ground.copy(), index)) is not None:
            planned.append(index)
    assert planned == [0, 10, 20]


@pytest.mark.parametrize("comes_at", [13, 39])
@pytest.mark.parametrize("effort", rungs(USUAL))
def test_who_comes_in_under_overload_is_found_and_named_in_bounded_time(effort: Effort, comes_at: int) -> None:
    bench = LiveBench()
    bench.pipeline.set_effort(effort)

    def picture_at(index: int) -> UInt8:
        return draw([(10, 20, RED), *([(100 + 0.8 * (index - comes_at), 90, GREEN)] if index >= comes_at else [])])

    bench.run(picture_at, comes_at + 150)
    found = [result.frame.pts_seconds for result in bench.results if len(result.annotations) == 2]
    # Faces of 40 px are searched for by every third search only, where 40 px is the least.
    searches = 3 if 28 * effort.face_times > 40 else 1
    assert found[0] - comes_at / FPS <= searches * effort.search_times * 0.4 + 2 / FPS
    named = [result for result in bench.results if "Greta" in names_by_track(result).values()]
    assert named[0].frame.pts_seconds - found[0] <= 1.0
    assert all("Rosa" in names_by_track(result).values() for result in bench.results)
    events = [(event.kind, event.name) for result in bench.results for event in result.events]
    assert sorted(events, key=str) == sorted(
        [("appeared", None), ("identified", "Rosa"), ("appeared", None), ("identified", "Greta")], key=str
    )


# ---- looks


def test_in_a_crowd_fewer_faces_are_embedded_a_second_and_yet_all_are_named_later() -> None:
    seen = []
    for effort in (FULL, Effort(looks=0.25)):
        bench = LiveBench(LabelPolicy(embeddings_per_second=8.0))
        bench.pipeline.set_effort(effort)
        bench.run(lambda _: crowd(12), 110)
        assessed = [
            result.frame.pts_seconds
            for result in bench.results
            if sum(annotation.identity is not None for annotation in result.annotations) == 12
        ]
        seen.append((sum(bench.embedder.calls), assessed[0]))
    (usual, early), (fewer, late) = seen
    # In 4.4 s, and the 4 that are saved up in half a second.
    assert fewer == pytest.approx(2 * 4.4 + 4, abs=1)
    assert usual > 2 * fewer
    assert early == pytest.approx(1.0, abs=0.1)
    assert late == pytest.approx(4.0, abs=0.1)


def test_emotions_are_read_half_and_a_quarter_as_often() -> None:
    reads = []
    for looks in (1.0, 0.5, 0.25):
        bench = LiveBench(LabelPolicy(emotion=EmotionPolicy(every_seconds=0.2, least_sharpness=0.0)))
        bench.pipeline.set_effort(Effort(looks=looks))
        bench.run(lambda _: draw([(60, 60, RED)]), 100)
        reads.append(sum(bench.emotion.calls))
        assert bench.results[-1].annotations[0].emotion is not None
    assert reads == [20, 10, 5]


def test_emotions_read_in_every_frame_are_read_less_often_too() -> None:
    bench = LiveBench(LabelPolicy(emotion=EmotionPolicy(every_seconds=0.0, least_sharpness=0.0)))
    bench.pipeline.set_effort(Effort(looks=0.5))
    bench.run(lambda _: draw([(60, 60, RED)]), 50)
    assert sum(bench.emotion.calls) == 10


# ---- files, and sources beside each other


@pytest.mark.parametrize("scene", [two_shots, crossing])
def test_the_results_of_a_file_are_the_same_whatever_the_effort(scene: Callable[[int], UInt8]) -> None:
    pictures = [scene(index) for index in range(28)]
    usual = as_lines(WaitingBench().run(pictures))
    lowest = WaitingBench()
    lowest.pipeline.set_effort(LOWEST)
    assert as_lines(lowest.run(pictures)) == usual


def test_the_results_of_a_file_are_the_same_while_the_effort_changes() -> None:
    pictures, chance = [two_shots(index) for index in range(28)], random.Random(4)
    bench = WaitingBench()
    results: list[FrameResult] = []
    for index, picture in enumerate(pictures):
        bench.pipeline.set_effort(chance.choice(rungs(USUAL)))
        results += bench.pipeline.process([make_frame(picture, index, source_id="s")])
    assert as_lines([*results, *bench.pipeline.finish()]) == as_lines(WaitingBench().run(pictures))


def test_a_file_beside_a_live_source_keeps_the_full_effort() -> None:
    bench = WaitingBench()
    bench.pipeline.begin(SourceInfo("drawn", "drawn", 320, 180, FPS, is_live=True))
    bench.pipeline.set_effort(LOWEST)
    results: list[FrameResult] = []
    for index in range(28):
        live, waiting = (make_frame(two_shots(index), index, source_id=name) for name in ("drawn", "s"))
        results += bench.pipeline.process([live, waiting])
    results += bench.pipeline.finish()
    filed = [result for result in results if result.frame.source_id == "s"]
    assert as_lines(filed) == as_lines(WaitingBench().run([two_shots(index) for index in range(28)]))
    assert sum(result.scanned for result in results if result.frame.source_id == "drawn") <= 2


def test_the_full_effort_changes_nothing_in_a_live_run_either() -> None:
    usual, set_anew = LiveBench(), LiveBench()
    usual.run(crossing, 50)
    for _ in range(50):
        set_anew.pipeline.set_effort(FULL)
        set_anew.run(crossing, 1)
    assert as_lines(usual.results) == as_lines(set_anew.results)


# ---- configuration


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "overload: whole pictures are searched every 0.8 s (was 0.4)"),
        (["tracker.detect_every_seconds=1.5"], "overload: whole pictures are searched every 3 s (was 1.5)"),
    ],
)
def test_the_ladder_is_measured_by_the_configuration(overrides: list[str], text: str) -> None:
    ladder = build_overload_ladder(load_config(overrides=overrides, environment={}), is_shown=True)
    dropping = Load(seconds=1.0, captured=30, processed=15, dropped=15, busy=1.0, age_seconds=0.1)
    told = [change.text for now in range(60) if (change := ladder.update(float(now), dropping)) is not None]
    assert told[0] == text
    assert len(told) == 8


def test_a_run_without_a_window_and_without_emotions_has_no_rung_for_them() -> None:
    ladder = build_overload_ladder(load_config(overrides=["emotion.enabled=false"], environment={}), is_shown=False)
    dropping = Load(seconds=1.0, captured=30, processed=15, dropped=15, busy=1.0, age_seconds=0.1)
    told = [change.text for now in range(60) if (change := ladder.update(float(now), dropping)) is not None]
    assert len(told) == 6
    assert not any("emotion" in text or "shown" in text for text in told)


def live_frames(count: int, source_id: str) -> list[Frame]:
    return [make_frame(crossing(index), index, source_id=source_id) for index in range(count)]


def test_an_effort_is_everybodys_among_live_sources() -> None:
    bench = LiveBench()
    bench.pipeline.begin(SourceInfo("other", "other", 320, 180, FPS, is_live=True))
    bench.pipeline.set_effort(Effort(search_times=4))
    pairs = zip(live_frames(41, "drawn"), live_frames(41, "other"), strict=True)
    results = bench.pipeline.process([frame for pair in pairs for frame in pair])
    assert sum(result.scanned for result in results) == 4


# ---- the real nets, drawn people

COMES_SECONDS = 0.5


def somebody_comes_in(seconds: float) -> Scene:
    """Eileen Collins stands; after half a second Grace Hopper walks in."""
    collins, hopper = packaged_portraits()
    actors = (
        Actor(collins, ((0.0, 160.0, 170.0, 100.0),)),
        Actor(hopper, ((0.0, 400.0, 180.0, 100.0), (seconds, 480.0, 180.0, 100.0)), appears_seconds=COMES_SECONDS),
    )
    return Scene(width=640, height=360, fps=25, seconds=seconds, actors=actors, seed=3)


def gallery_of_both(folder: Path) -> Gallery:
    return streamer.people_from(photos_of(folder / "photos", "Eileen Collins", "Grace Hopper"))


def frames_of(scene: Scene) -> list[Frame]:
    source = SyntheticSource(scene)
    return list(iter(source.read, None))


@pytest.mark.timeout(60)
def test_with_the_real_nets_too_who_comes_in_under_overload_is_found_and_named(tmp_path: Path) -> None:
    config, scene = load_config(overrides=["tracker.detect_every_seconds=0.4"], environment={}), somebody_comes_in(3.4)
    pipeline = build_pipeline(config, gallery_of_both(tmp_path))
    pipeline.begin(replace(SyntheticSource(scene).info, is_live=True))
    pipeline.set_effort(LOWEST)
    results = [result for frame in frames_of(scene) for result in pipeline.process([frame])]
    names = [names_by_track(result) for result in results]
    found = [result.frame.pts_seconds for result in results if len(result.annotations) == 2]
    assert found[0] - COMES_SECONDS <= 1.6 + 2 / FPS
    named = [
        result.frame.pts_seconds
        for result, own in zip(results, names, strict=True)
        if sorted(map(str, own.values())) == ["Eileen Collins", "Grace Hopper"]
    ]
    assert named[0] - found[0] <= 0.5
    assert sum(result.scanned for result in results) == 3


@pytest.mark.timeout(60)
def test_with_the_real_nets_too_a_file_s_results_are_the_same_whatever_the_effort(tmp_path: Path) -> None:
    config, scene, gallery = load_config(environment={}), somebody_comes_in(1.6), gallery_of_both(tmp_path)
    models, lines = Models(config), []
    for effort in (FULL, LOWEST):
        pipeline = build_pipeline(config, gallery, models=models)
        pipeline.begin(SyntheticSource(scene).info)
        pipeline.set_effort(effort)
        results = [result for frame in frames_of(scene) for result in pipeline.process([frame])]
        lines.append(as_lines([*results, *pipeline.finish()]))
    assert len(lines[0]) == 40
    assert lines[0] == lines[1]
