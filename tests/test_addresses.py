"""Addresses show themselves without credentials, which may come from the environment or a file."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.addresses import Address, is_address, redacted
from streamer.cli import main
from streamer.cli.output import LogLevel, print_error, print_traceback, set_up_logging
from streamer.errors import UsageError

SECRET = "s3cr3t!"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"rtsp://bob:{SECRET}@host:554/live", "rtsp://***@host:554/live"),
        (f"lost rtsp://bob:{SECRET}@host/live: refused", "lost rtsp://***@host/live: refused"),
        (f"('rtsp://bob:{SECRET}@host/live')", "('rtsp://***@host/live')"),
        (f"rtsp://{SECRET}@host", "rtsp://***@host"),
        (f"rtsp:/bob:{SECRET}@host/x does not exist", "rtsp:/***@host/x does not exist"),
        (f"rtsp://bob:p@{SECRET}@host/x", "rtsp://***@host/x"),
        (f"rtsp://bob:'{SECRET}\"<@host/x", "rtsp://***@host/x"),
        (f"rtsp://bob:pa/{SECRET}@host/x", "rtsp://***@host/x"),
        (f"http://host/x?token={SECRET}&size=2", "http://host/x?token=***&size=2"),
        (f"http://host/x?size=2&user=bob&Password={SECRET}#a", "http://host/x?size=2&user=***&Password=***#a"),
        (f"https://h/x?X-Amz-Signature={SECRET}", "https://h/x?X-Amz-Signature=***"),
        (f"srt://host:9000?passphrase={SECRET}&mode=caller", "srt://host:9000?passphrase=***&mode=caller"),
        (f"rtsp://a:{SECRET}@one/x,rtsp://b:{SECRET}@two/y", "rtsp://***@one/x,rtsp://***@two/y"),
        (f"RTSP://a:{SECRET}@one/x\nhttp://b:{SECRET}@two", "RTSP://***@one/x\nhttp://***@two"),
        (f"Authorization: Basic {SECRET}", "Authorization: Basic ***"),
    ],
)
def test_credentials_are_taken_out_of_any_text(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://host:554/live@1/x",
        "rtsp://[::1]:8554/live@1",
        "http://host/x?size=2&compass=3&assign=4",
        "bob@example.org: see http://example.org/a",
        "",
    ],
)
def test_what_is_not_secret_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1))
def test_no_login_survives_whatever_it_holds(login: str) -> None:
    """A login from the environment is encoded, so that the URL means it, and then hidden."""
    address = Address("rtsp://{env:LOGIN}@host:8554/live", {"LOGIN": f"{login}:s3cr3t!{login}"})
    parts = urlsplit(address.reveal())
    assert (parts.hostname, parts.port, parts.path) == ("host", 8554, "/live")
    user, _, password = f"{login}:s3cr3t!{login}".partition(":")
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert str(address) == "rtsp://***@host:8554/live"


def test_credentials_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "camera"
    secret.write_text("p@ss/word\nsomething else\n", encoding="utf-8")
    environment = {"WHOLE": "rtsp://bob:x@host/live", "TOKEN": "a&b"}
    assert Address(f"rtsp://bob:{{file:{secret}}}@host/x", environment).reveal() == "rtsp://bob:p%40ss%2Fword@host/x"
    assert Address("{env:WHOLE}", environment).reveal() == environment["WHOLE"]
    assert Address("http://host/x?token={env:TOKEN}", environment).reveal() == "http://host/x?token=a%26b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rtsp://{env:ABSENT}@host/x", "no such environment variable"),
        ("rtsp://{env:EMPTY}@host/x", "is empty"),
        ("rtsp://{file:/no/such/file}@host/x", "No such file"),
        (f"rtsp://bob:{SECRET}@host:port/x", "malformed"),
        (f"rtsp://bob:{SECRET}@host:99999/x", "malformed"),
        (f"rtsp://bob:{SECRET}@[::1/x", "malformed"),
        (f"rtsp://bob:{SECRET}@/x", "names no host"),
        (f"rtsp://bob:{SECRET} word@host/x", "space or a control character"),
        (f"file://bob:{SECRET}@host/etc/passwd", "must begin with rtsp://"),
        ("video.mp4", "must begin with rtsp://"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        Address(text, {"EMPTY": " "})
    assert SECRET not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    assert "\n" not in str(refused.value)


def test_an_address_is_told_from_a_path() -> None:
    assert is_address("rtsp://host/x")
    assert is_address("{env:CAMERA}")
    assert not is_address("C:/video.mp4")
    assert not is_address("file:///video.mp4")
    assert not is_address("0")


def test_nothing_that_is_printed_of_an_address_has_its_credentials() -> None:
    address = Address(f"rtsp://bob:{SECRET}@host/x")
    assert SECRET not in f"{address} {address!r} {[address]}"
    assert (address.scheme, address.host, address.port) == ("rtsp", "host", None)


def test_what_is_logged_has_no_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever logs them: in the message, its arguments, or an exception."""
    set_up_logging(LogLevel.DEBUG)
    logger = logging.getLogger("streamer.test")
    logger.warning("rtsp://bob:%s@host/x is %s", SECRET, f"http://h/?token={SECRET}")
    try:
        raise OSError(5, "Input/output error", f"rtsp://bob:{SECRET}@host/x")
    except OSError as error:
        logger.exception("failed")
        print_traceback(error)
        print_error(str(error))
    written = capsys.readouterr().err
    assert SECRET not in written
    assert written.count("rtsp://***@host/x") >= 4


def test_neither_does_the_last_resort_print_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is told in one line, or by --debug with its traceback; both go through the same place."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"rtsp://bob:{SECRET}@host/x")

    monkeypatch.setattr("streamer.config.load_with_origins", fail)
    assert main(["--debug", "config", "show"]) == 1
    written = "".join(capsys.readouterr())
    assert "Traceback" in written
    assert "rtsp://***@host/x" in written
    assert SECRET not in written


@pytest.mark.parametrize("words", [["process"], ["--debug", "process"], ["image"], ["report"]])
def test_a_stream_in_place_of_a_file_is_refused_in_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, f"rtsp://bob:{SECRET}@127.0.0.1:1/x"]) == 3
    written = "".join(capsys.readouterr())
    assert SECRET not in written
    assert "rtsp://***@127.0.0.1:1/x is a stream" in written


def test_an_address_is_not_passed_on_by_accident() -> None:
    """It would be written out whole, and has no reason to leave the process."""
    with pytest.raises(TypeError, match="credentials"):
        pickle.dumps(Address(f"rtsp://bob:{SECRET}@host/x"))
