"""`streamer models show`: the card of a weights file, drawn on a terminal and as plain Markdown elsewhere."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import AsJson
from streamer.cli.output import print_table, printable

if TYPE_CHECKING:
    from streamer.model_cards import ModelCard


def show_model(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Weights, as `models list` has them; default: list all cards."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a net's card: what it is, data, figures, known weaknesses, intended use, licence, source and sha256."""
    from streamer.cli.models import chosen, facts
    from streamer.model_cards import read_card
    from streamer.weights import WEIGHTS

    if name is None:
        cards = [read_card(one) for one in WEIGHTS]
        if as_json:
            rows = [{"name": card.name, "summary": card.summary} for card in cards]
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            print_table(["name", "what it is"], [[card.name, card.summary] for card in cards])
        return
    (weights,) = chosen([name], WEIGHTS)
    card, known = read_card(name), {**facts(weights), "url": weights.url}
    if as_json:
        typer.echo(json.dumps({**known, "sections": dict(card.sections)}, indent=2, ensure_ascii=False))
    else:
        _write(_markdown(card, known))


def _markdown(card: ModelCard, known: dict[str, object]) -> str:
    """Return the whole card."""
    size_bytes = known["size_bytes"]
    rows = {
        "For": known["role"],
        "Licence": known["licence"],
        "Source": known["source"],
        "File": known["path"] or "not installed",
        "Size": f"{size_bytes:,} bytes" if isinstance(size_bytes, int) else "not known until the file is brought",
        "sha256": known["sha256"] or "not published, so not known until the file is brought",
        "State": known["state"],
    }
    if known["url"] is not None:
        rows["Fetched from"] = known["url"]
    facts_text = "\n".join(f"- {key}: {printable(str(value))}" for key, value in rows.items())
    sections = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in card.sections.items())
    return f"# {card.name}\n\n{sections}\n\n## File\n\n{facts_text}"


def _write(markdown: str) -> None:
    if not sys.stdout.isatty():
        typer.echo(markdown)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(highlight=False).print(Markdown(markdown))
