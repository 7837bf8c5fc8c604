"""Faces between two searches: followed forward, followed back, interpolated; on scripted detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streamer import geometry
from streamer.gaps import SpanPolicy
from streamer.pictures import BgrPicture, Picture
from streamer.spans import SpanFollower
from streamer.stats import RunStats
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Faces, Float32, Frame, Track

Box = tuple[float, float, float, float]


class Script:
    """A detector that knows where each face stands in each frame, and how sure it is of it there.

    `faces[name][index]` is (box, score). `refine` finds what overlaps an expected box, `detect` all in a region.
    """

    def __init__(self, count: int, faces: dict[str, dict[int, tuple[Box, float]]]) -> None:
        self.frames = [
            Frame(BgrPicture(np.zeros((300, 600, 3), np.uint8)), index, index / 25, 0.0, "s") for index in range(count)
        ]
        self._index = {id(frame.picture): frame.index for frame in self.frames}
        self._faces = faces
        self.looked_at: list[int] = []

    def whole(self, index: int) -> Faces:
        rows = [track[index] for track in self._faces.values() if index in track]
        xyxy = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
        scores = np.array([score for _, score in rows], np.float32)
        corners = np.stack([xyxy[:, :2]] * 5, axis=1) + np.arange(5, dtype=np.float32)[None, :, None]
        return Faces(xyxy, scores, corners.astype(np.float32))

    def detect(
        self,
        pictures: Sequence[Picture],
        regions: Sequence[tuple[int, int, int, int] | None] | None = None,
        *,
        min_face_pixels: float | None = None,
    ) -> list[Faces]:
        found = self.whole(self._index[id(pictures[0])])
        assert regions is not None
        assert regions[0] is not None
        inside = geometry.iou(found.xyxy, np.array([regions[0]], np.float32))[:, 0] > 0
        return [found[inside]]

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[Float32]) -> list[Faces]:
        return [self._near(self._index[id(picture)], wanted) for picture, wanted in zip(pictures, boxes, strict=True)]

    def _near(self, index: int, boxes: Float32) -> Faces:
        self.looked_at.append(index)
        found = self.whole(index)
        return found[geometry.iou(found.xyxy, boxes).max(axis=1, initial=0) > 0.3]


def walking(
    indices: range, start: float, speed: float, *, top: float = 100, score: float = 0.99
) -> dict[int, tuple[Box, float]]:
    """Return the places of a face 60 px wide that moves `speed` px a frame."""
    return {i: ((start + speed * i, top, start + speed * i + 60, top + 70), score) for i in indices}


# Every third frame of the scripts, which have 25 a second.
_USUAL = SpanPolicy(look_every_seconds=0.12)


def follow(script: Script, policy: SpanPolicy = _USUAL) -> list[list[Track]]:
    """Return the tracks of all frames but the last, which like the first is searched whole."""
    tracker = KalmanTracker(high_score=0.7, max_searched_seconds=0.18)
    follower = SpanFollower(tracker, script, policy, RunStats())
    follower.begin(script.frames[0], script.whole(0))
    return follower.follow(script.frames, script.whole(len(script.frames) - 1))


def places(results: list[list[Track]], track_id: int) -> dict[int, Track]:
    return {i: track for i, tracks in enumerate(results) for track in tracks if track.track_id == track_id}


def test_a_face_is_where_it_was_in_every_frame_though_only_every_third_was_looked_at() -> None:
    script = Script(16, {"a": walking(range(16), 50, 4)})
    found = places(follow(script), 1)
    assert sorted(found) == list(range(15))
    for index, track in found.items():
        np.testing.assert_allclose(track.xyxy, script.whole(index).xyxy[0], atol=0.01)
        assert track.landmarks is not None
        assert track.is_detected
    assert script.looked_at == [3, 6, 9, 12]


def test_a_face_that_only_the_second_search_found_is_followed_back_to_where_it_came_in() -> None:
    results = follow(Script(16, {"a": walking(range(5, 16), 50, 4)}))
    found = places(results, 1)
    assert sorted(found) == list(range(5, 15))
    assert {track.first_seen_seconds for track in found.values()} == {5 / 25}


def test_a_face_that_leaves_is_shown_up_to_its_last_frame() -> None:
    assert sorted(places(follow(Script(16, {"a": walking(range(9), 50, 4)})), 1)) == list(range(9))


def test_a_fast_newcomer_is_walked_after_frame_by_frame() -> None:
    """Its speed is not known yet, and in three frames it moves by more than its own width."""
    assert sorted(places(follow(Script(16, {"a": walking(range(16), 20, 24)})), 1)) == list(range(15))


def test_doubtful_sightings_count_only_between_sure_ones() -> None:
    face = walking(range(16), 50, 2)
    for index in range(3, 10):
        face[index] = (face[index][0], 0.75)
    assert sorted(places(follow(Script(16, {"a": face})), 1)) == list(range(15))
    doubtful = walking(range(16), 50, 2, score=0.8)
    assert follow(Script(16, {"a": doubtful})) == [[]] * 15


def test_a_face_unseen_for_a_moment_is_shown_as_predicted_and_for_longer_not_at_all() -> None:
    seen = walking(range(16), 50, 2)
    short = {i: place for i, place in seen.items() if i not in (6,)}
    found = places(follow(Script(16, {"a": short})), 1)
    assert sorted(found) == list(range(15))
    assert not found[6].is_detected
    assert found[6].landmarks is None
    long = {i: place for i, place in seen.items() if i not in range(3, 13)}
    assert sorted(
        places(follow(Script(16, {"a": long}), SpanPolicy(look_every_seconds=0.12, longest_gap_seconds=0.2)), 1)
    ) == [0, 1, 2, 13, 14]


def test_two_faces_that_pass_keep_their_tracks() -> None:
    script = Script(16, {"a": walking(range(16), 50, 6), "b": walking(range(16), 200, -6, top=130)})
    results = follow(script)
    assert [len(tracks) for tracks in results] == [2] * 15
    for track_id, row in ((1, 0), (2, 1)):
        for index, track in places(results, track_id).items():
            np.testing.assert_allclose(track.xyxy, script.whole(index).xyxy[row], atol=0.01)


def test_nothing_is_looked_at_where_every_frame_is_searched() -> None:
    script = Script(2, {"a": walking(range(1, 2), 50, 4)})
    assert follow(script) == [[]]
    assert script.looked_at == []


@pytest.mark.parametrize("fps", [10.0, 30.0, 60.0])
def test_looks_are_as_far_apart_as_asked_at_every_frame_rate(fps: float) -> None:
    script = Script(40, {"a": walking(range(40), 50, 1)})
    script.frames = [Frame(frame.picture, frame.index, frame.index / fps, 0.0, "s") for frame in script.frames]
    follow(script)
    gaps = np.diff([0, *script.looked_at]) / fps
    assert (gaps <= 0.12 + 1e-6).all()
    assert (gaps > 0.12 - 1 / fps - 1e-6).all()
