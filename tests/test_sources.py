"""Video files, pictures and arrays as sources: every frame once, in order, at its time, or one sentence why not."""

from __future__ import annotations

import contextlib
import gc
import os
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from streamer.errors import SourceLostError, SourceOpenError, UsageError
from streamer.photos import read_picture
from streamer.pictures import I420Picture, UInt8
from streamer.sources.arrays import ArraysSource
from streamer.sources.images import ImagesSource
from streamer.sources.video import VideoSource
from streamer.sources.video_clock import VideoClock
from streamer.stages import Source
from streamer.types import Frame
from tests.broken_videos import (
    Recipe,
    add_cover,
    cut,
    cut_in_packet,
    draw,
    join,
    make_sound,
    make_video,
    make_wave,
    number_of,
    replace_bytes,
    spoil_packets,
)

FASTSTART = {"movflags": "faststart"}


def read_all(source: Source) -> list[Frame]:
    return list(iter(source.read, None))


def read_until_lost(source: Source) -> tuple[list[Frame], str]:
    """Return the frames before a SourceLostError, and what it says; it must come once, then the end for ever."""
    frames: list[Frame] = []
    with pytest.raises(SourceLostError) as lost:
        frames.extend(iter(source.read, None))
    assert source.read() is None
    return frames, str(lost.value)


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.picture) for frame in frames]


def why_not(path: Path, **part: float) -> str:
    """Return the one line that says why a video cannot be opened."""
    with pytest.raises(SourceOpenError) as refused:
        VideoSource(path, **part)  # type: ignore[arg-type]  # the part is start_seconds and end_seconds only
    assert refused.value.exit_code == 3
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ---- the contract of every source


def video_of(folder: Path) -> Source:
    return VideoSource(make_video(folder / "a.mp4", Recipe(frames=5)))


def images_of(folder: Path) -> Source:
    for number in range(5):
        cv2.imwrite(str(folder / f"{number}.png"), draw(number, 64, 48))
    return ImagesSource(folder, fps=2)


def arrays_of(folder: Path) -> Source:
    return ArraysSource((draw(number, 64, 48) for number in range(5)), fps=10)


@pytest.fixture(params=[video_of, images_of, arrays_of], ids=["video", "images", "arrays"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    make: Callable[[Path], Source] = request.param
    opened = make(tmp_path)
    yield opened
    opened.close()


class TestEverySource:
    def test_says_before_the_first_frame_what_is_to_come(self, source: Source) -> None:
        info = source.info
        assert (info.width, info.height) == (64, 48)
        assert info.frame_count in (5, None)
        assert not info.is_live
        assert info.name
        first = source.read()
        assert first is not None
        assert (first.picture.width, first.picture.height) == (64, 48)
        assert first.source_id == info.source_id

    def test_delivers_every_frame_once_and_in_order(self, source: Source) -> None:
        frames = read_all(source)
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
        assert numbers(frames) == [0, 1, 2, 3, 4]
        assert source.skipped == 0

    def test_times_start_at_zero_and_follow_the_declared_rate(self, source: Source) -> None:
        times = [frame.pts_seconds for frame in read_all(source)]
        assert times == pytest.approx([number / source.info.declared_fps for number in range(5)], abs=1e-12)
        # Whole multiples of the time base, so that a writer can take them over exactly.
        ticks = [Fraction(seconds).limit_denominator(10**6) / source.info.time_base for seconds in times]
        assert all(tick.denominator == 1 for tick in ticks)

    def test_stays_at_its_end(self, source: Source) -> None:
        read_all(source)
        assert [source.read(), source.read()] == [None, None]

    def test_can_be_closed_twice_and_then_gives_nothing(self, source: Source) -> None:
        source.close()
        source.close()
        assert source.read() is None

    def test_pictures_cannot_be_written_to(self, source: Source) -> None:
        frame = source.read()
        assert frame is not None
        for plane in (frame.picture.bgr(), getattr(frame.picture, "y", frame.picture.bgr())):
            with pytest.raises(ValueError, match="read-only"):
                plane[0, 0] = 1

    def test_frames_outlive_the_source(self, source: Source) -> None:
        frames = read_all(source)
        source.close()
        gc.collect()
        assert numbers(frames) == [0, 1, 2, 3, 4]


# ---- video files that are sound


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("a.mp4", Recipe()),
        ("a.mov", Recipe(options=FASTSTART)),
        ("fragmented.mp4", Recipe(options={"movflags": "frag_keyframe+empty_moov"})),
        ("hybrid.mp4", Recipe(options={"movflags": "hybrid_fragmented"})),
        ("a.mkv", Recipe()),
        ("interlaced.mkv", Recipe(codec_options={"flags": "+ildct+ilme"})),
        ("a.webm", Recipe(codec="libvpx-vp9")),
        ("a.avi", Recipe(codec="mjpeg", pixel_format="yuvj420p", color_range=ColorRange.JPEG)),
        ("a.ts", Recipe()),
        ("a.flv", Recipe()),
        ("a.h264", Recipe()),
        ("a.apng", Recipe(codec="apng", pixel_format="rgb24")),
    ],
)
def test_every_container_gives_all_frames_at_their_times(tmp_path: Path, name: str, recipe: Recipe) -> None:
    """B-frames, edit lists, no index, no time stamps at all: still 30 frames at 25 a second, and no false alarm."""
    source = VideoSource(make_video(tmp_path / name, recipe))
    frames = read_all(source)
    assert numbers(frames) == list(range(30))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in range(30)], abs=1e-3)
    assert source.skipped == 0
    assert source.info.declared_fps == 25


def test_b_frames_in_avi_which_has_no_pts_come_in_order(tmp_path: Path) -> None:
    frames = read_all(VideoSource(make_video(tmp_path / "a.avi", Recipe())))
    assert numbers(frames) == list(range(30))
    # What FFmpeg makes up for the missing pts is two frames off at worst.
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in range(30)], abs=0.081)


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    frames = read_all(VideoSource(make_video(tmp_path / "a.gif", Recipe(codec="gif", pixel_format="rgb8"))))
    assert len(frames) == 30


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["crowd_1080p", "expressions_360p", "no_face", "single_face_360p"])
def test_real_videos_are_read_to_their_end(shared_data: Path, name: str) -> None:
    """no_face.mp4 declares 98 frames, of which its edit list shows 95: nothing is missing."""
    path = shared_data / "videos" / f"{name}.mp4"
    with av.open(str(path)) as container:
        expected = sum(1 for _ in container.decode(video=0))
    source = VideoSource(path)
    count = 0
    while source.read() is not None:
        count += 1
    assert (count, source.skipped) == (expected, 0)


def test_a_variable_frame_rate_stays_exact(tmp_path: Path) -> None:
    pts = [0, 1, 7, 8, 30, 31, 500, 501]
    recipe = Recipe(frames=len(pts), pts=pts, time_base=Fraction(1, 30))
    frames = read_all(VideoSource(make_video(tmp_path / "a.mp4", recipe)))
    assert [frame.pts_seconds for frame in frames] == [tick / 30 for tick in pts]


def test_planes_are_the_decoders_own(tmp_path: Path) -> None:
    """No copy: what the array looks into is a plane of PyAV's frame, which it keeps alive."""
    frame = VideoSource(make_video(tmp_path / "a.mp4")).read()
    assert frame is not None
    assert isinstance(frame.picture, I420Picture)
    owner: object = frame.picture.y
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, memoryview)
    assert isinstance(owner.obj, av.video.plane.VideoPlane)


@pytest.mark.parametrize("turned", [None, (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)], ids=["upright", "turned"])
def test_memory_stays_flat_without_the_garbage_collector(tmp_path: Path, turned: tuple[int, ...] | None) -> None:
    """Frames go when the reader lets go of them; 200 of 640 × 480 would be 90 MB."""
    recipe = Recipe(frames=200, width=640, height=480, codec_options={"preset": "ultrafast"}, display_matrix=turned)
    source = VideoSource(make_video(tmp_path / "a.mp4", recipe))
    process = psutil.Process()
    gc.disable()
    try:
        for _ in range(40):
            source.read()
        before = process.memory_info().rss
        while source.read() is not None:
            pass
        assert process.memory_info().rss - before < 20 * 2**20
    finally:
        gc.enable()


# ---- odd pictures


@pytest.mark.parametrize(("width", "height"), [(65, 49), (64, 49), (65, 48), (7, 5)])
def test_odd_sizes_are_exact(tmp_path: Path, width: int, height: int) -> None:
    recipe = Recipe(frames=2, codec="ffv1", width=width, height=height)
    source = VideoSource(make_video(tmp_path / "a.mkv", recipe))
    frames = read_all(source)
    assert (source.info.width, source.info.height) == (width, height)
    assert [frame.picture.bgr().shape for frame in frames] == [(height, width, 3)] * 2


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "color_range"),
    [
        ("a.mkv", "ffv1", "yuv420p10le", ColorRange.MPEG),
        ("a.mkv", "ffv1", "yuv422p", ColorRange.MPEG),
        ("a.mkv", "ffv1", "yuv444p", ColorRange.MPEG),
        ("a.mkv", "ffv1", "yuva420p", ColorRange.MPEG),
        ("a.mkv", "ffv1", "gray", ColorRange.JPEG),
        ("a.mkv", "ffv1", "bgr0", ColorRange.JPEG),
        ("a.mkv", "ffv1", "yuv420p", ColorRange.JPEG),
        ("a.avi", "mjpeg", "yuvj420p", ColorRange.JPEG),
        ("a.mkv", "libx264rgb", "rgb24", ColorRange.JPEG),
        ("a.apng", "apng", "rgba", ColorRange.JPEG),
        ("a.gif", "gif", "rgb8", ColorRange.JPEG),
    ],
)
def test_every_pixel_format_comes_out_equally_bright(
    tmp_path: Path, name: str, codec: str, pixel_format: str, color_range: ColorRange
) -> None:
    """Deep, full-range, grey, alpha and RGB pictures within 2 levels of the plain one."""
    plain = VideoSource(make_video(tmp_path / "plain.mkv", Recipe(frames=4, codec="ffv1"))).read()
    recipe = Recipe(frames=4, codec=codec, pixel_format=pixel_format, color_range=color_range)
    frame = VideoSource(make_video(tmp_path / name, recipe)).read()
    assert plain is not None
    assert frame is not None
    assert isinstance(frame.picture, I420Picture)
    # White and grey; JPEG and H.264 ring at the edges, so inside the patches.
    for rows, columns in ((slice(2, 8), slice(2, 10)), (slice(20, 28), slice(20, 40))):
        difference = frame.picture.luma()[rows, columns].astype(int) - plain.picture.luma()[rows, columns]
        # A GIF of 256 fixed colours dithers, so it is right on average only.
        assert abs(difference.mean()) <= 6 if codec == "gif" else np.abs(difference).max() <= 2


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "bgr0"])
@pytest.mark.parametrize(
    ("height", "colorspace", "matrix", "is_bt709"),
    [
        (48, 2, Colorspace.ITU601, False),
        (48, 6, Colorspace.ITU601, False),
        (48, 1, Colorspace.ITU709, True),
        (720, 2, Colorspace.ITU601, False),
        (720, 5, Colorspace.ITU601, False),
        (48, 9, Colorspace.BT2020, True),
    ],
)
def test_colours_survive_whichever_matrix_they_were_coded_by(
    tmp_path: Path, pixel_format: str, height: int, colorspace: int, matrix: Colorspace, is_bt709: bool
) -> None:
    recipe = Recipe(
        frames=1, height=height, codec="ffv1", pixel_format=pixel_format, colorspace=colorspace, matrix=matrix
    )
    if pixel_format == "bgr0":
        recipe = Recipe(frames=1, height=height, codec="ffv1", pixel_format=pixel_format, color_range=ColorRange.JPEG)
        is_bt709 = False
    frame = VideoSource(make_video(tmp_path / "a.mkv", recipe)).read()
    assert frame is not None
    assert isinstance(frame.picture, I420Picture)
    assert frame.picture.is_bt709 == is_bt709
    # 8-bit limited-range YUV there and back costs up to 3 levels of a colour, twice 6; a wrong matrix 8 and more.
    assert frame.picture.bgr()[-4, -4].tolist() == pytest.approx([200, 60, 40], abs=6 if colorspace == 9 else 4)


# The display matrix takes (x, y) to (a·x + c·y, b·x + d·y), y down: a phone held upright writes a = d = 0, b = 1,
# c = -1, a quarter turn clockwise, which takes the white patch from top left to top right.
@pytest.mark.parametrize(
    ("abcd", "white"),
    [
        ((1, 0, 0, 1), (0, 0)),
        ((0, 1, -1, 0), (0, -1)),
        ((-1, 0, 0, -1), (-1, -1)),
        ((0, -1, 1, 0), (-1, 0)),
        ((-1, 0, 0, 1), (0, -1)),
        ((1, 0, 0, -1), (-1, 0)),
        ((0, 1, 1, 0), (0, 0)),
        ((0, -1, -1, 0), (-1, -1)),
    ],
)
def test_pictures_are_turned_upright(tmp_path: Path, abcd: tuple[int, int, int, int], white: tuple[int, int]) -> None:
    """All eight ways to lay a picture down, mirrored ones included."""
    a, b, c, d = (element << 16 for element in abcd)
    recipe = Recipe(
        frames=3, display_matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30), sample_aspect_ratio=Fraction(4, 3), height=32
    )
    source = VideoSource(make_video(tmp_path / "a.mp4", recipe))
    frames = read_all(source)
    is_turned = abcd[0] == 0
    assert (source.info.width, source.info.height) == ((32, 64) if is_turned else (64, 32))
    assert source.info.sample_aspect_ratio == (Fraction(3, 4) if is_turned else Fraction(4, 3))
    for frame in frames:
        bgr = frame.picture.bgr()
        assert bgr.shape == (source.info.height, source.info.width, 3)
        corners = {(row, column): int(bgr[row, column].min()) for row in (0, -1) for column in (0, -1)}
        assert max(corners, key=corners.__getitem__) == white
        # Blue lies across from white: luma and chroma were turned alike.
        assert bgr[-1 - white[0], -1 - white[1]].tolist() == pytest.approx([200, 60, 40], abs=8)
    assert numbers(frames) == [0, 1, 2]


def test_frames_come_in_their_new_size_when_it_changes(tmp_path: Path) -> None:
    """Two transport streams joined: the size grows, and the time stamps start again."""
    small = make_video(tmp_path / "small.ts", Recipe(frames=10))
    large = make_video(tmp_path / "large.ts", Recipe(frames=10, width=96, height=80))
    frames = read_all(VideoSource(join(tmp_path / "both.ts", [small, large])))
    sizes = [(frame.picture.width, frame.picture.height) for frame in frames]
    assert sizes == [(64, 48)] * 10 + [(96, 80)] * 10
    assert numbers(frames) == [*range(10), *range(10)]
    times = [frame.pts_seconds for frame in frames]
    assert times == pytest.approx([number / 25 for number in range(20)], abs=1e-9)


# ---- time stamps


def test_a_wild_leap_of_time_stamps_is_taken_out(tmp_path: Path) -> None:
    """117 million ticks are 32 hours here; the frame comes one frame later, those behind it keep their distances."""
    pts = [0, 40, 80, 117_000_000, 117_000_060, 117_000_100]
    recipe = Recipe(frames=6, pts=pts, time_base=Fraction(1, 1000), codec="ffv1")
    source = VideoSource(make_video(tmp_path / "a.mkv", recipe))
    times = [frame.pts_seconds for frame in read_all(source)]
    step = times[3] - times[2]
    assert 0 < step <= 1
    assert np.diff(times).tolist() == pytest.approx([0.04, 0.04, step, 0.06, 0.04])


@given(
    start=st.none() | st.integers(-(10**9), 10**9),
    stamps=st.lists(st.tuples(*[st.none() | st.integers(-(2**40), 2**40)] * 2), max_size=30),
    frame_ticks=st.integers(1, 5000),
)
def test_time_only_goes_forward_whatever_the_time_stamps(
    start: int | None, stamps: list[tuple[int | None, int | None]], frame_ticks: int
) -> None:
    clock = VideoClock(start, frame_ticks, Fraction(1, 90_000))
    ticks = [clock.advance(pts, dts) for pts, dts in stamps]
    assert all(later > earlier >= 0 for earlier, later in pairwise(ticks))


@given(start=st.integers(-(10**9), 10**9), steps=st.lists(st.integers(1, 60 * 1000), min_size=1, max_size=30))
def test_sound_time_stamps_are_taken_over_exactly(start: int, steps: list[int]) -> None:
    """Whatever the rate does, as long as no gap is longer than a minute."""
    pts = [start, *(start + int(total) for total in np.cumsum(steps))]
    clock = VideoClock(start, 40, Fraction(1, 1000))
    assert [clock.advance(stamp, None) for stamp in pts] == [stamp - start for stamp in pts]


def test_frames_without_a_time_stamp_follow_by_one_frame() -> None:
    clock = VideoClock(100, 40, Fraction(1, 1000))
    assert [clock.advance(pts, None) for pts in (100, None, None, 230)] == [0, 40, 80, 130]


def test_shuffled_pts_give_way_to_dts() -> None:
    """Once a pts has gone back, the dts are trusted, which have not; a missing one is one frame."""
    clock = VideoClock(0, 40, Fraction(1, 1000))
    stamps = [(0, 40), (120, 80), (40, 120), (80, 400), (240, 440), (700, None)]
    assert [clock.advance(pts, dts) for pts, dts in stamps] == [0, 120, 160, 400, 440, 480]


def test_time_goes_on_behind_a_step_back_of_any_length() -> None:
    """A short one is waited out; behind a long one, time stamps are counted from there."""
    clock = VideoClock(0, 40, Fraction(1, 1000))
    assert [clock.advance(pts, None) for pts in (0, 40, 80, 40, 200)] == [0, 40, 80, 120, 200]
    clock = VideoClock(0, 40, Fraction(1, 1000))
    assert [clock.advance(pts, None) for pts in (5000, 5040, 7, 57)] == [5000, 5040, 5080, 5130]


# ---- parts of a video


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.h264", "a.flv", "a.webm"])
@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 0.2), (0.52, 0.84), (1.0, None), (0.5, 0.6), (1.16, None), (0.52, 99)]
)
def test_a_part_has_exactly_its_frames(tmp_path: Path, name: str, start: float, end: float | None) -> None:
    """From the start, inclusive, to the end, exclusive, wherever the key frames lie, and where there is no index."""
    recipe = Recipe(codec="libvpx-vp9") if name == "a.webm" else Recipe()
    source = VideoSource(make_video(tmp_path / name, recipe), start_seconds=start, end_seconds=end)
    frames = read_all(source)
    wanted = [number for number in range(30) if start <= number / 25 + 1e-9 and number / 25 + 1e-9 < (end or 9)]
    assert numbers(frames) == wanted
    assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in wanted])
    assert [frame.index for frame in frames] == list(range(len(wanted)))


def test_a_start_behind_the_end_says_how_long_the_video_is(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.ts"):
        message = why_not(make_video(tmp_path / name), start_seconds=7.0)
        assert name in message
        assert "1.20 s long" in message


def test_a_part_between_two_frames_is_refused(tmp_path: Path) -> None:
    assert "no frame between" in why_not(make_video(tmp_path / "a.mp4"), start_seconds=0.05, end_seconds=0.07)


@pytest.mark.parametrize(("start", "end"), [(-1.0, None), (2.0, 1.0), (1.0, 1.0), (float("nan"), None)])
def test_a_part_that_makes_no_sense_is_a_usage_error(tmp_path: Path, start: float, end: float | None) -> None:
    with pytest.raises(UsageError, match=r"start|end"):
        VideoSource(tmp_path / "any.mp4", start_seconds=start, end_seconds=end)


# ---- damaged videos


def test_spoilt_packets_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", Recipe(gop=1, codec_options={"bf": "0"}))
    source = VideoSource(spoil_packets(path, [0, 7, 8, 20]))
    frames = read_all(source)
    assert numbers(frames) == [number for number in range(30) if number not in (0, 7, 8, 20)]
    assert frames[0].pts_seconds == pytest.approx(0.04)
    assert source.skipped == 4


@pytest.mark.parametrize(
    ("name", "recipe", "says"),
    [
        ("a.mp4", Recipe(options=FASTSTART), "a.mp4 ends early: 20 of 30 frames could be read"),
        ("a.mov", Recipe(options=FASTSTART), "a.mov ends early: 20 of 30 frames could be read"),
        ("a.avi", Recipe(codec="mjpeg", pixel_format="yuvj420p"), "a.avi ends early: 20 of 30 frames could be read"),
        ("a.mkv", Recipe(codec_options={"bf": "0"}), "a.mkv ends early: it stops at 0.80 s of 1.20 s"),
        ("a.webm", Recipe(codec="libvpx-vp9"), "a.webm ends early: it stops at 0.80 s of 1.20 s"),
        ("a.flv", Recipe(codec_options={"bf": "0"}), "a.flv ends early: it stops at 0.80 s of 1.20 s"),
    ],
)
def test_a_cut_file_gives_what_it_has_and_then_says_so(tmp_path: Path, name: str, recipe: Recipe, says: str) -> None:
    path = cut_in_packet(make_video(tmp_path / name, recipe), 20)
    frames, message = read_until_lost(VideoSource(path))
    assert len(frames) == 20
    assert message == says
    # A part that lies before the cut is whole.
    assert len(read_all(VideoSource(path, end_seconds=0.2))) == 5
    # One that starts in the middle tells the time rather than a count.
    _, message = read_until_lost(VideoSource(path, start_seconds=0.2))
    assert message.startswith(f"{name} ends early: it stops at 0.")
    # One that starts behind the cut has nothing.
    assert "ends early" in why_not(path, start_seconds=1.1)


def test_a_recording_cut_within_a_fragment_says_so(tmp_path: Path) -> None:
    """What a recorder leaves behind that was killed while it wrote."""
    recipe = Recipe(gop=5, options={"movflags": "frag_keyframe+empty_moov"}, codec_options={"bf": "0"})
    path = cut_in_packet(make_video(tmp_path / "a.mp4", recipe), 17)
    frames, message = read_until_lost(VideoSource(path))
    assert numbers(frames) == list(range(17))
    assert message.startswith("a.mp4 ends early: 17 of ")


def test_every_whole_frame_before_the_cut_is_delivered(tmp_path: Path) -> None:
    """Nothing that the file holds is lost in the decoder when the last packet is only half there."""
    path = make_video(tmp_path / "a.mp4", Recipe(options=FASTSTART, frames=60))
    cut_in_packet(path, 40)
    source = VideoSource(path)
    frames, message = read_until_lost(source)
    assert len(frames) == 40
    assert "40 of 60 frames" in message
    assert source.skipped == 1


def test_headers_that_promise_too_much_are_no_cut(tmp_path: Path) -> None:
    """An AVI that claims 1000 frames but is whole, and a Matroska file that lost only its index at the end."""
    path = make_video(tmp_path / "a.avi", Recipe(codec="mjpeg", pixel_format="yuvj420p"))
    content = bytearray(path.read_bytes())
    length = content.index(b"strh") + 8 + 32
    assert content[length : length + 4] == (30).to_bytes(4, "little")
    content[length : length + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    assert len(read_all(VideoSource(path))) == 30

    path = make_video(tmp_path / "a.mkv")
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: content.rindex(b"\x1c\x53\xbb\x6b") + 2])  # the Cues element
    assert len(read_all(VideoSource(path))) == 30


class FailingDisk:
    """A container that gives ten packets and from then on an error."""

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self._left = 10

    def __getattr__(self, name: str) -> object:
        return getattr(self._container, name)

    def demux(self, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
        for packet in self._container.demux(stream):
            if not self._left:
                raise av.OSError(5, "Input/output error")
            self._left -= 1
            yield packet


def test_a_failing_disk_ends_the_video_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mp4")
    really_open = av.open
    monkeypatch.setattr(av, "open", lambda *given, **options: FailingDisk(really_open(*given, **options)))
    frames, message = read_until_lost(VideoSource(path))
    assert len(frames) == 10
    assert message == "a.mp4 could not be read to its end: Input/output error"


# ---- files that are no video


def test_one_line_says_what_is_wrong_with_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """FFmpeg itself stays silent, even where somebody has turned its own printing on."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(100_000))
    (tmp_path / "text.mp4").write_text("hello, this is no video\n" * 50)
    (tmp_path / "notes.txt").write_text("plain notes, one \x1b[1mbold\x1b[0m word, Wörter\n" * 500)
    (tmp_path / "latin.txt").write_bytes("Stra\xdfe, caf\xe9\r\n".encode("latin-1") * 50)
    (tmp_path / "wide.nfo").write_text("Grüße an alle\n" * 50, encoding="utf-16")
    (tmp_path / "subtitles.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    cases = {
        "missing.mp4": "does not exist",
        "empty.mp4": "is empty",
        "garbage.mp4": "is not a video",
        "text.mp4": "is a text file, not a video",
        "notes.txt": "is a text file, not a video",
        "latin.txt": "is not a video",
        "wide.nfo": "is a text file, not a video",
        "subtitles.srt": "is a text file, not a video",
        "list.m3u8": "is a text file, not a video",
    }
    cases[make_sound(tmp_path / "song.m4a", "aac").name] = "holds only sound"
    cases[make_wave(tmp_path / "song.wav").name] = "holds only sound"
    cases[add_cover(make_sound(tmp_path / "song.mp3", "libmp3lame")).name] = "holds only sound"
    cases[cut(make_video(tmp_path / "cut.mp4"), 0.5).name] = "is cut off or was never finished"
    cases[cut(make_video(tmp_path / "cut.mkv"), 0.02).name] = "is not a video"
    cases[spoil_packets(make_video(tmp_path / "spoilt.mp4"), range(30)).name] = "holds no picture that can be decoded"
    cases[replace_bytes(make_video(tmp_path / "coded.mp4"), b"avc1", b"zzzz").name] = "cannot decode"
    capfd.readouterr()
    av.logging.restore_default_callback()
    for name, says in cases.items():
        message = why_not(tmp_path / name)
        assert message.startswith(f"{tmp_path / name} ")
        assert says in message
    assert "is a folder" in why_not(tmp_path)
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")


def test_a_play_list_is_refused_even_in_disguise(tmp_path: Path) -> None:
    """It could name any file or address; the zero byte keeps it from being plain text."""
    make_video(tmp_path / "other.ts")
    for name, says in (("list.m3u8", "is a play list"), ("list.mp4", "is not a video")):
        lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", "other.ts", "#EXT-X-ENDLIST", "\0")
        (tmp_path / name).write_text("\n".join(lines))
        assert says in why_not(tmp_path / name)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read anything, so be somebody else for a moment
        os.seteuid(65534)
    try:
        message = why_not(path)
    finally:
        os.seteuid(user)
    assert "permission denied" in message


def test_a_named_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in why_not(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["a:b.mp4", "100%d.mp4", "zwölf 影片.mp4", "two\nlines.mp4", "-i.mp4", "pipe:0"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg takes names with colons for protocols and with percent signs for sequences; here as relative paths."""
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "plain.mp4", Recipe(frames=3)).rename(tmp_path / name)
    source = VideoSource(Path(name))
    assert len(read_all(source)) == 3
    assert "\n" not in source.info.name
    (tmp_path / name).write_bytes(b"")
    assert "is empty" in why_not(Path(name))


def test_a_title_in_another_encoding_does_not_matter(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", Recipe(frames=3, title="title in eights"))
    assert len(read_all(VideoSource(replace_bytes(path, b"title in eights", b"t\xeftle \xffn eights")))) == 3


def test_a_colour_matrix_that_swscale_does_not_know_costs_nothing(tmp_path: Path) -> None:
    """A frame that cannot be converted would be counted; one of an unknown matrix is taken for an ordinary one."""
    source = VideoSource(make_video(tmp_path / "a.mkv", Recipe(codec="ffv1", pixel_format="yuv444p", colorspace=8)))
    assert numbers(read_all(source)) == list(range(30))


def test_a_still_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), draw(3, 64, 48))
    assert numbers(read_all(VideoSource(tmp_path / "a.png"))) == [3]


# ---- pictures


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    order = ["a2.png", "A10.png", "b1.png", "b1_2.png", "img2.png", "img10.png"]
    for number, name in enumerate(order):
        cv2.imwrite(str(tmp_path / name), draw(number, 64, 48))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    source = ImagesSource(tmp_path, fps=4)
    frames = read_all(source)
    assert numbers(frames) == list(range(6))
    assert [frame.pts_seconds for frame in frames] == [0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert source.skipped == 0


def test_given_files_keep_their_order_and_sizes_and_bad_ones_are_counted(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), draw(1, 64, 48))
    cv2.imwrite(str(tmp_path / "a.jpg"), draw(2, 40, 80))
    (tmp_path / "bad.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:200])
    names = ["missing.png", "b.png", "bad.jpg", "a.jpg"]
    source = ImagesSource([tmp_path / name for name in names])
    frames = read_all(source)
    assert [(frame.picture.width, frame.picture.height) for frame in frames] == [(64, 48), (40, 80)]
    assert (numbers(frames), [frame.index for frame in frames], source.skipped) == ([1, 2], [0, 1], 2)


def test_no_picture_to_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(SourceOpenError, match="none of the 1 pictures"):
        ImagesSource(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceOpenError, match="empty holds no picture"):
        ImagesSource(tmp_path / "empty")
    with pytest.raises(SourceOpenError, match="cannot be read: No such file"):
        ImagesSource(tmp_path / "absent")
    with pytest.raises(SourceOpenError, match="no picture was given"):
        ImagesSource([])


@pytest.mark.parametrize("fps", [0, -1, float("inf"), float("nan"), 1e-9])
def test_an_impossible_rate_is_a_usage_error(tmp_path: Path, fps: float) -> None:
    with pytest.raises(UsageError, match="between"):
        ImagesSource(tmp_path, fps=fps)
    with pytest.raises(UsageError, match="between"):
        ArraysSource([draw(0, 8, 8)], fps=fps)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_by_its_exif_orientation(tmp_path: Path, orientation: int) -> None:
    """As the camera lay: undo what the orientation says was done, save it, and the upright picture comes back."""
    upright = draw(4, 64, 48)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored[:, :, ::-1])).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png").bgr(), upright)


def grey_ramp() -> UInt8:
    return np.tile(np.arange(256, dtype=np.uint8), (4, 1))


def save_16_bit(path: Path) -> None:
    Image.fromarray(grey_ramp().astype(np.uint16) * 257).save(path)


def save_palette(path: Path) -> None:
    Image.fromarray(grey_ramp()).convert("P").save(path)


def save_grey_and_alpha(path: Path) -> None:
    image = Image.fromarray(grey_ramp())
    image.putalpha(255)
    image.save(path)


def save_cmyk(path: Path) -> None:
    Image.fromarray(grey_ramp()).convert("RGB").convert("CMYK").save(path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.png", save_16_bit),
        ("a.tif", save_16_bit),
        ("a.gif", save_palette),
        ("a.png", save_grey_and_alpha),
        ("a.tif", save_cmyk),
    ],
)
def test_every_kind_of_photo_becomes_8_bit_colour(tmp_path: Path, name: str, save: Callable[[Path], None]) -> None:
    save(tmp_path / name)
    bgr = read_picture(tmp_path / name).bgr()
    assert bgr.shape == (4, 256, 3)
    assert np.abs(bgr.astype(int) - grey_ramp()[:, :, None]).max() <= 1


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    bgr = read_picture(tmp_path / "a.png").bgr()
    assert bgr[0, 0].tolist() == [30, 20, 10]
    assert bgr[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("side", [120, 200])
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both where Pillow only warns and where it refuses, twice the size on, and where warnings are shown as usual."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    Image.new("L", (side, side)).save(tmp_path / "a.png")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pytest.raises(SourceOpenError, match=r"a\.png has too many pixels"):
            read_picture(tmp_path / "a.png")
    assert not shown


@pytest.mark.parametrize("content", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_photo_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    """PostScript is refused unread: Pillow would hand it to another program."""
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(SourceOpenError, match=r"a\.jpg is not a picture that can be read"):
        read_picture(tmp_path / "a.jpg")
    with pytest.raises(SourceOpenError, match=r"b\.jpg cannot be read: No such file"):
        read_picture(tmp_path / "b.jpg")


@given(damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=20), data=st.data())
def test_a_damaged_photo_is_read_or_refused_but_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]], data: st.DataObject
) -> None:
    suffix = data.draw(st.sampled_from([".png", ".jpg", ".tiff", ".webp", ".bmp"]))
    done, encoded = cv2.imencode(suffix, draw(3, 32, 24))
    assert done
    content = bytearray(encoded.tobytes())
    for place, value in damage:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(SourceOpenError):
        assert read_picture(path).width > 0


# ---- arrays


def test_arrays_are_taken_one_at_a_time() -> None:
    taken: list[int] = []

    def produce() -> Iterator[UInt8]:
        for number in range(4):
            taken.append(number)
            yield draw(number, 16, 16)

    source = ArraysSource(produce())
    assert taken == [0]
    source.read()
    assert taken == [0]
    source.read()
    assert taken == [0, 1]


def test_an_array_may_be_filled_again() -> None:
    shared = np.zeros((8, 8, 3), np.uint8)

    def produce() -> Iterator[UInt8]:
        for number in range(3):
            shared[:] = number
            yield shared

    assert [int(frame.picture.bgr()[0, 0, 0]) for frame in read_all(ArraysSource(produce()))] == [0, 1, 2]


def test_views_and_strides_are_fine() -> None:
    stack = np.stack([draw(number, 32, 24) for number in range(3)])[:, ::-1, ::-1]
    source = ArraysSource(stack)
    assert source.info.frame_count == 3
    assert np.array_equal(read_all(source)[2].picture.bgr(), draw(2, 32, 24)[::-1, ::-1])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (np.zeros((4, 4), np.uint8), r"array 1 must be \(H, W, 3\) uint8 BGR, not uint8 of shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"not uint8 of shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "not float32 of shape"),
        (np.zeros((0, 4, 3), np.uint8), r"of shape \(0, 4, 3\)"),
        ("text", "not a str"),
    ],
)
def test_a_wrong_array_is_named_with_its_place(wrong: UInt8, says: str) -> None:
    source = ArraysSource([draw(0, 8, 8), wrong])
    assert source.read() is not None
    with pytest.raises(UsageError, match=says):
        source.read()
    assert source.read() is None
    with pytest.raises(UsageError, match="array 0"):
        ArraysSource([wrong])


def test_no_array_at_all_says_so() -> None:
    with pytest.raises(SourceOpenError, match="mine holds no array"):
        ArraysSource([], name="mine")
