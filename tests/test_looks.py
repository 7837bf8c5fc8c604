"""What the embedder saw of each track, for whoever keeps it."""

from __future__ import annotations

from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.pipeline import Pipeline
from streamer.trackers.kalman import KalmanTracker
from streamer.types import FrameResult
from tests.fakes import RED, ColourEmbedder, ColourMatcher, SquareDetector, draw, make_frame


class TestLooks:
    def results(self, matcher: ColourMatcher | None, *, keep_looks: bool) -> list[FrameResult]:
        policy = LabelPolicy(min_face_pixels=20, keep_looks=keep_looks)
        labeller = TrackLabeller(Recognition(ColourEmbedder(), matcher), None, policy)
        pipeline = Pipeline(SquareDetector(), KalmanTracker, labeller)
        frames = [make_frame(draw([(40, 40, RED)]), at) for at in range(25)]
        return [result for frame in frames for result in pipeline.process([frame])]

    def test_a_view_that_was_embedded_is_in_its_frame_and_no_other(self) -> None:
        looks = [result.annotations[0].look for result in self.results(ColourMatcher(), keep_looks=True)]
        kept = [look for look in looks if look is not None]
        assert 2 <= len(kept) < len(looks)
        assert kept[0].vector.shape == (3,)
        assert kept[0].crop.shape == (8, 8, 3)
        assert 0 < kept[0].quality <= 1

    def test_unless_asked_for_none_is_kept(self) -> None:
        results = self.results(ColourMatcher(), keep_looks=False)
        assert all(one.look is None for result in results for one in result.annotations)

    def test_where_nobody_is_enrolled_faces_are_looked_at_but_not_assessed(self) -> None:
        results = self.results(None, keep_looks=True)
        annotations = [one for result in results for one in result.annotations]
        assert all(one.identity is None for one in annotations)
        assert 2 <= sum(one.look is not None for one in annotations) <= 5
        assert {event.kind for result in results for event in result.events} == {"appeared"}
