"""What the live window shows: every state, at every size, and nothing outside the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.annotate import AnnotateStyle
from streamer.canvas import Canvas
from streamer.hud import Hud
from streamer.live_keys import Controls, Mode
from streamer.live_status import LiveStatus, Recording
from streamer.live_view import LiveView
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.types import Annotation, Emotion, Frame, FrameResult, Identity, SourceState, Track

SIZES = [(320, 180), (640, 360), (640, 480), (1280, 720), (1920, 1080), (3840, 2160), (480, 640)]
GREY = 90
EMOTION = Emotion(np.array([0.1, 0.7, 0.05, 0.05, 0.04, 0.03, 0.03], np.float32), "happiness", 0.7)


def plain(width: int, height: int) -> Picture:
    # As cameras give it: planes of their own.
    return Canvas(BgrPicture(np.full((height, width, 3), GREY, np.uint8))).picture()


def face(box: tuple[float, float, float, float], name: str | None = "Ana", track_id: int = 1) -> Annotation:
    track = Track(track_id, np.array(box, np.float32), None, 0.9, True, 0.0, 0.0)
    return Annotation(track, Identity(name, 0.7, 0.9, 0.2, 4), EMOTION)


def result(width: int, height: int, *faces: Annotation) -> FrameResult:
    return FrameResult(Frame(plain(width, height), 0, 0.0, 0.0, "drawn"), faces)


def running(**changes: object) -> LiveStatus:
    usual: dict[str, object] = {
        "state": SourceState.RUNNING,
        "source": "Integrated camera with a long name (/dev/video0), 1280 × 720, 30 fps, MJPG",
        "device": "CPU",
        "fps": 29.97,
        "age_seconds": 0.031,
        "dropped": 12,
    }
    return LiveStatus(**{**usual, **changes})  # type: ignore[arg-type]


def view() -> LiveView:
    return LiveView(AnnotateStyle())


def is_touched(picture: UInt8, background: int = GREY) -> UInt8:
    return np.asarray(np.abs(picture.astype(int) - background).max(axis=2) > 12, np.uint8)


STATES = {
    "running": (running(), Controls(), ""),
    "reconnecting": (running(state=SourceState.RECONNECTING, detail="the camera is unplugged"), Controls(), ""),
    "paused": (running(state=SourceState.PAUSED, detail="space: go on"), Controls(), ""),
    "error": (running(state=SourceState.ERROR, detail="something is wrong " * 8), Controls(), ""),
    "help": (running(), Controls(help=True), ""),
    "details": (running(stages=(("detect", 0.011), ("shown", 0.02))), Controls(details=True), ""),
    "choosing": (running(), Controls(mode=Mode.CHOOSE_TO_ENROL), ""),
    "typing": (running(), Controls(mode=Mode.TYPE, typed="Þórdís Kolbrún Reykfjörð " * 2), ""),
    "message": (running(), Controls(), "Ana is known now, from 12 looks; " * 4),
    "recording": (running(recordings=(Recording(False, 61.0), Recording(True, 3.0))), Controls(), ""),
    "problem": (running(problems=("cannot write recordings/x.mp4: No space left on device",)), Controls(), ""),
    "overload": (running(load="load: search less often"), Controls(), ""),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", STATES)
def test_every_state_is_shown_and_no_text_is_cut_off_by_the_edge(name: str, size: tuple[int, int]) -> None:
    status, controls, message = STATES[name]
    shown = view().compose(result(*size), status, controls, message)
    touched = is_touched(shown)
    assert touched.sum() > 200
    assert touched.mean() < 0.7
    # Each plate keeps a margin to the edges it stands at, so letters that ran over would be seen there.
    assert not touched[:2].any()
    assert not touched[-2:].any()
    assert not touched[:, :2].any()
    assert not touched[:, -2:].any()


def reds(shown: UInt8) -> int:
    return int(((shown[..., 2] > 140) & (shown[..., 1] < 80)).sum())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("details", [False, True])
def test_what_stands_in_corners_hides_no_prompt(size: tuple[int, int], details: bool) -> None:
    """On narrow pictures the prompt reaches from one corner to the other."""
    pictures = []
    for recordings in ((), (Recording(False, 61.0), Recording(True, 3.0))):
        stages = tuple((name, 0.011) for name in ("read", "detect", "track", "embed", "shown")) if details else ()
        controls = Controls(mode=Mode.TYPE, typed="Maximilian Alexander", details=details, advice="hold still")
        status = running(recordings=recordings, stages=stages)
        pictures.append(view().compose(result(*size), status, controls))
    blue = [(shown[..., 0] > 100) & (shown[..., 2] < 60) for shown in pictures]
    rows = np.flatnonzero(blue[0].any(axis=1))
    assert (blue[0] == blue[1]).all()  # the prompt, whole
    assert reds(pictures[1]) > 100
    assert rows.size > 20


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_states_look_different(size: tuple[int, int]) -> None:
    pictures = [view().compose(result(*size), *given) for given in STATES.values()]
    for place, one in enumerate(pictures):
        assert all((one != other).any() for other in pictures[place + 1 :])


def test_letters_grow_with_the_picture() -> None:
    heights = []
    for width, height in ((640, 360), (1280, 720), (1920, 1080)):
        shown = is_touched(view().compose(result(width, height), running(), Controls()))
        heights.append(int(shown.any(axis=1).sum()))
    assert heights[0] >= 14
    assert heights[0] < heights[2]


def test_large_pictures_are_shown_smaller_and_tiny_ones_larger() -> None:
    sizes = {size: view().compose(result(*size), running(), Controls()).shape[:2] for size in SIZES}
    assert sizes[3840, 2160] == (1080, 1920)
    assert sizes[320, 180] == (360, 640)
    assert sizes[640, 480] == (480, 640)


def test_details_show_the_probabilities_as_bars_beside_the_face() -> None:
    seen = result(640, 480, face((200, 150, 300, 270)))
    without = view().compose(seen, running(), Controls())
    shown = view().compose(seen, running(), Controls(details=True))
    changed = np.abs(shown.astype(int) - without.astype(int)).max(axis=2) > 12
    assert changed[150:270, 304:400].mean() > 0.5
    blue = (shown[..., 0] > 180) & (shown[..., 2] < 140)
    rows = blue[:, 300:].sum(axis=1)
    assert rows.max() > 3 * np.sort(rows[rows > 0])[0]  # happiness against the least


@pytest.mark.parametrize("box", [(0, 0, 60, 80), (580, 400, 640, 480), (0, 400, 640, 480), (600, 0, 640, 40)])
def test_details_of_faces_at_the_edge_stay_inside(box: tuple[float, float, float, float]) -> None:
    shown = view().compose(result(640, 480, face(box)), running(), Controls(details=True))
    assert shown.shape == (480, 640, 3)


@pytest.mark.parametrize(("size", "box"), [((640, 360), (218, 75, 360, 285)), ((640, 480), (190, 90, 400, 400))])
def test_details_of_a_known_face_have_room_beside_it_in_a_small_picture(
    size: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    shown = view().compose(result(*size, face(box)), running(), Controls(details=True))
    blue = (shown[..., 0] > 180) & (shown[..., 2] < 140)
    assert blue.sum() > 100  # the bars


def test_choosing_shows_a_number_on_each_face() -> None:
    controls = Controls()
    one, seen = view(), result(640, 480, face((100, 150, 250, 330)), face((400, 150, 550, 330), track_id=2))
    before = one.compose(seen, running(), controls)
    controls.press("e")
    shown = one.compose(seen, running(), controls)
    assert controls.numbers == {1: 1, 2: 2}
    for left in (100, 400):
        corner, middle = ((slice(top, top + 60), slice(left + 10, left + 120)) for top in (150, 210))
        assert (before[corner] != shown[corner]).any()
        assert (before[middle] == shown[middle]).all()  # who it is can still be seen


def crowd() -> FrameResult:
    boxes = [
        (left, 200 + 7 * (left % 5), left + 40, 250 + 7 * (left % 5)) for left in (40, 300, 350, 420, 433, 700, 1200)
    ]
    return result(1280, 720, *(face(box, track_id=place) for place, box in enumerate(boxes, start=1)))


@pytest.mark.parametrize("key", ["d", "e"])
def test_neither_bars_nor_numbers_hide_faces_in_a_crowd(key: str) -> None:
    controls, seen = Controls(), crowd()
    before = view().compose(seen, running(), controls).astype(int)
    controls.press(key)
    after = view().compose(seen, running(), controls).astype(int)
    for one in seen.annotations:
        left, top, right, bottom = (round(float(value)) for value in one.track.xyxy)
        changed = np.abs(after - before)[top:bottom, left:right].max(axis=2) > 12
        assert changed.mean() < 0.1


def test_strangers_can_be_blurred_and_known_faces_stay() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    boxes = ((100, 150, 200, 270), (400, 150, 500, 270))
    seen = FrameResult(
        Frame(Canvas(BgrPicture(noise)).picture(), 0, 0.0, 0.0, "drawn"),
        (face(boxes[0]), face(boxes[1], None, 2)),
    )
    shown = view().compose(seen, running(), Controls(blur=True))
    known, stranger = (shown[170:250, left + 20 : left + 80].std() for left in (100, 400))
    assert stranger < 0.3 * known


def test_mirroring_moves_faces_but_mirrors_no_text() -> None:
    controls = Controls(mirror=True)
    seen = result(640, 480, face((100, 150, 200, 270)))
    mirrored = view().compose(seen, running(), controls)
    assert controls.shown is not None
    assert controls.shown.annotations[0].track.xyxy.tolist() == [440, 150, 540, 270]
    usual = view().compose(seen, running(), Controls())
    assert (mirrored[440:] == usual[440:]).all()  # the status line


def test_before_the_first_picture_there_is_a_splash_that_says_what_is_waited_for() -> None:
    first = view().splash(LiveStatus(detail="opening the camera 0"))
    assert (first != view().splash(LiveStatus(detail="loading"))).any()
    assert (first != view().splash(LiveStatus(SourceState.RECONNECTING, "opening the camera 0"))).any()


def test_long_messages_are_wrapped_rather_than_made_too_small_to_read() -> None:
    """The longest that denying a name says, on the smallest picture that is shown."""
    canvas, hud = Canvas(BgrPicture(np.zeros((360, 640, 3), np.uint8))), Hud()
    text = (
        "this is not Ana: faces more like it than like Ana are not named so; 9 of the 12 photos of Ana are more like it"
    )
    lines = hud.wrapped(canvas, text)
    assert " ".join(lines) == text
    assert len(lines) == 2
    assert all(hud.fits_one_line(canvas, line) for line in lines)
    assert hud.wrapped(canvas, "Ana is known now") == ["Ana is known now"]
    assert len(hud.wrapped(canvas, text * 9)) == 3


def test_the_blur_that_is_asked_for_at_first_can_be_switched_off_in_the_window_as_in_recordings() -> None:
    """Recordings follow the key alone: a window that stayed blurred would promise what they do not keep."""
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    stranger = face((100, 150, 200, 270), None)
    seen = FrameResult(Frame(Canvas(BgrPicture(noise)).picture(), 0, 0.0, 0.0, "drawn"), (stranger,))
    begun_blurred = LiveView(AnnotateStyle(blur_unknown=True))
    clear = begun_blurred.compose(seen, running(), Controls(blur=False))[170:250, 120:180].std()
    blurred = begun_blurred.compose(seen, running(), Controls(blur=True))[170:250, 120:180].std()
    assert blurred < 0.3 * clear


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (8, 8), (9, 12), (12, 12), (16, 9), (2, 300), (300, 2)], ids=str)
def test_the_tiniest_pictures_are_shown_too_without_what_has_no_room(name: str, size: tuple[int, int]) -> None:
    status, controls, message = STATES[name]
    seen = result(*size, face((0, 0, *size)))
    shown = view().compose(seen, status, replace(controls, details=True), message)
    assert shown.shape[0] >= size[1]


def test_text_that_cannot_fit_is_left_out() -> None:
    canvas = Canvas(BgrPicture(np.full((10, 12, 3), GREY, np.uint8)))
    assert Hud().write(canvas, ["hello"], ("left", "top")) == 0
    assert not is_touched(canvas.bgr()).any()
