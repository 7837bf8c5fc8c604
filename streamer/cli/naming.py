"""Who may be named: photos enrolled for one run, in place of the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamer.errors import UsageError

if TYPE_CHECKING:
    from streamer.build import Models
    from streamer.config import Config
    from streamer.queues import StopRequest
    from streamer.recognition.gallery import Gallery


def check_one_source_of_names(people: Path | None, matcher_file: Path | None) -> None:
    """Raise UsageError where photos and a trained matcher are both to take the gallery's place."""
    if people is not None and matcher_file is not None:
        raise UsageError("--people and a trained matcher both take the gallery's place; leave one of them out")


def enrolled(people: Path, config: Config, models: Models, stop: StopRequest) -> Gallery:
    """Enrol a folder of photos in memory; a stop request ends that after the photo in hand, as Ctrl-C would."""
    from streamer.api import people_from

    def leave_if_asked(_report: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    return people_from(people, config, models=models, on_photo=leave_if_asked)
