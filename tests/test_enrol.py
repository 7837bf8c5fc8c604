"""Enrolment: each photo is judged, nobody is guessed, and an import is all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from streamer.errors import GalleryError
from streamer.geometry import aligned_crop
from streamer.photos import read_picture
from streamer.pictures import Picture, UInt8
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.enrol import (
    Enrolment,
    EnrolmentReport,
    PhotoReport,
    check_all_enrolled,
    enrol_folder,
    find_people,
)
from streamer.recognition.people import EmbedderId, Gallery
from streamer.recognition.photo_reader import PhotoReader
from streamer.stages import Crops
from streamer.types import Faces, Float32
from streamer.weights import sha256_of
from tests.nets import dlib, mtcnn

EMBEDDER_ID = EmbedderId("fake", "0" * 64)
DLIB_ID = EmbedderId("dlib-resnet", sha256_of("dlib-resnet"))
FACE_COLOUR = (40, 200, 240)


class SquareDetector:
    """A `Detector` of yellow squares that do not touch the picture's border, as real ones miss faces there."""

    def __init__(self) -> None:
        self.longest_side = 0

    def detect(
        self,
        pictures: Sequence[Picture],
        regions: Sequence[tuple[int, int, int, int] | None] | None = None,
        *,
        min_face_pixels: float | None = None,
    ) -> list[Faces]:
        self.longest_side = max(self.longest_side, *(max(picture.width, picture.height) for picture in pictures))
        return [self._faces(picture) for picture in pictures]

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[Float32]) -> list[Faces]:
        return [self._faces(picture) for picture in pictures]

    def _faces(self, picture: Picture) -> Faces:
        yellow = np.abs(picture.bgr().astype(int) - FACE_COLOUR).max(axis=2) < 60
        _, _, stats, _ = cv2.connectedComponentsWithStats(yellow.astype(np.uint8))
        boxes = [
            (x, y, x + w, y + h)
            for x, y, w, h, _ in stats[1:].tolist()
            if x > 0 and y > 0 and x + w < picture.width and y + h < picture.height
        ]
        xyxy = np.array(boxes, np.float32).reshape(-1, 4)
        points = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
        sides = (xyxy[:, 2:] - xyxy[:, :2])[:, None]
        return Faces(xyxy, np.full(len(xyxy), 0.99, np.float32), xyxy[:, None, :2] + points * sides)


class PixelEmbedder:
    """An `Embedder` whose vector is the crop itself, 4 × 4 and grey."""

    dimension = 16
    crop_size = 32

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        template = np.array([(10, 11), (22, 11), (16, 19), (11, 25), (21, 25)], np.float32)
        return aligned_crop(picture, landmarks, template, 32)

    def embed(self, crops: Crops) -> Float32:
        cells = crops.astype(np.float32).mean(axis=3).reshape(len(crops), 4, 8, 4, 8).mean(axis=(2, 4))
        flat = cells.reshape(len(crops), 16) + 1
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.float32)


def photo(*squares: tuple[int, int, int], width: int = 200, height: int = 160, mark: int = 0) -> UInt8:
    """Draw faces as (left, top, side), each with a dark mark on its image-left cheek."""
    picture = np.full((height, width, 3), 90, np.uint8)
    for left, top, side in squares:
        picture[top : top + side, left : left + side] = FACE_COLOUR
        picture[top + side // 2 : top + side // 2 + mark, left + side // 5 : left + side // 5 + mark] = 0
    return picture


def save(path: Path, picture: UInt8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[:, :, ::-1]).save(path)


def enrol(root: Path, on_photo: Callable[[PhotoReport], None] | None = None) -> EnrolmentReport:
    """Enrol drawn faces, which are flat as no real ones are."""
    reader = PhotoReader(SquareDetector(), PixelEmbedder(), accept_faults=True)
    report = Enrolment(reader, Gallery(EMBEDDER_ID), on_photo=on_photo).enrol(find_people(root))
    check_all_enrolled(report)
    return report


ONE_FACE = photo((60, 40, 80))


class TestFolders:
    def test_one_folder_a_person_in_the_order_of_names(self, tmp_path: Path) -> None:
        for name in ("zoe/b.png", "zoe/a.JPG", "Ana/x.webp", "Ana/y.tiff", "Ana/z.bmp"):
            save(tmp_path / name, ONE_FACE)
        report = enrol(tmp_path)
        assert report.gallery.names == ("Ana", "zoe")
        assert report.gallery.embedder == EMBEDDER_ID
        assert [person.sources for person in report.gallery.people] == [
            ("x.webp", "y.tiff", "z.bmp"),
            ("a.JPG", "b.png"),
        ]

    def test_what_is_no_photo_of_a_person_is_noted_or_hidden(self, tmp_path: Path) -> None:
        save(tmp_path / "ana/a.png", ONE_FACE)
        save(tmp_path / "ana/old/b.png", ONE_FACE)
        save(tmp_path / "ana/.thumb.png", ONE_FACE)
        save(tmp_path / ".trash/c.png", ONE_FACE)
        save(tmp_path / "group.png", ONE_FACE)
        (tmp_path / "ana/notes.txt").write_text("x")
        report = enrol(tmp_path)
        assert report.gallery.names == ("ana",)
        assert report.gallery.photo_count == 1
        assert report.notes == (
            "group.png is not in a person's folder, so it was skipped",
            "ana/notes.txt is no photo, so it was skipped",
            "ana/old is a folder, so it was skipped",
        )

    @pytest.mark.parametrize("content", [[], ["photo.png"], [".hidden/a.png"]])
    def test_a_folder_without_people_says_what_belongs_in_it(self, tmp_path: Path, content: list[str]) -> None:
        for name in content:
            save(tmp_path / name, ONE_FACE)
        with pytest.raises(GalleryError, match="holds no people; make one folder a person"):
            enrol(tmp_path)

    @pytest.mark.parametrize("name", ["absent", "file.txt"])
    def test_what_is_no_folder_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file.txt").write_text("x")
        with pytest.raises(GalleryError, match=f"{name} cannot be read"):
            enrol(tmp_path / name)

    def test_two_spellings_of_one_name_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "Zoe\u0308").mkdir()
        (tmp_path / "Zo\u00eb").mkdir()
        with pytest.raises(GalleryError, match=r"two folders in .* stand for the name"):
            find_people(tmp_path)

    def test_a_folder_whose_name_is_no_name_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a\nb").mkdir()
        with pytest.raises(GalleryError, match="control characters") as error:
            find_people(tmp_path)
        assert str(error.value).isprintable()


class TestJudgement:
    @pytest.mark.parametrize(
        ("picture", "reason"),
        [
            (photo(), "no face found"),
            (photo((10, 10, 30)), "only a face of 30 px, under 40"),
            (photo((10, 10, 30), (100, 10, 38)), "only a face of 38 px, under 40"),
        ],
        ids=["no face", "a small one", "two small ones"],
    )
    def test_a_person_without_a_usable_face_stops_the_import_with_the_reason(
        self, tmp_path: Path, picture: UInt8, reason: str
    ) -> None:
        save(tmp_path / "bob/b.png", ONE_FACE)
        save(tmp_path / "ana/a.png", picture)
        with pytest.raises(GalleryError, match=rf"^ana: a\.png: {reason}; give a photo"):
            enrol(tmp_path)

    def test_all_reasons_are_given_in_one_line(self, tmp_path: Path) -> None:
        save(tmp_path / "ana/a.png", photo())
        (tmp_path / "ana/b.jpg").write_bytes(b"no picture")
        (tmp_path / "ana/c.jpg").write_bytes(b"")
        with pytest.raises(GalleryError) as error:
            enrol(tmp_path)
        assert str(error.value).startswith(
            "ana: a.png: no face found; b.jpg: no readable picture; c.jpg: no readable picture; give a photo"
        )

    def test_a_person_with_an_empty_folder_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "ana").mkdir()
        with pytest.raises(GalleryError, match=r"^ana: no photo in the folder"):
            enrol(tmp_path)

    def test_a_photo_of_several_faces_is_not_used_for_which_is_meant_is_not_guessed(self, tmp_path: Path) -> None:
        save(tmp_path / "ana/a.png", ONE_FACE)
        save(tmp_path / "ana/pair.png", photo((10, 40, 60), (100, 40, 80)))
        report = enrol(tmp_path)
        assert report.gallery.people[0].sources == ("a.png",)
        assert report.photos[1].reason == "2 faces, and which is meant is not guessed: crop it to one, or add --largest"

    def test_a_small_face_in_the_background_is_nobodys_portrait(self, tmp_path: Path) -> None:
        save(tmp_path / "ana/a.png", photo((10, 40, 80), (150, 10, 30)))
        assert enrol(tmp_path).gallery.photo_count == 1

    def test_a_bad_photo_beside_good_ones_is_left_out_with_its_reason(self, tmp_path: Path) -> None:
        save(tmp_path / "ana/a.png", photo((60, 40, 80), mark=10))
        save(tmp_path / "ana/b.png", photo())
        save(tmp_path / "ana/c.png", photo((60, 40, 80), mark=30))
        seen: list[PhotoReport] = []
        report = enrol(tmp_path, on_photo=seen.append)
        assert [photo.reason for photo in report.photos] == [None, "no face found", None]
        assert tuple(seen) == report.photos
        (counts,) = report.people
        assert (counts.name, counts.enrolled, counts.refused) == ("ana", 2, 1)
        assert report.gallery.people[0].sources == ("a.png", "c.png")

    def test_a_prepared_crop_whose_face_touches_the_border_is_searched_again_in_a_frame(self, tmp_path: Path) -> None:
        face = photo((0, 0, 100), width=100, height=100, mark=30)
        save(tmp_path / "crop/a.png", face)
        save(tmp_path / "whole/a.png", np.pad(face, ((40, 40), (60, 60), (0, 0)), constant_values=128))
        crop, whole = enrol(tmp_path).gallery.people
        assert float(crop.embeddings[0] @ whole.embeddings[0]) > 0.999

    def test_a_large_photo_is_searched_shrunk_and_cropped_from_its_own_pixels(self, tmp_path: Path) -> None:
        detector, small = SquareDetector(), photo((60, 40, 80), mark=24)
        large = np.asarray(cv2.resize(small, None, fx=25, fy=25, interpolation=cv2.INTER_NEAREST), np.uint8)
        save(tmp_path / "large/a.png", large)
        save(tmp_path / "small/a.png", small)
        reader = PhotoReader(detector, PixelEmbedder(), accept_faults=True)
        people = Enrolment(reader, Gallery(EMBEDDER_ID)).enrol(find_people(tmp_path)).gallery.people
        assert detector.longest_side == 2000
        assert float(people[0].embeddings[0] @ people[1].embeddings[0]) > 0.999


class TestVectors:
    def test_a_photo_and_its_mirror_image_have_the_same_vector(self, tmp_path: Path) -> None:
        marked = photo((60, 40, 80), mark=30)
        save(tmp_path / "left/a.png", marked)
        save(tmp_path / "right/a.png", marked[:, ::-1])
        left, right = enrol(tmp_path).gallery.people
        # The crops of the two differ by resampling only.
        np.testing.assert_allclose(left.embeddings, right.embeddings, atol=0.005)

    def test_the_vector_is_the_direction_between_eight_views(self, tmp_path: Path) -> None:
        marked = photo((60, 40, 80), mark=30)
        save(tmp_path / "ana/a.png", marked)
        embedder, faces = PixelEmbedder(), SquareDetector()
        picture = read_picture(tmp_path / "ana/a.png")
        crop = embedder.crop(picture, faces.detect([picture])[0].landmarks[0])
        closer = cv2.warpAffine(
            crop, np.array([[1.1, 0, -1.55], [0, 1.1, -1.55]]), (32, 32), borderMode=cv2.BORDER_REPLICATE
        )
        aside = [
            cv2.warpAffine(crop, np.array([[1, 0, x], [0, 1, 0.0]]), (32, 32), borderMode=cv2.BORDER_REPLICATE)
            for x in (-32 * 4 / 150, 32 * 4 / 150)
        ]
        views = np.stack([crop, closer, *aside]).astype(np.uint8)
        mean = embedder.embed(np.concatenate([views, views[:, :, ::-1]])).mean(axis=0)
        (ana,) = enrol(tmp_path).gallery.people
        np.testing.assert_allclose(ana.embeddings[0], mean / np.linalg.norm(mean), atol=1e-5)

    def test_many_photos_of_one_person_are_all_enrolled(self, tmp_path: Path) -> None:
        for number in range(70):
            save(tmp_path / f"ana/{number:02}.png", photo((60, 40, 80), mark=3 + number % 40))
        report = enrol(tmp_path)
        assert sum(photo.reason is None for photo in report.photos) == 70
        assert report.gallery.people[0].sources[-1] == "69.png"
        assert report.gallery.people[0].embeddings.shape == (70, 16)


@pytest.mark.shared_data
class TestRealPhotos:
    def test_celebrities_are_enrolled_and_named_in_other_pictures(self, shared_data: Path) -> None:
        detector, embedder = mtcnn(), dlib()
        gallery = enrol_folder(shared_data / "celebrities" / "gallery", detector, embedder, DLIB_ID).gallery
        assert gallery.names == ("alex_lacamoire", "biden", "kit_harington", "obama", "rose_leslie")
        assert gallery.photo_count == 9
        found: dict[str, set[str | None]] = {}
        for path in sorted((shared_data / "celebrities" / "probes").iterdir()):
            picture = read_picture(path)
            crops = [embedder.crop(picture, points) for points in detector.detect([picture])[0].landmarks]
            identities = CosineMatcher(gallery).match(embedder.embed(np.stack(crops)))
            found[path.name] = {identity.name for identity in identities}
        assert found == {
            "alex_lacamoire1.jpg": {"alex_lacamoire"},
            "johnsnow_test1.jpg": {"kit_harington"},
            "kit_with_rose.jpg": {"kit_harington", "rose_leslie"},
            "obama1.jpg": {"obama"},
            "obama_and_biden.jpg": {"obama", "biden", None},  # the third is no face
        }

    def test_a_picture_of_two_is_refused(self, shared_data: Path, tmp_path: Path) -> None:
        source = shared_data / "celebrities" / "probes" / "kit_with_rose.jpg"
        (tmp_path / "kit").mkdir()
        (tmp_path / "kit" / "pair.jpg").write_bytes(source.read_bytes())
        with pytest.raises(GalleryError, match=r"^kit: pair\.jpg: 2 faces, .*crop it to one"):
            enrol_folder(tmp_path, mtcnn(), dlib(), DLIB_ID)
