"""Judging an emotion net: every figure by hand and against scikit-learn's, the drawn matrix, and the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from streamer.cli import main
from streamer.emotion.labelled_pictures import LabelledPictures, list_pictures
from streamer.errors import UsageError
from streamer.evaluation.emotion import (
    CONFIDENCES,
    EmotionFigures,
    confusion_matrix,
    evaluate_emotions,
    expected_calibration_error,
    sure_answers,
)
from streamer.evaluation.emotion_matrix import draw_matrix
from streamer.evaluation.shares import Share
from streamer.labelled_faces import face_cut, whole_cut
from streamer.photos import read_picture
from streamer.pictures import Picture, UInt8
from streamer.stages import Crops
from streamer.types import EMOTIONS, Float32
from tests.emotion_pictures import class_folders, class_of, mosaic_folder, save, shade, write_table
from tests.fakes import SquareDetector, draw

WITH_NETS = pytest.mark.timeout(120)  # nets are loaded
STEP = 30  # of grey, from one emotion to the next


class GreyTeller:
    """An EmotionClassifier that says what a crop's grey stands for: 30 × emotion, a level more: the less sure."""

    crop_size = 8

    def __init__(self) -> None:
        self.batches: list[int] = []

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        x, y = (int(value) for value in landmarks[2])
        red = int(picture.bgr_region((x, y, x + 1, y + 1))[0, 0, 2])
        return shade(red, 8)

    def classify(self, crops: Crops) -> Float32:
        self.batches.append(len(crops))
        answers = np.zeros((len(crops), 7), np.float32)
        for row, level in enumerate(crops[:, 0, 0, 0].tolist()):
            confidence = 1 - 0.1 * (level % STEP)
            answers[row] = (1 - confidence) / 6
            answers[row, level // STEP] = confidence
        return answers


def grey(emotion: str, doubt: int = 0) -> int:
    """Return the level that `GreyTeller` takes for an emotion, surely or with so many tenths of doubt."""
    return STEP * class_of(emotion) + doubt


def judged(pictures: LabelledPictures, threads: int = 1) -> EmotionFigures:
    return evaluate_emotions(pictures, GreyTeller(), whole_cut(8), threads=threads)


def figures_of(counts: Mapping[tuple[str, str], int], undetected: Mapping[str, int] | None = None) -> EmotionFigures:
    """Return figures with so many faces of (what they show, what was said)."""
    confusion = np.zeros((7, 7), np.int64)
    for (shown, said), count in counts.items():
        confusion[class_of(shown), class_of(said)] = count
    missed = np.array([(undetected or {}).get(name, 0) for name in EMOTIONS], np.int64)
    return EmotionFigures(confusion, missed, 0.0)


# ---- by hand


def test_the_shares_by_hand() -> None:
    """Six happy faces of which four are told, four sad ones of which three; one neutral face that is called sad."""
    figures = figures_of(
        {
            ("happiness", "happiness"): 4,
            ("happiness", "sadness"): 2,
            ("sadness", "sadness"): 3,
            ("sadness", "fear"): 1,
            ("neutral", "sadness"): 1,
        },
        {"sadness": 2, "anger": 1},
    )
    assert figures.accuracy == Share(7, 11)
    assert figures.accuracy_of_all == Share(7, 14)
    assert figures.images == 14
    happiness, sadness = figures.classes[1], figures.classes[3]
    assert (happiness.recall, happiness.precision) == (Share(4, 6), Share(4, 4))
    assert (sadness.recall, sadness.precision, sadness.undetected) == (Share(3, 4), Share(3, 6), 2)
    assert happiness.f1 == pytest.approx(2 * (4 / 6) / (4 / 6 + 1))
    assert sadness.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    # Fear was said but is nowhere shown: it is in no mean, and costs sadness its recall only.
    assert figures.absent == ("surprise", "anger", "disgust", "fear")
    assert figures.balanced_accuracy == pytest.approx((0 + 4 / 6 + 3 / 4) / 3)
    assert figures.macro_f1 == pytest.approx((0 + 0.8 + 0.6) / 3)
    assert (figures.classes[6].f1, figures.classes[4].f1) == (0, None)


def test_of_no_face_there_is_no_figure() -> None:
    figures = figures_of({}, {"fear": 3})
    assert (figures.accuracy.value, figures.balanced_accuracy, figures.macro_f1) == (None, None, None)
    assert figures.accuracy_of_all == Share(0, 3)
    assert expected_calibration_error(np.zeros((0, 7), np.float32), np.zeros(0, np.intp)) is None


def rows_of(*answers: tuple[int, float]) -> Float32:
    """Return probabilities whose highest are these."""
    rows = np.empty((len(answers), 7), np.float32)
    for row, (emotion, confidence) in enumerate(answers):
        rows[row] = (1 - confidence) / 6
        rows[row, emotion] = confidence
    return rows


def test_the_calibration_error_by_hand() -> None:
    """One bin: two answers of .9, one right: .4 off. Another: two of .5, both right: .5 off. Half of the faces each."""
    probabilities = rows_of((0, 0.9), (1, 0.9), (2, 0.5), (3, 0.5))
    assert expected_calibration_error(probabilities, np.array([0, 0, 2, 3])) == pytest.approx(0.45, abs=1e-6)
    # In the same bin too little and too much make up for each other: .68 and .72 with one right are .2 off.
    pair = rows_of((0, 0.68), (1, 0.72))
    assert expected_calibration_error(pair, np.array([0, 0])) == pytest.approx(0.2, abs=1e-6)
    assert expected_calibration_error(rows_of((0, 1.0)), np.array([0])) == 0
    assert expected_calibration_error(rows_of((0, 1.0)), np.array([1])) == 1


def test_sure_answers_by_hand() -> None:
    probabilities = rows_of((0, 0.3), (0, 0.4), (0, 0.6), (0, 0.8), (0, 0.95))
    found = sure_answers(probabilities, np.array([1, 0, 1, 0, 0]))
    assert [one.confidence for one in found] == list(CONFIDENCES)
    assert [one.coverage for one in found] == [Share(4, 5), Share(3, 5), Share(2, 5), Share(1, 5)]
    assert [one.accuracy for one in found] == [Share(3, 4), Share(2, 3), Share(2, 2), Share(1, 1)]


# ---- against others


pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


@settings(deadline=None)  # scikit-learn takes as long as it takes
@given(pairs)
def test_the_shares_are_scikit_learns(told: list[tuple[int, int]]) -> None:
    truth, said = np.array([one for one, _ in told]), np.array([other for _, other in told])
    figures = EmotionFigures(confusion_matrix(truth, said), np.zeros(7, np.int64), None)
    np.testing.assert_array_equal(figures.confusion, metrics.confusion_matrix(truth, said, labels=range(7)))
    assert figures.accuracy.value == pytest.approx(metrics.accuracy_score(truth, said))
    shown = sorted(set(truth.tolist()))
    over_shown = {"labels": shown, "average": "macro", "zero_division": 0}
    assert figures.balanced_accuracy == pytest.approx(metrics.recall_score(truth, said, **over_shown))
    assert figures.macro_f1 == pytest.approx(metrics.f1_score(truth, said, **over_shown))
    each = {"labels": range(7), "average": None, "zero_division": 0}
    recalls, precisions = metrics.recall_score(truth, said, **each), metrics.precision_score(truth, said, **each)
    for one, recall, precision in zip(figures.classes, recalls, precisions, strict=True):
        assert (one.recall.value or 0) == pytest.approx(recall)
        assert (one.precision.value or 0) == pytest.approx(precision)
    assert len(figures.absent) == 7 - len(shown)


answers = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(150, 1000)), min_size=1, max_size=40)


@given(answers, st.randoms(use_true_random=False))
def test_the_calibration_error_is_what_its_definition_says(told: list[tuple[int, int, int]], random: Any) -> None:
    def error(rows: list[tuple[int, int, int]]) -> float:
        found = expected_calibration_error(
            rows_of(*((said, thousandths / 1000) for said, _, thousandths in rows)),
            np.array([one for _, one, _ in rows]),
        )
        assert found is not None
        return found

    by_definition = 0.0
    for number in range(15):
        # In whole numbers, so that no rounding moves an answer into the next bin: 15 × p lies in (number, number + 1].
        own = [(said == shown, p) for said, shown, p in told if 1000 * number < 15 * p <= 1000 * (number + 1)]
        if own:
            right, confidence = sum(one for one, _ in own) / len(own), sum(p for _, p in own) / len(own) / 1000
            by_definition += len(own) / len(told) * abs(right - confidence)
    # A probability on a bound may fall to either side by its rounding to float32.
    if all(15 * p % 1000 for _, _, p in told):
        assert error(told) == pytest.approx(by_definition, abs=1e-6)
    shuffled = list(told)
    random.shuffle(shuffled)
    assert error(shuffled) == pytest.approx(error(told), abs=1e-9)
    surplus = np.mean([p / 1000 for _, _, p in told]) - np.mean([said == shown for said, shown, _ in told])
    assert abs(surplus) - 1e-6 <= error(told) <= 1


# ---- pictures


def test_crops_are_judged_by_what_the_net_says(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path,
        {
            "happy": [grey("happiness"), grey("happiness", 2), grey("fear", 4)],
            "fear": [grey("fear")],
            "contempt": [grey("anger")],
        },
    )
    figures = judged(list_pictures(folder))
    assert figures.confusion[1, [1, 6]].tolist() == [2, 1]
    assert figures.confusion.sum() == 4
    assert figures.accuracy == Share(3, 4)
    # Right at 1, .8 and 1, wrong at .6: each but the sure ones in a bin of its own.
    assert figures.expected_calibration_error == pytest.approx((0.2 + 0.6) / 4, abs=1e-6)
    assert figures.notes == ("1 pictures of contempt are left out: it is none of the seven emotions",)


def test_pictures_whose_emotion_is_unclear_are_not_judged(tmp_path: Path) -> None:
    rows = [{"neutral": 9}, {"neutral": 5, "anger": 5}, {"contempt": 9}, {"happiness": 6, "neutral": 4}]
    figures = judged(list_pictures(mosaic_folder(tmp_path, "valid", rows), "valid"))
    # Greys 0 and 30 stand for neutral and happiness.
    assert (figures.accuracy, figures.unclear) == (Share(2, 2), 2)
    with pytest.raises(UsageError, match="in none of 2 pictures"):
        judged(list_pictures(mosaic_folder(tmp_path, "test", rows[1:3]), "test"))


def test_thousands_of_pictures_go_through_the_net_in_batches_whatever_the_threads() -> None:
    votes = np.zeros((3000, 10), np.float32)
    votes[np.arange(3000), np.arange(3000) % 7] = 10
    levels = [STEP * (row % 7 if row % 5 else 6) for row in range(3000)]
    pictures = LabelledPictures(votes, lambda row: read(levels[row]))
    teller = GreyTeller()
    seen: list[int] = []
    figures = evaluate_emotions(pictures, teller, whole_cut(8), threads=3, on_picture=lambda: seen.append(1))
    np.testing.assert_array_equal(figures.confusion, judged(pictures).confusion)
    assert figures.accuracy == Share(sum(level // STEP == row % 7 for row, level in enumerate(levels)), 3000)
    assert len(seen) == 3000
    assert max(teller.batches) > 8
    assert sum(teller.batches) == 3000


def read(level: int) -> Any:
    from streamer.pictures import BgrPicture

    return BgrPicture(shade(level, 8))


def test_faces_are_cut_as_in_use_and_missed_ones_counted(tmp_path: Path) -> None:
    """The drawn faces are found by their red, and `GreyTeller` takes 180 of it for fear, 182 for a doubtful one."""
    sure, doubtful, nobody = draw([(140, 70, (0, 0, 180))]), draw([(140, 70, (0, 0, 182))]), draw([])
    shown = {"fear/1.png": sure, "fear/2.png": doubtful, "fear/3.png": nobody, "anger/1.png": nobody}
    for name, pixels in shown.items():
        save(tmp_path / name, pixels)
    teller = GreyTeller()
    figures = evaluate_emotions(list_pictures(tmp_path), teller, face_cut(SquareDetector(), teller.crop))
    assert figures.accuracy == Share(2, 2)
    assert figures.accuracy_of_all == Share(2, 4)
    assert figures.undetected.tolist() == [0, 0, 0, 0, 1, 0, 1]
    assert figures.absent == tuple(name for name in EMOTIONS if name != "fear")
    assert figures.expected_calibration_error == pytest.approx((0 + 0.2) / 2, abs=1e-6)


# ---- the drawn matrix


def pixels_of(figures: EmotionFigures) -> UInt8:
    return draw_matrix(figures, "title")


def test_the_matrix_has_the_shares_colours() -> None:
    full = {(name, name): 5 for name in EMOTIONS}
    drawn = pixels_of(figures_of(full))
    dark = (drawn == (107, 48, 8)).all(axis=2)
    # Seven cells of 100 px are all of their row, and dark but for their text.
    assert dark.sum() > 7 * 100 * 100 * 0.8
    rows, columns = np.nonzero(dark[:, : drawn.shape[1] - 150])
    assert np.corrcoef(rows, columns)[0, 1] > 0.98  # down the diagonal
    other = pixels_of(figures_of({**full, ("fear", "neutral"): 5}))
    assert other.shape == drawn.shape
    assert (other == (107, 48, 8)).all(axis=2).sum() < dark.sum() - 8000


def test_a_row_without_faces_stays_white() -> None:
    one = pixels_of(figures_of({("fear", "fear"): 1}))
    none = pixels_of(figures_of({}))
    assert (none == 255).all(axis=2).sum() > (one == 255).all(axis=2).sum() + 6 * 100 * 100


# ---- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["evaluate", "emotion", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@WITH_NETS
def test_portraits_are_judged_in_json_in_tables_and_in_a_picture(
    tmp_path: Path, astronaut: UInt8, hopper: UInt8, capsys: pytest.CaptureFixture[str]
) -> None:
    """Collins smiles, Hopper does not; of the table's third row, an empty picture, nothing can be said."""
    for name, pixels in (("smile.png", astronaut), ("calm.png", hopper), ("empty.png", shade(90, 90))):
        save(tmp_path / name, pixels)
    lines = ("image,emotion", "smile.png,happy", "calm.png,neutral", "empty.png,sad")
    table = write_table(tmp_path / "labels.csv", *lines)
    matrix = tmp_path / "matrix.png"
    code, out, err = run(capsys, table, "--json", "--matrix", matrix)
    assert code == 0, err
    found = json.loads(out)
    wanted = ["accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error", "confusion", "images"]
    assert {*wanted, "undetected", "accuracy_interval", "accuracy_of_all", "classes"} <= set(found)
    assert (found["accuracy"], found["balanced_accuracy"], found["macro_f1"]) == (1, 1, 1)
    assert (found["images"], found["undetected"], found["unclear"]) == (3, 1, 0)
    assert found["accuracy_of_all"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["confusion"] == np.diag([1, 1, 0, 0, 0, 0, 0]).tolist()
    assert found["emotions"] == list(EMOTIONS)
    assert found["classes"]["sadness"] == {
        "faces": 0,
        "undetected": 1,
        "recall": None,
        "precision": None,
        "f1": None,
    }
    assert (found["net"], found["tau"]) == ("emotion-ferplus", 0.5)
    assert read_picture(matrix).width > 700
    code, out, err = run(capsys, table, "--matrix", matrix)
    assert code == 5
    assert "exists already" in err
    code, out, err = run(capsys, table, "--matrix", matrix, "--overwrite", "--tau", "0")
    assert code == 0
    for text in (
        "accuracy of all pictures",
        "3 pictures; net emotion-ferplus, tau 0",
        "no face was found in 1 of them: they count as wrong in the accuracy of all pictures",
        "no face shows surprise, sadness, anger, disgust, fear: balanced accuracy and macro-F1 are means",
        f"the matrix is {matrix}",
    ):
        assert text in out
    assert "judging pictures: 3 of 3" in err


@WITH_NETS
def test_where_no_face_is_found_there_are_no_figures_but_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = class_folders(tmp_path, {"fear": [90, 91]})
    code, out, _ = run(capsys, folder, "--json")
    found = json.loads(out)
    assert (code, found["images"], found["undetected"], found["accuracy_of_all"]) == (0, 2, 2, 0)
    assert found["accuracy"] is found["balanced_accuracy"] is found["expected_calibration_error"] is None
    assert run(capsys, folder)[0] == 0


@WITH_NETS
def test_switching_emotions_off_for_videos_does_not_hinder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = class_folders(tmp_path, {"fear": [90]})
    settings = tmp_path / "off.yaml"
    settings.write_text("emotion:\n  enabled: false\n")
    code, out, err = run(capsys, folder, "--cropped", "--json", "--config", settings)
    assert code == 0, err
    assert json.loads(out)["images"] == 1


@pytest.mark.parametrize(
    ("made", "options", "code", "message"),
    [
        ({"fear": [1], "rage": [2]}, [], 2, "rage is named after no emotion; choose from neutral"),
        ({"fear": [1], "anger": []}, [], 2, "anger holds no picture; add some or take the folder out"),
        ({}, [], 2, "holds no labelled pictures"),
        ({"fear": [1]}, ["--split", "test"], 2, "has no split 'test'"),
        ({"fear": [1]}, ["--tau", "2"], 2, "--tau"),
        ({"fear": [1]}, ["--set", "emotion.kind=magic"], 2, "emotion.kind"),
        ({"fear": [1]}, ["--matrix", "m.jpg"], 5, "must end in .png"),
        ({"fear": [1]}, ["--matrix", "nowhere/m.png"], 5, "there is no folder"),
    ],
)
def test_what_cannot_be_judged_is_told_in_one_line(
    made: dict[str, list[int]],
    options: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = class_folders(tmp_path / "set", made)
    for name in ("", *made):
        (folder / name).mkdir(parents=True, exist_ok=True)
    assert_one_line(run(capsys, folder, *options), code, message)


def assert_one_line(answer: tuple[int, str, str], code: int, message: str) -> None:
    found, out, err = answer
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("streamer: error: ")


@WITH_NETS
@pytest.mark.parametrize("options", [[], ["--cropped"]])
def test_a_damaged_picture_ends_the_command_with_its_line(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "1.png", shade(3))
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    table = write_table(tmp_path / "labels.csv", "image,emotion", "1.png,fear", "2.png,fear")
    code, out, err = run(capsys, table, *options)
    assert (code, out) == (3, "")
    assert f"{table}, line 3: {tmp_path / '2.png'} is not a picture that can be read, or it is damaged; rep" in err


def test_an_absent_table_or_picture_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "labels.csv", "image,emotion", "1.png,fear")
    assert_one_line(run(capsys, table), 3, f"{table}, line 2: there is no picture")
    assert_one_line(run(capsys, tmp_path / "absent.csv"), 3, "absent.csv cannot be read")


@pytest.mark.shared_data
@WITH_NETS
@pytest.mark.parametrize(("tau", "least_accuracy", "least_balanced"), [("0", 0.87, 0.75), ("0.5", 0.855, 0.78)])
def test_ferplus_is_told_as_well_as_is_stated(
    tau: str, least_accuracy: float, least_balanced: float, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--split", "valid", "--cropped", "--json", "--set", f"emotion.tau={tau}")
    code, out, err = run(capsys, shared_data / "ferplus", *options)
    assert code == 0, err
    found = json.loads(out)
    assert (found["images"], found["undetected"], found["unclear"]) == (3175, 0, 404)
    assert [sum(row) for row in found["confusion"]] == [1180, 862, 411, 348, 289, 25, 60]
    assert found["accuracy"] >= least_accuracy
    assert found["balanced_accuracy"] >= least_balanced
    assert found["expected_calibration_error"] <= 0.03
