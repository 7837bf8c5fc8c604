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
PeopleFolder = Annotated[
    Path | None,
    typer.Option(
        "--people",
        metavar="DIR",
        help="Photos, one folder a person, in place of the gallery, which is left alone; default: the gallery.",
    ),
]
MatcherFile = Annotated[
    Path | None,
    typer.Option(
        "--matcher", metavar="FILE", help="File that streamer train wrote, in place of the gallery; default: none."
    ),
]
DeviceName = Annotated[
    str | None, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where the nets run; default: auto.")
]
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="auto|openvino|torch",
        help="What computes the nets; default: auto, OpenVINO on a CPU and torch on a GPU.",
    ),
]
EncoderChoice = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="auto|libx264|h264_nvenc|h264_vaapi|h264_videotoolbox|h264_qsv|h264_amf",
        help="What encodes the video; default: auto, the first hardware encoder that works, else libx264.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists; default: refuse.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
