"""Verification: its arithmetic by hand and against scikit-learn, tables of pairs, and pictures without a face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from streamer.errors import SourceOpenError, StreamerError, UsageError
from streamer.evaluation.faces import FaceNets, embed_pictures
from streamer.evaluation.pairs import evaluate_pairs, read_pairs
from streamer.evaluation.shares import Share, Spread
from streamer.evaluation.verification import (
    Mask,
    Scores,
    best_threshold,
    draw_folds,
    equal_error_rate,
    lowest_threshold,
    operating_point,
    verify,
)
from streamer.recognition.photo_faces import most_central
from streamer.tables import read_table
from streamer.types import Faces
from tests.fakes import BLUE, GREEN, RED, ColourEmbedder, Square, SquareDetector, draw

NETS = FaceNets(SquareDetector(), ColourEmbedder())


def scores(*values: float) -> Scores:
    return np.array(values, np.float64)


def kinds(text: str) -> Mask:
    """Return a mask: s is a pair of the same person, d one of different people."""
    return np.array([letter == "s" for letter in text], bool)


@st.composite
def pairs_of_both_kinds(draw_one: st.DrawFn) -> tuple[Scores, Mask]:
    """Return similarities, many of them equal, of which two or more are of each kind."""
    values = st.lists(st.integers(-10, 10).map(lambda value: value / 10), min_size=2, max_size=40)
    same, different = draw_one(values), draw_one(values)
    return scores(*same, *different), kinds("s" * len(same) + "d" * len(different))


# ---- thresholds


def test_the_threshold_lies_half_way_between_what_it_tells_apart() -> None:
    assert best_threshold(scores(0.9, 0.8, 0.2, 0.1), kinds("ssdd")) == pytest.approx(0.5)


def test_of_thresholds_within_a_standard_error_of_the_best_the_middle_one_is_taken() -> None:
    """One error at least, so those with two are as good; they reach from .25 to .65."""
    found = best_threshold(scores(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), kinds("dddsdsss"))
    assert found == pytest.approx(0.45)


def test_where_all_pairs_are_alike_all_are_judged_so() -> None:
    assert best_threshold(scores(0.1, 0.5), kinds("ss")) < 0.1
    assert best_threshold(scores(0.1, 0.5), kinds("dd")) > 0.5


@given(pairs_of_both_kinds())
def test_no_threshold_is_better_by_more_than_a_standard_error(pairs: tuple[Scores, Mask]) -> None:
    similarities, is_same = pairs

    def errors(threshold: float) -> int:
        return int(((similarities >= threshold) != is_same).sum())

    fewest = min(errors(threshold) for threshold in [*similarities.tolist(), 2.0])
    assert errors(best_threshold(similarities, is_same)) <= fewest + fewest**0.5


@settings(deadline=None)  # the first call of scikit-learn takes long
@given(pairs_of_both_kinds(), st.sampled_from([0.0, 0.001, 0.1, 0.25, 0.5, 1.0]))
def test_rates_at_a_share_of_false_matches_are_those_of_scikit_learn(pairs: tuple[Scores, Mask], rate: float) -> None:
    similarities, is_same = pairs
    false_matches, found, _ = roc_curve(is_same, similarities, drop_intermediate=False)
    point = operating_point(similarities, is_same, rate)
    assert point.share.value == pytest.approx(found[false_matches <= rate + 1e-9].max())
    assert (similarities[~is_same] >= point.threshold).mean() <= rate + 1e-9


def test_a_rate_of_less_than_one_pair_lets_none_pass() -> None:
    point = operating_point(scores(0.9, 0.6, 0.5, 0.7, 0.1), kinds("sssdd"), 0.01)
    assert point.share == Share(1, 3)
    assert lowest_threshold(scores(0.7, 0.1), 1.0) == -np.inf


def test_equals_pass_together_or_not_at_all() -> None:
    """Half of the different pairs may pass, but three of four are alike."""
    assert operating_point(scores(0.5, 0.5, 0.5, 0.5, 0.1), kinds("sdddd"), 0.5).share == Share(0, 1)


@settings(deadline=None)
@given(pairs_of_both_kinds())
def test_the_equal_error_rate_is_where_scikit_learns_roc_crosses(pairs: tuple[Scores, Mask]) -> None:
    similarities, is_same = pairs
    false_matches, found, _ = roc_curve(is_same, similarities, drop_intermediate=False)
    # Along the joined points false matches rise and misses fall, so one walk meets the crossing.
    steps = np.linspace(0, len(false_matches) - 1, 20_001)
    places = np.arange(len(false_matches))
    gap = np.abs(np.interp(steps, places, false_matches) - np.interp(steps, places, 1 - found))
    expected = np.interp(steps, places, false_matches)[np.argmin(gap)]
    assert equal_error_rate(similarities, is_same) == pytest.approx(expected, abs=1e-3)


def test_the_equal_error_rate_by_hand() -> None:
    assert equal_error_rate(scores(0.9, 0.8, 0.2, 0.1), kinds("ssdd")) == 0
    assert equal_error_rate(scores(0.1, 0.2, 0.8, 0.9), kinds("ssdd")) == 1
    # At .7: one of four different ones passes, one of four same ones does not.
    assert equal_error_rate(scores(0.9, 0.8, 0.7, 0.3, 0.75, 0.2, 0.1, 0), kinds("ssssdddd")) == pytest.approx(0.25)


# ---- folds


def test_accuracy_is_that_of_folds_by_the_thresholds_of_the_others() -> None:
    """The first fold's threshold, .45, misjudges one pair of the second; the second's, .75, two of the first."""
    similarities = scores(0.5, 0.6, 0.4, 0.3, 0.9, 0.8, 0.7, 0.2)
    is_same, folds = kinds("ssddssdd"), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    judged = verify(similarities, is_same, folds)
    assert judged.accuracy == Share(5, 8)


@given(st.integers(2, 60), st.integers(2, 60), st.integers(2, 10), st.integers(0, 5))
def test_folds_have_their_share_of_both_kinds(same: int, different: int, count: int, seed: int) -> None:
    is_same = kinds("s" * same + "d" * different)
    folds = draw_folds(is_same, count, seed)
    for kind in (True, False):
        sizes = np.bincount(folds[is_same == kind], minlength=count)
        assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(folds, draw_folds(is_same, count, seed))


@given(st.integers(3, 30))
def test_pairs_that_differ_clearly_are_all_told_right(count: int) -> None:
    is_same = kinds("sd" * count)
    judged = verify(np.where(is_same, 0.9, 0.1) + np.arange(2 * count) / 1000, is_same, draw_folds(is_same, 3, 0))
    assert judged.accuracy.value == 1
    assert judged.equal_error_rate == 0
    assert [point.share.value for point in judged.tpr_at_fpr] == [1, 1]


# ---- shares


def test_the_interval_of_a_share_is_wilsons() -> None:
    """The figures are those of Newcombe (Statistics in Medicine 17, 1998), table I, method 3."""
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert Share(1, 29).interval == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert Share(0, 20).interval == pytest.approx((0, 0.1611), abs=1e-4)
    assert Share().interval is None


def test_a_spread_is_what_95_percent_of_the_draws_lie_within() -> None:
    spread = Spread.of([float(value) for value in range(101)])
    assert (spread.mean, *spread.interval) == pytest.approx((50, 2.5, 97.5))


# ---- tables


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_columns_may_stand_in_any_order_and_case(tmp_path: Path) -> None:
    path = table(tmp_path, '\ufeffSame, B ,note,a\n1,y.png,"of, 2",x.png\n,,,\n0, z.png ,,x.png\n')
    rows = read_table(path, ("a", "b", "same"), ("fold",))
    assert [row.cells for row in rows] == [
        {"a": "x.png", "b": "y.png", "same": "1"},
        {"a": "x.png", "b": "z.png", "same": "0"},
    ]
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks the columns a, b"),
        ("a,c\n1,2\n", "lacks the column b"),
        ("a,b\n", "has no row"),
        ("a,b\n1,2,3\n", "line 2: 3 cells under 2 titles"),
        ('a,b\n"1,2\n', "is no CSV table"),
        (b"a,b\n\xff\xfe,2\n", "is not UTF-8 text"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_table(table(tmp_path, content), ("a", "b"))


def test_a_table_that_is_not_there_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="cannot be read: No such file"):
        read_table(tmp_path / "absent.csv", ("a",))
    with pytest.raises(SourceOpenError, match="cannot be read: Is a directory"):
        read_table(tmp_path, ("a",))


# ---- pairs of pictures


def picture(folder: Path, name: str, *squares: Square) -> None:
    assert cv2.imwrite(str(folder / f"{name}.png"), draw(squares))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Red one twice, green one twice, and a picture in which nobody is."""
    for place, name in enumerate(("red1", "red2")):
        picture(tmp_path, name, (20 * place, 10, RED))
    for place, name in enumerate(("green1", "green2")):
        picture(tmp_path, name, (30, 40 * place, GREEN))
    picture(tmp_path, "empty")
    return tmp_path


def pairs_file(folder: Path, *rows: str, titles: str = "a,b,same") -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join([titles, *rows]), encoding="utf-8")
    return path


CLEAR = ("red1.png,red2.png,1", "green1.png,green2.png,true", "red1.png,green2.png,0", "red2.png,green1.png,False")


def test_clear_pairs_are_told_right(pictures: Path) -> None:
    figures = evaluate_pairs(read_pairs(pairs_file(pictures, *CLEAR), pictures, seed=0), NETS)
    assert figures.verification.accuracy == Share(4, 4)
    assert 0.1 < figures.verification.threshold < 0.99
    assert (figures.pairs, figures.same, figures.folds, figures.pictures, figures.undetected) == (4, 2, 2, 4, 0)


def test_each_picture_is_read_once(pictures: Path) -> None:
    seen: list[None] = []
    evaluate_pairs(read_pairs(pairs_file(pictures, *CLEAR), pictures, 0), NETS, on_picture=lambda: seen.append(None))
    assert len(seen) == 4


def test_a_pair_without_a_face_is_judged_different(pictures: Path) -> None:
    """That is an error where it is one person, and right where it is two: what the product would answer."""
    rows = (*CLEAR, "red1.png,empty.png,1", "empty.png,green1.png,0")
    figures = evaluate_pairs(read_pairs(pairs_file(pictures, *rows), pictures, 0), NETS)
    assert figures.verification.accuracy == Share(5, 6)
    assert figures.verification.tpr_at_fpr[0].share == Share(2, 3)
    assert (figures.undetected, figures.undetected_pairs) == (1, 2)


def test_folds_may_be_given(pictures: Path) -> None:
    rows = [f"{row},{fold}" for row, fold in zip(CLEAR, ("x", "y", "x", "y"), strict=True)]
    pairs = read_pairs(pairs_file(pictures, *rows, titles="a,b,same,fold"), pictures, 0)
    assert pairs.folds.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        (("red1.png,red2.png,maybe",), UsageError, "line 2: same is 'maybe'"),
        (("red1.png,,1",), UsageError, "line 2: column b is empty"),
        (CLEAR[:3], UsageError, "has 2 pairs of one person and 1 of two"),
        ((*CLEAR, "red1.png,none.png,1"), SourceOpenError, "the picture .*none.png is not there; check --images"),
        ((*CLEAR, "no1.png,no2.png,1"), SourceOpenError, r"no1.png \(and 1 more\) is not there"),
    ],
)
def test_a_faulty_table_is_refused_with_its_line(
    pictures: Path, rows: tuple[str, ...], kind: type[StreamerError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_pairs(pairs_file(pictures, *rows), pictures, 0)


def test_one_fold_for_all_is_refused(pictures: Path) -> None:
    with pytest.raises(UsageError, match="all pairs are in one fold"):
        read_pairs(pairs_file(pictures, *(f"{row},1" for row in CLEAR), titles="a,b,same,fold"), pictures, 0)


def test_the_central_face_counts(pictures: Path) -> None:
    picture(pictures, "crowd", (0, 0, BLUE), (140, 70, RED), (270, 130, GREEN))
    vectors = embed_pictures([pictures / "crowd.png", pictures / "red1.png"], NETS).vectors
    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("boxes", "wanted"),
    [
        ([[0, 0, 20, 20], [40, 40, 60, 60]], 1),  # of one size: the nearer
        ([[10, 20, 60, 70], [50, 50, 66, 66]], 0),  # somebody small behind the person meant
        ([[0, 0, 30, 30], [42, 42, 58, 58]], 1),  # a larger one in the corner
    ],
)
def test_a_small_face_nearer_to_the_middle_gives_way_to_a_large_one_beside_it(
    boxes: list[list[float]], wanted: int
) -> None:
    xyxy = np.array(boxes, np.float32)
    faces = Faces(xyxy, np.ones(len(xyxy), np.float32), np.zeros((len(xyxy), 5, 2), np.float32))
    assert most_central(faces, 100, 100) == wanted


def test_a_picture_that_cannot_be_read_is_an_error_or_left_out(pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    paths = [pictures / "red1.png", pictures / "broken.png", pictures / "empty.png"]
    with pytest.raises(SourceOpenError, match=r"broken\.png is not a picture"):
        embed_pictures(paths, NETS)
    faces = embed_pictures(paths, NETS, skips_unreadable=True, keeps_crops=True)
    assert faces.is_found.tolist() == [True, False, False]
    assert faces.crops is not None
    assert faces.crops[0].max() > 200
    assert faces.crops[1].max() == 0
