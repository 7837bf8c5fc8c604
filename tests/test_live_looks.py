"""What a live run remembers of faces: the best and most different looks, bounded in number, in memory and in time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.live_looks import KEPT_SECONDS, LiveLook, LiveLooks, SeenFace, mean_direction, of_one_person
from streamer.pictures import UInt8
from streamer.recorded import RecordedEmbedder
from streamer.sinks.results import ResultsSink, RunDescription
from streamer.stats import RunStats
from streamer.types import Annotation, Ending, Event, Float32, FrameResult, Identity, Look, SourceInfo, Track
from tests.fakes import landmarks_in, make_frame

FPS = 25.0
SIZE = 60.0


def unit(*values: float) -> Float32:
    vector = np.array(values, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def crop(seed: int = 0, blur: float = 0.0) -> UInt8:
    patches = np.random.default_rng(seed).integers(60, 200, (5, 5, 3)).astype(np.uint8)
    picture = np.asarray(patches.repeat(30, axis=0).repeat(30, axis=1), np.uint8)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8) if blur else picture


def seen(
    index: int,
    track_id: int = 1,
    look: Look | None = None,
    *,
    source: str = "s",
    identity: Identity | None = None,
    events: Sequence[Event] = (),
    side: float = SIZE,
    left: float = 20.0,
) -> FrameResult:
    box = np.array([left, 20, left + side, 20 + side], np.float32)
    track = Track(track_id, box, landmarks_in(box), 0.99, True, 0.0, index / FPS)
    frame = make_frame(np.zeros((120, 160, 3), np.uint8), index, FPS, source)
    return FrameResult(frame, (Annotation(track, identity, None, look),), events=tuple(events))


def nothing(index: int) -> FrameResult:
    return FrameResult(make_frame(np.zeros((4, 4, 3), np.uint8), index, FPS, "s"))


def looks_of(vectors: Sequence[Float32], qualities: Sequence[float] | None = None) -> list[LiveLook]:
    qualities = qualities if qualities is not None else [1.0] * len(vectors)
    return [LiveLook(0.0, quality, vector, None, b"") for vector, quality in zip(vectors, qualities, strict=True)]


def face_of(looks: LiveLooks, track_id: int = 1, source: str = "s") -> SeenFace:
    face = looks.face(source, track_id)
    assert face is not None
    return face


class TestBounds:
    def test_of_thousands_of_looks_the_best_and_most_different_ones_stay(self) -> None:
        looks = LiveLooks()
        for index in range(500):
            is_other_view, is_best = index in (100, 333), index == 200
            vector = unit(1, 0.3 * (index == 100), 0.3 * (index == 333), 0.01 * (index % 7))
            looks.see(seen(index, look=Look(vector, 0.9 if is_best else 0.5 + 0.2 * is_other_view, crop())))
        kept = face_of(looks).looks
        assert len(kept) == 32
        assert {4.0, 8.0, 333 / FPS} <= {look.pts_seconds for look in kept}
        assert [look.pts_seconds for look in kept] == sorted(look.pts_seconds for look in kept)

    def test_a_fit_look_goes_before_any_that_is_not(self) -> None:
        looks = LiveLooks()
        looks.see(seen(0, look=Look(unit(1, 0), 0.2, crop())))
        for index in range(1, 60):
            looks.see(seen(index, look=Look(unit(1, index), 1.0, crop(index, blur=9))))
        assert [look.fault for look in face_of(looks).looks].count(None) == 1

    def test_of_a_crowd_the_latest_stay(self) -> None:
        looks = LiveLooks()
        for index in range(200):
            looks.see(seen(index, index + 1))
        known = [number for number in range(1, 201) if looks.face("s", number) is not None]
        assert known == list(range(137, 201))

    def test_who_has_left_is_remembered_for_a_minute(self) -> None:
        looks = LiveLooks()
        looks.see(seen(0))
        looks.see(nothing(round(KEPT_SECONDS * FPS)))
        assert looks.face("s", 1) is not None
        looks.see(nothing(round(KEPT_SECONDS * FPS) + 2))
        assert looks.face("s", 1) is None

    def test_a_source_that_begins_anew_has_new_faces(self) -> None:
        """Also where nobody said so, but its time goes back."""
        looks = LiveLooks()
        info = SourceInfo("s", "door", 4, 4, FPS, is_live=True)
        looks.begin(info)
        looks.see(seen(50))
        looks.see(seen(50, source="t"))
        assert face_of(looks).source_name == "door"
        looks.begin(info)
        assert looks.face("s", 1) is None
        looks.see(seen(50))
        looks.see(seen(1, 2))
        assert looks.face("s", 1) is None
        assert looks.face("t", 1) is not None
        looks.end("t")
        assert looks.face("t", 1) is None

    def test_a_look_holds_no_crop_of_the_batch_it_was_cut_in(self) -> None:
        """A view of it would keep the crops of all faces in memory."""
        looks = LiveLooks()
        vectors = np.stack([unit(1, 0), unit(0, 1)])
        looks.see(seen(0, look=Look(vectors[0], 1.0, crop())))
        (kept,) = face_of(looks).looks
        assert not np.shares_memory(kept.vector, vectors)
        assert len(kept.thumbnail) < 20_000


class TestFaces:
    @pytest.mark.parametrize(
        ("side", "blur", "advice"),
        [(30.0, 0.0, "come nearer"), (SIZE, 9.0, "hold still, or come nearer"), (SIZE, 0.0, None)],
    )
    def test_what_is_wrong_is_told_with_what_to_do(self, side: float, blur: float, advice: str | None) -> None:
        looks = LiveLooks()
        looks.see(seen(0, look=Look(unit(1, 0), 1.0, crop(blur=blur)), side=side))
        fault = face_of(looks).fault
        assert (fault.remedy if fault is not None else None) == advice

    def test_a_face_that_the_edge_cuts_off_is_told_to_come_in(self) -> None:
        looks = LiveLooks()
        looks.see(seen(0, look=Look(unit(1, 0), 1.0, crop()), left=-15.0))
        fault = face_of(looks).fault
        assert fault is not None
        assert fault.remedy == "come into the picture"

    def test_a_name_is_the_one_that_is_shown_and_stays_while_nothing_is_said(self) -> None:
        looks = LiveLooks()
        looks.see(seen(0, identity=Identity("Ana", 0.97, 0.99, 0.1)))
        looks.see(seen(1))
        assert face_of(looks).name == "Ana"
        looks.see(seen(2, events=[Event("renamed", 2 / FPS, 1, None)]))
        assert face_of(looks).name is None
        looks.see(seen(3, events=[Event("identified", 3 / FPS, 1, "Bea")]))
        assert face_of(looks).name == "Bea"

    @pytest.mark.parametrize("other_similarity", [0.88, None], ids=["known scale", "unknown scale"])
    def test_a_look_at_somebody_else_is_told_from_different_views_of_one_person(
        self, other_similarity: float | None
    ) -> None:
        """Such a look is in a track where somebody came to stand before that was understood."""
        random = np.random.default_rng(2)
        views = [unit(1, *random.normal(0, 0.05, 9)) for _ in range(12)]
        strangers = [unit(1, 0.8, *random.normal(0, 0.05, 8)) for _ in range(2)]
        looks = looks_of([*views, *strangers])
        assert of_one_person(looks, other_similarity) == looks[:12]
        assert of_one_person(looks[:12], other_similarity) == looks[:12]

    def test_of_few_looks_none_is_doubted(self) -> None:
        looks = looks_of([unit(1, 0), unit(0, 1)])
        assert of_one_person(looks, 0.88) == looks
        assert of_one_person([], 0.88) == []

    def test_a_mean_of_looks_is_weighted_by_what_they_are_worth(self) -> None:
        looks = looks_of([unit(1, 0), unit(0, 1)], [0.9, 0.3])
        np.testing.assert_allclose(mean_direction(looks), unit(3, 1), atol=1e-6)


@pytest.mark.parametrize(("embedder", "is_there"), [(None, False), (RecordedEmbedder("net", "0" * 64), True)])
def test_looks_reach_the_results_file_only_where_that_was_asked_for(
    tmp_path: Path, embedder: RecordedEmbedder | None, is_there: bool
) -> None:
    """A live run has looks in its results for enrolment; they are biometric data."""
    path = tmp_path / "live.jsonl"
    sink = ResultsSink(path, description=RunDescription(embedder=embedder), stats=RunStats())
    sink.open(SourceInfo("s", "camera", 4, 4, FPS, is_live=True))
    sink.write(seen(0, look=Look(unit(1, 0), 1.0, crop())), None)
    sink.close(Ending.COMPLETE)
    assert ("looks" in path.read_text(encoding="utf-8")) is is_there
