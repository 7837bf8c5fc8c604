"""`streamer report` as a user runs it: what the page holds and must not hold, where files go, and what is refused."""

from __future__ import annotations

import base64
import csv
import errno
import html.parser
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamer.cli import main
from streamer.forgetting import forget_in_recordings
from streamer.pictures import UInt8
from streamer.reports.making import ReportPlan, make_report
from streamer.reports.tables import TABLES
from streamer.reports.thumbnails import face_alone, with_surroundings
from streamer.sinks.files import PartFile
from tests.drawn import two_people_scene, write_video
from tests.recorded import objects_in
from tests.report_lines import (
    HOSTILE_NAMES,
    broken_frames,
    crowd_frames,
    event,
    face,
    frame,
    header,
    hostile_frames,
    mood,
    write_lines,
)

SIZE: dict[str, Any] = {"width": 640, "height": 360}
LEFT, RIGHT = (120.0, 100.0, 200.0, 200.0), (400.0, 100.0, 480.0, 200.0)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with an empty data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("drawn") / "clip.mp4", two_people_scene(1.6))


@pytest.fixture
def clip(drawn: Path) -> Path:
    return Path(shutil.copy(drawn, "clip.mp4"))


def streamer(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def page_of(*arguments: object, at: str = "clip.html") -> str:
    assert streamer("report", *arguments) == 0
    return Path(at).read_text(encoding="utf-8")


class Elements(html.parser.HTMLParser):
    """All tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def pictures_of(page: str) -> dict[str, UInt8]:
    """Return the pictures of a page by their description, (H, W, 3) uint8 BGR."""
    found = {}
    for image in Elements(page).of("img"):
        encoded = str(image["src"]).removeprefix("data:image/jpeg;base64,")
        bgr = cv2.imdecode(np.frombuffer(base64.b64decode(encoded, validate=True), np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        found[str(image["alt"])] = np.asarray(bgr, np.uint8)
    return found


def two_people(**more: Any) -> Path:
    """Write results of the drawn clip: Ana left, whose smile at 1.2 s is the strongest, a stranger right."""
    lines = [header(**SIZE, **more)]
    for at in range(40):
        smile = mood("happiness", 0.6 + 0.3 * (at == 30)) if at > 20 else mood("neutral")
        lines.append(frame(at, face(1, "Ana", smile, box=LEFT), face(2, None, mood("fear"), box=RIGHT)))
    return write_lines(Path("clip.jsonl"), lines)


class TestPage:
    def test_nothing_in_it_comes_from_elsewhere_and_no_script_but_its_own_may_run(self, clip: Path) -> None:
        page = page_of(two_people())
        elements = Elements(page)
        for tag, attributes in elements.tags:
            for name in ("src", "href", "action", "data", "poster", "srcset"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:", "#")), (tag, name, value)
        assert not re.search(r"url\(|@import|https?://", page)
        (policy,) = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv")]
        assert policy is not None
        assert policy.startswith("default-src 'none'")
        assert "sha256-" in policy

    def test_the_strongest_smile_is_cut_from_the_video(self, clip: Path) -> None:
        pictures = pictures_of(page_of(two_people()))
        smile = pictures["happiness at 0:01.2"]
        assert smile.shape == (176, 176, 3)
        capture = cv2.VideoCapture(str(clip))
        frames = [capture.read()[1] for _ in range(40)]
        side = 160  # 1.6 times the box's longer side, around its middle
        expected = cv2.resize(
            frames[30][150 - side // 2 : 150 + side // 2, 160 - side // 2 : 160 + side // 2], (176, 176)
        )
        assert np.abs(smile.astype(int) - expected.astype(int)).mean() < 6
        assert set(pictures) >= {"neutral at 0:00.0", "fear at 0:00.0"}

    def test_it_is_made_without_the_video_and_says_so(self, capsys: pytest.CaptureFixture[str]) -> None:
        page = page_of(two_people())
        assert "data:image" not in page
        assert "There are no pictures: clip.mp4 was not found; --video FILE tells where it is." in page
        assert "clip.mp4 was not found" in capsys.readouterr().err

    def test_pictures_can_be_left_out(self, clip: Path) -> None:
        page = page_of(two_people(), "--no-pictures")
        assert "data:image" not in page
        assert "There are no pictures" not in page

    def test_who_was_blurred_in_the_video_has_no_picture(self, clip: Path) -> None:
        page = page_of(two_people(config={"annotate": {"blur_unknown": True}}))
        assert "happiness at 0:01.2" in pictures_of(page)
        assert not any("fear" in name for name in pictures_of(page))
        assert "no pictures of unknown faces" in page

    def test_beside_whom_was_blurred_a_face_is_cut_alone(self, clip: Path) -> None:
        """The square lies within the box, so that nobody beside it is seen."""
        box = (10.0, 20.0, 70.0, 100.0)
        assert face_alone(box) == 60
        assert with_surroundings(box) == pytest.approx(1.6 * 80)
        clear = pictures_of(page_of(two_people()))["happiness at 0:01.2"]
        alone = pictures_of(page_of(two_people(config={"annotate": {"blur_unknown": True}}), "--overwrite"))
        assert np.abs(alone["happiness at 0:01.2"].astype(int) - clear.astype(int)).mean() > 2

    def test_the_share_that_is_done_only_grows_and_pictures_have_a_part_of_it(self, clip: Path) -> None:
        results = (two_people(), Path(shutil.copy(two_people(), "more.jsonl")))
        shares: list[float] = []
        make_report(ReportPlan(results, Path("page.html"), (None, None)), shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == 1
        assert any(0.45 < share < 0.5 for share in shares)

    def test_names_are_text_whatever_they_hold(self) -> None:
        page = page_of(write_lines(Path("clip.jsonl"), hostile_frames()))
        elements = Elements(page)
        assert len(elements.of("script")) == 1
        assert not elements.of("img")
        assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)
        for name in HOSTILE_NAMES[:7]:
            assert name in elements.text
        assert "line\ufffdbreak\ufffdnull\ufffd" in elements.text

    def test_everybody_has_a_line_curves_and_a_row(self) -> None:
        page = page_of(two_people())
        text = Elements(page).text
        assert text.count("Unknown, track 2") == 3
        assert page.count('class="curve happiness') == 2
        assert "happiness 48 %" in text  # 19 of 40 frames
        assert re.search(r"<h1[^>]*>Who was there: clip.mp4<", page)
        assert "emotion-ferplus" in text
        assert "abababababab…" in text

    def test_a_crowd_is_folded(self) -> None:
        page = page_of(write_lines(Path("clip.jsonl"), crowd_frames(300)))
        text = Elements(page).text
        assert "292 more" in text
        assert "200 more are in the tables" in text
        assert len(page) < 300_000

    def test_nobody_and_no_frame_and_a_cut_file_are_told(self) -> None:
        assert "No face was seen." in page_of(write_lines(Path("clip.jsonl"), [frame(0), frame(1)]))
        assert "It holds no frame." in page_of(write_lines(Path("clip.jsonl"), []), "--overwrite")
        cut = write_lines(Path("clip.jsonl"), broken_frames()[:80], is_whole=False)
        assert "was cut off before its end" in page_of(cut, "--overwrite")

    def test_several_files_have_a_section_each_and_are_summed_up(self) -> None:
        for name in ("a", "b"):
            write_lines(Path(f"{name}.jsonl"), [header(f"{name}.mp4"), *broken_frames()])
        page = page_of("*.jsonl", "-o", "all.html", "--title", "Two <days>", at="all.html")
        text = Elements(page).text
        assert "Two <days>" in text
        assert re.search(r'Ana</bdi></th><td class="number">26.4</td><td class="number">66 %</td>', page)
        assert [name in page for name in (">a.mp4<", ">b.mp4<")] == [True, True]

    def test_an_hour_of_ten_people_stays_small(self) -> None:
        """Two minutes at 25 fps already fill every bin, and an hour has no more of them."""
        moods = [mood(name) for name in ("happiness", "fear", "anger", "neutral")]
        lines = [
            frame(at, *(face(who, f"P{who}", moods[(at // 7 + who) % 4]) for who in range(1, 11)), seconds=at * 1.2)
            for at in range(3000)
        ]
        page = page_of(write_lines(Path("clip.jsonl"), lines))
        assert "1:00:00 h" in page
        assert len(page) < 1_000_000


class TestVideos:
    def test_it_is_where_the_header_says_from_the_results(self, clip: Path) -> None:
        Path("videos").mkdir()
        clip.rename("videos/other.mp4")
        assert pictures_of(page_of(two_people(source_path="videos/other.mp4")))

    def test_a_file_or_a_folder_may_be_named(self, clip: Path) -> None:
        Path("videos").mkdir()
        clip.rename("videos/clip.mp4")
        results = two_people()
        assert pictures_of(page_of(results, "--video", "videos/clip.mp4"))
        assert pictures_of(page_of(results, "--video", "videos", "--overwrite"))

    def test_another_video_is_refused_when_named_and_passed_over_when_found(
        self, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results = write_lines(Path("clip.jsonl"), [header(width=320, height=180), frame(0, face(1))])
        assert streamer("report", results, "--video", clip) == 3
        assert "clip.mp4 has pictures of 640 × 360 px, not of 320 × 180" in capsys.readouterr().err
        assert not Path("clip.html").exists()
        assert "640 × 360 px, not of" in page_of(results)

    def test_videos_must_be_as_many_as_results(self, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert streamer("report", two_people(), "--video", clip, "--video", clip) == 2
        assert "--video is given 2 times for 1 results files" in capsys.readouterr().err

    def test_a_moment_that_the_video_lacks_has_no_picture(self, clip: Path) -> None:
        lines = [header(**SIZE), frame(0, face(1, "Ana", mood("fear"), box=LEFT))]
        lines += [frame(9000, face(1, "Ana", mood("anger", 0.9), box=LEFT))]
        pictures = pictures_of(page_of(write_lines(Path("clip.jsonl"), lines)))
        assert [name for name in pictures if name] == ["fear at 0:00.0"]

    def test_pictures_in_a_row_are_a_video_too(self, clip: Path, astronaut: UInt8, hopper: UInt8) -> None:
        Path("shots").mkdir()
        side = min(*astronaut.shape[:2], *hopper.shape[:2])
        for at, picture in enumerate((astronaut, hopper, astronaut)):
            assert cv2.imwrite(f"shots/{at}.png", picture[:side, :side])
        lines = [header("shots", width=side, height=side, declared_fps=0.1)]
        lines += [
            frame(at, face(1, "Ana", mood(name), box=(50, 50, 150, 150)), seconds=at * 10.0)
            for at, name in enumerate(("neutral", "fear", "anger"))
        ]
        pictures = pictures_of(page_of(write_lines(Path("clip.jsonl"), lines)))
        part = cv2.resize(hopper[20:180, 20:180], (176, 176), interpolation=cv2.INTER_CUBIC)
        assert np.abs(pictures["fear at 0:10.0"].astype(int) - part.astype(int)).mean() < 8
        assert {"neutral at 0:00.0", "anger at 0:20.0"} < set(pictures)
        Path("elsewhere").mkdir()
        Path("shots").rename("elsewhere/shots")
        assert pictures_of(page_of("clip.jsonl", "--video", "elsewhere/shots", "--overwrite"))

    def test_the_annotated_copy_of_a_part_is_not_taken_for_the_video(self, clip: Path) -> None:
        assert "data:image" not in page_of(two_people(config={"source": {"start_seconds": 3.0}}))

    @pytest.mark.timeout(60)
    def test_process_says_where_the_video_is(self, drawn: Path) -> None:
        arguments = ["process", drawn, "--no-video", "--results", "out/clip.jsonl", "--gallery", "none"]
        Path("out").mkdir()
        assert streamer(*arguments) == 0
        (first,) = objects_in(Path("out/clip.jsonl"), "header")
        assert first["source_path"] == Path(os.path.relpath(drawn.resolve(), Path("out").resolve())).as_posix()
        assert pictures_of(page_of("out/clip.jsonl", at="out/clip.html"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestTables:
    def test_csv_has_a_row_a_face_a_frame_and_sums(self) -> None:
        lines = [*broken_frames(), event("left", 19.96, 1, "Ana")]
        page_of(write_lines(Path("clip.jsonl"), lines), "--csv", "tables")
        faces = rows_of(Path("tables/faces.csv"))
        assert len(faces) == 330
        assert faces[0] | {"emotion": "", "name": "Ana", "x2": "40.0", "detected": "true"} == faces[0]
        assert float(faces[0]["sadness"]) == 0.4
        assert (faces[-1]["frame_index"], faces[-1]["emotion"], faces[-1]["happiness"]) == ("499", "happiness", "0.9")
        assert [row["happiness"] for row in faces if row["frame_index"] == "210"] == [""]
        (person,) = rows_of(Path("tables/people.csv"))
        assert (person["name"], person["tracks"]) == ("Ana", "1")
        assert float(person["seconds"]) == pytest.approx(13.2)
        assert float(person["not_sure"]) == pytest.approx(60 / 280, abs=1e-6)
        assert float(person["share"]) == pytest.approx(0.66)
        (track,) = rows_of(Path("tables/tracks.csv"))
        assert track["happiness"] == person["happiness"]
        (left,) = rows_of(Path("tables/events.csv"))
        assert left == {
            "results": "clip.jsonl",
            "source": "clip.mp4",
            "pts_seconds": "19.96",
            "kind": "left",
            "track_id": "1",
            "name": "Ana",
        }

    def test_a_name_is_no_formula(self) -> None:
        names = ["=1+1", "+1", "-1", "@x", "＝1", "Ana"]
        lines = [header("=cmd.mp4"), frame(0, *(face(at + 1, name) for at, name in enumerate(names)))]
        page_of(write_lines(Path("clip.jsonl"), lines), "--csv", "tables")
        rows = rows_of(Path("tables/faces.csv"))
        assert [row["name"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "'＝1", "Ana"]
        assert rows[0]["source"] == "'=cmd.mp4"
        assert rows_of(Path("tables/people.csv"))[0]["source"] == "'=cmd.mp4"

    def test_parquet_holds_the_same_with_types(self) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        page_of(write_lines(Path("clip.jsonl"), hostile_frames()), "--csv", "t", "--parquet", "t")
        for table in TABLES:
            read = parquet.read_table(f"t/{table.name}.parquet")
            rows = rows_of(Path(f"t/{table.name}.csv"))
            assert read.column_names == [column.name for column in table.columns]
            assert read.num_rows == len(rows)
        faces = parquet.read_table("t/faces.parquet")
        assert [str(faces.schema.field(name).type) for name in ("track_id", "x1", "detected", "name")] == [
            "int64",
            "double",
            "bool",
            "string",
        ]
        assert faces["name"].to_pylist()[:7] == list(HOSTILE_NAMES[:7])  # no apostrophe: nothing takes it for a formula
        assert faces["happiness"].to_pylist() == [float(row["happiness"]) for row in rows_of(Path("t/faces.csv"))]

    def test_many_rows_are_written_in_groups(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        monkeypatch.setattr("streamer.reports.parquet_files._ROWS_A_GROUP", 100)
        monkeypatch.setattr("streamer.reports.csv_files._ROWS_AT_ONCE", 100)
        page_of(write_lines(Path("clip.jsonl"), broken_frames()), "--csv", "t", "--parquet", "t")
        file = parquet.ParquetFile("t/faces.parquet")
        assert file.num_row_groups == 4
        assert file.read()["frame_index"].to_pylist() == [
            int(row["frame_index"]) for row in rows_of(Path("t/faces.csv"))
        ]

    def test_pandas_reads_them(self) -> None:
        pandas = pytest.importorskip("pandas")
        page_of(write_lines(Path("clip.jsonl"), broken_frames()), "--csv", "t")
        faces = pandas.read_csv("t/faces.csv")
        assert faces.groupby("name")["happiness"].max()["Ana"] == 0.9
        assert faces["detected"].dtype == bool

    def test_without_pyarrow_one_line_says_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("streamer.reports.parquet_files.importlib.util.find_spec", lambda _: None)
        assert streamer("report", two_people(), "--parquet", "tables") == 2
        assert 'pip install "streamer[parquet]"' in capsys.readouterr().err
        assert not Path("tables").exists()

    def test_every_column_is_explained_in_the_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert streamer("report", "--help") == 0
        told = " ".join(capsys.readouterr().out.split())
        for table in TABLES:
            assert f"{table.name}: " in told
            for column in table.columns:
                assert re.search(rf"\b{column.name}\b", told), column.name


class TestFiles:
    def test_nothing_is_overwritten_unless_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        results = two_people()
        page_of(results, "--csv", "tables")
        before = Path("clip.html").read_bytes()
        assert streamer("report", results, "-o", "new.html", "--csv", "tables") == 5
        assert "tables/faces.csv: it exists already" in capsys.readouterr().err
        assert not Path("new.html").exists()
        assert streamer("report", results, "--csv", "tables", "--overwrite") == 0
        assert Path("clip.html").read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["none.jsonl"], 3, "none.jsonl does not exist"),
            (["clip.mp4"], 3, "clip.mp4 is not a results file"),
            (["clip.jsonl", "-o", "page.pdf"], 5, "must end in .html, .htm"),
            (["clip.jsonl", "--video", "none.mp4"], 3, "none.mp4 does not exist"),
            (["none*.jsonl"], 3, "no file matches"),
        ],
    )
    def test_what_cannot_be_is_one_line(
        self, arguments: list[str], code: int, said: str, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        two_people()
        assert streamer("report", *arguments) == code
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
        assert sorted(path.name for path in Path().iterdir()) == ["clip.jsonl", "clip.mp4"]

    def test_a_damaged_file_leaves_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        results = two_people()
        results.write_text(results.read_text().replace('"index": 7', '"index": -7'))
        assert streamer("report", results, "--csv", "t", "--parquet", "t") == 3
        assert "clip.jsonl is damaged in line 9" in capsys.readouterr().err
        assert list(Path("t").iterdir()) == []
        assert not Path("clip.html").exists()

    @pytest.mark.parametrize("full_after", [0, 1, 5])
    def test_a_full_disk_is_one_line_and_leaves_nothing(
        self, full_after: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        writes = iter(range(10_000))
        write = PartFile.write

        def full(part: PartFile, chunk: bytes) -> int:
            if next(writes) >= full_after:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(part, chunk)

        monkeypatch.setattr(PartFile, "write", full)
        assert streamer("report", two_people(), "--csv", "t", "--parquet", "t") == 5
        told = capsys.readouterr().err.splitlines()
        assert "no space left on device; free some space" in told[-1]
        assert list(Path("t").iterdir()) == []
        assert not Path("clip.html").exists()

    def test_who_may_not_read_the_results_may_not_read_the_report(self) -> None:
        results = two_people()
        results.chmod(0o600)
        page_of(results, "--csv", "t")
        assert stat.S_IMODE(Path("clip.html").stat().st_mode) == 0o600
        assert stat.S_IMODE(Path("t/faces.csv").stat().st_mode) == 0o600

    def test_a_person_who_was_forgotten_is_in_no_report(self) -> None:
        results = two_people()
        assert "Ana" in page_of(results)
        assert forget_in_recordings(Path(), "Ana").changed
        assert "Ana" not in page_of(results, "--overwrite")


@pytest.mark.shared_data
@pytest.mark.timeout(90)
def test_the_smile_at_the_end_is_happiness_and_has_its_picture(shared_data: Path) -> None:
    """Real video, real nets: she smiles from 10 s on, and the curve, the label and the picture say so."""
    video = shared_data / "videos" / "expressions_360p.mp4"
    arguments = ["process", video, "--no-video", "--results", "smile.jsonl", "--gallery", "none"]
    assert streamer(*arguments) == 0
    page = page_of("smile.jsonl", "--csv", "t", at="smile.html")
    (smile,) = [name for name in pictures_of(page) if name.startswith("happiness")]
    assert smile > "happiness at 0:10"
    last = [row for row in rows_of(Path("t/faces.csv")) if float(row["pts_seconds"]) > 18]
    assert all(row["emotion"] == "happiness" and float(row["happiness"]) > 0.6 for row in last)
