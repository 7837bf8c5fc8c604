"""The command line: one small module a command group, each registered below; every failure becomes one line here.

Modules of commands import what computes (numpy, torch, OpenCV, PyAV, pydantic) inside their functions, so that
`streamer --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from streamer.cli import (
    bench,
    config,
    demo,
    doctor,
    evaluate,
    image,
    live,
    models,
    people,
    process,
    relabel,
    report,
    strangers,
    train,
    train_emotion,
)
from streamer.cli.libraries import explain_import_error
from streamer.cli.options import INTERRUPTED
from streamer.cli.output import LogLevel, print_error, print_traceback, set_up_logging
from streamer.errors import StreamerError

_UNEXPECTED = 1
_USAGE = 2

# Newer releases of typer carry click's exceptions themselves, older ones take them from click: same names, same shape.
_CommandLineError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])

app = typer.Typer(
    name="streamer",
    help="Find every face in a video, follow it, say who it is and what emotion it shows.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # markup would swallow the [brackets] of names and paths
    pretty_exceptions_enable=False,
)
app.command("live")(live.live)
app.command("process")(process.process)
app.command("image")(image.image)
app.command("relabel")(relabel.relabel)
app.command("report")(report.report)
app.command("train")(train.train)
app.command("train-emotion")(train_emotion.train_emotion)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)
app.add_typer(evaluate.app, name="evaluate")
people.app.command("strangers")(strangers.strangers)
people.app.command("name")(strangers.name)
app.add_typer(people.app, name="people")
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"streamer {version('streamer')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _streamer(
    context: typer.Context,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="Least severe log lines to write to stderr.")] = (
        LogLevel.INFO
    ),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The same as --log-level debug.")] = False,
    debug: Annotated[  # noqa: ARG001  main() reads it before anything can fail
        bool, typer.Option("--debug", help="Show the traceback of an error; so does STREAMER_DEBUG=1.")
    ] = False,
    version: Annotated[  # noqa: ARG001  its callback prints
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    set_up_logging(LogLevel.DEBUG if verbose else log_level)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command and return its exit code; see `streamer.errors` for what each means.

    Args:
        arguments: Without the program's name; None: those of this process.
        environment: Where STREAMER_DEBUG is looked up.
    """
    _open_absent_streams()
    words = global_options_first(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()  # here, where a closed pipe is still caught
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _leave_closed_pipe()
    except Exception as error:  # noqa: BLE001  the one place where whatever went wrong becomes one line
        if "--debug" in words or environment.get("STREAMER_DEBUG", "0").lower() not in ("", "0", "false"):
            print_traceback(error)
        line, code = explained(error)
        print_error(line)
    return code


def _run(words: Sequence[str]) -> int:
    """Let typer parse `words` and call the command; it returns the code of a `typer.Exit`."""
    code: object = app(args=list(words), prog_name="streamer", standalone_mode=False)
    return code if isinstance(code, int) else 0


def explained(error: Exception) -> tuple[str, int]:
    """Return the line that tells a user what went wrong, and the exit code."""
    if isinstance(error, StreamerError):
        return str(error), error.exit_code
    if isinstance(error, _CommandLineError):
        context: typer.Context | None = getattr(error, "ctx", None)
        command = context.command_path if context else "streamer"
        return f"{error.format_message().strip().rstrip('.')}; see {command} --help", _USAGE
    if isinstance(error, typer.Abort):
        return "stopped, for want of an answer", _UNEXPECTED
    library = explain_import_error(error) if isinstance(error, ImportError) else None
    if library is not None:
        return f"{library}; see streamer doctor", _USAGE
    return f"unexpected {type(error).__name__}: {error}; run again with --debug and report it", _UNEXPECTED


def global_options_first(arguments: Sequence[str]) -> list[str]:
    """Move --debug, --verbose and --log-level to the front, so that they may stand behind a command's own options."""
    ours: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*ours, *rest, word, *words]
        if word in ("--debug", "--verbose", "-v") or word.startswith("--log-level="):
            ours.append(word)
        elif word == "--log-level":
            ours += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            rest.append(word)
    return [*ours, *rest]


def _open_absent_streams() -> None:
    """Give Python something to write to where stdout or stderr was closed before the start (`>&-`)."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open as long as the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _leave_closed_pipe() -> int:
    """Point stdout to nowhere, or the interpreter would complain when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _UNEXPECTED
