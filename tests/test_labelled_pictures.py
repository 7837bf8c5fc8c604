"""Reading labelled pictures: every layout, what is left out, what is refused, and the crops that training gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.emotion.ferplus_data import read_ferplus
from streamer.emotion.labelled_pictures import LabelledPictures, find_splits, list_pictures
from streamer.emotion.votes import VOTES, emotion_of, majority, without_noise
from streamer.errors import SourceOpenError, StreamerError, UsageError
from streamer.labelled_faces import cut_faces, face_cut, fer_cut, read_training_pictures, whole_cut
from streamer.parallel import by_batches, in_order
from streamer.pictures import BgrPicture, UInt8
from streamer.types import EMOTIONS
from tests.emotion_pictures import class_folders, class_of, cut_file, mosaic_folder, save, shade, write_table
from tests.fakes import RED, SIDE, SquareDetector, draw, landmarks_in
from tests.nets import ferplus

SEVEN = ",".join(EMOTIONS)


def levels(pictures: LabelledPictures) -> list[int]:
    """Return the grey of each picture."""
    return [int(pictures.read(row).bgr()[0, 0, 0]) for row in range(len(pictures))]


def labels(pictures: LabelledPictures) -> list[str]:
    return [VOTES[place] for place in pictures.votes.argmax(axis=1)]


# ---- words and votes


@pytest.mark.parametrize(
    ("word", "emotion"),
    [
        ("happiness", "happiness"),
        ("Happy", "happiness"),
        (" SAD ", "sadness"),
        ("angry", "anger"),
        ("surprised", "surprise"),
        ("disgusted", "disgust"),
        ("fearful", "fear"),
        ("calm", "neutral"),
        ("Contempt", "contempt"),
        ("bored", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_an_emotion_is_known_by_the_words_of_other_data_sets(word: str, emotion: str | None) -> None:
    assert emotion_of(word) == emotion


def test_single_votes_of_many_are_noise_and_those_of_few_are_not() -> None:
    votes = np.zeros((3, 10), np.float32)
    votes[0, [0, 1, 4, 7]] = 6, 1, 2, 1
    votes[1, [0, 1]] = 2, 1
    votes[2, [0, 1]] = 0.7, 0.3
    kept = without_noise(votes)
    votes[0, [1, 7]] = 0
    np.testing.assert_array_equal(kept, votes)


def test_a_picture_is_judged_where_more_than_half_say_one_of_the_seven() -> None:
    votes = np.zeros((5, 10), np.float32)
    votes[0, [1, 2]] = 6, 4
    votes[1, [1, 2]] = 5, 5  # half is no majority
    votes[2, 7] = 10  # contempt
    votes[3, 9] = 8  # no face
    rows, classes = majority(votes)
    assert (rows.tolist(), classes.tolist()) == ([0], [1])


# ---- a folder a class


def test_class_folders_are_read_by_name(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", {"Sad": [30, 31], "happiness": [40], "HAPPY": [50], "neutral": [60]})
    pictures = list_pictures(folder)
    assert levels(pictures) == [50, 30, 31, 40, 60]
    assert labels(pictures) == ["happiness", "sadness", "sadness", "happiness", "neutral"]
    assert pictures.votes.sum(axis=1).tolist() == [10] * 5
    assert pictures.notes == ()
    rows, classes = pictures.majority()
    assert (rows.tolist(), classes.tolist()) == ([0, 1, 2, 3, 4], [1, 3, 3, 1, 0])


def test_pictures_may_lie_deeper_and_other_files_are_counted(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", {"fear": [10]})
    save(folder / "fear" / "anna" / "1.jpg", shade(80))
    for hidden in ("fear/.thumbs/1.png", "fear/._00.png", ".cache/1.png"):
        save(folder / hidden, shade(1))
    (folder / "fear" / "notes.txt").write_text("x")
    (folder / "README").write_text("x")
    pictures = list_pictures(folder)
    assert levels(pictures) == [10, 80]
    # The hidden folder beside the classes is none, and counts as one.
    assert pictures.notes == ("5 files are passed over: hidden, or no pictures",)


def test_contempt_is_left_out_with_a_note(tmp_path: Path) -> None:
    pictures = list_pictures(class_folders(tmp_path / "set", {"contempt": [1, 2], "anger": [3]}))
    assert levels(pictures) == [3]
    assert pictures.notes == ("2 pictures of contempt are left out: it is none of the seven emotions",)


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", {"anger": [1, 2]})
    (folder / "anger" / "00.png").write_bytes(b"no picture")
    pictures = list_pictures(folder)
    assert len(pictures) == 2
    assert pictures.read(1).bgr()[0, 0, 0] == 2
    with pytest.raises(SourceOpenError, match=r"anger/00\.png is not a picture .* replace it or take it out"):
        pictures.read(0)


def test_a_cut_picture_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    for name in ("a.jpg", "b.png"):
        cut_file(save(tmp_path / "set" / "fear" / name, noise))
    pictures = list_pictures(tmp_path / "set")
    for row, name in enumerate(("a.jpg", "b.png")):
        with pytest.raises(SourceOpenError, match=f"{name} is not a picture that can be read, or it is damaged"):
            pictures.read(row)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"anger": [1], "boredom": [2]}, r"boredom is named after no emotion; choose from neutral, .* or take"),
        ({"anger": [1], "sadness": []}, r"the class folder .*sadness holds no picture; add some or take"),
        ({"contempt": [1, 2]}, r"of 2 pictures all show contempt"),
        ({}, r"holds no labelled pictures; put a folder for each emotion there"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path: Path, made: dict[str, list[int]], message: str) -> None:
    folder = class_folders(tmp_path / "set", made)
    for name in ("", *made):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with pytest.raises(UsageError, match=message) as caught:
        list_pictures(folder)
    assert "\n" not in str(caught.value)


def test_a_class_folder_of_hidden_files_alone_is_empty(tmp_path: Path) -> None:
    save(tmp_path / "set" / "fear" / ".1.png", shade(3))
    with pytest.raises(UsageError, match="fear holds no picture"):
        list_pictures(tmp_path / "set")


def test_a_folder_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="absent cannot be read"):
        list_pictures(tmp_path / "absent")


# ---- tables


@pytest.mark.parametrize(("ends", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8-sig")])
def test_a_table_of_labels_is_read_as_programs_write_it(tmp_path: Path, ends: str, encoding: str) -> None:
    save(tmp_path / "faces" / "ä 1.png", shade(20))
    save(tmp_path / "2.png", shade(30))
    lines = ("Emotion,image,age", "happy,faces/ä 1.png,3", "contempt,2.png,", "Neutral,2.png,9")
    write_table(tmp_path / "labels.csv", *lines, ends=ends, encoding=encoding)
    for path in (tmp_path, tmp_path / "labels.csv"):
        pictures = list_pictures(path)
        assert levels(pictures) == [20, 30]
        assert labels(pictures) == ["happiness", "neutral"]
        assert pictures.notes == ("1 pictures of contempt are left out: it is none of the seven emotions",)


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (
            ["image,emotion", "1.png,joyful"],
            UsageError,
            r"labels.csv, line 2: 'joyful' is no emotion; choose",
        ),
        (["image,emotion", "1.png,"], UsageError, r"line 2: '' is no emotion"),
        (["image,emotion", ",fear"], UsageError, r"line 2: column image is empty; name a picture"),
        (["image,emotion", "1.png,fear", "3.png,fear"], SourceOpenError, r"line 3: there is no picture .*3\.png; corr"),
        (["image,emotion", "1.png,fear", "1.png,anger"], UsageError, r"line 3: .*1\.png stands in line 2, too; take"),
        (["image,emotion", "1.png"], UsageError, r"line 2: 1 cells under 2 titles"),
        (["image,mood", "1.png,fear"], UsageError, r"lacks the column emotion; add it"),
        (["image,happiness", "1.png,3"], UsageError, r"lacks the column of votes for neutral, surprise, sadness, ang"),
        (["file,emotion", "1.png,fear"], UsageError, r"lacks the column image; its first row must name image"),
        (["image,emotion"], UsageError, r"has no row under its titles"),
        (["image,emotion", "1.png,contempt"], UsageError, r"of 1 pictures all show contempt"),
        ([f"image,{SEVEN}", "1.png,1,2,x,0,0,0,0"], UsageError, r"line 2: 'x' votes for surprise; give a number"),
        ([f"image,{SEVEN}", "1.png,1,-2,0,0,0,0,0"], UsageError, r"line 2: '-2' votes for happiness"),
        ([f"image,{SEVEN}", "1.png,1,inf,0,0,0,0,0"], UsageError, r"line 2: 'inf' votes for happiness"),
    ],
)
def test_a_faulty_table_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], kind: type[StreamerError], message: str
) -> None:
    save(tmp_path / "1.png", shade(20))
    with pytest.raises(kind, match=message) as caught:
        list_pictures(write_table(tmp_path / "labels.csv", *lines))
    assert "\n" not in str(caught.value)


def test_a_damaged_picture_of_a_table_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    table = write_table(tmp_path / "labels.csv", "image,emotion", "1.png,fear")
    with pytest.raises(SourceOpenError, match=r"labels\.csv, line 2: .*1\.png is not a picture .* take it out"):
        list_pictures(table).read(0)


def test_votes_are_kept_without_noise(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        save(tmp_path / name, shade(int(name[0])))
    write_table(
        tmp_path / "votes.csv",
        f"image,{SEVEN},unknown",
        "1.png,6,1,,3,0,0,0,0",
        "2.png,1,1,1,1,1,1,1,3",
        "3.png,0,0,0,0,0,2,1,0",
    )
    pictures = list_pictures(tmp_path)
    assert levels(pictures) == [1, 2, 3]
    assert pictures.votes.tolist() == [
        [6, 0, 0, 3, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 3, 0],
        [0, 0, 0, 0, 0, 2, 1, 0, 0, 0],
    ]
    rows, classes = pictures.majority()
    assert (rows.tolist(), classes.tolist()) == ([0, 2], [class_of("neutral"), class_of("disgust")])


def test_of_a_table_with_both_the_name_decides_which_counts(tmp_path: Path) -> None:
    save(tmp_path / "1.png", shade(1))
    lines = (f"image,emotion,{SEVEN}", "1.png,fear,0,8,0,2,0,0,0")
    assert labels(list_pictures(write_table(tmp_path / "labels.csv", *lines))) == ["fear"]
    assert labels(list_pictures(write_table(tmp_path / "votes.csv", *lines))) == ["happiness"]


# ---- splits and mosaics


def test_a_split_is_a_folder_of_its_own(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"fear": [1]})
    class_folders(tmp_path / "validation", {"anger": [2]})
    assert find_splits(tmp_path) == ("train", "validation")
    assert labels(list_pictures(tmp_path)) == ["anger"]
    assert labels(list_pictures(tmp_path, "train")) == ["fear"]
    with pytest.raises(UsageError, match="has no split 'test'; choose from train, validation"):
        list_pictures(tmp_path, "test")


def test_a_folder_beside_a_table_is_no_split(tmp_path: Path) -> None:
    save(tmp_path / "train" / "1.png", shade(7))
    write_table(tmp_path / "labels.csv", "image,emotion", "train/1.png,fear")
    assert find_splits(tmp_path) == ()
    assert levels(list_pictures(tmp_path)) == [7]
    with pytest.raises(UsageError, match="has no split 'train'; without --split all of it is taken"):
        list_pictures(tmp_path, "train")


def test_mosaics_are_read_as_ferplus_is(tmp_path: Path) -> None:
    rows = [{"neutral": 9, "anger": 1}, {"fear": 5, "contempt": 5}, {"sadness": 8, "unknown": 2}]
    for split in ("train", "valid"):
        mosaic_folder(tmp_path, split, rows)
    assert find_splits(tmp_path) == ("train", "valid")
    pictures = list_pictures(tmp_path, "train")
    assert levels(pictures) == [0, 10, 20]
    np.testing.assert_array_equal(pictures.votes, read_ferplus(tmp_path, "train").votes)
    assert pictures.majority()[0].tolist() == [0, 2]
    assert pictures.are_crops
    with pytest.raises(UsageError, match="has no split 'test'; choose from train, valid"):
        list_pictures(tmp_path, "test")


def test_faulty_votes_of_mosaics_are_refused_with_their_line(tmp_path: Path) -> None:
    table = mosaic_folder(tmp_path, "valid", [{"neutral": 9}, {"fear": 9}]) / "valid_votes.csv"
    whole = table.read_text()
    table.write_text(whole.replace("1,fer1.png,0", "1,fer1.png,none"))
    with pytest.raises(UsageError, match=r"valid_votes\.csv, line 3: 'none' votes for neutral; give a number"):
        list_pictures(tmp_path)
    table.write_text(whole[:-8])
    with pytest.raises(UsageError, match=r"valid_votes\.csv, line 3: 9 cells under 12 titles"):
        list_pictures(tmp_path)


@pytest.mark.shared_data
def test_ferplus_is_the_same_as_a_table_of_votes(shared_data: Path) -> None:
    pictures = list_pictures(shared_data / "ferplus", "valid")
    grey, classes = read_ferplus(shared_data / "ferplus", "valid").majority()
    rows, found = pictures.majority()
    np.testing.assert_array_equal(found, classes)
    np.testing.assert_array_equal(pictures.read(int(rows[-1])).bgr()[..., 0], grey[-1])


# ---- crops


def test_a_whole_crop_keeps_what_it_shows_at_any_size() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (48, 48, 3)).astype(np.uint8)
    small = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    for side in (24, 48, 96, 144, 224):
        scaled = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        again = whole_cut(48)(BgrPicture(scaled))
        assert again is not None
        assert np.abs(again.astype(int) - small).mean() < (4 if side == 24 else 1.5)
    np.testing.assert_array_equal(whole_cut(48)(BgrPicture(small)), small)


def test_fine_texture_is_averaged_and_does_not_alias() -> None:
    texture = np.indices((480, 480)).sum(axis=0) % 2 * 255
    picture = np.repeat(texture.astype(np.uint8)[..., None], 3, axis=2)
    crop = whole_cut(48)(BgrPicture(picture))
    assert crop is not None
    assert np.ptp(crop) <= 1


@pytest.mark.parametrize(("width", "height"), [(20, 100), (100, 20), (1, 1), (49, 47)])
def test_a_crop_of_any_shape_becomes_a_square(width: int, height: int) -> None:
    crop = whole_cut(48)(BgrPicture(np.full((height, width, 3), 77, np.uint8)))
    np.testing.assert_array_equal(crop, shade(77))


def face(level: int, left: int = 100) -> UInt8:
    """Return a picture with one face, known by its red."""
    return draw([(left, 60, (0, 0, level))])


@pytest.mark.timeout(30)  # a net is loaded
def test_of_a_photograph_the_face_it_is_about_is_cut_as_in_use() -> None:
    left, top = 140, 70  # the other face is as large, but in a corner
    picture = BgrPicture(draw([(10, 10, (0, 0, 180)), (left, top, RED)]))
    landmarks = landmarks_in(np.array([left, top, left + SIDE, top + SIDE], np.float32))
    crop = fer_cut(SquareDetector())(picture)
    np.testing.assert_array_equal(crop, ferplus().crop(picture, landmarks))
    assert crop is not None
    assert (crop > 60).mean() > 0.9  # the red face, of grey 75, fills it


def test_a_picture_without_a_face_has_no_crop() -> None:
    assert face_cut(SquareDetector(), lambda _picture, _landmarks: shade(1))(BgrPicture(draw([]))) is None


def test_training_gets_grey_crops_and_votes_in_order(tmp_path: Path) -> None:
    for name, pixels in (("anger/1.png", face(240)), ("anger/2.png", draw([])), ("fear/1.png", face(200))):
        save(tmp_path / name, pixels)
    shares: list[float] = []
    found = read_training_pictures(
        list_pictures(tmp_path), fer_cut(SquareDetector()), threads=2, on_share=shares.append
    )
    assert found.faces.votes.argmax(axis=1).tolist() == [class_of("anger"), class_of("fear")]
    assert found.faces.pictures.shape == (2, 48, 48)
    assert found.faces.pictures[:, 26, 24].tolist() == [72, 60]  # .299 of red
    assert found.notes == ("1 pictures are left out, for no face is found in them",)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])


def test_training_takes_crops_whole(tmp_path: Path) -> None:
    folder = class_folders(tmp_path, {"happy": [10, 20], "sad": [30]})
    found = read_training_pictures(list_pictures(folder), fer_cut(None))
    assert found.faces.pictures[:, 0, 0].tolist() == [10, 20, 30]
    _, targets = found.faces.soft_targets(smoothing=0)
    assert targets.argmax(axis=1).tolist() == [1, 1, 3]
    assert found.notes == ()


def test_mosaics_are_never_searched_for_faces(tmp_path: Path) -> None:
    folder = mosaic_folder(tmp_path, "train", [{"neutral": 9}, {"fear": 9}])
    found = read_training_pictures(list_pictures(folder, "train"), fer_cut(SquareDetector()))
    np.testing.assert_array_equal(found.faces.pictures, read_ferplus(folder, "train").pictures)


def test_pictures_without_any_face_are_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path, {"happy": [10, 20]})
    with pytest.raises(UsageError, match="no face is found in any of the pictures; pass --cropped"):
        read_training_pictures(list_pictures(folder), fer_cut(SquareDetector()))


def test_an_unreadable_picture_ends_the_reading(tmp_path: Path) -> None:
    folder = class_folders(tmp_path, {"happy": [10, 20, 30]})
    (folder / "happy" / "01.png").write_bytes(b"x")
    crops = cut_faces(list_pictures(folder), range(3), whole_cut(8), threads=2)
    assert next(crops) is not None
    with pytest.raises(SourceOpenError, match=r"happy/01\.png is not a picture"):
        next(crops)


# ---- side by side


def test_results_come_in_order_whoever_is_done_first() -> None:
    """The first item is not done before the second is: with two threads that must not end in waiting."""
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(5)
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(in_order(work, range(50), threads=2)) == [item * item for item in range(50)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("work")]


def test_only_a_few_are_computed_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items(), threads=2)
    assert next(results) == 0
    assert len(taken) <= 8
    del results
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("work")]


def test_a_name_that_no_file_can_have_is_told_with_its_line(tmp_path: Path) -> None:
    save(tmp_path / "a.png", shade(1))
    for name in ("x" * 5000 + ".png", "a\0b.png"):
        table = write_table(tmp_path / "labels.csv", "image,emotion", "a.png,fear", f"{name},anger")
        with pytest.raises(StreamerError, match=r"labels\.csv, line 3|NUL|null"):
            list_pictures(table)


def test_batches_hold_all_items_in_order() -> None:
    assert [list(by_batches(range(count), 3)) for count in (0, 3, 7)] == [[], [[0, 1, 2]], [[0, 1, 2], [3, 4, 5], [6]]]
