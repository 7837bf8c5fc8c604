"""`streamer models list|show|verify|fetch`: the weights files the nets run on."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamer.cli.model_card import show_model
from streamer.cli.options import AsJson
from streamer.cli.output import print_table, printable
from streamer.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.http_files import OnProgress
    from streamer.weights import Weights

app = typer.Typer(
    help="See and check the weights of the nets, read their cards, and fetch optional ones.", rich_markup_mode=None
)


app.command("show")(show_model)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the weights: what each is for, its size, licence, origin, and whether the file is good."""
    from streamer.weights import WEIGHTS

    if as_json:
        rows = [facts(weights) for weights in WEIGHTS.values()]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    print_table(
        ["name", "role", "size", "licence", "state", "source"],
        [
            [
                weights.name,
                weights.role,
                _size_text(weights),
                weights.licence,
                _state(weights) if not _may_be_absent(weights) else _absent_text(weights),
                weights.source,
            ]
            for weights in WEIGHTS.values()
        ],
    )


def _state(weights: Weights) -> Literal["good", "absent", "damaged"]:
    from streamer.weights import check

    if weights.is_absent:
        return "absent"
    try:
        check(weights)
    except WeightsError:
        return "damaged"
    return "good"


def facts(weights: Weights) -> dict[str, object]:
    """Return what the registry knows of weights, and how their file is; size and sha256 None: nobody has brought it."""
    from streamer.weights_file import fingerprint

    wanted = fingerprint(weights)
    return {
        "name": weights.name,
        "role": weights.role,
        "size_bytes": wanted and wanted.size_bytes,
        "sha256": wanted and wanted.sha256,
        "licence": weights.licence,
        "source": weights.source,
        "path": None if weights.path is None else str(weights.path),
        "optional": weights.is_optional,
        "state": _state(weights),
    }


def _size_text(weights: Weights) -> str:
    from streamer.weights_file import fingerprint

    wanted = fingerprint(weights)
    return "not known" if wanted is None else f"{wanted.size_bytes / 1e6:.2f} MB"


def _may_be_absent(weights: Weights) -> bool:
    return weights.is_optional and weights.is_absent


def _absent_text(weights: Weights) -> str:
    return f"absent (optional): streamer models fetch {weights.name}{'' if weights.sha256 else ' --from FILE'}"


def chosen(names: Sequence[str], known: Mapping[str, Weights]) -> list[Weights]:
    """Return the weights of these names. Raises UsageError for one that is not known."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there are no weights called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


@app.command("verify")
def verify_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Weights to check; default: all, of the optional ones those fetched."),
    ] = None,
) -> None:
    """Compare the size and sha256 of weights files with what they must be."""
    from streamer.weights import WEIGHTS, verify

    bad: list[str] = []
    for weights in chosen(names or list(WEIGHTS), WEIGHTS):
        if not names and _may_be_absent(weights):
            typer.echo(printable(f"{weights.name}: {_absent_text(weights)}"))
            continue
        try:
            verify(weights.name)
        except WeightsError as error:
            bad.append(str(error))
        else:
            typer.echo(printable(f"{weights.name}: good"))
    if bad:
        raise WeightsError(". Also, ".join(bad))


@app.command("fetch")
def fetch_models(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Optional weights, as `models list` has them.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take them from this file instead of the network; one NAME only."),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            "--proxy",
            metavar="URL",
            help="HTTP proxy, http://HOST:PORT; default: the environment's https_proxy and no_proxy.",
        ),
    ] = None,
    silence: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1, max=3600, help="Longest silence of a server; default: 30."),
    ] = 30.0,
) -> None:
    """Fetch optional weights into your data directory, and check their sha256.

    What is there already is kept; what was interrupted goes on where it stopped.
    """
    from streamer.cli.transfers import transfer
    from streamer.downloads import Network, fetch
    from streamer.weights import WEIGHTS

    wanted = _fetchable(chosen(names, WEIGHTS), {name: one for name, one in WEIGHTS.items() if one.is_optional})
    if source is not None and (len(wanted) > 1 or proxy is not None):
        raise UsageError("--from takes one NAME, and no --proxy")
    network = Network(proxy=proxy, silence_seconds=silence)
    for weights in wanted:
        # Of weights whose sha256 is not known, another file may be brought.
        if _state(weights) == "good" and (weights.sha256 is not None or source is None):
            typer.echo(printable(f"{weights.name}: good already, {weights.path}"))
            continue
        with transfer(weights.name) as shown:
            path = fetch(weights, network, shown) if source is None else _brought(source, weights, shown)
        typer.echo(printable(f"{weights.name}: fetched and good, {path}"))


def _brought(source: Path, weights: Weights, shown: OnProgress) -> Path:
    from streamer.downloads import fetch_from

    if weights.sha256 is not None:
        return fetch_from(source, weights, shown)
    from streamer.classifiers import check_brought

    return fetch_from(source, weights, shown, partial(check_brought, weights.name))


def _fetchable(chosen: Sequence[Weights], optional: Mapping[str, Weights]) -> Sequence[Weights]:
    """Return the weights, once all are seen to be optional ones. Raises UsageError."""
    packaged = [weights.name for weights in chosen if not weights.is_optional]
    if packaged:
        raise UsageError(
            f"{', '.join(packaged)} comes with an installed package and is never fetched; what can be: "
            f"{', '.join(optional) or 'nothing'}"
        )
    return chosen
