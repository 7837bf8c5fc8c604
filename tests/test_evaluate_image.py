"""Pictures with a truth: which face a row is about, what is right, wrong and missed, and the sheet that shows it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import GalleryError, SinkError, SourceOpenError, StreamerError, UsageError
from streamer.evaluation import grid
from streamer.evaluation.grid import Cell, Sheet, cell, draw_sheet
from streamer.evaluation.labelled import ExpectedFace, JudgedFace, SeenFace, Verdict, check_known, judge, read_labels
from streamer.evaluation.pictures import PictureFigures, evaluate_pictures
from streamer.evaluation.shares import Share
from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.photos import read_picture
from streamer.pictures import BgrPicture
from streamer.pipeline import Pipeline
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Annotation, Frame, FrameResult, SourceInfo, Track
from tests.fakes import BLUE, GREEN, RED, ColourEmbedder, ColourMatcher, GreyEmotion, Square, SquareDetector, draw

PICTURE = Path("x.png")


def expected(name: str | None, point: tuple[float, float] | None = None, emotion: str | None = None) -> ExpectedFace:
    return ExpectedFace(2, name, point, emotion)


def seen(name: str | None, left: float = 0, side: float = 40, emotion: str | None = None) -> SeenFace:
    return SeenFace(np.array([left, 0, left + side, side], np.float32), name, emotion)


def verdicts(rows: list[ExpectedFace], faces: list[SeenFace]) -> list[tuple[str, str | None]]:
    """Return the verdict and the name given of each row, then of each face that no row is about."""
    return [(one.verdict.value, one.seen.name if one.seen else None) for one in judge(PICTURE, rows, faces)]


# ---- which face is meant


def test_a_face_that_was_given_its_name_is_its_rows() -> None:
    rows = [expected("Ben"), expected("Ana")]
    assert verdicts(rows, [seen("Ana"), seen("Ben", 100)]) == [("right", "Ben"), ("right", "Ana")]


def test_a_name_that_was_not_given_takes_the_largest_face_that_is_left() -> None:
    rows = [expected("Ana"), expected("Ben")]
    faces = [seen("Ben", 0), seen(None, 100), seen("Cleo", 200, side=80)]
    assert verdicts(rows, faces) == [("wrong", "Cleo"), ("right", "Ben"), ("extra", None)]


def test_strangers_are_right_without_a_name() -> None:
    rows = [expected(None), expected(None)]
    assert verdicts(rows, [seen("Ana"), seen(None, 100)]) == [("right", None), ("wrong", "Ana")]


def test_a_row_for_which_no_face_is_left_is_missed() -> None:
    assert verdicts([expected("Ana"), expected(None)], [seen("Ana")]) == [("right", "Ana"), ("missed", None)]
    assert verdicts([expected("Ana")], []) == [("missed", None)]


def test_a_point_decides_whatever_the_names_are() -> None:
    rows = [expected("Ana", (120, 20)), expected("Ben")]
    assert verdicts(rows, [seen("Ana"), seen("Ben", 100)]) == [("wrong", "Ben"), ("wrong", "Ana")]
    assert verdicts([expected("Ana", (300, 20))], [seen("Ana")]) == [("missed", None), ("extra", "Ana")]


def test_of_faces_around_a_point_the_nearest_middle_is_meant() -> None:
    faces = [seen("Ana", 0, side=100), seen("Ben", 30, side=40)]
    assert verdicts([expected("Ben", (48, 22))], faces)[0] == ("right", "Ben")
    assert verdicts([expected("Ben", (48, 22)), expected("Ana", (49, 23))], faces) == [
        ("right", "Ben"),
        ("right", "Ana"),
    ]


names = st.sampled_from([None, "Ana", "Ben", "Cleo"])


@given(st.lists(names, max_size=5), st.lists(names, max_size=5))
def test_every_row_and_every_face_is_judged_once(rows: list[str | None], given_names: list[str | None]) -> None:
    faces = [seen(name, 100.0 * place) for place, name in enumerate(given_names)]
    listed = [ExpectedFace(place, name) for place, name in enumerate(rows)]
    judged = judge(PICTURE, listed, faces)
    assert [one.expected for one in judged if one.expected is not None] == listed
    assert sorted(id(one.seen) for one in judged if one.seen is not None) == sorted(map(id, faces))
    # As many are right as can be: each name as often as both have it.
    right = sum(one.verdict is Verdict.RIGHT for one in judged)
    assert right == sum(min(rows.count(name), given_names.count(name)) for name in {*rows})


# ---- shares


def test_the_shares_by_hand() -> None:
    faces = (
        JudgedFace(PICTURE, expected("Ana", emotion="happiness"), seen("Ana", emotion="happiness")),
        JudgedFace(PICTURE, expected("Ana", emotion="anger"), seen("Ben", emotion=None)),
        JudgedFace(PICTURE, expected("Ben", emotion="fear"), None),
        JudgedFace(PICTURE, expected(None), seen(None)),
        JudgedFace(PICTURE, expected(None), seen("Ana")),
        JudgedFace(PICTURE, expected(None), None),
        JudgedFace(PICTURE, None, seen("Ben")),
        JudgedFace(PICTURE, None, seen(None)),
    )
    figures = PictureFigures(faces, 1)
    assert figures.listed == Share(2, 6)
    assert figures.known == Share(1, 3)
    assert figures.strangers == Share(1, 2)
    assert figures.emotions == Share(1, 2)
    assert figures.misnamed == 3
    assert [figures.count(verdict) for verdict in Verdict] == [2, 2, 2, 2]


# ---- tables of truth


def picture(folder: Path, name: str, *squares: Square) -> Path:
    path = folder / name
    assert cv2.imwrite(str(path), draw(squares))
    return path


def labels(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_may_have_points_and_emotions(tmp_path: Path) -> None:
    first, second = picture(tmp_path, "1.png"), picture(tmp_path, "2.png")
    table = "image,name,x,y,emotion\n1.png,Ana,1.5,2,Happiness\n2.png,unknown,,,\n1.png,,,,\n"
    assert read_labels(labels(tmp_path, table), tmp_path) == {
        first: [ExpectedFace(2, "Ana", (1.5, 2), "happiness"), ExpectedFace(4, None)],
        second: [ExpectedFace(3, None)],
    }


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ("2.png,Ana,,,", SourceOpenError, "line 2: there is no picture"),
        (",Ana,,,", UsageError, "line 2: column image is empty"),
        ("1.png,Ana,3,,", UsageError, "line 2: x and y are '3' and ''"),
        ("1.png,Ana,3,inf,", UsageError, "line 2: x and y are"),
        ("1.png,Ana,,,joy", UsageError, "line 2: 'joy' is no emotion; choose from neutral"),
        (f"1.png,{'A' * 300},,,", UsageError, "line 2: the name that starts"),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(
    tmp_path: Path, row: str, kind: type[StreamerError], message: str
) -> None:
    picture(tmp_path, "1.png")
    with pytest.raises(kind, match=message):
        read_labels(labels(tmp_path, f"image,name,x,y,emotion\n{row}\n"), tmp_path)


def test_a_name_that_nobody_in_the_gallery_has_is_refused() -> None:
    check_known(PICTURE, [expected("Ana"), expected(None)], ["Ana"])
    with pytest.raises(GalleryError, match="line 2: nobody in the gallery is called 'Ben'"):
        check_known(PICTURE, [expected("Ana"), expected("Ben")], ["Ana"])


# ---- pictures through the pipeline


def look(path: Path) -> FrameResult:
    """Say what the fakes see in a picture, as `streamer image` would with them."""
    labeller = TrackLabeller(Recognition(ColourEmbedder(), ColourMatcher()), GreyEmotion(), LabelPolicy())
    pipeline = Pipeline(SquareDetector(), KalmanTracker, labeller)
    picture = read_picture(path)
    pipeline.begin(SourceInfo("drawn", "drawn", picture.width, picture.height, 1.0, is_live=True))
    (result,) = [*pipeline.process([Frame(picture, 0, 0.0, 0.0, "drawn")]), *pipeline.finish()]
    return result


def test_faces_are_found_named_and_read(tmp_path: Path) -> None:
    first = picture(tmp_path, "1.png", (10, 10, RED), (100, 10, BLUE))
    second = picture(tmp_path, "2.png", (10, 10, GREEN))
    rows = {
        first: [expected("Rosa", emotion="happiness"), expected(None)],
        second: [expected("Rosa"), expected("Greta")],
    }
    taken: list[tuple[int, int]] = []
    figures = evaluate_pictures(rows, look, on_judged=lambda image, faces: taken.append((image.width, len(faces))))
    assert [face.verdict.value for face in figures.faces] == ["right", "right", "missed", "right"]
    assert figures.emotions == Share(1, 1)
    assert (figures.pictures, taken) == (2, [(320, 2), (320, 2)])


def test_a_face_that_was_not_assessed_has_no_name() -> None:
    track = Track(1, np.array([0, 0, 40, 40], np.float32), None, 0.9, True, 0.0, 0.0)
    result = FrameResult(Frame(BgrPicture(draw([])), 0, 0.0, 0.0, "drawn"), (Annotation(track),))
    figures = evaluate_pictures({PICTURE: [expected("Ana", emotion="fear")]}, lambda _path: result)
    assert [(face.verdict.value, face.seen and face.seen.name) for face in figures.faces] == [("wrong", None)]
    assert figures.emotions == Share(0, 1)


# ---- the sheet

GREEN_LINE, RED_LINE = (70, 130, 0), (40, 40, 200)


def coloured(sheet: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=2).sum())


def test_right_faces_are_framed_green_and_wrong_ones_red() -> None:
    image = BgrPicture(draw([(10, 10, BLUE)]))
    right, wrong = (JudgedFace(PICTURE, expected("Ana"), seen(name)) for name in ("Ana", "Ben"))
    for face, colour, other in ((right, GREEN_LINE, RED_LINE), (wrong, RED_LINE, GREEN_LINE)):
        sheet = draw_sheet([cell(image, face)], "title")
        assert coloured(sheet, colour) > 4 * 200 * 6
        assert coloured(sheet, other) == 0


def test_under_each_face_stand_the_name_given_and_the_one_expected() -> None:
    image = BgrPicture(draw([(10, 10, BLUE)]))
    wrong = cell(image, JudgedFace(PICTURE, expected("Ana", emotion="fear"), seen(None, emotion="anger")))
    assert (wrong.given, wrong.below) == ("unknown", (("expected: Ana", None), ("anger, not fear", False)))
    missed = cell(image, JudgedFace(PICTURE, expected(None, (15, 15)), None))
    assert (missed.given, missed.below, missed.is_right) == ("no face found", (("expected: unknown", None),), False)
    extra = cell(image, JudgedFace(PICTURE, None, seen("Ana")))
    assert (extra.given, extra.below) == ("Ana", (("not in the table", None),))


@given(
    st.integers(1, 400), st.integers(1, 400), st.floats(-50, 450), st.floats(-50, 450), st.floats(1, 500), st.booleans()
)
def test_a_face_anywhere_in_a_picture_of_any_size_has_a_thumbnail(
    width: int, height: int, left: float, top: float, side: float, is_found: bool
) -> None:
    image = BgrPicture(np.zeros((height, width, 3), np.uint8))
    box = np.array([left, top, left + side, top + side], np.float32)
    face = JudgedFace(PICTURE, expected("Ana", (left, top)), SeenFace(box, "Ana") if is_found else None)
    assert cell(image, face).thumbnail.shape == (200, 200, 3)


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_sheet_of_any_number_of_faces_and_any_names_is_drawn(count: int) -> None:
    image = BgrPicture(draw([(10, 10, BLUE)]))
    one = cell(image, JudgedFace(PICTURE, expected("A" * 100, None, "fear"), seen("Zoë \u202e\n x", emotion="fear")))
    sheet = draw_sheet([one] * count, "a title " * 50)
    assert sheet.shape[1] < 2000
    assert coloured(sheet, RED_LINE) >= count * 4 * 200 * 6


def test_a_full_sheet_keeps_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(grid, "MOST_CELLS", 3)
    image = BgrPicture(draw([(10, 10, BLUE)]))
    right, wrong = (JudgedFace(PICTURE, expected("Ana"), seen(name)) for name in ("Ana", "Ben"))
    unnamed = JudgedFace(PICTURE, None, seen(None))
    drawn: list[list[bool]] = []

    def draw_less(cells: list[Cell], title: str) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
        drawn.append([one.is_right for one in cells])
        assert title == "4 of 6 right · 2 wrong · 0 not found"
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(grid, "draw_sheet", draw_less)
    sheet, faces = Sheet(), [right, right, unnamed, right, wrong, right, wrong]
    sheet.add(image, faces)
    sheet.write(tmp_path / "sheet.png", PictureFigures(tuple(faces), 1))
    assert drawn == [[True, False, False]]
    assert sheet.left_out == 3
    assert read_picture(tmp_path / "sheet.png").width == 2


def test_a_sheet_that_cannot_be_written_is_a_sink_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write"):
        Sheet().write(tmp_path / "absent" / "sheet.png", PictureFigures((), 0))
