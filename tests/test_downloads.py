"""Fetching weights: only the right file gets its name, whatever a network does; and what came is not fetched twice."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from streamer.downloads import Network, fetch, fetch_from
from streamer.errors import StreamerError, UsageError, WeightsError
from streamer.http_files import _SafeRedirects
from streamer.weights import Weights, check
from tests.file_server import Play, serving

CONTENT = np.random.default_rng(2).bytes(300_000)
SIZE = len(CONTENT)
QUICK = Network(silence_seconds=5, attempts=3, backoff_seconds=0.001)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for variable in (name, name.upper()):
            monkeypatch.delenv(variable, raising=False)


def wanted(folder: Path, url: str = "http://127.0.0.1:9/net.bin") -> Weights:
    """Return the registry's entry for CONTENT."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    path = folder / "weights" / "net.bin"
    return Weights("tiny", "for tests", path, sha256, SIZE, "MIT", "here", "streamer models fetch tiny", url)


def part_of(weights: Weights) -> Path:
    assert weights.path is not None
    return weights.path.with_name(f"{weights.path.name}.part")


def begun(weights: Weights, content: bytes) -> None:
    """Leave behind what an interrupted fetch does."""
    part_of(weights).parent.mkdir(parents=True)
    part_of(weights).write_bytes(content)


def fetched(weights: Weights, network: Network = QUICK) -> list[tuple[int, int]]:
    """Fetch, see that the file is whole and alone, and return what was told of the progress."""
    told: list[tuple[int, int]] = []
    path = fetch(weights, network, lambda there, total: told.append((there, total)))
    assert path == weights.path
    assert check(weights).read_bytes() == CONTENT
    assert not part_of(weights).exists()
    return told


def refusal(call: Callable[[], object], kind: type[StreamerError] = WeightsError) -> str:
    """Return the message of a refusal, after seeing that it is one line."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    return message


def failed(weights: Weights, network: Network = QUICK) -> str:
    """Return why fetching failed, after seeing that nothing got the file's name."""
    message = refusal(lambda: fetch(weights, network, lambda there, total: None))
    assert weights.path is not None
    assert not weights.path.exists()
    return message


class TestTheRightFile:
    def test_is_fetched_once_and_its_progress_told(self, tmp_path: Path) -> None:
        with serving(CONTENT) as server:
            weights = wanted(tmp_path, server.url)
            told = fetched(weights)
            assert told[-1] == (SIZE, SIZE)
            assert [there for there, _ in told] == sorted({there for there, _ in told})
            assert fetched(weights) == []
        assert server.ranges == [None]

    def test_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        with serving(CONTENT) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, CONTENT[:123_456])
            told = fetched(weights)
            assert told[0][0] > 123_456
        assert server.ranges == ["bytes=123456-"]

    def test_is_fetched_through_many_broken_connections(self, tmp_path: Path) -> None:
        """Each brings something, so their number does not matter."""
        with serving(CONTENT, *[Play(drops_after=50_000)] * 5, Play()) as server:
            fetched(wanted(tmp_path, server.url))
        starts = [int(one.removeprefix("bytes=").removesuffix("-")) for one in server.ranges if one]
        assert starts == sorted(set(starts))
        assert len(starts) >= 2

    def test_is_fetched_anew_where_the_server_knows_no_ranges(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(obeys_range=False)) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, b"x" * 1000)
            fetched(weights)
        assert server.ranges == ["bytes=1000-"]

    def test_is_fetched_where_no_length_is_stated(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(states_length=False)) as server:
            fetched(wanted(tmp_path, server.url))

    @pytest.mark.parametrize("left", [b"x" * 1000, CONTENT + b"more", b"y" * SIZE], ids=["other", "longer", "as long"])
    def test_replaces_what_is_no_beginning_of_it(self, tmp_path: Path, left: bytes) -> None:
        with serving(CONTENT) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, left)
            fetched(weights)
        assert server.ranges[-1] is None

    def test_replaces_a_damaged_one(self, tmp_path: Path) -> None:
        with serving(CONTENT) as server:
            weights = wanted(tmp_path, server.url)
            assert weights.path is not None
            weights.path.parent.mkdir()
            weights.path.write_bytes(b"z" * SIZE)
            fetched(weights)

    def test_is_asked_for_anew_where_the_server_has_no_such_rest(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(status=416), Play()) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, CONTENT[:1000])
            fetched(weights)
        assert server.ranges == ["bytes=1000-", None]

    def test_is_not_put_together_from_parts_that_were_not_asked_for(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(range_start=0), Play()) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, CONTENT[:1000])
            fetched(weights)
        assert server.ranges == ["bytes=1000-", "bytes=1000-"]

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_is_asked_for_again_of_a_busy_server(self, tmp_path: Path, status: int) -> None:
        with serving(CONTENT, Play(status=status, content=b"busy"), Play()) as server:
            fetched(wanted(tmp_path, server.url))

    def test_is_fetched_from_where_the_server_sends_us_on_to_with_the_same_range(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(status=302, location="/elsewhere"), Play()) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, CONTENT[:1000])
            fetched(weights)
        assert server.asked == [("/net.bin", "bytes=1000-"), ("/elsewhere", "bytes=1000-")]

    def test_is_resumed_after_an_interruption(self, tmp_path: Path) -> None:
        with serving(CONTENT) as server:
            weights = wanted(tmp_path, server.url)

            def interrupt(there: int, total: int) -> None:
                if there > 100_000:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                fetch(weights, QUICK, interrupt)
            there = part_of(weights).stat().st_size
            assert 100_000 < there < SIZE
            fetched(weights)
        assert server.ranges == [None, f"bytes={there}-"]


class TestRefused:
    @pytest.mark.parametrize("states_length", [True, False])
    def test_another_file_of_the_same_length(self, tmp_path: Path, states_length: bool) -> None:
        with serving(CONTENT[:-1] + b"!", Play(states_length=states_length)) as server:
            weights = wanted(tmp_path, server.url)
            assert "is another file: its length or sha256" in failed(weights)
            assert not part_of(weights).exists()

    def test_a_longer_file_before_it_is_read(self, tmp_path: Path) -> None:
        with serving(CONTENT + bytes(10_000_000)) as server:
            weights = wanted(tmp_path, server.url)
            assert f"has {SIZE} bytes, and 127.0.0.1 offers {SIZE + 10_000_000}" in failed(weights)
            assert not part_of(weights).exists()

    def test_a_body_without_an_end_is_read_no_further_than_the_file_is_long(self, tmp_path: Path) -> None:
        with serving(bytes(20_000_000), Play(states_length=False)) as server:
            assert "is another file" in failed(wanted(tmp_path, server.url))

    def test_a_page_that_says_no(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(status=404, content=b"<html>not here</html>")) as server:
            assert "127.0.0.1 answers 404" in failed(wanted(tmp_path, server.url))
        assert len(server.asked) == 1

    def test_a_server_that_only_breaks_off_but_what_came_is_kept(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(drops_after=0)) as server:
            weights = wanted(tmp_path, server.url)
            begun(weights, CONTENT[:1000])
            assert f"1000 of {SIZE} bytes are kept" in failed(weights)
            assert part_of(weights).read_bytes() == CONTENT[:1000]
        assert len(server.asked) == QUICK.attempts

    def test_a_server_that_falls_silent(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(falls_silent_after=5_000), Play(falls_silent_after=0)) as server:
            weights = wanted(tmp_path, server.url)
            message = failed(weights, Network(silence_seconds=0.1, attempts=2, backoff_seconds=0.001))
            assert f"(it is silent); 5000 of {SIZE} bytes are kept" in message
        assert server.ranges == [None, "bytes=5000-", "bytes=5000-"]

    def test_a_server_that_is_not_there(self, tmp_path: Path) -> None:
        with serving(CONTENT) as server:
            url = server.url
        assert "cannot be fetched from 127.0.0.1 (Connection refused)" in failed(wanted(tmp_path, url))

    @pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/net.bin", "data:,x", "gopher://x/"])
    def test_being_sent_on_to_what_is_no_web_server(self, tmp_path: Path, location: str) -> None:
        with serving(CONTENT, Play(status=302, location=location)) as server:
            message = failed(wanted(tmp_path, server.url))
        assert "not followed" in message or "not allowed" in message
        assert len(server.asked) == 1

    @pytest.mark.parametrize("location", ["http://[", "http://host:port/", f"http://{'x' * 70}.invalid/"])
    def test_being_sent_on_to_what_is_no_address(self, tmp_path: Path, location: str) -> None:
        with serving(CONTENT, Play(status=302, location=location)) as server:
            assert "no address" in failed(wanted(tmp_path, server.url))
        assert len(server.asked) == 1

    def test_being_sent_in_circles(self, tmp_path: Path) -> None:
        with serving(CONTENT, Play(status=302, location="/net.bin")) as server:
            assert "answers 302" in failed(wanted(tmp_path, server.url))

    def test_being_sent_from_an_encrypted_connection_to_one_that_is_not(self) -> None:
        request = urllib.request.Request("https://example.org/net.bin")
        headers = http.client.HTTPMessage()
        there = "http://example.org/net.bin"
        message = refusal(
            lambda: _SafeRedirects().redirect_request(request, io.BytesIO(), 302, "Found", headers, there)
        )
        assert "'http', which is not followed" in message

    def test_weights_that_come_with_a_package(self, tmp_path: Path) -> None:
        packaged = Weights("tiny", "", tmp_path / "net.bin", "0" * 64, 1, "MIT", "", "")
        with pytest.raises(ValueError, match="is not fetched"):
            fetch(packaged, QUICK, lambda there, total: None)


class TestProxy:
    def test_of_the_environment_is_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving(CONTENT) as server:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
            fetched(wanted(tmp_path, "http://weights.invalid/net.bin"))
        assert server.asked == [("http://weights.invalid/net.bin", None)]

    def test_of_the_environment_is_left_out_where_that_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with serving(CONTENT) as server:
            fetched(wanted(tmp_path, server.url))

    def test_that_is_given_wins_and_gets_its_password(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        with serving(CONTENT) as server:
            network = Network(proxy=f"http://ana:secret@127.0.0.1:{server.port}")
            fetched(wanted(tmp_path, "http://weights.invalid/net.bin"), network)
        assert server.credentials == ["Basic YW5hOnNlY3JldA=="]

    def test_that_refuses_an_encrypted_connection_is_told_without_its_password(self, tmp_path: Path) -> None:
        with serving(CONTENT) as server:
            proxy = f"http://ana:secret@127.0.0.1:{server.port}"
            network = Network(proxy=proxy, attempts=1, backoff_seconds=0.001)
            message = failed(wanted(tmp_path, "https://weights.invalid/net.bin"), network)
        assert "403" in message
        assert "secret" not in message
        assert server.asked == [("weights.invalid:443", None)]

    @pytest.mark.parametrize("variable", ["http_proxy", "https_proxy"])
    def test_of_a_kind_that_is_not_known_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "socks5://ana:secret@127.0.0.1:9")
        message = failed(wanted(tmp_path, f"{variable.removesuffix('_proxy')}://weights.invalid/net.bin"))
        assert "secret" not in message

    @pytest.mark.parametrize(
        "proxy", ["", "nonsense", "socks5://ana:secret@host:1", "http://", "http://host:port", "http://h:0"]
    )
    def test_that_is_none_is_refused_at_once(self, tmp_path: Path, proxy: str) -> None:
        network = Network(proxy=proxy)
        message = refusal(lambda: fetch(wanted(tmp_path), network, lambda there, total: None), UsageError)
        assert message.startswith("--proxy must be http://HOST:PORT")
        assert "secret" not in message


class TestFromAFile:
    def test_is_copied_and_the_source_left(self, tmp_path: Path) -> None:
        source, weights = tmp_path / "brought.pt", wanted(tmp_path)
        source.write_bytes(CONTENT)
        told: list[int] = []
        assert fetch_from(source, weights, lambda there, total: told.append(there)) == weights.path
        assert check(weights).read_bytes() == source.read_bytes() == CONTENT
        assert told[-1] == SIZE
        source.unlink()
        assert fetch_from(source, weights, lambda there, total: None) == weights.path

    @pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + bytes(9_000_000), CONTENT[:-1] + b"!"])
    def test_another_file_is_refused_and_leaves_nothing(self, tmp_path: Path, content: bytes) -> None:
        source, weights = tmp_path / "brought.pt", wanted(tmp_path)
        source.write_bytes(content)
        assert "is another file" in refusal(lambda: fetch_from(source, weights, lambda there, total: None))
        assert not part_of(weights).exists()
        assert source.read_bytes() == content

    def test_an_absent_file_a_folder_or_a_pipe_is_told(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for source in (tmp_path / "absent", tmp_path, tmp_path / "pipe"):
            message = refusal(lambda s=source: fetch_from(s, wanted(tmp_path), lambda there, total: None))  # type: ignore[misc]
            assert f"the file {source} cannot be read" in message


class TestTheDisk:
    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
    def test_full_while_it_is_written(self, tmp_path: Path) -> None:
        weights = wanted(tmp_path)
        part_of(weights).parent.mkdir()
        part_of(weights).symlink_to("/dev/full")
        source = tmp_path / "brought.pt"
        source.write_bytes(CONTENT)
        assert "No space left on device" in refusal(lambda: fetch_from(source, weights, lambda there, total: None))
        with serving(CONTENT) as server:
            message = failed(wanted(tmp_path, server.url))
        assert "No space left on device" in message
        assert len(server.asked) == 1

    def test_too_small_is_told_before_anything_is_fetched(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
        with serving(CONTENT) as server:
            weights = wanted(tmp_path, server.url)
            assert "needs 0.3 MB more" in failed(weights)
            assert server.asked == []
            begun_weights = part_of(weights)
            begun_weights.write_bytes(CONTENT[:250_000])
            fetched(weights)

    def test_a_place_that_is_no_folder_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "weights").write_bytes(b"")
        message = refusal(lambda: fetch(wanted(tmp_path), QUICK, lambda there, total: None))
        assert f"cannot be written to {tmp_path / 'weights'}" in message

    def test_two_fetches_at_once_do_not_write_into_one_file(self, tmp_path: Path) -> None:
        weights = wanted(tmp_path)
        part_of(weights).parent.mkdir()
        with FileLock(part_of(weights).with_name("net.bin.lock")):
            assert "is being fetched by another process" in failed(weights)


def test_attempts_wait_longer_and_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("streamer.downloads.time", SimpleNamespace(sleep=waits.append))
    with serving(CONTENT, Play(status=503, content=b"")) as server:
        failed(wanted(tmp_path, server.url), Network(attempts=9, backoff_seconds=1))
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
