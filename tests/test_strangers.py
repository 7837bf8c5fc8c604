"""Gathering the unnamed into people, and giving one a name."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer import strangers as strangers_module
from streamer.cards import Card, sheet, write_sheet
from streamer.errors import GalleryError, SourceOpenError, UsageError
from streamer.naming import MAX_ENROLLED_LOOKS, SourcedLook, best_looks, name_stranger, person_of
from streamer.recognition.gallery import EmbedderId, load_gallery
from streamer.recorded import RecordedEmbedder, RecordedLook
from streamer.sinks.files import PartFile
from streamer.stranger_cards import stranger_card
from streamer.strangers import Stranger, cluster, find_strangers, max_distance, mean_vector
from streamer.strangers_file import STRANGERS_NAME, load_strangers, remember_strangers
from streamer.times import clock
from streamer.types import Float32
from tests.recorded import EMBEDDER, Shown, frame_result, named, unit, write_results

NET = EmbedderId(EMBEDDER.name, EMBEDDER.sha256)
ANA, BEN, CEM = unit(1), unit(0, 1), unit(0, 0, 1)


def near(vector: Float32, seed: int, spread: float = 0.05) -> Float32:
    """Return another view of the same person."""
    noise = np.random.default_rng(seed).normal(0, spread, len(vector))
    return unit(*(vector + noise))


def video(path: Path, *people: tuple[int, Float32], frames: range = range(10), name: str | None = None) -> Path:
    """Write a file in which these tracks are in the picture all the time, looked at in every fifth frame."""
    identity = named(name) if name else None
    return write_results(
        path,
        [
            frame_result(
                at,
                [
                    Shown(track_id, identity, near(vector, 1000 * track_id + at) if at % 5 == 0 else None)
                    for track_id, vector in people
                ],
            )
            for at in frames
        ],
    )


def groups(found: Sequence[Stranger]) -> list[list[tuple[str, int]]]:
    return [[(track.path.name, track.track.track_id) for track in stranger.tracks] for stranger in found]


class TestGathering:
    def test_one_person_in_several_files_is_one_stranger(self, tmp_path: Path) -> None:
        first = video(tmp_path / "a.jsonl", (1, ANA), (2, BEN), frames=range(20))
        second = video(tmp_path / "b.jsonl", (7, BEN), (9, CEM), frames=range(5))
        found = find_strangers([first, second], NET, 0.06)
        assert groups(found) == [[("a.jsonl", 2), ("b.jsonl", 7)], [("a.jsonl", 1)], [("b.jsonl", 9)]]
        assert [stranger.number for stranger in found] == [1, 2, 3]
        assert [round(stranger.seconds, 3) for stranger in found] == [1.0, 0.8, 0.2]

    def test_tracks_that_are_in_the_picture_at_once_are_different_people(self, tmp_path: Path) -> None:
        """Twins: their vectors are alike, but there are two of them. A third view joins one of them."""
        twins = video(tmp_path / "a.jsonl", (1, ANA), (2, ANA))
        again = video(tmp_path / "b.jsonl", (1, ANA))
        found = find_strangers([twins, again], NET, 0.06)
        assert sorted(len(stranger.tracks) for stranger in found) == [1, 2]
        assert all(len({track.path for track in own.tracks}) == len(own.tracks) for own in found)

    def test_who_has_a_name_or_was_never_looked_at_is_no_stranger(self, tmp_path: Path) -> None:
        known = video(tmp_path / "a.jsonl", (1, ANA), name="Ana")
        unseen = write_results(tmp_path / "b.jsonl", [frame_result(0, [Shown(1)])])
        assert find_strangers([known, unseen], NET, 0.06) == []

    @pytest.mark.parametrize("count", [0, 1])
    def test_none_and_one_are_normal(self, count: int) -> None:
        assert cluster(np.zeros((count, 4), np.float32), [], 0.1).tolist() == [0] * count

    def test_pairs_kept_apart_stay_apart_in_a_crowd(self) -> None:
        """Also where the groups are so large that one pair is little of their mean."""
        rows = np.tile(unit(1), (400, 1))
        labels = cluster(rows, [(0, 399)], 0.06)
        assert labels[0] != labels[399]
        assert len(set(labels.tolist())) == 2

    def test_a_good_look_counts_more_than_a_bad_one(self) -> None:
        looks = [RecordedLook(0.0, 0.9, unit(1)), RecordedLook(1.0, 0.1, unit(0, 1))]
        assert float(mean_vector(looks) @ unit(1)) > 0.99
        assert mean_vector([RecordedLook(0.0, 0.0, unit(1))]) == pytest.approx(unit(1))

    def test_files_without_looks_of_another_net_or_cut_off_are_told(self, tmp_path: Path) -> None:
        bare = write_results(tmp_path / "bare.jsonl", [frame_result(0, [Shown(1)])], embedder=None)
        with pytest.raises(UsageError, match=r"bare\.jsonl holds no face vectors; .*--keep-embeddings"):
            find_strangers([bare], NET, 0.06)
        other = write_results(tmp_path / "other.jsonl", [], embedder=RecordedEmbedder("other", "b" * 64))
        with pytest.raises(GalleryError, match=r"other\.jsonl was made with the net other"):
            find_strangers([other], NET, 0.06)
        cut = video(tmp_path / "cut.jsonl", (1, ANA))
        cut.write_bytes(cut.read_bytes()[:-200])
        with pytest.raises(UsageError, match=r"cut\.jsonl was cut off before its tracks"):
            find_strangers([cut], NET, 0.06)

    def test_vectors_of_different_lengths_are_told(self, tmp_path: Path) -> None:
        first = video(tmp_path / "a.jsonl", (1, ANA))
        second = write_results(tmp_path / "b.jsonl", [frame_result(0, [Shown(1, None, unit(1, dimension=4))])])
        with pytest.raises(UsageError, match="differ in length"):
            find_strangers([first, second], NET, 0.06)

    def test_more_tracks_than_memory_holds_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(strangers_module, "MAX_TRACKS", 1)
        with pytest.raises(UsageError, match="give fewer files"):
            find_strangers([video(tmp_path / "a.jsonl", (1, ANA), (2, BEN))], NET, 0.06)

    def test_a_net_that_was_not_measured_needs_a_distance(self) -> None:
        assert max_distance(NET, None) == 0.06
        assert max_distance(EmbedderId("other", "b" * 64), 0.5) == 0.5
        with pytest.raises(UsageError, match="--distance"):
            max_distance(EmbedderId("other", "b" * 64), None)
        with pytest.raises(UsageError, match="between 0 and 2"):
            max_distance(NET, 2.5)

    @pytest.mark.shared_data
    @pytest.mark.timeout(90)
    def test_real_people_are_told_apart(self, shared_data: Path) -> None:
        """Ten people of LFW, six photos each in tracks of two; pairwise F .95 in the mean of draws like this."""
        from streamer.build import Models, embedder_id
        from streamer.config import Config
        from streamer.photos import read_picture
        from streamer.recognition.photo_faces import locate_faces

        models = Models(Config())
        detector, embedder = models.photo_detector(), models.embedder
        folder = shared_data / "lfw_dev"
        people = json.loads((folder / "identification.json").read_text(encoding="utf-8"))
        truth, rows = [], []
        for name in sorted(people)[:10]:
            crops = []
            for photo in people[name][:6]:
                picture, faces = locate_faces(read_picture(folder / "images" / photo), detector)
                middle = np.array([picture.width, picture.height]) / 2
                centres = (faces.xyxy[:, :2] + faces.xyxy[:, 2:]) / 2
                nearest = int(np.argmin(np.linalg.norm(centres - middle, axis=1)))
                crops.append(embedder.crop(picture, faces.landmarks[nearest]))
            vectors = embedder.embed(np.stack(crops))
            for start in range(0, len(vectors), 2):
                looks = [RecordedLook(0.0, 0.8, vector) for vector in vectors[start : start + 2]]
                rows.append(mean_vector(looks))
                truth.append(name)
        labels = cluster(np.stack(rows), [], max_distance(embedder_id(Config()), None))
        pairs = [(a, b) for a in range(len(truth)) for b in range(a)]
        joined = {(a, b) for a, b in pairs if labels[a] == labels[b]}
        right = {(a, b) for a, b in pairs if truth[a] == truth[b]}
        assert 2 * len(joined & right) / (len(joined) + len(right)) >= 0.85


class TestMemory:
    def test_what_was_found_is_remembered_by_file_and_track_alone(self, tmp_path: Path) -> None:
        path = video(tmp_path / "a.jsonl", (1, ANA), (2, BEN))
        gallery = tmp_path / "gallery"
        remember_strangers(gallery, find_strangers([path], NET, 0.06))
        known = load_strangers(gallery)
        assert [[track.track_id for track in one.tracks] for one in known] == [[1], [2]]
        assert known[0].tracks[0].path == path.resolve()
        assert stat.S_IMODE((gallery / STRANGERS_NAME).stat().st_mode) == 0o600
        assert (gallery / STRANGERS_NAME).stat().st_size < 500

    def test_a_new_gathering_takes_the_place_of_the_last(self, tmp_path: Path) -> None:
        remember_strangers(tmp_path, find_strangers([video(tmp_path / "a.jsonl", (1, ANA), (2, BEN))], NET, 0.06))
        remember_strangers(tmp_path, [])
        assert load_strangers(tmp_path) == []
        assert load_strangers(tmp_path / "nowhere") == []

    def test_a_write_that_fails_leaves_what_was_remembered(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = find_strangers([video(tmp_path / "a.jsonl", (1, ANA))], NET, 0.06)
        remember_strangers(tmp_path, found)
        for name in ("write", "sync", "publish"):
            with monkeypatch.context() as patched:

                def refuse(*arguments: object) -> None:
                    raise OSError(28, "No space left on device")

                patched.setattr(PartFile, name, refuse)
                with pytest.raises(GalleryError, match=r"strangers\.json cannot be written \(No space left"):
                    remember_strangers(tmp_path, [])
            assert len(load_strangers(tmp_path)) == 1
            assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", STRANGERS_NAME}

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"[]",
            b"\x80\x04N.",
            b'{"schema_version": 2}',
            b'{"schema_version": 1, "files": [], "strangers": [{"number": 1, "tracks": [[0, 1]]}]}',
            b'{"schema_version": 1, "files": [], "strangers": [{"number": 0, "tracks": []}]}',
            b'{"schema_version": 1, "files": [{"path": "a"}], "strangers": []}',
            b'{"schema_version": 1, "files": [], "strangers": [{"number": 1, "tracks": [["0", 1]]}]}',
            b'{"schema_version": 1, "files": [], "strangers": [{"number": 1, "tracks": [7]}]}',
            b"[" * 100_000,
        ],
    )
    def test_a_damaged_memory_is_told(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / STRANGERS_NAME).write_bytes(content)
        with pytest.raises(GalleryError, match=r"strangers\.json is damaged: .*run `people strangers` again"):
            load_strangers(tmp_path)


class TestNaming:
    @pytest.fixture
    def gallery(self, tmp_path: Path) -> Path:
        path = video(tmp_path / "a.jsonl", (1, ANA), (2, BEN), frames=range(100))
        remember_strangers(tmp_path / "gallery", find_strangers([path], NET, 0.06))
        return tmp_path / "gallery"

    def test_a_stranger_is_enrolled_with_the_best_looks_and_where_they_are_from(self, gallery: Path) -> None:
        naming = name_stranger(gallery, NET, 1, " Ana ")
        assert (naming.name, naming.looks, naming.was_known) == ("Ana", MAX_ENROLLED_LOOKS, False)
        (ana,) = load_gallery(gallery, NET).people
        assert len(ana.embeddings) == MAX_ENROLLED_LOOKS
        assert ana.sources[0].startswith("a.jsonl#1 @ ")
        assert (ana.embeddings @ ANA > 0.9).all()

    def test_a_name_that_is_known_gets_more_looks_and_each_once(self, gallery: Path) -> None:
        name_stranger(gallery, NET, 1, "Ana")
        again = name_stranger(gallery, NET, 1, "Ana")
        assert (again.looks, again.was_known) == (0, True)
        more = name_stranger(gallery, NET, 2, "Ana")
        assert (more.looks, more.was_known) == (MAX_ENROLLED_LOOKS, True)
        assert load_gallery(gallery).photo_count == 2 * MAX_ENROLLED_LOOKS

    def test_an_unknown_number_is_told(self, gallery: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no stranger 3; the last run found 1 to 2"):
            name_stranger(gallery, NET, 3, "Ana")
        with pytest.raises(UsageError, match=r"run `people strangers RESULTS…` first"):
            name_stranger(tmp_path / "other", NET, 1, "Ana")

    def test_a_file_that_changed_or_is_gone_is_told(self, gallery: Path) -> None:
        path = gallery.parent / "a.jsonl"
        path.write_bytes(path.read_bytes().replace(b'"scanned":true', b'"scanned":false'))
        with pytest.raises(SourceOpenError, match=r"a\.jsonl has changed since"):
            name_stranger(gallery, NET, 1, "Ana")
        path.unlink()
        with pytest.raises(SourceOpenError, match=r"a\.jsonl is gone"):
            name_stranger(gallery, NET, 1, "Ana")
        assert not (gallery / "gallery.json").exists()

    def test_another_net_is_refused(self, gallery: Path) -> None:
        with pytest.raises(GalleryError, match="was made with the net"):
            name_stranger(gallery, EmbedderId("other", "b" * 64), 1, "Ana")

    @pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 10_000, "\x1b[31m"])
    def test_what_is_no_name_is_refused(self, gallery: Path, name: str) -> None:
        with pytest.raises(GalleryError):
            name_stranger(gallery, NET, 1, name)
        assert not (gallery / "gallery.json").exists()

    @pytest.mark.parametrize("name", ["../../x", "<b>Ana</b>", "李"])
    def test_any_name_is_data(self, gallery: Path, name: str) -> None:
        name_stranger(gallery, NET, 1, name)
        assert load_gallery(gallery).names == (name,)

    def test_vectors_of_another_length_than_the_gallery_s_are_told(self, gallery: Path, tmp_path: Path) -> None:
        name_stranger(gallery, NET, 1, "Ana")
        short = write_results(tmp_path / "b.jsonl", [frame_result(0, [Shown(1, None, unit(1, dimension=4))])])
        remember_strangers(gallery, find_strangers([short], NET, 0.06))
        with pytest.raises(SourceOpenError, match=r"b\.jsonl is damaged: .*lengths of 4 and 8"):
            name_stranger(gallery, NET, 1, "Ben")

    def test_looks_are_taken_that_are_good_and_different(self) -> None:
        def look(place: int, quality: float, vector: Float32) -> SourcedLook:
            return SourcedLook(str(place), RecordedLook(float(place), quality, vector))

        looks = [look(0, 0.9, unit(1)), *(look(at, 0.8, unit(1, 0.001 * at)) for at in range(1, 30))]
        looks += [look(30, 0.6, unit(1, 1)), look(31, 0.05, unit(1, 0, 1))]
        taken = best_looks(looks)
        assert [one.source for one in taken[:2]] == ["0", "30"]
        assert len(taken) == MAX_ENROLLED_LOOKS == len({one.source for one in taken})
        assert person_of("Ana", taken).sources == tuple(one.source for one in taken)


def cards_of(found: Sequence[Stranger]) -> list[Card]:
    return [stranger_card(stranger) for stranger in found]


def width(found: Sequence[Stranger]) -> int:
    return int(sheet("strangers", cards_of(found)).shape[1])


class TestCards:
    def test_each_stranger_has_a_card_with_the_best_crop(self, tmp_path: Path) -> None:
        people = [(number, unit(*[0] * (number - 1), 1)) for number in range(1, 7)]
        path = video(tmp_path / "a <b>.jsonl", *people)
        found = find_strangers([path], NET, 0.06)
        write_sheet(tmp_path / "cards.png", "strangers", cards_of(found))
        picture = cv2.imread(str(tmp_path / "cards.png"))
        assert picture is not None
        for number in range(1, 7):  # a crop's shade is its track's, see tests/recorded.py
            assert (np.abs(picture.astype(int) - 40 * number).max(axis=2) < 3).sum() > 30_000
        assert stat.S_IMODE((tmp_path / "cards.png").stat().st_mode) == 0o600
        assert width(found[:1]) < width(found[:3]) < width(found)

    def test_a_stranger_without_a_crop_or_with_a_damaged_one_has_a_card_too(self, tmp_path: Path) -> None:
        path = video(tmp_path / "a.jsonl", (1, ANA))
        text = path.read_text(encoding="utf-8")
        crop = text.split('"crop":')[1].split("}")[0]
        for other in ("null", '"/9j/AAAA"'):
            path.write_text(text.replace(f'"crop":{crop}', f'"crop":{other}'), encoding="utf-8")
            assert sheet("", cards_of(find_strangers([path], NET, 0.06))).shape[2] == 3

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (83.04, "1:23.0"), (3723.5, "1:02:03.5")]
    )
    def test_times_are_written_as_people_read_them(self, seconds: float, text: str) -> None:
        assert clock(seconds) == text
