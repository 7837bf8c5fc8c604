"""The video file that comes out: times, key frames, colours, sound, and what plays of it after every kind of end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.packet import Packet
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.pictures import BgrPicture, I420Picture
from streamer.sinks.files import PartFile
from streamer.sinks.movie import KeyFrames, Timeline
from streamer.sinks.video import Encoding, VideoSink
from streamer.types import Ending, Frame, FrameResult, SourceInfo

WIDTH, HEIGHT = 64, 48
TICK = Fraction(1, 12_800)
FAST = Encoding("ultrafast")


def info(tick: Fraction = TICK, fps: float = 25.0, aspect: Fraction = Fraction(1)) -> SourceInfo:
    return SourceInfo("source", "drawn", WIDTH, HEIGHT, fps, time_base=tick, sample_aspect_ratio=aspect)


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> BgrPicture:
    """Draw a bright square that moves over a ramp."""
    bgr = np.empty((height, width, 3), np.uint8)
    bgr[:] = np.linspace(30, 120, width, dtype=np.uint8)[None, :, None]
    left = 2 * index % max(width - 8, 1)
    bgr[height // 4 : height // 2, left : left + 8] = (40, 200, 240)
    return BgrPicture(bgr)


def frame(index: int, pts_seconds: float, drawn: BgrPicture | I420Picture | None = None) -> tuple[FrameResult, Canvas]:
    drawn = drawn or picture(index)
    return FrameResult(Frame(drawn, index, pts_seconds, 0.0, "source")), Canvas(drawn)


def write_all(sink: VideoSink, times: Sequence[float], source: SourceInfo | None = None) -> None:
    sink.open(source or info())
    for index, pts_seconds in enumerate(times):
        sink.write(*frame(index, pts_seconds))


def steady(count: int, first_seconds: float = 0.0) -> list[float]:
    return [first_seconds + index / 25 for index in range(count)]


@dataclass(frozen=True)
class Played:
    """A video file as a player sees it."""

    pts_seconds: list[float]
    key_seconds: list[float]
    frames: list[av.VideoFrame]


def play(path: Path) -> Played:
    """Decode all pictures up to where the file breaks off."""
    times, keys, frames = [], [], []
    with av.open(path) as file:
        stream = file.streams.video[0]
        try:
            for packet in file.demux(stream):
                for shown in packet.decode():
                    frames.append(shown)
                    times.append(shown.time)
                    if shown.key_frame:
                        keys.append(times[-1])
        except av.error.InvalidDataError:
            pass  # the last packet of a cut file
    return Played(times, keys, frames)


def sound(path: Path) -> list[Packet[AudioStream]]:
    with av.open(path) as file:
        return [packet for packet in file.demux(file.streams.audio[0]) if packet.size]


def begins(packets: list[Packet[AudioStream]]) -> list[float]:
    return [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]


def click_seconds(path: Path, wanted_channel: int = 0) -> list[float]:
    """Return when each click begins in the sound as it is played."""
    pieces, rate, start = [], 0, None
    with av.open(path) as file:
        for decoded in file.decode(audio=0):
            start = decoded.time if start is None else start
            rate = decoded.sample_rate
            samples = decoded.to_ndarray().astype(np.float64)
            pieces.append(samples[wanted_channel] if len(samples) > 1 else samples[0, :: decoded.layout.nb_channels])
    assert start is not None
    wave = np.abs(np.concatenate(pieces))
    loud = np.flatnonzero(wave > wave.max() / 2)
    firsts = loud[np.insert(np.diff(loud) > rate // 10, 0, True)]
    return [float(first / rate + start) for first in firsts]


@dataclass(frozen=True)
class Sound:
    """The sound of a made-up source: silence with a short tone at every `click_seconds`."""

    codec: str = "aac"
    rate: int = 48_000
    layout: str = "mono"
    begins_seconds: float = 0.0
    seconds: float = 4.0
    clicks_seconds: tuple[float, ...] = (0.5, 1.6, 2.4, 3.5)

    def frames(self, sample_format: str) -> Iterator[av.AudioFrame]:
        at = self.begins_seconds + np.arange(round(self.seconds * self.rate)) / self.rate
        wave = np.zeros(len(at), np.float32)
        for click in self.clicks_seconds:
            wave += ((at >= click) & (at < click + 0.05)) * 0.8 * np.cos((at - click) * 2 * np.pi * 1000)
        for first in range(0, len(wave), 1024):
            mono = av.AudioFrame.from_ndarray(wave[None, first : first + 1024].astype(np.float32), "fltp", "mono")
            mono.sample_rate, mono.pts = self.rate, first + round(self.begins_seconds * self.rate)
            mono.time_base = Fraction(1, self.rate)
            yield from av.AudioResampler(sample_format, self.layout, self.rate).resample(mono)


def make_source(path: Path, sound: Sound | None, *, frames: int = 100, first_seconds: float = 0.0) -> Path:
    """Write a video of `frames` pictures at 25 fps with `sound`."""
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height = WIDTH, HEIGHT
        video.codec_context.time_base = TICK
        heard: list[Packet[AudioStream]] = []
        if sound is not None:
            audio = file.add_stream(sound.codec, rate=sound.rate, options={"strict": "experimental"})
            assert isinstance(audio, AudioStream)
            audio.layout = sound.layout
            audio.codec_context.open()
            resampler = av.AudioResampler(audio.format, sound.layout, sound.rate, audio.frame_size or 1024)
            for decoded in sound.frames(audio.format.name):
                for piece in resampler.resample(decoded):
                    heard += audio.encode(piece)
            heard += audio.encode(None)
        for index in range(frames):
            shown = av.VideoFrame.from_ndarray(picture(index).bgr(), "bgr24").reformat(format="yuv420p")
            shown.pts, shown.time_base = round((first_seconds + index / 25) / TICK), TICK
            file.mux(video.encode(shown))
        file.mux(video.encode(None))
        file.mux(heard)
    return path


class TestTimes:
    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".MP4"])
    @pytest.mark.parametrize("tick", [TICK, Fraction(1001, 30_000), Fraction(1, 90_000), Fraction(1, 1000)])
    @pytest.mark.parametrize("first", [0, 1, 7])
    def test_every_frame_keeps_its_time_exactly(self, tmp_path: Path, suffix: str, tick: Fraction, first: int) -> None:
        ticks = [first + sum(1 + index % 5 for index in range(count)) for count in range(40)]
        sink = VideoSink(tmp_path / f"out{suffix}")
        write_all(sink, [float(count * tick) for count in ticks], info(tick, fps=30.0))
        sink.close(Ending.COMPLETE)
        played = play(tmp_path / f"out{suffix}")
        assert played.pts_seconds == pytest.approx([float(count * tick) for count in ticks], abs=1e-9)

    def test_matroska_keeps_times_to_the_millisecond(self, tmp_path: Path) -> None:
        times = [(3 + index) * 1001 / 30_000 for index in range(40)]
        sink = VideoSink(tmp_path / "out.mkv")
        write_all(sink, times, info(Fraction(1001, 30_000)))
        sink.close(Ending.COMPLETE)
        assert play(tmp_path / "out.mkv").pts_seconds == pytest.approx(times, abs=0.0005001)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_times_that_stand_still_or_go_back_come_out_strictly_increasing(self, tmp_path: Path, suffix: str) -> None:
        times = [0.0, 0.04, 0.04, 0.02, 5.0, 1.0, 1.04, 1300.0, 1300.0, 6.0, 1301.0]
        sink = VideoSink(tmp_path / f"out{suffix}")
        write_all(sink, times)
        sink.close(Ending.COMPLETE)
        played = play(tmp_path / f"out{suffix}").pts_seconds
        assert len(played) == len(times)
        assert (np.diff(played) > 0).all()
        assert played[4] == pytest.approx(5.0)
        assert played[-1] == pytest.approx(1301.0)

    @given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50), st.sampled_from([TICK, Fraction(1, 25)]))
    def test_a_timeline_always_advances_and_is_exact_where_it_can_be(self, times: list[float], tick: Fraction) -> None:
        timeline = Timeline(tick, 0)
        placed = [timeline.place(time) for time in times]
        assert all(later > earlier for earlier, later in pairwise(placed))
        rising = sorted({round(time / float(tick)) for time in times})
        exact = Timeline(tick, 0)
        assert [exact.place(float(count * tick)) for count in rising] == rising

    def test_a_run_that_began_inside_the_source_starts_at_zero(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4", start_seconds=9.99)
        write_all(sink, steady(20, 10.0))
        sink.close(Ending.COMPLETE)
        assert play(tmp_path / "out.mp4").pts_seconds == pytest.approx(steady(20), abs=1e-4)

    def test_the_last_frame_is_shown_as_long_as_the_declared_rate_says(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        write_all(sink, steady(30))
        sink.close(Ending.COMPLETE)
        with av.open(tmp_path / "out.mp4") as file:
            stream = file.streams.video[0]
            assert stream.duration is not None
            assert stream.time_base is not None
            assert float(stream.duration * stream.time_base) == pytest.approx(30 / 25)
            assert stream.average_rate == 25


class TestKeyFrames:
    @pytest.mark.parametrize("fps", [25.0, 7.0, 240.0])
    def test_no_two_key_frames_are_more_than_two_seconds_apart(self, tmp_path: Path, fps: float) -> None:
        sink = VideoSink(tmp_path / "out.mp4", encoding=FAST)
        write_all(sink, [index / fps for index in range(int(7 * fps))], info(fps=fps))
        sink.close(Ending.COMPLETE)
        played = play(tmp_path / "out.mp4")
        gaps = np.diff([*played.key_seconds, played.pts_seconds[-1]])
        assert gaps.max() <= 2.0 + 1e-4
        assert len(played.key_seconds) < 12

    @settings(max_examples=200)
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=200))
    def test_at_a_variable_rate_only_an_unforeseen_gap_parts_them_further(self, steps: list[int]) -> None:
        """The next frame is expected as far off as the previous one; what it lies further off is not foreseen."""
        keys = KeyFrames(Fraction(1, 25))
        ticks = np.cumsum([0, *steps])
        last_key = 0
        for index, tick in enumerate(ticks):
            if keys.is_due(int(tick)):
                last_key = int(tick)
            elif index + 1 < len(ticks):
                unforeseen = max(steps[index] - steps[index - 1], 0)
                assert ticks[index + 1] - last_key <= 50 + unforeseen


class TestPictures:
    def test_what_is_drawn_is_what_is_seen(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4", encoding=Encoding("superfast", crf=10))
        drawn = [frame(index, index / 25) for index in range(10)]
        sink.open(info())
        for result, canvas in drawn:
            sink.write(result, canvas)
        sink.close(Ending.COMPLETE)
        for (_, canvas), seen in zip(drawn, play(tmp_path / "out.mp4").frames, strict=True):
            error = seen.to_ndarray()[:HEIGHT].astype(float) - canvas.y
            assert np.abs(error).mean() < 2  # crf 10 is all but lossless

    def test_a_canvas_that_is_drawn_on_later_is_seen_as_it_was_written(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4", encoding=Encoding("veryfast"))  # holds frames back to look ahead
        sink.open(info())
        for index in range(30):
            result, canvas = frame(index, index / 25)
            sink.write(result, canvas)
            canvas.y[:] = 235
        sink.close(Ending.COMPLETE)
        assert max(seen.to_ndarray()[:HEIGHT].mean() for seen in play(tmp_path / "out.mp4").frames) < 150

    @pytest.mark.parametrize("is_bt709", [True, False])
    def test_colours_and_pixel_shape_are_declared(self, tmp_path: Path, is_bt709: bool) -> None:
        grey = np.full((24, 32), 128, np.uint8)
        sink = VideoSink(tmp_path / "out.mp4")
        sink.open(info(aspect=Fraction(4, 3)))
        sink.write(*frame(0, 0.0, I420Picture(np.full((48, 64), 90, np.uint8), grey, grey, is_bt709=is_bt709)))
        sink.close(Ending.COMPLETE)
        (seen,) = play(tmp_path / "out.mp4").frames
        number = 1 if is_bt709 else 6
        assert (seen.colorspace, seen.color_primaries, seen.color_trc, seen.color_range) == (number, number, number, 1)
        with av.open(tmp_path / "out.mp4") as file:
            codec = file.streams.video[0].codec_context
            assert codec.sample_aspect_ratio == Fraction(4, 3)
            assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")

    @pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (65, 47), (1280, 8)])
    def test_any_size_can_be_written(self, tmp_path: Path, width: int, height: int) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        sink.open(info())
        for index in range(3):
            sink.write(*frame(index, index / 25, picture(index, width, height)))
        sink.close(Ending.COMPLETE)
        seen = play(tmp_path / "out.mp4").frames[2]
        assert (seen.width, seen.height) == (width + width % 2, height + height % 2)

    @pytest.mark.parametrize(("width", "height"), [(128, 48), (20, 48), (256, 192), (2, 400)])
    def test_another_size_is_fitted_into_the_first_with_black_borders_and_said_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, width: int, height: int
    ) -> None:
        sink = VideoSink(tmp_path / "out.mp4", encoding=Encoding(crf=1))
        sink.open(info())
        sink.write(*frame(0, 0.0))
        white = BgrPicture(np.full((height, width, 3), 255, np.uint8))
        for index in (1, 2):
            sink.write(*frame(index, index / 25, white))
        sink.close(Ending.COMPLETE)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert f"to {width} × {height}" in record.getMessage()
        seen = play(tmp_path / "out.mp4").frames[2].to_ndarray()[:HEIGHT]
        rows, columns = np.flatnonzero(seen.max(axis=1) > 120), np.flatnonzero(seen.max(axis=0) > 120)
        scale = min(WIDTH / width, HEIGHT / height)
        assert len(columns) == pytest.approx(max(width * scale, 2), abs=1.01)
        assert len(rows) == pytest.approx(max(height * scale, 2), abs=1.01)
        assert rows[0] == pytest.approx(HEIGHT - 1 - rows[-1], abs=2)
        assert columns[0] == pytest.approx(WIDTH - 1 - columns[-1], abs=2)

    def test_a_missing_canvas_is_the_callers_mistake(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        sink.open(info())
        with pytest.raises(ValueError, match="canvas"):
            sink.write(frame(0, 0.0)[0], None)
        sink.close(Ending.FAILED)

    def test_no_more_threads_encode_than_were_allowed(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4", encoding=Encoding(threads=3))
        sink.open(info())
        for index in range(5):
            sink.write(*frame(index, index / 25, picture(index, 640, 480)))
        sink.close(Ending.COMPLETE)
        assert b" threads=3 " in (tmp_path / "out.mp4").read_bytes()  # x264 writes its settings into the stream

    def test_another_ending_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match=r"\.mp4, \.mov, \.mkv"):
            VideoSink(tmp_path / "out.avi")

    @pytest.mark.parametrize(
        ("preset", "crf", "threads"), [("quick", 23, 0), ("fast", 52, 0), ("fast", -1, 0), ("fast", 23, -1)]
    )
    def test_an_encoding_that_x264_does_not_know_is_refused(self, preset: str, crf: int, threads: int) -> None:
        with pytest.raises(ValueError, match=r"preset|crf|threads"):
            Encoding(preset, crf, threads)


class TestSound:
    @pytest.mark.parametrize(
        ("codec", "source", "suffix"),
        [
            ("aac", ".mp4", ".mp4"),
            ("aac", ".mp4", ".mov"),
            ("aac", ".mp4", ".mkv"),
            ("aac", ".ts", ".mkv"),
            ("aac", ".ts", ".mp4"),
            ("aac", ".mkv", ".mp4"),
            ("ac3", ".mkv", ".mp4"),
            ("libmp3lame", ".mp4", ".mp4"),
            ("libopus", ".mkv", ".mp4"),
            ("flac", ".mkv", ".mp4"),
            ("pcm_s16le", ".mov", ".mov"),
            ("vorbis", ".mkv", ".mkv"),
        ],
    )
    def test_packets_are_copied_unchanged_and_in_sync(
        self, tmp_path: Path, codec: str, source: str, suffix: str
    ) -> None:
        original = make_source(tmp_path / f"in{source}", Sound(codec, layout="stereo"))
        sink = VideoSink(tmp_path / f"out{suffix}", audio_from=original, encoding=FAST)
        write_all(sink, steady(100))
        sink.close(Ending.COMPLETE)
        with av.open(original) as file:
            video = file.streams.video[0]
            assert video.start_time is not None
            assert video.time_base is not None
            start = float(video.start_time * video.time_base)
        packets = sound(original)
        # An encoder's run-up lies before 0, which Matroska cannot hold. MPEG-TS puts 7 bytes before every packet.
        kept = [packet for packet, at in zip(packets, begins(packets), strict=True) if at >= start]
        header = 7 if source == ".ts" else 0
        wanted = [bytes(packet)[header:] for packet in (kept if suffix == ".mkv" else packets)]
        assert [bytes(packet) for packet in sound(tmp_path / f"out{suffix}")] == wanted
        heard = [seconds - start for seconds in click_seconds(original)]
        assert click_seconds(tmp_path / f"out{suffix}") == pytest.approx(heard, abs=0.003)
        assert play(tmp_path / f"out{suffix}").pts_seconds == pytest.approx(steady(100), abs=1e-9)

    @pytest.mark.parametrize(
        ("codec", "layout", "rate"),
        [("pcm_s16le", "stereo", 48_000), ("vorbis", "stereo", 44_100), ("pcm_s16le", "5.1", 37_000)],
    )
    def test_what_the_container_cannot_hold_becomes_aac_in_sync(
        self, tmp_path: Path, codec: str, layout: str, rate: int
    ) -> None:
        original = make_source(tmp_path / "in.mkv", Sound(codec, rate, layout))
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, steady(100))
        sink.close(Ending.COMPLETE)
        with av.open(tmp_path / "out.mp4") as file:
            codec_context = file.streams.audio[0].codec_context
            assert codec_context.name == "aac"
            assert codec_context.layout.name == ("mono" if layout == "mono" else "stereo")
        assert click_seconds(tmp_path / "out.mp4") == pytest.approx([0.5, 1.6, 2.4, 3.5], abs=0.003)

    @pytest.mark.parametrize("first_seconds", [0.0, 2.0])
    @pytest.mark.parametrize("begins_seconds", [0.25, 1.0])
    def test_sound_and_pictures_that_begin_apart_stay_apart(
        self, tmp_path: Path, first_seconds: float, begins_seconds: float
    ) -> None:
        """Frames count from the video stream's start, wherever in the file that and the start of the sound lie."""
        original = make_source(
            tmp_path / "in.mp4", Sound(begins_seconds=begins_seconds, seconds=5.0), first_seconds=first_seconds
        )
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, steady(100))
        sink.close(Ending.COMPLETE)
        assert play(tmp_path / "out.mp4").pts_seconds == pytest.approx(steady(100), abs=1e-9)
        expected = [
            click - first_seconds for click in (0.5, 1.6, 2.4, 3.5) if click > max(first_seconds, begins_seconds)
        ]
        heard = [click for click in click_seconds(tmp_path / "out.mp4") if click >= 0.1]
        assert heard == pytest.approx(expected, abs=0.005)

    @pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
    def test_sound_is_cut_to_the_part_that_was_asked_for(self, tmp_path: Path, codec: str) -> None:
        original = make_source(tmp_path / "in.mkv", Sound(codec))
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, start_seconds=1.0, end_seconds=3.0, encoding=FAST)
        write_all(sink, steady(50, 1.0))
        sink.close(Ending.COMPLETE)
        assert click_seconds(tmp_path / "out.mp4") == pytest.approx([0.6, 1.4], abs=0.005)
        times = begins(sound(tmp_path / "out.mp4"))
        assert times[0] == pytest.approx(0.0, abs=0.025)
        assert times[-1] == pytest.approx(2.0, abs=0.045)

    def test_sound_whose_times_stand_still_is_kept(self, tmp_path: Path) -> None:
        """Matroska allows equal times, MP4 does not."""
        with av.open(tmp_path / "in.mkv", "w") as file:
            stream = file.add_stream("ac3", rate=48_000)
            for decoded in Sound(seconds=1.0).frames("fltp"):
                for packet in stream.encode(decoded):
                    packet.pts = packet.dts = (packet.pts or 0) // 9600 * 9600
                    file.mux(packet)
        sink = VideoSink(tmp_path / "out.mp4", audio_from=tmp_path / "in.mkv", encoding=FAST)
        write_all(sink, steady(25))
        sink.close(Ending.COMPLETE)
        copied = sound(tmp_path / "out.mp4")
        assert [bytes(packet) for packet in copied] == [bytes(packet) for packet in sound(tmp_path / "in.mkv")]
        assert (np.diff(begins(copied)) > 0).all()

    def test_sound_of_a_complete_run_goes_on_to_its_own_end(self, tmp_path: Path) -> None:
        original = make_source(tmp_path / "in.mp4", Sound())
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, steady(25))
        sink.close(Ending.COMPLETE)
        assert len(sound(tmp_path / "out.mp4")) == len(sound(original))

    def test_sound_of_an_interrupted_run_ends_with_the_pictures(self, tmp_path: Path) -> None:
        original = make_source(tmp_path / "in.mp4", Sound())
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, steady(25))
        sink.close(Ending.INTERRUPTED)
        assert begins(sound(tmp_path / "out.mp4"))[-1] == pytest.approx(1.0, abs=0.025)
        assert not open_files(tmp_path)

    def test_sound_that_ends_early_or_begins_late_holds_no_pictures_back(self, tmp_path: Path) -> None:
        """An hour of silence must not gather in memory: what was written is in the file, but for the last 2 s."""
        original = make_source(tmp_path / "in.mp4", Sound(seconds=0.5), frames=3)
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, steady(250))
        assert play(tmp_path / "out.part.mp4").pts_seconds[-1] >= 10 - 2 - 1
        sink.close(Ending.COMPLETE)

    def test_a_source_without_sound_makes_a_video_without_sound(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        original = make_source(tmp_path / "in.mp4", None, frames=3)
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original)
        write_all(sink, steady(3))
        sink.close(Ending.COMPLETE)
        with av.open(tmp_path / "out.mp4") as file:
            assert not file.streams.audio
        assert not caplog.records

    def test_sound_that_cannot_be_read_costs_one_warning_and_not_the_video(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "in.mp4").write_text("not a video")
        sink = VideoSink(tmp_path / "out.mp4", audio_from=tmp_path / "in.mp4")
        write_all(sink, steady(5))
        sink.close(Ending.COMPLETE)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "in.mp4" in record.getMessage()
        assert len(play(tmp_path / "out.mp4").frames) == 5

    def test_sound_that_breaks_off_costs_one_warning_and_not_the_video(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        original = make_source(tmp_path / "in.mkv", Sound("vorbis", layout="stereo"))
        content = bytearray(original.read_bytes())
        for packet in sound(original)[20:]:
            where = content.find(bytes(packet))
            content[where : where + packet.size] = b"\xff" * packet.size
        original.write_bytes(content)
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, steady(100))
        sink.close(Ending.COMPLETE)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert len(play(tmp_path / "out.mp4").frames) == 100

    @pytest.mark.shared_data
    def test_a_real_video_keeps_its_sound_and_its_times(self, tmp_path: Path, shared_data: Path) -> None:
        original = shared_data / "videos" / "crowd_1080p.mp4"
        times = play_times(original)
        sink = VideoSink(tmp_path / "out.mp4", audio_from=original, encoding=FAST)
        write_all(sink, times)
        sink.close(Ending.COMPLETE)
        assert play(tmp_path / "out.mp4").pts_seconds == times
        copied, packets = sound(tmp_path / "out.mp4"), sound(original)
        assert [bytes(packet) for packet in copied] == [bytes(packet) for packet in packets]
        # A container's clock is no finer than 0.1 ms here; a sample is 0.02 ms.
        assert begins(copied) == pytest.approx(begins(packets), abs=1e-4)


def play_times(path: Path) -> list[float]:
    """Return when each picture is shown, without decoding."""
    with av.open(path) as file:
        stream = file.streams.video[0]
        return sorted(float(packet.pts * packet.time_base) for packet in file.demux(stream) if packet.pts is not None)


def open_files(folder: Path) -> list[str]:
    """Return what this process holds open under `folder`; nothing on systems that do not say."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return []
    held = [str(path.readlink()) for path in descriptors.iterdir() if path.is_symlink()]
    return [name for name in held if name.startswith(str(folder))]


class TestEnds:
    def test_an_interrupted_run_plays_to_its_last_frame(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        write_all(sink, steady(33))
        sink.close(Ending.FAILED)
        assert len(play(tmp_path / "out.part.mp4").frames) == 33
        assert not open_files(tmp_path)

    def test_a_finished_file_is_an_ordinary_mp4(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4", encoding=FAST)
        write_all(sink, steady(150))
        sink.close(Ending.COMPLETE)
        content = (tmp_path / "out.mp4").read_bytes()
        boxes, at = [], 0
        while at < len(content):
            size = int.from_bytes(content[at : at + 4], "big")
            boxes.append(content[at + 4 : at + 8])
            at += size if size > 1 else int.from_bytes(content[at + 8 : at + 16], "big")
        assert boxes.count(b"moov") == 1
        assert b"moof" not in boxes
        assert not open_files(tmp_path)

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
    def test_all_but_the_last_two_seconds_play_while_it_is_being_written(self, tmp_path: Path, suffix: str) -> None:
        sink = VideoSink(tmp_path / f"out{suffix}", encoding=FAST)
        write_all(sink, steady(200))
        played = play(tmp_path / f"out.part{suffix}").pts_seconds
        assert played == pytest.approx(steady(len(played)), abs=1e-9)
        assert played[-1] >= 8 - 2 - 0.2  # one group of pictures, and what the encoder holds
        sink.close(Ending.COMPLETE)

    def test_nothing_is_left_of_a_run_without_a_frame(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "out.mp4")
        sink.open(info())
        assert (tmp_path / "out.part.mp4").exists()
        sink.close(Ending.FAILED)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("room", [0, 10_000, 60_000])
    def test_a_full_disk_is_one_line_and_what_was_written_plays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
    ) -> None:
        plain = PartFile.write

        def limited(part: PartFile, chunk: bytes) -> int:
            fits = chunk[: max(room - part.tell(), 0)]
            if len(fits) == len(chunk):
                return plain(part, chunk)
            plain(part, fits)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(PartFile, "write", limited)
        sink = VideoSink(tmp_path / "out.mp4", encoding=Encoding(crf=5))
        with pytest.raises(SinkError, match=r"out\.mp4: no space left on device; free some space") as caught:
            write_all(sink, steady(1000))
        assert "\n" not in str(caught.value)
        with pytest.raises(SinkError):
            sink.write(*frame(0, 100.0))
        sink.close(Ending.FAILED)
        assert not open_files(tmp_path)
        assert not (tmp_path / "out.mp4").exists()
        if room == 0:
            assert not list(tmp_path.iterdir())
        if room > 50_000:
            played = play(tmp_path / "out.part.mp4").pts_seconds
            assert len(played) >= 50
            assert played == pytest.approx(steady(len(played)), abs=1e-9)

    def test_a_disk_that_is_full_at_the_very_end_leaves_a_part_file_that_plays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain, is_full = PartFile.write, False

        def write(part: PartFile, chunk: bytes) -> int:
            if is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return plain(part, chunk)

        monkeypatch.setattr(PartFile, "write", write)
        sink = VideoSink(tmp_path / "out.mp4", encoding=FAST)
        write_all(sink, steady(130))
        is_full = True
        with pytest.raises(SinkError, match="no space left"):
            sink.close(Ending.COMPLETE)
        assert not open_files(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["out.part.mp4"]
        assert len(play(tmp_path / "out.part.mp4").frames) >= 100

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a file system of a fixed size")
    def test_a_disk_that_is_really_full_gives_its_space_back(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", 100) as disk:
            sink = VideoSink(disk / "out.mp4", encoding=Encoding(crf=5))
            with pytest.raises(SinkError, match="no space left on device"):
                write_all(sink, steady(2000))
            sink.close(Ending.FAILED)
            assert len(play(disk / "out.part.mp4").frames) >= 50
            (disk / "out.part.mp4").unlink()
            assert os.statvfs(disk).f_bavail == os.statvfs(disk).f_blocks
        assert not open_files(tmp_path)

    def test_a_killed_run_leaves_all_but_the_last_group_of_pictures(self, tmp_path: Path) -> None:
        original = make_source(tmp_path / "in.mp4", Sound(seconds=9.0), frames=210)
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "out.mp4"), str(original)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"written"
            process.kill()
        assert process.returncode == -signal.SIGKILL
        played = play(tmp_path / "out.part.mp4").pts_seconds
        assert played == pytest.approx(steady(len(played)), abs=1e-9)
        assert played[-1] >= 8.4 - 2 - 0.2
        heard = sound(tmp_path / "out.part.mp4")
        assert [bytes(packet) for packet in heard] == [bytes(packet) for packet in sound(original)][: len(heard)]
        assert begins(heard)[-1] >= 8.4 - 2 - 0.2


_WRITER = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from streamer.canvas import Canvas
from streamer.pictures import BgrPicture
from streamer.sinks.video import VideoSink
from streamer.types import Frame, FrameResult, SourceInfo
sink = VideoSink(Path(sys.argv[1]), audio_from=Path(sys.argv[2]))
sink.open(SourceInfo("source", "x", 64, 48, 25.0, time_base=Fraction(1, 12800)))
for index in range(210):
    picture = BgrPicture(np.full((48, 64, 3), index, np.uint8))
    sink.write(FrameResult(Frame(picture, index, index / 25, 0.0, "source")), Canvas(picture))
print("written", flush=True)
sys.stdin.read()
"""


@contextmanager
def small_disk(where: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system in memory; skip the test where that is not permitted."""
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(where)]
    try:
        permitted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        permitted = False
    if not permitted:
        pytest.skip("mounting is not permitted here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


class TestThePathOfAFrame:
    def test_a_decoded_picture_goes_to_two_encoders_at_times_of_their_own(self, tmp_path: Path) -> None:
        """The decoder's frame is not copied, and yet keeps nothing of what one encoder was told."""
        source = VideoSink(tmp_path / "source.mp4")
        write_all(source, steady(9))
        source.close(Ending.COMPLETE)
        decoded = [
            I420Picture(*(np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1)[:, : p.width] for p in f.planes))
            for f in play(tmp_path / "source.mp4").frames
        ]
        sinks = [VideoSink(tmp_path / name) for name in ("a.mp4", "b.mp4")]
        for sink, step in zip(sinks, (0.04, 0.5), strict=True):
            sink.open(info())
            for index, shown in enumerate(decoded):
                result = FrameResult(Frame(shown, index, index * step, 0.0, "source"))
                sink.write(result, Canvas.untouched(shown))
        for sink in sinks:
            sink.close(Ending.COMPLETE)
        assert play(tmp_path / "a.mp4").pts_seconds == pytest.approx([index * 0.04 for index in range(9)])
        assert play(tmp_path / "b.mp4").pts_seconds == pytest.approx([index * 0.5 for index in range(9)])

    def test_copied_or_not_the_bytes_are_the_same(self, tmp_path: Path) -> None:
        drawn = [Canvas(picture(index)).picture() for index in range(9)]
        for name, make in (("copied.mp4", Canvas), ("shared.mp4", Canvas.untouched)):
            sink = VideoSink(tmp_path / name)
            sink.open(info())
            for index, shown in enumerate(drawn):
                sink.write(FrameResult(Frame(shown, index, index / 25, 0.0, "source")), make(shown))
            sink.close(Ending.COMPLETE)
        assert (tmp_path / "copied.mp4").read_bytes() == (tmp_path / "shared.mp4").read_bytes()

    def test_planes_in_memory_that_nobody_may_write_are_encoded_too(self, tmp_path: Path) -> None:
        planes = [
            np.frombuffer(bytes([level]) * size, np.uint8).reshape(shape)
            for level, size, shape in ((90, 64 * 48, (48, 64)), (128, 32 * 24, (24, 32)), (128, 32 * 24, (24, 32)))
        ]
        shown = I420Picture(*planes)
        sink = VideoSink(tmp_path / "out.mp4")
        sink.open(info())
        sink.write(FrameResult(Frame(shown, 0, 0.0, 0.0, "source")), Canvas.untouched(shown))
        sink.close(Ending.COMPLETE)
        assert abs(int(play(tmp_path / "out.mp4").frames[0].to_ndarray()[10, 10]) - 90) <= 2
