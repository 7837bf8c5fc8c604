"""What `streamer live` does around a run: it is finished whatever becomes of who watches it."""

from __future__ import annotations

from functools import partial
from typing import cast

import pytest

from streamer import live_loop
from streamer.cli import live
from streamer.config import Config
from streamer.live_choices import LiveChoices, LiveTargets
from streamer.live_session import LiveSession
from streamer.queues import StopRequest


class FakeSession:
    """A run that counts how often it is finished."""

    finished = 0

    def finish(self) -> bool:
        self.finished += 1
        return True


class FailingLoop:
    """A window that cannot show what it is to show."""

    def __init__(self, start: object, _view: object, _controls: object) -> None:
        assert callable(start)
        self.session = start()

    def run(self, _stop: StopRequest) -> None:
        raise RuntimeError("the picture cannot be drawn")


@pytest.mark.parametrize("has_window", [True, False])
def test_files_are_finished_also_where_showing_a_run_fails(has_window: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of hours would be left under their part names, without an end."""
    session = FakeSession()

    def fail(_session: object, _stop: object) -> None:
        raise RuntimeError("the picture cannot be drawn")

    monkeypatch.setattr(live_loop, "WindowLoop", FailingLoop)
    monkeypatch.setattr(live_loop, "watch", fail)
    choices = LiveChoices("0", None, LiveTargets(), has_window=has_window, is_mirrored=False)
    begun, stop = cast(LiveSession, session), StopRequest()
    shown = partial(live._shown, Config(), choices) if has_window else live._unseen
    with pytest.raises(RuntimeError, match="cannot be drawn"):
        shown(lambda: begun, stop)
    assert session.finished == 1
