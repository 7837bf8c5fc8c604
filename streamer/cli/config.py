"""`streamer config show`: the configuration as it would be used."""

from __future__ import annotations

import typer

from streamer.cli.options import ConfigFile, Overrides

app = typer.Typer(help="See the configuration.", rich_markup_mode=None)


@app.command("show")
def show(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Print every key with its meaning and its value, and where each given value came from."""
    from streamer.config import as_yaml, load_with_origins

    loaded = load_with_origins(config, overrides or ())
    typer.echo(as_yaml(loaded.config, loaded.origins), nl=False)
