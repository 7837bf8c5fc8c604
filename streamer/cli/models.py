"""`streamer models list|verify`: the weights files the nets run on."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from streamer.cli.options import AsJson
from streamer.cli.output import print_table, printable
from streamer.errors import UsageError, WeightsError

app = typer.Typer(help="See and check the weights of the nets.", rich_markup_mode=None)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the weights: what each is for, its size, licence, origin, and whether the file is good."""
    from streamer.weights import WEIGHTS

    if as_json:
        rows = [
            {
                "name": weights.name,
                "role": weights.role,
                "size_bytes": weights.size_bytes,
                "sha256": weights.sha256,
                "licence": weights.licence,
                "source": weights.source,
                "path": None if weights.path is None else str(weights.path),
                "state": _state(weights.name),
            }
            for weights in WEIGHTS.values()
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    print_table(
        ["name", "role", "size", "licence", "state", "source"],
        [
            [
                weights.name,
                weights.role,
                f"{weights.size_bytes / 1e6:.2f} MB",
                weights.licence,
                _state(weights.name),
                weights.source,
            ]
            for weights in WEIGHTS.values()
        ],
    )


def _state(name: str) -> Literal["good", "absent", "damaged"]:
    from streamer.weights import WEIGHTS, verify

    path = WEIGHTS[name].path
    if path is None or not path.exists():
        return "absent"
    try:
        verify(name)
    except WeightsError:
        return "damaged"
    return "good"


@app.command("verify")
def verify_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Weights to check; default: all.")
    ] = None,
) -> None:
    """Compare the size and sha256 of weights files with what they must be."""
    from streamer.weights import WEIGHTS, verify

    chosen = names or list(WEIGHTS)
    unknown = [name for name in chosen if name not in WEIGHTS]
    if unknown:
        raise UsageError(f"there are no weights called {', '.join(unknown)}; there are: {', '.join(WEIGHTS)}")
    bad: list[str] = []
    for name in chosen:
        try:
            verify(name)
        except WeightsError as error:
            bad.append(str(error))
        else:
            typer.echo(printable(f"{name}: good"))
    if bad:
        raise WeightsError(". Also, ".join(bad))
