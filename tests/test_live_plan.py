"""What is refused before anything is loaded, and what a camera's address may refer to."""

from __future__ import annotations

import pytest

from streamer import build
from streamer.addresses import Address
from streamer.config import Config, load_config
from streamer.errors import SourceOpenError, UsageError
from streamer.interrupts import Interrupt
from streamer.live_choices import LiveChoices, LiveTargets
from streamer.live_plan import plan_live
from streamer.queues import StopRequest
from streamer.stages import LiveSource


def choices(camera: str = "0", publish: str | None = None) -> LiveChoices:
    return LiveChoices(camera, None, LiveTargets(publish=publish), has_window=False, is_mirrored=False)


@pytest.mark.parametrize("publish", ["http://host/live", "nonsense", "rtsp://", "rtsp://user:pass word@host/live"])
def test_an_address_to_publish_at_that_makes_no_sense_is_refused_at_once(publish: str) -> None:
    """Not after the camera was opened and the nets were loaded, with a window on the screen."""
    with pytest.raises(UsageError):
        plan_live(Config(), choices(publish=publish), StopRequest())


def test_an_encoder_that_does_not_work_here_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by process; otherwise the first recording would fail, minutes later."""
    monkeypatch.setattr("streamer.sinks.encoders.encoder_problem", lambda *_: "its driver is not there")
    config = load_config(None, ["sinks.encoder=h264_nvenc"])
    with pytest.raises(UsageError, match="h264_nvenc"):
        plan_live(config, choices(), StopRequest())


def test_a_cameras_address_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password on the command line is there for every user of the machine to read."""
    opened: list[str] = []

    def open_stream(address: Address, _config: Config) -> LiveSource:
        opened.append(address.reveal())
        interrupt.set()
        raise SourceOpenError("it is not there")

    monkeypatch.setattr(build, "open_stream", open_stream)
    monkeypatch.setenv("FRONT_DOOR", "rtsp://user:secret@host/live")
    interrupt = Interrupt()
    plan = plan_live(Config(), choices("{env:FRONT_DOOR}"), StopRequest())
    assert plan.open_source(interrupt, lambda _status: None) is None
    assert opened == ["rtsp://user:secret@host/live"]
