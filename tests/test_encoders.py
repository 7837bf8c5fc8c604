"""The choice of an encoder: x264 for real, hardware by stand-ins; each is asked for what x264's settings mean."""

from __future__ import annotations

import logging
import time
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest

from streamer import cli
from streamer.build import encoding
from streamer.canvas import Canvas
from streamer.config import load_config
from streamer.errors import SinkError, UsageError
from streamer.pictures import I420Picture
from streamer.settings import Encoder
from streamer.sinks import encoders
from streamer.sinks.encoders import (
    HARDWARE,
    SOFTWARE,
    EncoderName,
    Encoding,
    check_encoder,
    choose_encoder,
    encoder_options,
    encoder_problem,
    hardware_memory,
    pixel_format,
)
from streamer.sinks.video import VideoSink
from streamer.types import Ending, Frame, FrameResult, SourceInfo

AUTO = Encoding(encoder="auto")
SIZE = (320, 240)


class Machine:
    """A machine on which only some encoders work; counts how often it is asked."""

    def __init__(self, *working: str, smallest: int = 0) -> None:
        self.working, self.smallest, self.asked = working, smallest, 0

    def encoder_problem(self, encoder: str, _encoding: Encoding, size: tuple[int, int] = (640, 360)) -> str | None:
        self.asked += 1
        return None if encoder in self.working and size[0] >= self.smallest else "there is none"


def use(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "encoder_problem", machine.encoder_problem)


def write(path: Path, how: Encoding) -> bytes:
    sink = VideoSink(path, encoding=how)
    sink.open(SourceInfo("source", "drawn", *SIZE, 25.0, time_base=Fraction(1, 25)))
    rng = np.random.default_rng(0)
    half = np.full((SIZE[1] // 2, SIZE[0] // 2), 128, np.uint8)
    for index in range(5):
        drawn = I420Picture(rng.integers(16, 236, (SIZE[1], SIZE[0]), dtype=np.uint8), half, half)
        sink.write(FrameResult(Frame(drawn, index, index / 25, 0.0, "source")), Canvas(drawn))
    sink.close(Ending.COMPLETE)
    return path.read_bytes()


class TestChoice:
    def test_auto_takes_the_first_hardware_that_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use(Machine("h264_qsv", "h264_vaapi"), monkeypatch)
        assert choose_encoder(AUTO, SIZE) == "h264_vaapi"

    def test_auto_takes_x264_where_no_hardware_works(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        use(Machine(), monkeypatch)
        with caplog.at_level(logging.INFO):
            assert choose_encoder(AUTO, SIZE) == SOFTWARE
        assert caplog.messages == []

    def test_auto_takes_x264_for_pictures_that_the_hardware_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use(Machine("h264_nvenc", smallest=160), monkeypatch)
        assert choose_encoder(AUTO, (128, 96)) == SOFTWARE
        assert choose_encoder(AUTO, (160, 120)) == "h264_nvenc"

    def test_x264_is_taken_untried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine = Machine()
        use(machine, monkeypatch)
        check_encoder(Encoding())
        check_encoder(AUTO)
        assert choose_encoder(Encoding(), SIZE) == SOFTWARE
        assert machine.asked == 0

    @pytest.mark.parametrize("encoder", HARDWARE)
    def test_an_encoder_asked_for_that_does_not_work_is_refused_in_one_line(
        self, encoder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(Machine(), monkeypatch)
        with pytest.raises(UsageError, match=rf"^encoder {encoder}: there is none; use auto \(--encoder.*$"):
            check_encoder(Encoding(encoder=encoder))

    def test_an_encoder_asked_for_that_refuses_the_size_stops_the_run_before_its_first_frame(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        use(Machine("h264_nvenc", smallest=400), monkeypatch)
        forced = Encoding(encoder="h264_nvenc")
        check_encoder(forced)
        sink = VideoSink(tmp_path / "out.mp4", encoding=forced)
        with pytest.raises(SinkError, match="pictures of 320 × 240: encoder h264_nvenc"):
            sink.open(SourceInfo("source", "drawn", 319, 239, 25.0))
        assert list(tmp_path.iterdir()) == []

    def test_an_unknown_encoder_is_the_callers_mistake(self) -> None:
        with pytest.raises(ValueError, match="encoder must be one of auto, libx264"):
            Encoding(encoder="mpeg2video")


class TestOptions:
    @pytest.mark.parametrize("encoder", [SOFTWARE, *HARDWARE])
    def test_every_encoder_that_this_build_has_takes_the_pixels_it_is_given(self, encoder: str) -> None:
        if encoder not in av.codecs_available:
            pytest.skip(f"this FFmpeg has no {encoder}")
        formats = av.Codec(encoder, "w").video_formats or ()
        assert pixel_format(encoder) in [known.name for known in formats] or hardware_memory(encoder) is not None

    @pytest.mark.parametrize(
        ("encoder", "key"),
        [
            ("libx264", "crf"),
            ("h264_nvenc", "cq"),
            ("h264_vaapi", "qp"),
            ("h264_qsv", "global_quality"),
            ("h264_amf", "qp_p"),
        ],
    )
    def test_a_higher_crf_is_a_coarser_quantiser(self, encoder: str, key: str) -> None:
        steps = [int(encoder_options(encoder, Encoding(crf=crf))[key]) for crf in (1, 18, 23, 51)]
        assert steps == [1, 18, 23, 51]

    @pytest.mark.parametrize("encoder", ["h264_nvenc", "h264_vaapi", "h264_qsv"])
    def test_no_loss_does_not_turn_into_the_encoders_own_default(self, encoder: str) -> None:
        """To nvenc, cq 0 means "choose yourself"."""
        options = encoder_options(encoder, Encoding(crf=0))
        assert "1" in {options.get("cq"), options.get("qp"), options.get("global_quality")}

    def test_videotoolboxs_quality_stays_within_its_scale(self) -> None:
        values = [int(encoder_options("h264_videotoolbox", Encoding(crf=crf))["global_quality"]) for crf in range(52)]
        assert values == sorted(values, reverse=True)
        assert max(values) == 100 * 118
        assert min(values) >= 118

    @pytest.mark.parametrize(
        ("encoder", "key"), [("h264_nvenc", "preset"), ("h264_qsv", "preset"), ("h264_amf", "quality")]
    )
    def test_every_preset_has_its_counterpart(self, encoder: str, key: str) -> None:
        presets = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
        own = [encoder_options(encoder, Encoding(preset))[key] for preset in presets]
        assert len(set(own)) >= 3
        assert own == sorted(own, key=own.index)  # none comes back once it was left

    def test_only_vaapi_wants_pictures_in_its_own_memory(self) -> None:
        assert [encoder for encoder in HARDWARE if encoders._DEVICES.get(encoder)] == ["h264_vaapi"]
        assert hardware_memory("h264_nvenc") is None


class TestThisMachine:
    def test_x264_works(self) -> None:
        assert encoder_problem(SOFTWARE, Encoding()) is None

    def test_an_encoder_that_the_build_lacks_is_told_from_one_whose_hardware_is_absent(self) -> None:
        assert encoder_problem("h264_nowhere", Encoding()) == "this build of PyAV and FFmpeg does not have it"

    def test_trying_them_all_is_silent(self, capfd: pytest.CaptureFixture[str]) -> None:
        encoder_problem.cache_clear()
        choose_encoder(AUTO, SIZE)
        assert capfd.readouterr() == ("", "")

    def test_each_question_is_put_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        encoder_problem.cache_clear()
        asked: list[str] = []

        def lose_all(encoder: str, _encoding: Encoding, _size: tuple[int, int]) -> int:
            asked.append(encoder)
            return 0

        monkeypatch.setattr(encoders, "_try", lose_all)
        for _ in range(3):
            assert choose_encoder(AUTO, SIZE) == SOFTWARE  # what loses pictures does not work
        assert asked == list(HARDWARE)
        encoder_problem.cache_clear()

    def test_auto_without_hardware_costs_next_to_nothing(self) -> None:
        if choose_encoder(AUTO, SIZE) != SOFTWARE:
            pytest.skip("this machine has a hardware encoder")
        encoder_problem.cache_clear()
        started = time.thread_time()
        choose_encoder(AUTO, SIZE)
        assert time.thread_time() - started < 0.02

    def test_auto_without_hardware_writes_what_x264_writes(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        use(Machine(), monkeypatch)
        assert write(tmp_path / "auto.mp4", AUTO) == write(tmp_path / "x264.mp4", Encoding())

    @pytest.mark.parametrize("encoder", HARDWARE)
    def test_hardware_that_works_writes_a_video_that_plays(self, encoder: str, tmp_path: Path) -> None:
        if encoder_problem(encoder, Encoding(), SIZE) is not None:
            pytest.skip(f"{encoder} does not work here")
        write(tmp_path / "out.mp4", Encoding(encoder=encoder))
        with av.open(tmp_path / "out.mp4") as file:
            assert [frame.pts for frame in file.decode(video=0)] == [0, 1, 2, 3, 4]


class TestCommandLine:
    def test_the_key_and_the_sink_know_the_same_names(self) -> None:
        assert get_args(Encoder) == get_args(EncoderName)
        assert encoding(load_config(environment={})) == AUTO

    def test_an_encoder_that_does_not_work_ends_the_command_before_anything_is_made(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        use(Machine(), monkeypatch)
        output = tmp_path / "made" / "out.mp4"
        assert cli.main(["process", str(tmp_path / "x.mp4"), "-o", str(output), "--encoder", "h264_amf"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert not output.parent.exists()
