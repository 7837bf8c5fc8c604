"""The emotion net, its smoothing over time, and the reading of FER+."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.emotion.calibration import FERPLUS_PRIOR, Calibration
from streamer.emotion.ferplus import PICTURE_LOOKS, FerPlusClassifier
from streamer.emotion.ferplus_data import FerPlus, read_ferplus
from streamer.emotion.ferplus_file import read
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.emotion.framing import CROP_SIZE
from streamer.errors import SourceOpenError, UsageError
from streamer.pictures import BgrPicture, UInt8
from streamer.types import EMOTIONS, Float32
from streamer.weights import locate
from tests.nets import ferplus, mtcnn


@pytest.fixture(scope="module")
def classifier() -> FerPlusClassifier:
    return ferplus()


def face_of(classifier: FerPlusClassifier, picture: UInt8) -> UInt8:
    landmarks = mtcnn().detect([BgrPicture(picture)])[0].landmarks[0]
    return classifier.crop(BgrPicture(picture), landmarks)


def test_a_smile_is_happiness_and_a_calm_face_is_neutral(
    classifier: FerPlusClassifier, astronaut: UInt8, hopper: UInt8
) -> None:
    crops = np.stack([face_of(classifier, astronaut), face_of(classifier, hopper)])
    probabilities = classifier.classify(crops)
    assert [EMOTIONS[row.argmax()] for row in probabilities] == ["happiness", "neutral"]
    assert probabilities.max(axis=1).min() > 0.7
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_exposure_and_mirroring_change_little(classifier: FerPlusClassifier, astronaut: UInt8) -> None:
    crop = face_of(classifier, astronaut)
    dark = (crop * 0.5).astype(np.uint8)
    answers = classifier.classify(np.stack([crop, dark, crop[:, ::-1]]))
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-5)
    assert np.abs(answers[0] - answers[1]).max() < 0.05


def test_a_crop_s_answer_does_not_depend_on_its_batch(classifier: FerPlusClassifier) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (9, CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)
    together = classifier.classify(crops)
    for index in range(len(crops)):
        np.testing.assert_array_equal(classifier.classify(crops[index : index + 1])[0], together[index])


def test_no_crops_give_no_answers(classifier: FerPlusClassifier) -> None:
    assert classifier.classify(np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)).shape == (0, 7)


@pytest.mark.shared_data
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("tau", "least_accuracy", "least_balanced"), [(0.0, 0.89, 0.78), (0.5, 0.86, 0.82)])
def test_the_shipped_net_is_as_good_as_its_card_says(
    tau: float, least_accuracy: float, least_balanced: float, shared_data: Path
) -> None:
    """On all of FER+ valid, looked at as pictures are."""
    grey, classes = read_ferplus(shared_data / "ferplus", "valid").majority()
    net = OpenVinoEmotionNet(read(locate("emotion-ferplus")), precision="fastest")
    answers = FerPlusClassifier(net, tau, PICTURE_LOOKS).classify(np.repeat(grey[..., None], 3, axis=3)).argmax(axis=1)
    assert len(answers) > 3000
    assert (answers == classes).mean() >= least_accuracy
    assert np.mean([(answers[classes == place] == place).mean() for place in range(7)]) >= least_balanced


def test_each_look_sees_the_crop_shifted_and_their_logits_are_averaged() -> None:
    """A net that tells where a bright column and row are, by their places."""

    class Places:
        calibration = Calibration()

        def __call__(self, grey: UInt8) -> Float32:
            logits = np.zeros((len(grey), 7), np.float32)
            logits[:, 0] = grey.max(axis=1).argmax(axis=1)
            logits[:, 1] = grey.max(axis=2).argmax(axis=1)
            return logits

    crop = np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    crop[0, 30, 20] = 255

    def difference(*looks: tuple[int, int]) -> float:
        probabilities = FerPlusClassifier(Places(), 0.0, looks).classify(crop)[0]
        return float(np.log(probabilities[1] / probabilities[0]))

    assert difference((0, 0)) == pytest.approx(10, abs=1e-3)
    assert difference((2, 0)) == pytest.approx(8, abs=1e-3)
    assert difference((0, -3)) == pytest.approx(7, abs=1e-3)
    assert difference((0, 0), (2, 0), (0, -3)) == pytest.approx(25 / 3, abs=1e-3)


class TestCalibration:
    """From logits to probabilities."""

    def test_a_higher_temperature_is_less_sure_and_the_order_stays(self) -> None:
        logits = np.array([[3.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.0]], np.float32)
        sure, unsure = (Calibration(t).probabilities(logits, 0.0)[0] for t in (0.5, 2.0))
        assert sure[0] > unsure[0] > 1 / 7
        assert (np.diff(unsure) < 0).all()

    def test_tau_lifts_the_rare_and_one_takes_the_whole_prior_back(self) -> None:
        """Logits that say no more than the prior are, at tau 1, an even spread."""
        logits = np.log(FERPLUS_PRIOR)[None]
        by_tau = [Calibration(1.0, FERPLUS_PRIOR).probabilities(logits, tau)[0] for tau in (0.0, 0.5, 1.0)]
        np.testing.assert_allclose(by_tau[0], FERPLUS_PRIOR / FERPLUS_PRIOR.sum(), rtol=1e-5)
        np.testing.assert_allclose(by_tau[2], np.full(7, 1 / 7), rtol=1e-5)
        disgust = [row[EMOTIONS.index("disgust")] for row in by_tau]
        assert disgust[0] < disgust[1] < disgust[2]

    def test_without_a_prior_tau_changes_nothing(self) -> None:
        logits = np.random.default_rng(0).normal(0, 2, (5, 7)).astype(np.float32)
        calibration = Calibration(0.7)
        np.testing.assert_array_equal(calibration.probabilities(logits, 0.0), calibration.probabilities(logits, 1.0))

    def test_no_logits_are_no_probabilities(self) -> None:
        assert Calibration(0.7, FERPLUS_PRIOR).probabilities(np.zeros((0, 7), np.float32), 0.5).shape == (0, 7)

    @pytest.mark.parametrize("prior", [np.ones(6, np.float32), np.zeros(7, np.float32), np.full(7, np.inf, np.float32)])
    def test_what_is_no_prior_is_refused(self, prior: Float32) -> None:
        with pytest.raises(ValueError, match="prior"):
            Calibration(1.0, prior)


@pytest.mark.shared_data
@pytest.mark.timeout(60)
@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_probabilities_are_as_often_right_as_they_say(tau: float, shared_data: Path) -> None:
    """Expected calibration error over fifteen bins, on half of FER+ valid."""
    grey, classes = read_ferplus(shared_data / "ferplus", "valid").majority()
    probabilities = ferplus(tau).classify(np.repeat(grey[::2, :, :, None], 3, axis=3))
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == classes[::2]
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(confidence[bins == b].mean() - is_right[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    assert sum(gaps) <= 0.03


def drawn_data(count: int, seed: int) -> FerPlus:
    """Pictures of two kinds: bright on top is happiness, bright below is sadness."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 60, (count, CROP_SIZE, CROP_SIZE)).astype(np.uint8)
    votes = np.zeros((count, 10), np.float32)
    for index in range(count):
        half = slice(0, 24) if index % 2 else slice(24, 48)
        pictures[index, half] += 150
        votes[index, 1 if index % 2 else 3] = 10
    return FerPlus(pictures, votes)


def write_ferplus(folder: Path, split: str, data: FerPlus) -> None:
    """Write the format that `read_ferplus` reads."""
    rows = -(-len(data.pictures) // 40)
    tiles = np.zeros((rows * 40, CROP_SIZE, CROP_SIZE), np.uint8)
    tiles[: len(data.pictures)] = data.pictures
    mosaic = tiles.reshape(rows, 40, CROP_SIZE, CROP_SIZE).swapaxes(1, 2).reshape(rows * CROP_SIZE, -1)
    assert cv2.imwrite(str(folder / f"{split}_00.webp"), mosaic, [cv2.IMWRITE_WEBP_QUALITY, 101])
    names = [*EMOTIONS, "contempt", "unknown", "not_a_face"]
    with (folder / f"{split}_votes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "name", *names])
        for index, votes in enumerate(data.votes.astype(int).tolist()):
            writer.writerow([index, f"{index}.png", *votes])


def test_a_folder_of_ferplus_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = drawn_data(50, 3)
    write_ferplus(tmp_path, "valid", written)
    found = read_ferplus(tmp_path, "valid")
    np.testing.assert_array_equal(found.pictures, written.pictures)
    np.testing.assert_array_equal(found.votes, written.votes)


def test_votes_become_targets_and_classes_by_the_protocol() -> None:
    votes = np.zeros((5, 10), np.float32)
    votes[0, 0], votes[0, 1] = 6, 4  # neutral, by a majority
    votes[1, 0], votes[1, 1] = 5, 5  # no majority
    votes[2, 8] = 10  # unknown
    votes[3, 7] = 10  # contempt only
    votes[4, 6], votes[4, 9] = 4, 6  # not a face
    data = FerPlus(np.arange(5 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(5, 48, 48), votes)
    pictures, targets = data.soft_targets(smoothing=0.0)
    assert len(pictures) == 2
    np.testing.assert_allclose(targets[:, :2], [[0.6, 0.4], [0.5, 0.5]])
    _, classes = data.majority()
    assert classes.tolist() == [0]


def test_bad_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"valid_votes.csv cannot be read"):
        read_ferplus(tmp_path, "valid")
    (tmp_path / "valid_votes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="lacks the columns neutral"):
        read_ferplus(tmp_path, "valid")
    write_ferplus(tmp_path, "valid", drawn_data(50, 3))
    (tmp_path / "valid_00.webp").unlink()
    with pytest.raises(UsageError, match="50 votes but only 0 pictures"):
        read_ferplus(tmp_path, "valid")
