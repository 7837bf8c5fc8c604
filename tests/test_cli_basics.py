"""The command line's own behaviour: help, errors in one line, exit codes, logging, `config show`, `models`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from streamer import cli, errors
from streamer.cli.libraries import explain_import_error
from streamer.cli.output import LogLevel, print_table, printable, set_up_logging
from streamer.config import Config, as_yaml, load_config
from streamer.weights import Weights

Plant = Callable[[Callable[[], None]], None]


@pytest.fixture
def planted() -> Iterator[Plant]:
    """Register a command `planted` for the length of a test."""
    before = list(cli.app.registered_commands)

    def plant(action: Callable[[], None]) -> None:
        cli.app.command("planted")(action)

    yield plant
    cli.app.registered_commands[:] = before


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, encoding="utf-8", check=False
    )


# ---- help


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    for command in ("config", "models", "doctor"):
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("command", [["config"], ["config", "show"], ["models", "list"], ["doctor"]])
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "-h"]) == 0
    assert f"Usage: streamer {' '.join(command)}" in capsys.readouterr().out


def test_help_imports_nothing_that_computes() -> None:
    """Any of these would cost tenths of seconds to seconds."""
    heavy = "torch torchvision cv2 numpy av pydantic yaml PIL scipy sklearn facenet_pytorch rich"
    done = python(
        "import sys; from streamer.cli import main; main(['--help'])\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules], file=sys.stderr)"
    )
    assert done.stderr == "[]\n"


def test_help_answers_within_half_a_second() -> None:
    """The best of five: other processes may take the machine's time."""

    def seconds() -> float:
        begin = time.monotonic()
        assert "Usage" in python("from streamer.cli import main; main(['--help'])").stdout
        return time.monotonic() - begin

    assert min(seconds() for _ in range(5)) < 0.5


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("streamer 0.")


def test_it_runs_as_a_module_too() -> None:
    run = [sys.executable, "-m", "streamer", "no-such-command"]
    done = subprocess.run(run, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("streamer: error: No such command 'no-such-command'")


# ---- errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StreamerError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.SourceOpenError("x"), 3),
        (errors.SourceLostError("x"), 3),
        (errors.WeightsError("x"), 4),
        (errors.SinkError("x"), 5),
        (errors.GalleryError("x"), 6),
    ],
)
def test_a_known_error_is_one_line_and_its_code(
    error: errors.StreamerError, code: int, planted: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(raising(error))
    assert cli.main(["planted"]) == code
    assert capsys.readouterr() == ("", "streamer: error: x\n")


def test_names_in_an_error_come_out_as_they_are(planted: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither markup nor line ends nor escape sequences of a hostile file name reach the terminal as such."""
    planted(raising(errors.SourceOpenError("a [bold]b[/] :smile: Ана\n  c \x1b[31md\x07" + " long" * 100)))
    assert cli.main(["planted"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("streamer: error: a [bold]b[/] :smile: Ана c \\x1b[31md\\x07 long")
    assert told.count("\n") == 1


def test_an_interruption_is_code_130(planted: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    planted(raising(KeyboardInterrupt()))
    assert cli.main(["planted"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_an_interruption_outside_of_the_command_is_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_run", lambda _: raising(KeyboardInterrupt())())
    assert cli.main([]) == 130


def test_a_command_may_end_with_a_code_of_its_own(planted: Plant) -> None:
    planted(raising(typer.Exit(5)))
    assert cli.main(["planted"]) == 5


def test_a_question_without_an_answer_is_told(planted: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    planted(raising(typer.Abort()))
    assert cli.main(["planted"]) == 1
    assert capsys.readouterr().err.startswith("streamer: error: stopped")


def test_an_unexpected_error_is_one_line_too(planted: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    planted(raising(ZeroDivisionError("division\nby zero")))
    assert cli.main(["planted"], {}) == 1
    told = capsys.readouterr().err
    assert told == (
        "streamer: error: unexpected ZeroDivisionError: division by zero; run again with --debug and report it\n"
    )


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--debug", "planted"], {}), (["planted", "--debug"], {}), (["planted"], {"STREAMER_DEBUG": "1"})],
)
def test_the_traceback_comes_with_debug(
    arguments: list[str], environment: dict[str, str], planted: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(raising(errors.SinkError("disk full")))
    assert cli.main(arguments, environment) == 5
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.endswith("\nstreamer: error: disk full\n")


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_the_debug_variable_can_be_off(value: str, planted: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    planted(raising(errors.SinkError("disk full")))
    cli.main(["planted"], {"STREAMER_DEBUG": value})
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part", "see"),
    [
        (["confg"], "No such command 'confg'", "streamer --help"),
        (["--nonsense"], "--nonsense", "streamer --help"),
        (["config", "show", "--nonsense"], "--nonsense", "streamer config show --help"),
        (["config"], "Missing command", "streamer config --help"),
        (["--log-level", "loud", "doctor"], "loud", "streamer --help"),
        (["--log-level"], "--log-level", "streamer --help"),
    ],
)
def test_a_mistyped_command_line_is_one_line_and_code_2(
    arguments: list[str], part: str, see: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert part in told
    assert told.endswith(f"; see {see}\n")
    assert told.count("\n") == 1


def test_a_closed_pipe_is_no_error() -> None:
    program = (
        "import sys, streamer.cli as cli\n"
        "@cli.app.command('planted')\n"
        "def planted() -> None:\n    print('x\\n' * int(sys.argv[1]))\n"
        "sys.exit(cli.main(['planted']))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for lines in ("10", "100000"):  # within and beyond what stdout buffers
        read_end, write_end = os.pipe()
        os.close(read_end)
        run = [sys.executable, "-c", program, lines]
        done = subprocess.run(
            run, stdout=write_end, stderr=subprocess.PIPE, encoding="utf-8", check=False, env=environment
        )
        os.close(write_end)
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory", name="cv2"),
            "OpenCV cannot start: libGL.so.1 is missing; run: apt-get install -y libgl1 libglib2.0-0",
        ),
        (
            ImportError("libgthread-2.0.so.0: cannot open shared object file: No such file or directory", name="cv2"),
            "OpenCV cannot start: libgthread-2.0.so.0 is missing; run: apt-get install -y libgl1 libglib2.0-0",
        ),
        (
            ImportError("libgomp.so.1: cannot open shared object file: No such file or directory", name="torch._C"),
            "torch cannot start: libgomp.so.1 is missing; run: apt-get install -y libgomp1",
        ),
        (
            ImportError("libodd.so.7: cannot open shared object file: No such file or directory", name="av"),
            "PyAV cannot start: libodd.so.7 is missing; install the system package that holds it",
        ),
        (ModuleNotFoundError("No module named 'av'", name="av"), "the package PyAV is not installed"),
        (ImportError("DLL load failed", name="cv2"), "OpenCV cannot be imported (DLL load failed)"),
    ],
)
def test_an_import_that_fails_says_what_to_install(
    error: ImportError, told: str, planted: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(raising(error))
    assert cli.main(["planted"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"streamer: error: {told}")
    assert line.endswith("; see streamer doctor\n")


def test_a_fault_in_our_own_imports_is_unexpected() -> None:
    assert explain_import_error(ImportError("cannot import name 'x'", name="streamer.geometry")) is None


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        (["process", "a", "--debug"], ["--debug", "process", "a"]),
        (["process", "-v", "--log-level", "error"], ["-v", "--log-level", "error", "process"]),
        (["process", "--log-level=error"], ["--log-level=error", "process"]),
        (["process", "--", "--debug"], ["process", "--", "--debug"]),
        (["process", "--log-level"], ["--log-level", "process"]),
    ],
)
def test_global_options_may_stand_anywhere(given: list[str], ordered: list[str]) -> None:
    assert cli.global_options_first(given) == ordered


# ---- output


def test_log_records_are_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogLevel.INFO)
    set_up_logging(LogLevel.INFO)
    logging.getLogger("streamer.sources.video").info("opened %s", "a\nb [red]\x1b[0m.mp4")
    logging.getLogger("streamer.sources.video").debug("not wanted")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith(" INFO streamer.sources.video: opened a b [red]\\x1b[0m.mp4\n")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["-v"], ["--log-level", "debug"]])
def test_debug_lines_come_when_asked_for(
    arguments: list[str], planted: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(lambda: logging.getLogger("streamer.x").debug("frame %d", 7))
    assert cli.main(["planted", *arguments]) == 0
    assert "DEBUG streamer.x: frame 7" in capsys.readouterr().err
    assert cli.main(["planted"]) == 0
    assert capsys.readouterr().err == ""


def test_tables_keep_a_row_on_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "note"], [["[bold]Ана[/]", "x" * 300], ["b\nc", "\x1b[31m:smile:"]])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["name", "note"],
        ["[bold]Ана[/]", "x" * 300],
        ["b", "c", "\\x1b[31m:smile:"],
    ]


@pytest.mark.parametrize(
    ("text", "shown"), [("a\t\r\n b", "a b"), ("\u202ex", "\\u202ex"), ("é安", "é安"), ("\ud800", "\\ud800"), ("", "")]
)
def test_text_is_made_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


# ---- config show


def test_config_show_prints_what_would_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tracker:\n  max_lost_seconds: 5\n")
    assert cli.main(["config", "show", "--config", str(path), "--set", "sinks.video_crf=20"]) == 0
    shown = capsys.readouterr().out
    assert f"  max_lost_seconds: 5.0  # from {path} line 2\n" in shown
    assert "  video_crf: 20  # from --set\n" in shown
    path.write_text(shown)
    assert load_config(path, environment={}).tracker.max_lost_seconds == 5


def test_config_show_alone_prints_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "show"]) == 0
    assert capsys.readouterr().out == as_yaml(Config())


def test_config_show_refuses_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "show", "--set", "tracker.detect_cutz=1"]) == 2
    assert "did you mean tracker.detect_cuts?" in capsys.readouterr().err


# ---- models


@pytest.fixture
def three_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the weights: one good, one damaged, one absent."""
    sha256 = hashlib.sha256(b"1234").hexdigest()
    for name, content in (("good", b"1234"), ("damaged", b"1235")):
        (tmp_path / name).write_bytes(content)
    known = {
        name: Weights(name, "detector", tmp_path / name, sha256, 4, "MIT", "somewhere [x]", "streamer")
        for name in ("good", "damaged", "absent")
    }
    monkeypatch.setattr("streamer.weights.WEIGHTS", known)
    return tmp_path


def test_models_list_shows_the_state_of_each(three_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["name", "role", "size", "licence", "state", "source"]
    assert rows[1:] == [
        [name, "detector", "0.00", "MB", "MIT", name, "somewhere", "[x]"] for name in ("good", "damaged", "absent")
    ]


def test_models_list_as_json_has_all_fields(three_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list", "--json"]) == 0
    good = json.loads(capsys.readouterr().out)[0]
    assert good["path"] == str(three_weights / "good")
    assert (good["name"], good["size_bytes"], good["state"]) == ("good", 4, "good")
    assert good.keys() == {
        "name",
        "role",
        "size_bytes",
        "sha256",
        "licence",
        "source",
        "path",
        "optional",
        "state",
    }


def test_models_verify_names_all_that_are_bad(three_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "verify"]) == 4
    told = capsys.readouterr()
    assert told.out == "good: good\n"
    assert str(three_weights / "damaged") in told.err
    assert str(three_weights / "absent") in told.err
    assert told.err.count("\n") == 1


def test_models_verify_checks_the_named_ones_only(three_weights: Path) -> None:
    assert cli.main(["models", "verify", "good"]) == 0
    assert cli.main(["models", "verify", "good", "damaged"]) == 4


def test_models_verify_tells_which_names_there_are(three_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "verify", "goood"]) == 2
    assert "there are no weights called goood; there are: good, damaged, absent" in capsys.readouterr().err
