"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130  # the exit code after Ctrl-C or SIGTERM

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="YAML file of settings; see configs/ for examples."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Set one key; wins over file and environment; may be given several times.",
    ),
]
GalleryFolder = Annotated[
    Path | None,
    typer.Option("--gallery", metavar="PATH", help="Folder of the enrolled people; default: in your data directory."),
]
DeviceName = Annotated[
    str | None, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where the nets run; default: auto.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
