"""The quality gate on real portraits: sharp ones pass, each fault is told by its own reason, at two strengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.pictures import BgrPicture, UInt8
from streamer.recognition.photo_quality import fault_of
from streamer.recognition.photo_reader import (
    PhotoFace,
    PhotoReader,
    RefusedError,
    digest_of,
    largest_face,
    no_face,
    open_photo,
)
from streamer.stages import Crops
from streamer.types import Faces, Float32
from tests.nets import dlib, mtcnn

Change = Callable[[UInt8, float], UInt8]
SIDE = 150
FRONTAL = np.array([(50, 60), (100, 60), (75, 85), (55, 110), (95, 110)], np.float32)


@pytest.fixture(scope="module")
def reader() -> PhotoReader:
    return PhotoReader(mtcnn(), dlib(), no_face)


@pytest.fixture(params=["astronaut", "hopper"])
def portrait(request: pytest.FixtureRequest) -> UInt8:
    picture = request.getfixturevalue(request.param)
    assert isinstance(picture, np.ndarray)
    return np.asarray(picture, np.uint8)


def crop_of(picture: UInt8) -> tuple[Crops, Float32]:
    """Return the aligned crop and the landmarks of the largest face."""
    faces = mtcnn().detect([BgrPicture(picture)])[0]
    landmarks = faces.landmarks[largest_face(Path("x"), faces)]
    return dlib().crop(BgrPicture(picture), landmarks), landmarks


def refusal(reader: PhotoReader, picture: UInt8) -> str | None:
    try:
        reader.face_in(Path("photo.jpg"), BgrPicture(picture))
    except RefusedError as error:
        return str(error)
    return None


def blurred(crop: UInt8, sigma: float) -> UInt8:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8)


def dimmed(crop: UInt8, mean: float) -> UInt8:
    return np.asarray(np.clip(crop * (mean / crop.mean()), 0, 255), np.uint8)


def overexposed(crop: UInt8, gain: float) -> UInt8:
    return np.asarray(np.clip(crop * gain + 90.0, 0, 255), np.uint8)


def flattened(crop: UInt8, share: float) -> UInt8:
    return np.asarray(np.clip(120 + (crop - 120.0) * share, 0, 255).round(), np.uint8)


class TestFaults:
    def test_a_sharp_portrait_passes(self, portrait: UInt8) -> None:
        assert fault_of(*crop_of(portrait)) is None

    @pytest.mark.parametrize(
        ("change", "mild", "strong", "reason"),
        [
            (blurred, 1.0, 7.0, "the face is blurred"),
            (dimmed, 45.0, 12.0, "the face is too dark"),
            (overexposed, 0.6, 4.0, "the face is overexposed"),
            (flattened, 0.5, 0.05, "the face has too little contrast"),
        ],
        ids=["blur", "dark", "overexposed", "flat"],
    )
    def test_a_mild_fault_passes_and_a_strong_one_is_refused_by_its_name(
        self, portrait: UInt8, change: Change, mild: float, strong: float, reason: str
    ) -> None:
        crop, landmarks = crop_of(portrait)
        assert fault_of(change(crop, mild), landmarks) is None
        found = fault_of(change(crop, strong), landmarks)
        assert found is not None
        assert found.reason.startswith(reason)
        assert found.remedy

    @pytest.mark.parametrize("side", [-1, 1])
    @pytest.mark.parametrize("scale", [0.3, 1.0, 8.0])
    def test_a_nose_far_from_the_middle_is_a_face_turned_away(self, astronaut: UInt8, side: int, scale: float) -> None:
        """By how far in eye distances, whatever the face's size in the picture."""
        crop, _ = crop_of(astronaut)
        for aside, is_turned in ((0.35, False), (0.55, True)):
            turned = FRONTAL.copy()
            turned[2, 0] += side * aside * 50
            fault = fault_of(crop, turned * np.float32(scale))
            reason = fault.reason if fault is not None else None
            assert (reason == "the face is turned too far to one side") is is_turned

    @pytest.mark.parametrize("degrees", [30, 90, 180])
    def test_a_head_on_its_side_is_not_turned_away(self, astronaut: UInt8, degrees: float) -> None:
        turn = cv2.getRotationMatrix2D((75, 75), degrees, 1.0)
        assert fault_of(crop_of(astronaut)[0], cv2.transform(FRONTAL[None], turn)[0].astype(np.float32)) is None

    def test_landmarks_in_one_point_are_no_frontal_face(self, astronaut: UInt8) -> None:
        assert fault_of(crop_of(astronaut)[0], np.full((5, 2), 7, np.float32)) is not None


class TestPhotos:
    def test_a_portrait_gives_a_unit_vector_and_a_small_picture(self, reader: PhotoReader, hopper: UInt8) -> None:
        face = reader.face_in(Path("hopper.jpg"), BgrPicture(hopper))
        assert float(np.linalg.norm(face.vector)) == pytest.approx(1, abs=1e-4)
        small = cv2.imdecode(np.frombuffer(face.thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert small is not None
        assert small.shape == (96, 96, 3)

    def test_a_photo_shrunk_until_the_face_is_too_small_is_refused_with_its_size(
        self, reader: PhotoReader, hopper: UInt8
    ) -> None:
        faces = mtcnn().detect([BgrPicture(hopper)])[0]
        face_pixels = float((faces.xyxy[0, 2:] - faces.xyxy[0, :2]).min())
        for pixels, is_refused in ((70, False), (32, True)):
            small = cv2.resize(hopper, None, fx=pixels / face_pixels, fy=pixels / face_pixels)
            found = refusal(reader, np.asarray(small, np.uint8))
            assert (found is not None) is is_refused
            assert found is None or found.startswith("only a face of 3")

    def test_a_blurred_photo_is_refused_and_taken_where_doubtful_ones_are_accepted(
        self, reader: PhotoReader, hopper: UInt8
    ) -> None:
        faces = mtcnn().detect([BgrPicture(hopper)])[0]
        sigma = float((faces.xyxy[0, 2] - faces.xyxy[0, 0]) / 12)
        bad = blurred(hopper, sigma)
        assert refusal(reader, bad) == "the face is blurred"
        accepting = PhotoReader(mtcnn(), dlib(), no_face, accept_faults=True)
        assert refusal(accepting, bad) is None
        assert refusal(accepting, np.full((200, 200, 3), 90, np.uint8)) == "no face found", "that is no doubt"

    def test_of_two_faces_one_is_chosen_by_whoever_is_asked(self, astronaut: UInt8, hopper: UInt8) -> None:
        height = 400
        left = cv2.resize(astronaut[50:190, 150:290], (height, height))
        right = cv2.resize(hopper, (int(hopper.shape[1] * height / hopper.shape[0]), height))
        both = np.hstack([np.asarray(left, np.uint8), np.asarray(right, np.uint8)])
        asked: list[int] = []

        def rightmost(_path: Path, faces: Faces) -> int:
            asked.append(len(faces))
            return int(np.argmax(faces.xyxy[:, 0]))

        detector, embedder = mtcnn(), dlib()
        alone = PhotoReader(detector, embedder).face_in(Path("h"), BgrPicture(hopper)).vector
        wanted = PhotoReader(detector, embedder, rightmost).face_in(Path("b"), BgrPicture(both)).vector
        largest = PhotoReader(detector, embedder, largest_face).face_in(Path("b"), BgrPicture(both)).vector
        assert asked == [2]
        assert float(wanted @ alone) > 0.97
        assert float(largest @ alone) < 0.9, "the astronaut's face is the larger one"
        reason = refusal(PhotoReader(detector, embedder), both)
        assert reason is not None
        assert reason.startswith("2 faces, and which is meant is not guessed")

    def test_what_is_no_readable_file_is_refused_in_a_few_words(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="there is no such file"):
            digest_of(tmp_path / "absent.jpg")
        (tmp_path / "folder.jpg").mkdir()
        with pytest.raises(RefusedError, match="no readable picture"):
            digest_of(tmp_path / "folder.jpg")
        (tmp_path / "rubbish.jpg").write_bytes(b"\xff\xd8\xff rubbish")
        with pytest.raises(RefusedError, match="no readable picture"):
            open_photo(tmp_path / "rubbish.jpg")


class ListMemory:
    """A `Memory` that keeps what it is told."""

    def __init__(self) -> None:
        self.kept: dict[str, PhotoFace | RefusedError] = {}

    def recall(self, digest: str) -> PhotoFace | None:
        found = self.kept.get(digest)
        if isinstance(found, RefusedError):
            raise found
        return found

    def keep(self, digest: str, found: PhotoFace | RefusedError) -> None:
        self.kept[digest] = found


def test_a_photo_that_is_remembered_is_not_read_again(reader: PhotoReader, tmp_path: Path, hopper: UInt8) -> None:
    memory = ListMemory()
    assert cv2.imwrite(str(tmp_path / "a.png"), hopper)
    first = reader.read(tmp_path / "a.png", "a", memory)
    assert cv2.imwrite(str(tmp_path / "b.png"), np.full_like(hopper, 90))
    with pytest.raises(RefusedError, match="no face found"):
        reader.read(tmp_path / "b.png", "b", memory)
    for name in ("a.png", "b.png"):
        (tmp_path / name).unlink()
    assert reader.read(tmp_path / "a.png", "a", memory) is first
    with pytest.raises(RefusedError, match="no face found"):
        reader.read(tmp_path / "b.png", "b", memory)
