"""The overlay: right colours and shapes at every size, text inside the picture, and no other pixel touched."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamer.annotate
from streamer.annotate import AnnotateStyle, Annotator
from streamer.canvas import Canvas
from streamer.errors import UsageError
from streamer.fonts import TextRenderer
from streamer.pictures import BgrPicture, I420Picture, Picture, UInt8
from streamer.plates import Plate, PlateLook, limited_range, place_plates, render_plate
from streamer.types import EMOTIONS, Annotation, Emotion, Frame, FrameResult, Identity, Track

Mask = npt.NDArray[np.bool_]
SIZES = [(640, 360), (1920, 1080), (3840, 2160), (720, 1280)]
TINY = [(2, 2), (3, 5), (16, 16), (17, 33), (1, 40), (64, 6)]
GREY = 60


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    return Annotator()


def grey(width: int, height: int, *, is_bt709: bool = False) -> I420Picture:
    half = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return I420Picture(np.full((height, width), GREY, np.uint8), half, half.copy(), is_bt709=is_bt709)


def textured(width: int, height: int) -> I420Picture:
    rng = np.random.default_rng(0)
    half = ((height + 1) // 2, (width + 1) // 2)
    y = rng.integers(16, 236, (height, width), dtype=np.uint8)
    return I420Picture(y, rng.integers(16, 241, half, dtype=np.uint8), rng.integers(16, 241, half, dtype=np.uint8))


def known(name: str = "Ana", probability: float = 0.98) -> Identity:
    return Identity(name, 0.7, probability, 0.2)


UNKNOWN = Identity(None, 0.2, 0.9, 0.0)


def emotion(label: str | None = "happiness", confidence: float = 0.87) -> Emotion:
    probabilities = np.full(7, (1 - confidence) / 6, np.float32)
    probabilities[EMOTIONS.index(label or "neutral")] = confidence
    return Emotion(probabilities, label, confidence)


def face(
    xyxy: tuple[float, float, float, float],
    identity: Identity | None = None,
    shows: Emotion | None = None,
    *,
    is_detected: bool = True,
) -> Annotation:
    x1, y1, x2, y2 = xyxy
    shares = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    landmarks = (shares * [x2 - x1, y2 - y1] + [x1, y1]).astype(np.float32)
    track = Track(1, np.array(xyxy, np.float32), landmarks, 0.99, is_detected, 0.0, 0.0)
    return Annotation(track, identity, shows)


def result(picture: Picture, *faces: Annotation) -> FrameResult:
    return FrameResult(Frame(picture, 0, 0.0, 0.0, "test"), faces)


def middle_box(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(width, height) // 4 // 2 * 2
    left, top = (width - side) // 4 * 2, (height - side) // 4 * 2
    return left, top, left + side, top + side


def changed(canvas: Canvas, picture: Picture) -> Mask:
    """Return which pixels of any plane differ from the picture's, (H, W)."""
    before = Canvas(picture)
    chroma = (canvas.u != before.u) | (canvas.v != before.v)
    return np.asarray((canvas.y != before.y) | chroma.repeat(2, axis=0).repeat(2, axis=1))


def contrast(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Return the contrast ratio of two BGR colours as WCAG 2.2 defines it."""
    luminances = []
    for bgr in (first, second):
        linear = np.where(bgr / 255 <= 0.04045, bgr / 255 / 12.92, ((bgr / 255 + 0.055) / 1.055) ** 2.4)
        luminances.append(float(linear @ [0.0722, 0.7152, 0.2126]) + 0.05)
    return max(luminances) / min(luminances)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_line_of_a_known_face_is_green_on_all_four_sides(annotator: Annotator, width: int, height: int) -> None:
    x1, y1, x2, y2 = middle_box(width, height)
    bgr = annotator.draw(result(grey(width, height), face((x1, y1, x2, y2), known()))).bgr().astype(int)
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    for blue, green, red in (bgr[y1, x], bgr[y2 - 1, x], bgr[y, x1], bgr[y, x2 - 1]):
        assert green > red + 100
        assert green > blue + 30


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_corners_of_an_unknown_face_are_red(annotator: Annotator, width: int, height: int) -> None:
    x1, y1, x2, y2 = middle_box(width, height)
    bgr = annotator.draw(result(grey(width, height), face((x1, y1, x2, y2), UNKNOWN))).bgr().astype(int)
    for blue, green, red in (bgr[y1, x1], bgr[y2 - 1, x1], bgr[y1, x2 - 1], bgr[y2 - 1, x2 - 1]):
        assert red > green + 80
        assert red > blue + 80


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_brightness_alone_tells_known_from_unknown_and_from_not_assessed(
    annotator: Annotator, width: int, height: int
) -> None:
    """Whoever sees no colours, and a black-and-white print, still has the shape of the box."""
    x1, y1, x2, y2 = middle_box(width, height)
    gaps = []
    for identity in (known(), UNKNOWN, None):
        canvas = annotator.draw(result(grey(width, height), face((x1, y1, x2, y2), identity)))
        # The bottom side: nothing of the plate above is there.
        line = np.abs(canvas.y[y2 - 1, x1:x2].astype(int) - GREY) > 10
        gaps.append(int((np.diff(line.astype(int)) == -1).sum()))
        assert line.mean() > 0.4
    assert gaps[:2] == [0, 1]
    assert gaps[2] > 3


def test_a_face_not_assessed_yet_is_grey_and_has_no_label(annotator: Annotator) -> None:
    picture = grey(640, 360)
    canvas = annotator.draw(result(picture, face((100, 100, 200, 200))))
    assert (canvas.u == 128).all()
    assert (canvas.v == 128).all()
    outside = changed(canvas, picture)
    outside[100:200, 100:200] = False
    assert not outside.any()


@pytest.mark.parametrize("identity", [known(), UNKNOWN, None])
def test_a_predicted_box_is_fainter(annotator: Annotator, identity: Identity | None) -> None:
    drawn = [
        annotator.draw(result(grey(640, 360), face((100, 100, 200, 200), identity, is_detected=is_detected)))
        for is_detected in (True, False)
    ]
    seen, predicted = (int(canvas.y[199, 100]) - GREY for canvas in drawn)
    colour = [abs(int(canvas.v[99, 50]) - 128) for canvas in drawn]
    assert 0.3 * abs(seen) < abs(predicted) < 0.7 * abs(seen)
    assert identity is None or 0.3 * colour[0] < colour[1] < 0.7 * colour[0]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("make", ["grey", "textured"])
def test_nothing_changes_but_the_box_and_its_plate(annotator: Annotator, width: int, height: int, make: str) -> None:
    picture = grey(width, height) if make == "grey" else textured(width, height)
    x1, y1, x2, y2 = middle_box(width, height)
    touched = changed(annotator.draw(result(picture, face((x1, y1, x2, y2), known(), emotion()))), picture)
    edge = max(4, min(width, height) // 100)
    assert not touched[y1 + edge : y2 - edge, x1 + edge : x2 - edge].any()
    touched[y1:y2, x1:x2] = False
    rows, columns = np.nonzero(touched)
    # What is left is one rectangle that stands on the box: the plate.
    assert rows.max() + 1 == y1
    assert columns.min() == x1
    assert touched[rows.min() : y1, x1 : columns.max() + 1].mean() > 0.95


@pytest.mark.parametrize(("width", "height"), [*SIZES, *TINY])
def test_the_decoders_planes_stay_as_they_were(annotator: Annotator, width: int, height: int) -> None:
    picture = textured(width, height)
    copies = [plane.copy() for plane in (picture.y, picture.u, picture.v)]
    style = AnnotateStyle(show_landmarks=True, blur_unknown=True)
    for drawer in (annotator, Annotator(style)):
        drawer.draw(result(picture, face((0, 0, width, height), known()), face((0, 0, width / 2, height / 2), UNKNOWN)))
    assert all(np.array_equal(*pair) for pair in zip((picture.y, picture.u, picture.v), copies, strict=True))


@pytest.mark.parametrize(("width", "height"), TINY)
def test_pictures_too_small_for_text_get_the_box_alone(annotator: Annotator, width: int, height: int) -> None:
    canvas = annotator.draw(result(grey(width, height), face((0, 0, width, height), known(), emotion())))
    assert (canvas.width, canvas.height) == (width + width % 2, height + height % 2)
    assert canvas.y[0, 0] == limited_range((0, 190, 138), is_bt709=False)[0]


@pytest.mark.parametrize(
    "box",
    [
        (-50.0, -50.0, 1000.0, 1000.0),
        (0.0, 0.0, 40.0, 40.0),
        (600.0, 0.0, 640.0, 40.0),
        (0.0, 320.0, 40.0, 360.0),
        (600.0, 320.0, 640.0, 360.0),
        (0.0, 0.0, 640.0, 360.0),
        (310.2, 1.7, 333.9, 355.1),
    ],
)
@pytest.mark.parametrize("identity", [known("Maximiliane Friederike von Hohenlohe"), UNKNOWN])
def test_the_whole_plate_is_in_the_picture_wherever_the_face_is(
    box: tuple[float, float, float, float], identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    pasted: list[tuple[int, int, int, int]] = []
    paste = Plate.paste

    def spy(plate: Plate, canvas: Canvas, left: int, top: int) -> None:
        pasted.append((left, top, left + plate.size[0], top + plate.size[1]))
        paste(plate, canvas, left, top)
        assert np.array_equal(canvas.y[top : top + plate.size[1], left : left + plate.size[0]], plate.y)

    monkeypatch.setattr(Plate, "paste", spy)
    Annotator().draw(result(grey(640, 360), face(box, identity, emotion())))
    assert len(pasted) == 1
    assert min(pasted[0]) >= 0
    assert pasted[0][2] <= 640
    assert pasted[0][3] <= 360


@pytest.mark.parametrize("box", [(700.0, 10.0, 800.0, 90.0), (-90.0, 10.0, -20.0, 90.0), (50.0, 50.0, 50.0, 90.0)])
def test_a_box_outside_the_picture_or_without_area_is_not_drawn(
    annotator: Annotator, box: tuple[float, float, float, float]
) -> None:
    picture = textured(640, 360)
    assert not changed(annotator.draw(result(picture, face(box, known(), emotion()))), picture).any()


def test_no_faces_leave_the_picture_as_it_is(annotator: Annotator) -> None:
    picture = textured(64, 48)
    assert not changed(annotator.draw(result(picture)), picture).any()


@given(
    st.lists(
        st.tuples(
            st.integers(1, 80), st.integers(1, 40), *[st.integers(0, 600)] * 2, st.integers(1, 200), st.integers(1, 200)
        ),
        max_size=7,
    ),
    st.integers(1, 300),
    st.integers(1, 300),
)
@settings(deadline=None)
def test_plates_are_placed_inside_the_picture_on_even_pixels(
    rows: list[tuple[int, int, int, int, int, int]], half_width: int, half_height: int
) -> None:
    picture = (2 * half_width, 2 * half_height)
    sizes = [(2 * row[0], 2 * row[1]) for row in rows]
    boxes = [(row[2], row[3], row[2] + row[4], row[3] + row[5]) for row in rows]
    for size, place in zip(sizes, place_plates(sizes, boxes, picture), strict=True):
        assert (place is None) == (size[0] > picture[0] or size[1] > picture[1])
        if place is not None:
            assert min(place) >= 0
            assert place[0] + size[0] <= picture[0]
            assert place[1] + size[1] <= picture[1]
            assert place[0] % 2 == place[1] % 2 == 0


@pytest.mark.parametrize("gap", [0, 10, 60])
@pytest.mark.parametrize("top", [0, 200, 980])
def test_plates_of_neighbours_do_not_cover_each_other(gap: int, top: int) -> None:
    boxes = [(x, top, x + 100, top + 100) for x in range(300, 300 + 5 * (100 + gap), 100 + gap)]
    sizes = [(250, 66)] * len(boxes)
    places = [place for place in place_plates(sizes, boxes, (1920, 1080)) if place is not None]
    covered = np.zeros((1080, 1920), int)
    for left, upper in places:
        covered[upper : upper + 66, left : left + 250] += 1
    assert covered.max() == 1


def test_a_plate_would_rather_stand_below_than_hide_another_face() -> None:
    boxes = [(100, 200, 200, 300), (100, 80, 200, 190)]
    assert place_plates([(120, 60)], boxes[:1], (640, 360)) == [(100, 140)]
    assert place_plates([(120, 60)] * 2, boxes, (640, 360))[0] == (100, 300)


@pytest.mark.parametrize("identity", [known(), UNKNOWN, None])
@pytest.mark.parametrize("is_bt709", [False, True])
def test_text_stands_out_from_its_plate(identity: Identity | None, is_bt709: bool) -> None:
    canvas = Annotator().draw(
        result(grey(1280, 720, is_bt709=is_bt709), face((300, 300, 400, 400), identity, emotion()))
    )
    plate = canvas.bgr()[240:298, 302:400].reshape(-1, 3).astype(np.float64)
    ordered = plate[np.argsort(plate.sum(axis=1))]
    # WCAG asks 4.5 for text.
    assert contrast(ordered[-1], ordered[len(ordered) // 4]) > 4.5


@pytest.mark.parametrize("identity", [known(), UNKNOWN])
def test_colours_look_alike_in_sd_and_hd_pictures_and_on_bgr(annotator: Annotator, identity: Identity) -> None:
    sd, hd = (grey(640, 360, is_bt709=is_bt709) for is_bt709 in (False, True))
    pictures: list[Picture] = [sd, hd, BgrPicture(np.full((360, 640, 3), 51, np.uint8))]
    corners = []
    for picture in pictures:
        drawn = annotator.draw(result(picture, face((100, 100, 200, 200), identity))).bgr()
        corners.append(np.concatenate([drawn[198, 100], drawn[98, 101]]).astype(int))
    assert np.abs(corners[1] - corners[0]).max() <= 6
    assert np.abs(corners[2] - corners[0]).max() <= 6


@pytest.mark.parametrize("is_bt709", [False, True])
@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (200, 30, 60), (0, 190, 138)])
def test_limited_range_colours_come_back(rgb: tuple[int, int, int], is_bt709: bool) -> None:
    planes = [np.full(shape, level, np.uint8) for shape, level in
              zip(((2, 2), (1, 1), (1, 1)), limited_range(rgb, is_bt709=is_bt709), strict=True)]  # fmt: skip
    bgr = I420Picture(*planes, is_bt709=is_bt709).bgr()[0, 0]
    assert np.abs(bgr[::-1].astype(int) - rgb).max() <= 4


def label_area(style: AnnotateStyle, annotation: Annotation) -> int:
    picture = grey(1280, 720)
    touched = changed(Annotator(style).draw(result(picture, annotation)), picture)
    touched[300:400, 300:400] = False
    return int(touched.sum())


def test_what_the_style_leaves_out_is_not_written() -> None:
    annotation = face((300, 300, 400, 400), known(), emotion())
    whole = label_area(AnnotateStyle(), annotation)
    assert label_area(AnnotateStyle(show_emotion=False), annotation) < 0.7 * whole
    assert label_area(AnnotateStyle(show_probability=False), annotation) < 0.9 * whole
    assert label_area(AnnotateStyle(text_scale=2), annotation) > 3 * whole


def test_an_emotion_that_was_not_decided_takes_no_line() -> None:
    box = (300.0, 300.0, 400.0, 400.0)
    assert label_area(AnnotateStyle(), face(box, known(), emotion(None))) == label_area(
        AnnotateStyle(), face(box, known())
    )
    assert label_area(AnnotateStyle(), face(box, None, emotion(None))) == 0
    assert label_area(AnnotateStyle(), face(box, None, emotion())) > 0


def test_landmarks_are_marked_only_when_asked_for() -> None:
    annotation = face((300, 300, 400, 400), known())
    plain, marked = (
        Annotator(AnnotateStyle(show_landmarks=show)).draw(result(grey(1280, 720), annotation))
        for show in (False, True)
    )
    assert annotation.track.landmarks is not None
    for x, y in annotation.track.landmarks.astype(int):
        assert plain.y[y, x] == GREY
        assert marked.y[y, x] != GREY


@pytest.mark.parametrize("level", [16, GREY, 235])
def test_landmarks_are_seen_on_any_ground_and_may_lie_outside(level: int) -> None:
    """On an overexposed face a light point alone would vanish."""
    plain = grey(640, 360)
    picture = I420Picture(np.full_like(plain.y, level), plain.u, plain.v, is_bt709=False)
    canvas = Annotator(AnnotateStyle(show_landmarks=True)).draw(result(picture, face((100, 100, 700, 500))))
    eye = canvas.y[255:266, 275:286].astype(int)  # at 280, 260
    assert np.ptp(eye) > 100


def detail(canvas: Canvas, xyxy: tuple[int, int, int, int]) -> float:
    x1, y1, x2, y2 = xyxy
    return float(cv2.Laplacian(canvas.y[y1:y2, x1:x2], cv2.CV_64F).var())


@pytest.mark.parametrize("is_detected", [True, False])
def test_faces_without_a_known_name_can_be_made_unrecognisable(is_detected: bool) -> None:
    picture = textured(1280, 720)
    boxes = [(100, 300, 220, 440), (500, 300, 620, 440), (900, 300, 1020, 440)]
    faces = [
        face(box, identity, is_detected=is_detected)
        for box, identity in zip(boxes, (known(), UNKNOWN, None), strict=True)
    ]
    canvas = Annotator(AnnotateStyle(blur_unknown=True)).draw(result(picture, *faces))
    before = Canvas(picture)
    inner = [(x1 + 20, y1 + 20, x2 - 20, y2 - 20) for x1, y1, x2, y2 in boxes]
    assert detail(canvas, inner[0]) == detail(before, inner[0])
    for box in inner[1:]:
        assert detail(canvas, box) < detail(before, box) / 1000
        x1, y1, x2, y2 = (value // 2 for value in box)
        for plane in (canvas.u, canvas.v):
            assert float(np.abs(np.diff(plane[y1:y2, x1:x2].astype(int), axis=1)).max()) <= 5


def test_labels_that_repeat_are_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[PlateLook] = []

    def counting(look: PlateLook, text: TextRenderer) -> Plate:
        rendered.append(look)
        return render_plate(look, text)

    monkeypatch.setattr(streamer.annotate, "render_plate", counting)
    annotator = Annotator()
    for step in range(5):
        probability = 0.978 + step / 1000
        annotator.draw(result(grey(1280, 720), face((300 + step, 300, 400, 400), known("Ana", probability), emotion())))
    assert len(rendered) == 1
    assert rendered[0].lines == ("Ana\t 98 %", "happiness\t 87 %")


def test_a_label_that_lags_behind_says_no_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a face that has just stopped smiling "happiness 2 %" would stand."""
    rendered: list[PlateLook] = []

    def noting(look: PlateLook, text: TextRenderer) -> Plate:
        rendered.append(look)
        return render_plate(look, text)

    monkeypatch.setattr(streamer.annotate, "render_plate", noting)
    lagging = Emotion(emotion("neutral", 0.9).probabilities, "happiness", 0.02)
    Annotator().draw(result(grey(1280, 720), face((300, 300, 400, 400), known(), lagging)))
    assert rendered[0].lines == ("Ana\t 98 %", "happiness")


@pytest.mark.parametrize(
    "name", ["", "\n\t", "a\nb", "x" * 10_000, "é" * 5000, "../../x", "\udcff", "東京 花子", "%s{0}"]
)
def test_any_name_can_be_drawn(annotator: Annotator, name: str) -> None:
    picture = grey(640, 360)
    touched = changed(annotator.draw(result(picture, face((100, 100, 200, 200), known(name)))), picture)
    touched[100:200, 100:200] = False
    assert 500 < touched.sum() < 320 * 40


def test_a_long_name_gives_way_to_its_probability() -> None:
    text = TextRenderer(folders=())
    long, longer = (
        render_plate(PlateLook((f"{'Wilhelmina ' * times}\t 98 %",), (0, 112, 81), 20, 300, False), text)
        for times in (4, 7)
    )
    assert long.size == longer.size
    assert long.size[0] <= 300
    per_cent = text.line(" 98 %", 20)
    right = _ink(long.y)[:, -40:]
    assert np.corrcoef(right.ravel(), _ink(_on_plate(per_cent))[:, -40:].ravel())[0, 1] > 0.9


def _ink(y: UInt8) -> UInt8:
    bright = y > 180
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    bottom = int(rows.max()) + 1
    return y[max(0, bottom - 14) : bottom, : int(columns.max()) + 1]


def _on_plate(mask: UInt8) -> UInt8:
    return np.asarray(np.rint(100 + mask / 255 * 135), np.uint8)


def test_a_font_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used as a font"):
        Annotator(AnnotateStyle(font=tmp_path / "absent.ttf"))


def test_without_faces_the_picture_is_handed_on_and_not_copied(annotator: Annotator) -> None:
    picture = textured(64, 48)
    canvas = annotator.draw(FrameResult(Frame(picture, 0, 0.0, 0.0, "source")))
    assert np.shares_memory(canvas.y, picture.y)


def test_plates_go_where_weighing_every_place_puts_them() -> None:
    """Stopping at the first place that nothing later can beat changes no choice."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.integers(0, [500, 260], (12, 2))
        boxes = [
            (int(x), int(y), int(x + side), int(y + side))
            for (x, y), side in zip(corners, range(30, 90, 5), strict=True)
        ]
        sizes = [(int(width), 24) for width in rng.integers(20, 90, 12) * 2]
        placed: list[tuple[int, int, int, int]] = []
        for place, size, box in zip(place_plates(sizes, boxes, (640, 360)), sizes, boxes, strict=True):
            assert (
                place
                == min(
                    _all_places(size, box),
                    key=lambda at: _cost(at[1], size, placed, boxes) + at[0] * 0.02 * size[0] * 24,
                )[1]
            )
            assert place is not None
            placed.append((*place, place[0] + size[0], place[1] + size[1]))


def _all_places(size: tuple[int, int], box: tuple[int, int, int, int]) -> list[tuple[int, tuple[int, int]]]:
    (width, height), (x1, y1, x2, y2) = size, box
    lefts = [x1, x2 - width, x1, x2 - width, *[(x1 + x2 - width) // 2] * 2, x1 - width, x2, *[x1] * 4]
    tops = [*[y1 - height] * 2, y2, y2, y1 - height, y2, y1, y1, y1 - 2 * height, y2 + height, y1, y2 - height]
    inside = [
        (int(np.clip(left, 0, 640 - width)) // 2 * 2, int(np.clip(top, 0, 360 - height)) // 2 * 2)
        for left, top in zip(lefts, tops, strict=True)
    ]
    return list(enumerate(inside))


def _cost(
    at: tuple[int, int],
    size: tuple[int, int],
    plates: list[tuple[int, int, int, int]],
    faces: list[tuple[int, int, int, int]],
) -> float:
    """Count the pixels covered, on a drawn mask of each box."""
    here = np.zeros((360, 640), np.bool_)
    here[at[1] : at[1] + size[1], at[0] : at[0] + size[0]] = True
    covered = 0.0
    for boxes, weight in ((plates, 8.0), (faces, 1.0)):
        covered += weight * sum(np.count_nonzero(here[max(y1, 0) : y2, max(x1, 0) : x2]) for x1, y1, x2, y2 in boxes)
    return covered
