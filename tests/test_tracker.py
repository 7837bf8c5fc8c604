"""The tracker's life cycle and the shot cuts, on drawn motion with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import geometry
from streamer.pictures import BgrPicture, UInt8
from streamer.sources.video import VideoSource
from streamer.trackers.cuts import ShotCutDetector
from streamer.trackers.kalman import KalmanTracker
from streamer.trackers.motion import BoxMotion
from streamer.types import Faces, Float32, Frame, Track

GROUND = BgrPicture(np.zeros((720, 1280, 3), np.uint8))


def frame_at(seconds: float, picture: BgrPicture = GROUND) -> Frame:
    return Frame(picture, round(seconds * 25), seconds, 0.0, "drawn")


def faces_of(*boxes: tuple[float, float, float, float], score: float = 0.99) -> Faces:
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    centres = ((xyxy[:, :2] + xyxy[:, 2:]) / 2).astype(np.float32)
    landmarks = np.repeat(centres[:, None], 5, axis=1)
    return Faces(xyxy, np.full(len(xyxy), score, np.float32), landmarks)


def moving(seconds: float, x: float = 100, speed: float = 200) -> tuple[float, float, float, float]:
    left = x + speed * seconds
    return (left, 200, left + 80, 300)


def ids(tracks: list[Track]) -> list[int]:
    return [track.track_id for track in tracks]


def test_a_face_keeps_its_id_while_it_moves() -> None:
    tracker = KalmanTracker()
    for step in range(50):
        tracks = tracker.update(frame_at(step / 25), faces_of(moving(step / 25)))
        assert ids(tracks) == [1]
        assert tracks[0].is_detected
        assert tracks[0].last_seen_seconds == step / 25
    assert tracks[0].first_seen_seconds == 0


def test_a_detected_track_has_the_detection_s_own_box_and_landmarks() -> None:
    tracker = KalmanTracker()
    tracker.update(frame_at(0), faces_of((100, 100, 180, 200)))
    faces = faces_of((109, 103, 190, 207))
    track = tracker.update(frame_at(0.04), faces)[0]
    np.testing.assert_array_equal(track.xyxy, faces.xyxy[0])
    assert track.landmarks is not None
    np.testing.assert_array_equal(track.landmarks, faces.landmarks[0])


def test_a_track_coasts_for_a_short_while_and_then_is_hidden() -> None:
    tracker = KalmanTracker(max_predicted_seconds=0.1)
    for step in range(10):
        tracker.update(frame_at(step / 25), faces_of(moving(step / 25)))
    coasting = tracker.update(frame_at(0.40), Faces.empty())
    assert ids(coasting) == [1]
    assert not coasting[0].is_detected
    assert coasting[0].landmarks is None
    assert geometry.iou(coasting[0].xyxy[None], np.array([moving(0.40)], np.float32))[0, 0] > 0.8
    assert tracker.update(frame_at(0.50), None) == []


def test_a_lost_face_found_where_it_should_be_keeps_its_id() -> None:
    tracker = KalmanTracker(max_lost_seconds=1.0)
    for step in range(10):
        tracker.update(frame_at(step / 25), faces_of(moving(step / 25)))
    tracker.update(frame_at(0.6), Faces.empty())
    assert ids(tracker.update(frame_at(0.8), faces_of(moving(0.8)))) == [1]


def test_a_face_lost_for_too_long_gets_a_new_id_never_an_old_one() -> None:
    tracker = KalmanTracker(max_lost_seconds=0.5)
    tracker.update(frame_at(0), faces_of((100, 100, 180, 200)))
    tracker.update(frame_at(0.6), Faces.empty())
    assert ids(tracker.update(frame_at(0.7), faces_of((100, 100, 180, 200)))) == [2]


def test_durations_are_stream_time_whatever_the_frame_rate() -> None:
    for fps in (5, 25, 120):
        tracker = KalmanTracker(max_predicted_seconds=0.3)
        tracker.update(frame_at(0), faces_of((100, 100, 180, 200)))
        hidden_at = next(
            step / fps for step in range(1, 1000) if not tracker.update(frame_at(step / fps), Faces.empty())
        )
        assert 0.3 < hidden_at <= 0.3 + 1 / fps + 1e-9


def test_a_doubtful_detection_continues_a_track_but_never_starts_one() -> None:
    tracker = KalmanTracker(high_score=0.9)
    assert tracker.update(frame_at(0), faces_of((100, 100, 180, 200), score=0.8)) == []
    tracker.update(frame_at(0.04), faces_of((100, 100, 180, 200), score=0.95))
    track = tracker.update(frame_at(0.08), faces_of((101, 100, 181, 200), score=0.75))[0]
    assert (track.track_id, track.is_detected) == (1, True)
    assert track.score == pytest.approx(0.75)


def test_two_faces_that_pass_each_other_keep_their_ids() -> None:
    tracker = KalmanTracker()
    for step in range(40):
        seconds = step / 25
        right, left = moving(seconds, 100, 300), moving(seconds, 580, -300)
        shifted = (left[0], left[1] + 60, left[2], left[3] + 60)
        tracks = tracker.update(frame_at(seconds), faces_of(right, shifted))
    by_id = {track.track_id: track.xyxy[0] for track in tracks}
    assert by_id[1] == pytest.approx(moving(39 / 25, 100, 300)[0])
    assert by_id[2] == pytest.approx(moving(39 / 25, 580, -300)[0])


def test_a_cut_ends_every_track_even_where_somebody_stands_in_the_same_place() -> None:
    tracker = KalmanTracker()
    tracker.update(frame_at(0), faces_of((100, 100, 180, 200), (400, 100, 480, 200)))
    tracker.cut()
    assert len(tracker.predict(0.04)) == 0
    assert ids(tracker.update(frame_at(0.04), faces_of((100, 100, 180, 200)))) == [3]


def test_a_predicted_box_that_has_left_the_picture_is_not_shown() -> None:
    tracker = KalmanTracker(max_predicted_seconds=1.0)
    for step in range(10):
        tracker.update(frame_at(step / 25), faces_of(moving(step / 25, 1000, 500)))
    assert tracker.update(frame_at(0.7), Faces.empty()) == []


def test_predicting_changes_nothing_and_follows_the_motion() -> None:
    tracker = KalmanTracker()
    for step in range(15):
        tracker.update(frame_at(step / 25), faces_of(moving(step / 25)))
    first, second = tracker.predict(0.7), tracker.predict(0.7)
    np.testing.assert_array_equal(first[1], second[1])
    assert geometry.iou(first[1][None], np.array([moving(0.7)], np.float32))[0, 0] > 0.85


def test_who_was_seen_just_now_is_assigned_before_who_is_lost() -> None:
    """A lost face's expected place wanders; it must not take over the face of somebody who was there all along."""
    tracker = KalmanTracker()
    tracker.update(frame_at(0), faces_of((100, 100, 180, 200), (104, 102, 184, 202)))
    for step in range(1, 15):
        tracker.update(frame_at(step / 25), faces_of((100, 100, 180, 200)))
    assert ids(tracker.update(frame_at(0.6), faces_of((103, 102, 183, 202)))) == [1]


def test_a_newer_track_goes_on_as_the_lost_one_that_it_continues() -> None:
    tracker = KalmanTracker()
    tracker.update(frame_at(0), faces_of((100, 100, 180, 200)))
    tracker.update(frame_at(0.2), faces_of((500, 100, 580, 200)))
    assert tracker.rejoin(2, 1)
    track = next(t for t in tracker.update(frame_at(0.24), faces_of((500, 100, 580, 200))) if t.is_detected)
    assert (track.track_id, track.first_seen_seconds) == (1, 0.0)
    assert not tracker.rejoin(2, 1)


def test_two_trackers_do_not_share_ids() -> None:
    first, second = KalmanTracker(), KalmanTracker()
    assert ids(first.update(frame_at(0), faces_of((0, 0, 50, 50)))) == [1]
    assert ids(second.update(frame_at(0), faces_of((0, 0, 50, 50)))) == [1]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 650)), max_size=6), max_size=15))
def test_ids_are_unique_in_a_frame_and_never_come_back_after_their_end(
    scenes: list[list[tuple[int, int]]],
) -> None:
    tracker = KalmanTracker(max_lost_seconds=0.1)
    last_seen: dict[int, int] = {}
    for index, corners in enumerate(scenes):
        boxes = [(float(x), float(y), x + 60.0, y + 70.0) for x, y in corners]
        tracks = tracker.update(frame_at(index / 25), faces_of(*boxes))
        assert len(set(ids(tracks))) == len(tracks)
        for track in tracks:
            if track.is_detected:
                assert index - last_seen.get(track.track_id, index) <= 0.1 * 25 + 1
                last_seen[track.track_id] = index
        assert sum(track.is_detected for track in tracks) <= len(boxes)


def test_motion_learns_a_constant_velocity_from_noisy_boxes() -> None:
    random = np.random.default_rng(3)
    motion = BoxMotion(np.array(moving(0), np.float32), 0.0)
    for step in range(1, 40):
        noisy: Float32 = (np.array(moving(step / 25)) + random.normal(0, 2, 4)).astype(np.float32)
        motion.measure(noisy, step / 25)
    ahead = motion.predicted(39 / 25 + 0.2)
    assert abs(float(ahead[0]) - moving(39 / 25 + 0.2)[0]) < 8


def test_a_shrinking_box_never_turns_over() -> None:
    motion = BoxMotion(np.array([0, 0, 100, 100], np.float32), 0.0)
    for step in range(1, 8):
        side = 100 - 12 * step
        motion.measure(np.array([0, 0, side, side], np.float32), step / 25)
    left, top, right, bottom = motion.predicted(2.0)
    assert right > left
    assert bottom > top


def texture(seed: int) -> UInt8:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3)).astype(np.uint8)
    return np.asarray(np.kron(coarse, np.ones((40, 40, 1))), np.uint8)


def cuts_in(pictures: list[UInt8]) -> list[int]:
    detector = ShotCutDetector()
    return [i for i, picture in enumerate(pictures) if detector.is_cut(frame_at(i / 25, BgrPicture(picture)))]


def test_a_hard_change_of_picture_is_a_cut_and_only_its_first_frame_is() -> None:
    assert cuts_in([texture(1)] * 10 + [texture(2)] * 10 + [texture(3)] * 5) == [10, 20]


def test_unlike_pictures_seconds_apart_are_cuts_every_time() -> None:
    detector = ShotCutDetector()
    series = [texture(1), texture(2), texture(3), texture(3), texture(4)]
    found = [detector.is_cut(Frame(BgrPicture(p), i, float(i), 0.0, "photos")) for i, p in enumerate(series)]
    assert found == [False, True, True, False, True]


def test_the_same_view_in_another_size_is_a_cut() -> None:
    """A camera that is back with another size shows somebody else where the tracks of before are, in pixels."""
    small, large = texture(1), np.asarray(np.kron(texture(1), np.ones((2, 2, 1))), np.uint8)
    assert cuts_in([small] * 5 + [large] * 5 + [small] * 3) == [5, 10]


def test_a_pan_is_no_cut() -> None:
    wide = np.concatenate([texture(1), texture(2), texture(3)], axis=1)
    assert cuts_in([wide[:, 30 * i : 30 * i + 640] for i in range(40)]) == []


def test_a_flash_is_no_cut() -> None:
    plain = (texture(4) * 0.5).astype(np.uint8)
    flash = np.clip(plain.astype(np.int16) + 90, 0, 255).astype(np.uint8)
    assert cuts_in([plain] * 8 + [flash] + [plain] * 8) == []


def test_a_fade_to_black_is_no_cut_but_what_follows_in_one_step_is() -> None:
    fade = [(texture(5) * (1 - step / 20)).astype(np.uint8) for step in range(20)]
    black = [np.zeros_like(texture(5))] * 20
    assert cuts_in(fade + black + [texture(6)] * 3) == [40]


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["crowd_1080p", "single_face_360p", "expressions_360p", "no_face"])
def test_single_shots_hold_no_cut(shared_data: Path, name: str) -> None:
    source, detector = VideoSource(shared_data / "videos" / f"{name}.mp4"), ShotCutDetector()
    cuts = []
    while (frame := source.read()) is not None:
        if detector.is_cut(frame):
            cuts.append(frame.index)
    source.close()
    assert cuts == []
