"""The window itself: what is said where none can be shown, and how keys of any keyboard are told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import pytest

from streamer.sinks import window
from streamer.sinks.window import window_problem
from streamer.sinks.x11_keys import key_of
from tests.live_program import screen

QT = "  GUI:                           QT5\n"


def test_without_a_display_that_is_told_in_one_line() -> None:
    problem = window_problem({}, QT)
    assert problem is not None
    assert "DISPLAY is not set" in problem
    assert "\n" not in problem


@pytest.mark.parametrize("display", [":4321", "unix:4321", "127.0.0.1:4321.0", "nonsense", ":x", "localhost:99999"])
def test_a_display_that_is_not_there_is_told(display: str) -> None:
    problem = window_problem({"DISPLAY": display}, QT)
    assert problem is not None
    assert display in problem


def test_a_display_that_hangs_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An X server that is stopped accepts connections and answers nothing; Qt would wait for ever."""
    monkeypatch.setattr(window, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(window, "_X11_PORT", server.getsockname()[1] - 5)
        problem = window_problem({"DISPLAY": "127.0.0.1:5"}, QT)
    assert problem is not None
    assert "does not answer" in problem


def test_a_display_that_answers_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(window, "_X11_PORT", server.getsockname()[1] - 5)

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(12)[:1] == b"l"
                connection.sendall(b"\1")

        thread = threading.Thread(target=answer)
        thread.start()
        assert window_problem({"DISPLAY": "127.0.0.1:5"}, QT) is None
        thread.join(5)


def test_opencv_without_windows_is_told_with_its_repair() -> None:
    problem = window_problem({"DISPLAY": ":0"}, "  GUI:                           NONE\n")
    assert problem is not None
    assert "pip uninstall -y opencv-python-headless" in problem


def test_qt_without_a_screen_needs_no_display() -> None:
    assert window_problem({"QT_QPA_PLATFORM": "offscreen"}, QT) is None


@pytest.mark.parametrize(
    ("keysym", "key"),
    [
        (0x71, "q"),
        (0x52, "R"),
        (0x20, " "),
        (0xE9, "é"),
        (0xC9, "É"),
        (0x1B3, "ł"),
        (0x6C1, "а"),
        (0x6E1, "А"),
        (0x7E1, "α"),
        (0xCE0, "א"),
        (0x5C7, "ا"),
        (0x100_5C71, "山"),
        (0x101_F600, "😀"),
        (0xFF0D, "enter"),
        (0xFF8D, "enter"),
        (0xFF1B, "escape"),
        (0xFF08, "backspace"),
        (0xFFB1, "1"),
        (0xFFAB, "+"),
        (0xFFE1, None),  # Shift
        (0xFF51, None),  # left
        (0xFFBE, None),  # F1
        (0, None),
    ],
)
def test_a_key_is_told_by_its_character_or_its_name(keysym: int, key: str | None) -> None:
    assert key_of(keysym) == key


def test_the_shipped_font_lies_where_qt_is_sent_to(tmp_path: Path) -> None:
    assert list(window._FONTS.glob("*.ttf"))


def test_a_system_library_that_windows_lack_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin = tmp_path / "qt" / "plugins" / "platforms" / "libqxcb.so"
    plugin.parent.mkdir(parents=True)
    plugin.write_bytes(b"no library")
    monkeypatch.setattr(cv2, "__file__", str(tmp_path / "__init__.py"))
    problem = window_problem({"DISPLAY": ":0"}, QT)
    assert problem is not None
    assert "libqxcb.so" in problem
    assert "apt-get install -y libgl1" in problem
    assert "\n" not in problem


_ZOOMED = """
import cv2, numpy as np
from streamer.sinks.window import Window

def widths(window):
    for _ in range(40):
        window.show(np.zeros((100, 200, 3), np.uint8))
        window.poll()
        cv2.waitKey(5)
    return cv2.getWindowImageRect("zoomed")[2]

window = Window("zoomed", (400, 200))
print(widths(window))
cv2.resizeWindow("zoomed", 600, 600)  # as the user does, by its frame
print(widths(window))
window.zoom(0.8)
print(widths(window))
window.toggle_full_screen()
full = widths(window)
window.zoom(0.8)
print(widths(window) == full)
window.close()
"""


def test_larger_and_smaller_begin_at_the_size_that_the_picture_has_and_leave_a_full_screen_alone() -> None:
    with screen() as display:
        environment = {**os.environ, "DISPLAY": display}
        command = [sys.executable, "-c", _ZOOMED]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["400", "600", "480", "True"]
