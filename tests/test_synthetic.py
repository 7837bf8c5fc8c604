"""Drawn scenes: what is drawn lies where the truth says, the same on every run, in memory that does not grow."""

from __future__ import annotations

import dataclasses
import importlib.util
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import UsageError
from streamer.geometry import iou
from streamer.pictures import UInt8
from streamer.sources.actors import Motion, interpolate
from streamer.sources.portraits import demo_scene, packaged_portraits
from streamer.sources.synthetic import Actor, Occluder, Portrait, Scene, SyntheticSource
from streamer.stages import Source
from streamer.types import Float32

DOTS = np.array([[60, 70], [100, 72], [80, 95], [64, 118], [97, 117]], np.float32)


def dotted(name: str | None = "dots", level: int = 40) -> Portrait:
    """Return a portrait with a soft bright dot at each landmark, wholly opaque."""
    rows, columns = np.mgrid[:200, :160] + 0.5
    grey = np.full((200, 160), float(level))
    for x, y in DOTS:
        grey += (230 - level) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    picture = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return Portrait(name, picture, np.array([40, 40, 120, 140], np.float32), DOTS, np.full((200, 160), 255, np.uint8))


def still(portrait: Portrait, x: float, y: float, face_height: float) -> Actor:
    return Actor(portrait, ((0.0, x, y, face_height),))


def centres_near(luma: UInt8, points: Float32, radius: float) -> Float32:
    rows, columns = np.mgrid[: luma.shape[0], : luma.shape[1]] + 0.5
    weight = np.maximum(luma.astype(np.float64) - 70, 0)
    found = []
    for x, y in points:
        near = weight * (np.hypot(columns - x, rows - y) < radius)
        found.append([(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()])
    return np.array(found, np.float32)


@pytest.mark.parametrize("face_height", [30.0, 55.5, 100.0, 171.3, 290.0])
@pytest.mark.parametrize("shift", [0.0, 0.37, 0.81])
def test_landmarks_are_drawn_where_the_truth_says(face_height: float, shift: float) -> None:
    scene = Scene(640, 480, 25, 1, (still(dotted(), 320 + shift, 230 - shift, face_height),))
    truth = scene.truth_at(0)[0]
    found = centres_near(SyntheticSource(scene).draw(0).luma(), truth.landmarks, radius=0.1 * face_height)
    assert np.abs(found - truth.landmarks).max() < 0.15


def test_the_true_box_is_the_portraits_own_box_moved_and_scaled() -> None:
    scene = Scene(640, 480, 25, 1, (still(dotted("Ana"), 300, 200, 50),))
    (truth,) = scene.truth_at(0)
    assert (truth.actor_id, truth.name, truth.visible_fraction) == (1, "Ana", 1.0)
    assert np.allclose(truth.xyxy, [280, 175, 320, 225])
    assert np.allclose(truth.landmarks, (DOTS - [80, 90]) / 2 + [300, 200])


def test_a_source_delivers_every_frame_once_then_none() -> None:
    source: Source = SyntheticSource(Scene(64, 48, 25, 0.4, (still(dotted(), 30, 20, 20),)), source_id="drawn")
    info = source.info
    assert (info.source_id, info.width, info.height, info.frame_count) == ("drawn", 64, 48, 10)
    assert not info.is_live
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert [frame.index for frame in frames] == list(range(10))
    assert np.allclose([frame.pts_seconds for frame in frames], np.arange(10) / 25)
    assert all((frame.picture.width, frame.picture.height) == (64, 48) for frame in frames)
    assert all(frame.source_id == "drawn" for frame in frames)
    assert source.read() is None
    assert source.skipped == 0


def test_times_are_whole_ticks_of_the_time_base_at_broadcast_rates() -> None:
    source = SyntheticSource(Scene(16, 16, 30000 / 1001, 1))
    assert source.info.frame_count == 30
    for index in range(30):
        frame = source.read()
        assert frame is not None
        assert frame.pts_seconds == pytest.approx(index * 1001 / 30000, abs=1e-12)
        assert (frame.pts_seconds / source.info.time_base) == pytest.approx(index)


def test_a_closed_source_has_no_more_frames() -> None:
    source = SyntheticSource(Scene(16, 16, 25, 1))
    source.close()
    source.close()
    assert source.read() is None


@pytest.mark.parametrize("noise_sigma", [0.0, 2.0])
def test_the_same_scene_gives_the_same_pixels_in_any_order(noise_sigma: float) -> None:
    actor = Actor(dotted(), ((0.0, 50, 100, 60), (1.0, 250, 120, 90)))
    scene = Scene(320, 241, 10, 1, (actor,), cuts=(0.5,), seed=5, noise_sigma=noise_sigma)
    forwards, backwards = SyntheticSource(scene), SyntheticSource(scene)
    one = [forwards.draw(index) for index in range(10)]
    other = [backwards.draw(index) for index in range(9, -1, -1)][::-1]
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first.y, second.y)
        assert np.array_equal(first.u, second.u)
        assert np.array_equal(first.v, second.v)


@pytest.mark.parametrize(("width", "height"), [(2, 2), (33, 17), (101, 64)])
def test_scenes_of_any_size_can_be_drawn(width: int, height: int) -> None:
    scene = Scene(width, height, 25, 0.1, (still(dotted(), width / 2, height / 2, height / 2),), noise_sigma=1)
    picture = SyntheticSource(scene).draw(0)
    assert (picture.width, picture.height) == (width, height)


def test_half_hidden_faces_are_said_to_be_half_visible() -> None:
    bar = Occluder(((0.0, 320, 240),), width=80, height=400)
    # The face is 80 px wide at this height; the bar covers from 280 to 360.
    for x, expected in ((200, 1.0), (280, 0.5), (260, 0.75), (320, 0.0)):
        truth = Scene(640, 480, 25, 1, (still(dotted(), x, 240, 100),), (bar,)).truth_at(0)
        assert [face.visible_fraction for face in truth] == ([pytest.approx(expected, abs=0.02)] if expected else [])


def test_faces_across_the_border_are_clipped_and_counted_as_partly_visible() -> None:
    (truth,) = Scene(640, 480, 25, 1, (still(dotted(), 10, 240, 100),)).truth_at(0)
    assert np.allclose(truth.xyxy, [0, 190, 50, 290])
    assert truth.visible_fraction == pytest.approx(50 / 80, abs=0.02)
    assert Scene(640, 480, 25, 1, (still(dotted(), -45, 240, 100),)).truth_at(0) == ()


def test_who_comes_later_stands_in_front() -> None:
    behind, front = still(dotted("behind", 40), 300, 240, 100), still(dotted("front", 90), 380, 240, 100)
    scene = Scene(640, 480, 25, 1, (behind, front))
    hidden, whole = scene.truth_at(0)
    assert (hidden.name, whole.name) == ("behind", "front")
    assert whole.visible_fraction == 1
    # The picture of the one in front, 160 px wide, begins at the middle of the other's face.
    assert hidden.visible_fraction == pytest.approx(0.5, abs=0.02)
    luma = SyntheticSource(scene).draw(0).luma().astype(int)
    for x, level in ((290, 40), (310, 90)):
        assert abs(luma[160, x] - (16 + level * 219 / 255)) <= 3


def test_only_the_cut_out_of_the_one_in_front_hides() -> None:
    mask = np.zeros((200, 160), np.uint8)
    mask[:, :80] = 255
    half = dataclasses.replace(dotted("half"), cut_out=mask)
    scene = Scene(640, 480, 25, 1, (still(dotted("behind"), 300, 240, 100), still(half, 300, 240, 100)))
    assert [face.visible_fraction for face in scene.truth_at(0)] == [pytest.approx(0.5, abs=0.02), 1.0]


def test_a_bar_is_drawn_where_it_hides() -> None:
    bar = Occluder(((0.0, 100, 120), (1.0, 200, 120)), width=40, height=240, colour_bgr=(250, 250, 250))
    scene = Scene(320, 240, 10, 1, occluders=(bar,))
    source = SyntheticSource(scene)
    for index in (0, 5):
        luma = source.draw(index).luma().astype(int)
        centre = 100 + 10 * index
        assert luma[120, centre] > 220
        assert luma[120, centre - 25] < 200
        assert luma[120, centre + 25] < 200


@pytest.mark.parametrize("blur_sigma", [0.0, 5.0])
def test_edges_have_no_fringe_of_a_third_colour(blur_sigma: float) -> None:
    """A grey bar and a grey portrait on any ground: pixels at their edges are between the two, never greener."""
    bar = Occluder(((0.0, 101.3, 120.7),), width=37, height=151, colour_bgr=(128, 128, 128))
    actor = dataclasses.replace(still(dotted(level=128), 230, 110, 61), blur_sigma=blur_sigma)
    scene = Scene(320, 240, 10, 1, (actor,), (bar,))
    drawn = SyntheticSource(scene).draw(0)
    ground = SyntheticSource(Scene(320, 240, 10, 1)).draw(0)
    for plane, behind in ((drawn.u, ground.u), (drawn.v, ground.v)):
        low, high = np.minimum(behind, 128).astype(int), np.maximum(behind, 128).astype(int)
        assert (plane >= low - 2).all()
        assert (plane <= high + 2).all()


def test_actors_and_bars_are_there_from_when_they_appear_until_they_leave() -> None:
    actor = dataclasses.replace(still(dotted(), 100, 100, 60), appears_seconds=0.3, leaves_seconds=0.6)
    bar = Occluder(((0.0, 100, 100),), 100, 100, appears_seconds=0.5, leaves_seconds=0.7)
    scene = Scene(200, 200, 10, 1, (actor,), (bar,))
    assert [len(scene.truth_at(index)) for index in range(8)] == [0, 0, 0, 1, 1, 0, 0, 0]
    source = SyntheticSource(scene)
    empty = SyntheticSource(dataclasses.replace(scene, actors=(), occluders=()))
    same = [np.array_equal(source.draw(index).y, empty.draw(index).y) for index in range(8)]
    assert same == [True, True, True, False, False, False, False, True]


def test_ids_stay_when_others_come_and_go() -> None:
    early = dataclasses.replace(still(dotted("early"), 60, 100, 40), leaves_seconds=0.5)
    scene = Scene(320, 200, 10, 1, (early, still(dotted("all"), 220, 100, 40)))
    assert [face.actor_id for face in scene.truth_at(0)] == [1, 2]
    assert [face.actor_id for face in scene.truth_at(9)] == [2]


def test_a_cut_changes_the_whole_background_at_once_and_nothing_else_does() -> None:
    scene = Scene(320, 180, 10, 2, cuts=(0.7, 1.4))
    assert [index for index in range(scene.frame_count) if scene.is_cut(index)] == [7, 14]
    source = SyntheticSource(scene)
    pictures = [source.draw(index).bgr().astype(int) for index in range(scene.frame_count)]
    for index in range(1, scene.frame_count):
        change = float(np.abs(pictures[index] - pictures[index - 1]).mean())
        assert change > 10 if scene.is_cut(index) else change == 0


def test_backgrounds_have_texture_and_depend_on_the_seed() -> None:
    first, second = (SyntheticSource(Scene(320, 180, 25, 1, seed=seed)).draw(0).luma() for seed in (1, 2))
    assert float(np.abs(first.astype(int) - second).mean()) > 3
    assert float(first.std()) > 5


def test_noise_changes_from_frame_to_frame_with_the_strength_that_was_asked_for() -> None:
    source = SyntheticSource(Scene(320, 180, 25, 1, noise_sigma=3.0))
    first, second = (source.draw(index).luma().astype(float) for index in (0, 1))
    assert float((first - second).std()) == pytest.approx(3 * np.sqrt(2), rel=0.1)


def test_blur_softens_and_brightness_scales() -> None:
    plain = still(dotted(), 160, 120, 100)
    variants = (plain, dataclasses.replace(plain, blur_sigma=4.0), dataclasses.replace(plain, brightness=0.5))
    lumas = [SyntheticSource(Scene(320, 240, 25, 1, (actor,))).draw(0).luma().astype(float) for actor in variants]
    x, y = (int(value) for value in Scene(320, 240, 25, 1, (plain,)).truth_at(0)[0].landmarks[2])
    assert lumas[1][y, x] < 0.7 * lumas[0][y, x]
    assert lumas[2][y, x] - 16 == pytest.approx(0.5 * (lumas[0][y, x] - 16), abs=2)


paths = st.lists(
    st.tuples(st.floats(0.1, 5), st.floats(-500, 500), st.floats(-500, 500), st.floats(1, 400)), min_size=1
)


@given(paths, st.floats(-1, 60), st.sampled_from(["linear", "smooth"]))
@settings(deadline=None)
def test_paths_pass_their_rows_and_never_go_beyond_them(
    steps: list[tuple[float, float, float, float]], seconds: float, motion: Motion
) -> None:
    times = np.cumsum([row[0] for row in steps])
    path = tuple((float(time), *row[1:]) for time, row in zip(times, steps, strict=True))
    for row in path:
        assert np.allclose(interpolate(path, row[0], motion), row[1:], atol=1e-6)
    later = int(np.searchsorted(times, seconds))
    around = np.array(path)[max(0, later - 1) : later + 1, 1:]
    values = np.array(interpolate(path, seconds, motion))
    assert (values >= around.min(axis=0) - 1e-6).all()
    assert (values <= around.max(axis=0) + 1e-6).all()


def test_smooth_motion_has_no_jerk_where_linear_motion_has_one() -> None:
    path = ((0.0, 0.0, 0.0, 50.0), (1.0, 100.0, 0.0, 50.0), (2.0, 140.0, 0.0, 50.0))
    jerks = []
    motions: tuple[Motion, Motion] = ("linear", "smooth")
    for motion in motions:
        x = np.array([interpolate(path, seconds, motion)[0] for seconds in np.linspace(0, 2, 201)])
        jerks.append(float(np.abs(np.diff(x, 2)).max()))
    assert jerks[1] < jerks[0] / 5


def test_nonsense_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="rising times"):
        Actor(dotted(), ((1.0, 0, 0, 10), (1.0, 5, 5, 10)))
    with pytest.raises(ValueError, match="face height"):
        still(dotted(), 0, 0, 0)
    with pytest.raises(ValueError, match="at least one row"):
        Occluder((), 10, 10)
    with pytest.raises(ValueError, match="positive sizes"):
        Scene(0, 10, 25, 1)
    with pytest.raises(ValueError, match="cut_out must be"):
        dataclasses.replace(dotted(), cut_out=np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"landmarks \(5, 2\)"):
        dataclasses.replace(dotted(), landmarks=DOTS[:3])


def test_memory_does_not_grow_with_the_scenes_length() -> None:
    actor = Actor(dotted(), ((0.0, 50, 100, 60), (20.0, 250, 120, 90)))
    source = SyntheticSource(Scene(320, 240, 25, 20, (actor,), cuts=(1.0, 5.0, 10.0), noise_sigma=1.0))
    for _ in range(50):
        source.read()
    tracemalloc.start()
    for _ in range(400):
        source.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A frame is 115 kB; drawing a background after a cut takes some floating-point sheets for a moment.
    assert peak < 8_000_000


def test_a_portrait_without_a_cut_out_shows_the_head_only() -> None:
    portrait = dataclasses.replace(dotted(), cut_out=None)
    x1, y1, x2, y2 = (int(value) for value in portrait.face_xyxy)
    assert portrait.mask[(y1 + y2) // 2, (x1 + x2) // 2] == 255
    assert (portrait.mask[y1 + 10 : y2 - 10, x1 + 10 : x2 - 10] == 255).all()
    assert portrait.mask[0, 0] == portrait.mask[-1, -1] == 0


def test_the_packaged_portraits_are_named_and_their_faces_lie_on_them() -> None:
    portraits = packaged_portraits()
    assert [portrait.name for portrait in portraits] == ["Eileen Collins", "Grace Hopper"]
    for portrait in portraits:
        x1, y1, x2, y2 = portrait.face_xyxy
        assert 0 < x1 < x2 < portrait.picture.shape[1]
        assert 0 < y1 < y2 < portrait.picture.shape[0]
        assert ((portrait.landmarks > [x1, y1]) & (portrait.landmarks < [x2, y2])).all()
        assert (portrait.mask[int(y1) : int(y2), int((x1 + x2) / 2)] == 255).all()
        assert 0.2 < (portrait.mask > 127).mean() < 0.8


@pytest.mark.parametrize(("module", "package"), [("skimage", "scikit-image"), ("matplotlib", "matplotlib")])
def test_absent_packages_are_named_with_the_remedy(module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else find_spec(name))
    with pytest.raises(UsageError, match=rf'comes inside {package}.*pip install "streamer\[demo\]"'):
        packaged_portraits()


def test_the_demo_shows_crossing_hiding_leaving_coming_back_and_a_cut() -> None:
    scene = demo_scene()
    assert (scene.width, scene.height, scene.frame_count) == (1280, 720, 300)
    truths = [{face.actor_id: face for face in scene.truth_at(index)} for index in range(scene.frame_count)]
    assert sum(scene.is_cut(index) for index in range(scene.frame_count)) == 1
    cut = next(index for index in range(scene.frame_count) if scene.is_cut(index))
    assert not set(truths[cut]) & set(truths[cut - 1])
    names = [{face.name for face in truth.values()} for truth in truths]
    assert {"Eileen Collins", "Grace Hopper"} in (names[60], names[290])
    collins = ["Eileen Collins" in seen for seen in names[:cut]]
    assert collins[80]
    assert not all(collins[80:160])
    assert collins[cut - 1]
    hidden = [
        actor_id
        for actor_id in (1, 4)
        if (fractions := [truth[actor_id].visible_fraction if actor_id in truth else 0.0 for truth in truths[:300]])
        and any(
            fractions[index] < 0.1 and max(fractions[:index]) > 0.9 < max(fractions[index:])
            for index in range(1, len(fractions))
        )
    ]
    assert hidden == [1, 4]


def test_a_detector_finds_the_drawn_faces_where_the_truth_says() -> None:
    """Checked on every second frame by hand: recall 1.0, IoU at least .62 (at the border) and .93 in the median."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from facenet_pytorch import MTCNN

        detector = MTCNN(keep_all=True, min_face_size=60, device="cpu")
        source = SyntheticSource(demo_scene())
        for index in (25, 120, 295):
            rgb = cv2.cvtColor(source.draw(index).bgr(), cv2.COLOR_BGR2RGB)
            found, scores, landmarks = detector.detect(rgb, landmarks=True)
            truth = [face for face in source.truth(index) if face.visible_fraction > 0.9]
            assert truth
            boxes = np.array(found.tolist(), np.float64)[scores >= 0.9]
            overlaps = iou(np.array([face.xyxy for face in truth]), boxes)
            assert (overlaps.max(axis=1) > 0.75).all()
            for face, best in zip(truth, overlaps.argmax(axis=1), strict=True):
                points = np.array(landmarks.tolist(), np.float64)[scores >= 0.9][best]
                assert np.abs(points - face.landmarks).max() < 0.08 * (face.xyxy[3] - face.xyxy[1])
