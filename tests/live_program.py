"""`streamer live` as a user runs it: a window on a screen of its own, cameras by the real V4L2 calls, real keys."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

Line = dict[str, object]


def needed(program: str) -> str:
    """Return a program's path; without it a test is skipped, but fails where everything has to be tested."""
    found = shutil.which(program)
    if found is None:
        message = f"{program} is not installed: apt-get install xvfb xdotool openbox"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def screen() -> Iterator[str]:
    """Yield the DISPLAY of a screen that only this test draws on."""
    ours, theirs = os.pipe()
    command = [needed("Xvfb"), "-displayfd", str(theirs), "-screen", "0", "1280x900x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        with os.fdopen(ours) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def window_manager(display: str) -> Iterator[None]:
    """Let a window manager run on a screen."""
    manager = subprocess.Popen(
        [needed("openbox")],
        env={**os.environ, "DISPLAY": display},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        manager.terminate()
        manager.wait(10)


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something that another program brings about."""
    deadline, never = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        never.wait(0.02)


class LiveProgram:
    """One run of `streamer live`.

    Args:
        folder: Where it runs, and keeps its gallery.
        environment: The screen, the cameras.
        arguments: Of the command.
    """

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.folder, self._log = folder, folder / f"live-{time.monotonic_ns()}.log"
        self._display = environment.get("DISPLAY", "")
        everything = {**os.environ, "XDG_DATA_HOME": str(folder / "data"), "PYTHONUNBUFFERED": "1", **environment}
        if "DISPLAY" not in environment:
            everything.pop("DISPLAY", None)
        self.began_at = time.monotonic()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamer", "live", *arguments],
                cwd=folder,
                env=everything,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def said(self, pattern: str, seconds: float = 20.0, times: int = 1) -> None:
        """Wait until the log has a line, so many times."""
        until(
            lambda: len(re.findall(pattern, self.log)) >= times or self.process.poll() is not None,
            seconds,
            f"{pattern} in\n{self.log}",
        )
        assert len(re.findall(pattern, self.log)) >= times, self.log

    def window(self, seconds: float = 10.0) -> str:
        """Wait for the window and return its X id."""
        found: list[str] = []

        def is_there() -> bool:
            asked = self._xdotool("search", "--name", "^streamer$")
            found[:] = asked.stdout.split()[-1:]
            return bool(found) or self.process.poll() is not None

        until(is_there, seconds, "the window")
        assert found, self.log
        return found[0]

    def press(self, *keys: str) -> None:
        """Press keys, by xdotool's names."""
        window = self.window()
        for key in keys:
            assert self._xdotool("key", "--window", window, key).returncode == 0

    def try_key(self, key: str) -> None:
        """Press a key if there is a window."""
        window = self._xdotool("search", "--name", "^streamer$").stdout.split()[-1:]
        if window:
            self._xdotool("key", "--window", window[0], key)

    def type(self, text: str) -> None:
        """Type letters."""
        assert self._xdotool("type", "--window", self.window(), text).returncode == 0

    def click(self, x: int, y: int) -> None:
        """Click into the window."""
        window = self.window()
        assert self._xdotool("mousemove", "--window", window, str(x), str(y), "click", "1").returncode == 0

    def close_by_window_manager(self) -> None:
        """Close the window as its frame's button does."""
        window = self.window()
        assert self._xdotool("windowactivate", "--sync", window).returncode == 0
        assert self._xdotool("key", "alt+F4").returncode == 0

    def close_window(self) -> None:
        """Take the window away."""
        assert self._xdotool("windowclose", self.window()).returncode == 0

    def _xdotool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DISPLAY": self._display}
        return subprocess.run(
            [needed("xdotool"), *arguments], env=environment, capture_output=True, text=True, timeout=10, check=False
        )

    def children(self) -> list[psutil.Process]:
        """Return its child processes: the camera's reader."""
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def end(self, how: Callable[[], object], within_seconds: float = 5.0) -> int:
        """End it somehow; return its exit code once it is gone, with all its children."""
        children = self.children()
        how()
        code = self.process.wait(within_seconds)
        until(lambda: not any(child.is_running() for child in children), 2, "its children's end")
        return code

    def quit(self) -> int:
        """End it by the key for that."""
        return self.end(lambda: self.press("q"))

    def kill(self) -> None:
        """Make sure that it is gone, whatever a test came to."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)


def results_of(path: Path) -> list[Line]:
    """Read a results file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def seen_so_far(path: Path) -> list[Line]:
    """Read what is written of a results file that is still being written."""
    part = path.with_suffix(".part.jsonl")
    whole = part.read_text(encoding="utf-8").rpartition("\n")[0] if part.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def names_in(lines: list[Line]) -> list[str | None]:
    """Return the name of the first face of each frame that shows any."""
    names: list[str | None] = []
    for line in lines:
        faces = line.get("faces")
        if isinstance(faces, list) and faces:
            identity = faces[0]["identity"]
            names.append(identity["name"] if identity else None)
    return names
