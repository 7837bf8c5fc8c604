"""`streamer live` on a network stream, published again: a real RTSP server, its failures, and the password nowhere."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.drawn import two_people_scene, write_video
from tests.live_program import LiveProgram, results_of, seen_so_far, until
from tests.rtsp_server import RtspServer, rtsp_server

pytestmark = pytest.mark.timeout(90)

LOGIN = "bob:s3cr3t!"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtspServer]:
    video = write_video(tmp_path / "scene.mp4", two_people_scene(2.0), with_sound=False)
    (tmp_path / "server").mkdir()
    with rtsp_server(video, tmp_path / "server", login=LOGIN) as running:
        yield running


def secret(url: str) -> str:
    return url.replace("//", f"//{LOGIN}@")


@pytest.fixture
def program(server: RtspServer, tmp_path: Path) -> Iterator[LiveProgram]:
    (tmp_path / "run").mkdir()
    running = LiveProgram(
        tmp_path / "run",
        {},
        *("--camera", secret(server.url), "--no-window", "--results", "seen.jsonl", "--record", "seen.mp4"),
        *("--publish", secret(server.record_url), "--set", "source.read_timeout_seconds=1", "-v"),
    )
    yield running
    running.kill()


def test_a_stream_is_watched_published_lost_and_found_and_its_password_told_nowhere(
    program: LiveProgram, server: RtspServer, tmp_path: Path
) -> None:
    results = tmp_path / "run" / "seen.jsonl"
    program.said(r"watching rtsp://.*640")
    until(lambda: len(seen_so_far(results)) > 50, 15, "fifty frames")
    server.kill()
    program.said("reconnecting: ", seconds=8)
    server.start()
    program.said("the picture is back", seconds=12)
    before = len(seen_so_far(results))
    until(lambda: len(seen_so_far(results)) > before + 50, 15, "fifty more frames")
    assert program.end(lambda: program.process.send_signal(signal.SIGTERM)) == 130, program.log

    kinds = [line["kind"] for line in results_of(results) if line["type"] == "event"]
    assert kinds.count("reconnecting") == kinds.count("reconnected") == 1
    for recorded in (tmp_path / "run" / "seen.mp4", tmp_path / "server" / "recording1-1.mkv"):
        with av.open(str(recorded)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 20, recorded
    assert "Traceback" not in program.log
    assert len(re.findall("was lost", program.log)) == 1, program.log  # not once more when it was ended
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or b"s3cr3t" not in path.read_bytes(), path


def test_a_stream_that_is_not_there_yet_is_waited_for(server: RtspServer, tmp_path: Path) -> None:
    server.kill()
    (tmp_path / "run").mkdir()
    program = LiveProgram(
        tmp_path / "run", {}, "--camera", secret(server.url), "--no-window", "--results", "seen.jsonl"
    )
    try:
        program.said("trying again: ")
        server.start()
        program.said("watching ")
        assert program.end(lambda: program.process.send_signal(signal.SIGINT)) == 130, program.log
        assert "s3cr3t" not in program.log
    finally:
        program.kill()


def test_waiting_for_a_stream_ends_at_once_when_it_is_asked_to(tmp_path: Path) -> None:
    program = LiveProgram(tmp_path, {}, "--camera", "rtsp://127.0.0.1:9/live", "--no-window", "--results", "seen.jsonl")
    try:
        program.said("trying again: ")
        assert program.end(lambda: program.process.send_signal(signal.SIGINT), within_seconds=3) == 130, program.log
        assert list(tmp_path.glob("*.jsonl")) == []
    finally:
        program.kill()
