"""The window on the screen, by OpenCV: shows pictures, and tells keys and clicks. All of it belongs to the main thread.

What is drawn and what keys mean is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import cv2

from streamer.pictures import UInt8
from streamer.sinks.x11_keys import X11Keys

_LIBRARIES = "libgl1 libglib2.0-0 libsm6 libxext6"
# What else can be done about each of window_problem's, where nothing goes on without a window.
WITHOUT_WINDOW = "to do without a window, use --no-window with --record, --results or --publish"
_X11_PORT, _LAST_PORT = 6000, 65535
# X Window System Protocol, section 8: little-endian, version 11.0, no authorization.
_X11_GREETING = b"l\0" + (11).to_bytes(2, "little") + bytes(8)
_ANSWER_SECONDS = 3.0
# Qt's platforms that need no display: pictures are shown to nobody, for tests.
_NO_DISPLAY_NEEDED = ("offscreen", "minimal", "vnc")
# What waitKeyEx returns, by all of OpenCV's toolkits.
_NAMED = MappingProxyType({8: "backspace", 9: "tab", 10: "enter", 13: "enter", 27: "escape", 127: "delete"})
_X_DELETE, _X_SHIFT = 0xFFFF, (0xFFE1, 0xFFE2)
_FONTS = Path(__file__).resolve().parents[1] / "assets"
_LARGEST_START = (1280, 720)
_RELEASE_SECONDS = 0.2
_SMALLEST_SIDE, _LARGEST_SIDE = 160, 7680


def window_problem(environment: Mapping[str, str] = os.environ, build_information: str | None = None) -> str | None:
    """Say in one line why no window can be shown, and what to do; None: one can.

    Qt ends the whole process where it finds no display, so that is found out before.

    Args:
        environment: Where DISPLAY is looked up.
        build_information: What OpenCV says of itself; None: it is asked.
    """
    lines = (cv2.getBuildInformation() if build_information is None else build_information).splitlines()
    toolkit = next((line.split(":", 1)[1].strip() for line in lines if line.strip().startswith("GUI:")), "NONE")
    if toolkit.upper() == "NONE":
        return (
            "this OpenCV has no windows (opencv-python-headless took the place of opencv-python); run: "
            "pip uninstall -y opencv-python-headless && pip install --force-reinstall opencv-python"
        )
    if not toolkit.upper().startswith(("QT", "GTK")) or sys.platform in ("darwin", "win32"):
        return None
    if environment.get("QT_QPA_PLATFORM", "").partition(":")[0] in _NO_DISPLAY_NEEDED:
        return None
    lacking = _lacking_library()
    if lacking is not None:
        return f"windows lack a system library ({lacking}); run: apt-get install -y {_LIBRARIES}"
    display = environment.get("DISPLAY", "")
    if not display:
        return "there is no display (DISPLAY is not set, as over ssh or on a server)"
    if not _answers(display):
        return f"the display {display} does not answer; start it, or correct DISPLAY"
    return None


def _lacking_library() -> str | None:
    """Return why the Qt plugin of OpenCV's wheel cannot be loaded, which would end the process; None: it can."""
    plugin = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms" / "libqxcb.so"
    if not plugin.exists():
        return None
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        return str(error)
    return None


def _answers(display: str) -> bool:
    """Say whether an X server listens where DISPLAY ([host]:number[.screen]) says."""
    host, _, rest = display.rpartition(":")
    number = rest.partition(".")[0]
    if not number.isdigit() or _X11_PORT + int(number) > _LAST_PORT:
        return False
    if host not in ("", "unix"):
        return _greeted(lambda: socket.create_connection((host.strip("[]"), _X11_PORT + int(number)), _ANSWER_SECONDS))
    path = f"/tmp/.X11-unix/X{number}"  # noqa: S108  where X servers listen
    return any(_greeted(partial(_local, place)) for place in (path, f"\0{path}"))


def _local(place: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_SECONDS)
    try:
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


def _greeted(connect: Callable[[], socket.socket]) -> bool:
    """Say whether who is connected to answers: a server that hangs accepts connections all the same, and would hang us.

    One that refuses us answers, too.
    """
    try:
        with connect() as connection:
            connection.sendall(_X11_GREETING)
            return bool(connection.recv(1))
    except OSError:
        return False


def _x11_keys() -> X11Keys | None:
    """Return what reads keys from the X server; None: that is not possible, and they come without their case."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return X11Keys()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Click:
    """A press of the left mouse button, in pixels of the picture that is shown."""

    x: int
    y: int


class Window:
    """One window; everything is called from the main thread.

    Args:
        title: Its title, unique on the screen.
        size: Of its inside at first, px.
    """

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        self._title = title
        self._keys = _x11_keys()
        # OpenCV points Qt to fonts that its wheels do not hold, of which Qt complains on every start.
        os.environ["QT_QPA_FONTDIR"] = str(_FONTS)
        # Without GUI_NORMAL Qt adds a toolbar.
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_KEEPRATIO)
        self._clicks: list[Click] = []
        self._was_shown = self._is_shifted = False
        cv2.resizeWindow(title, *size)
        cv2.setMouseCallback(title, self._on_mouse)
        if self._keys is not None and not self._keys.listen(title):
            self._keys.close()
            self._keys = None

    def _on_mouse(self, event: int, x: int, y: int, _flags: int, _parameter: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            self._clicks.append(Click(x, y))

    def show(self, bgr: UInt8) -> None:
        """Show (H, W, 3) uint8 BGR pixels."""
        cv2.imshow(self._title, bgr)

    def poll(self) -> list[str | Click]:
        """Let the window work for a millisecond; return the keys pressed (a character or a name) and the clicks."""
        code = cv2.waitKeyEx(1)
        self._was_shown = True
        keys = list(self._keys.poll()) if self._keys is not None else self._decoded(code)
        clicks, self._clicks = self._clicks, []
        return [*keys, *clicks]

    def _decoded(self, code: int) -> list[str]:
        """Return the key that OpenCV tells; Qt tells a capital by the Shift before it."""
        if code == -1:
            return []
        was_shifted, self._is_shifted = self._is_shifted, code in _X_SHIFT
        if code == _X_DELETE:
            return ["delete"]
        key = _NAMED.get(code) or (chr(code & 0xFF) if -128 <= code < 0x100 else "")
        if not key.isprintable() or not key:
            return []
        return [key.upper() if was_shifted and len(key) == 1 else key]

    @property
    def is_closed(self) -> bool:
        """Say whether the user has closed it."""
        if self._keys is not None and self._keys.is_gone:
            return True
        try:
            return self._was_shown and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt ends with its last window, and then knows nothing of it
            return True

    def fit(self, width: int, height: int) -> None:
        """Give the inside the size of a picture, or the largest of its shape that suits any screen."""
        scale = min(1.0, _LARGEST_START[0] / width, _LARGEST_START[1] / height)
        cv2.resizeWindow(self._title, round(width * scale), round(height * scale))

    def zoom(self, factor: float) -> None:
        """Make the picture larger or smaller than it is, whoever gave it its size; not in full screen."""
        if self._is_full_screen:
            return
        shown = cv2.getWindowImageRect(self._title)[2:]
        width, height = round(shown[0] * factor), round(shown[1] * factor)
        if min(width, height) >= _SMALLEST_SIDE and max(width, height) <= _LARGEST_SIDE:
            cv2.resizeWindow(self._title, width, height)

    @property
    def _is_full_screen(self) -> bool:
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN) == cv2.WINDOW_FULLSCREEN

    def toggle_full_screen(self) -> None:
        """Fill the screen, or go back."""
        mode = cv2.WINDOW_NORMAL if self._is_full_screen else cv2.WINDOW_FULLSCREEN
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, mode)

    def close(self) -> None:
        """Close the window; may be called more than once."""
        if self._keys is not None:
            self._keys.wait_for_release(_RELEASE_SECONDS)
            self._keys.close()
            self._keys = None
        with contextlib.suppress(cv2.error):  # the user may have closed it
            cv2.destroyWindow(self._title)
            cv2.waitKeyEx(1)  # or it stays on the screen
