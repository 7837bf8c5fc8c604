"""What a user chooses of a live run beside the configuration: values only, so that they cost nothing to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LiveTargets:
    """Where the results of a live run go from its first frame on; None: not there.

    Attributes:
        record: Annotated video.
        results: Results file.
        publish: RTSP address, as the user gave it, credentials included.
        overwrite: Files that exist may be replaced.
    """

    record: Path | None = None
    results: Path | None = None
    publish: str | None = None
    overwrite: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The files among them."""
        return tuple(path for path in (self.record, self.results) if path is not None)

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self.files) or self.publish is not None


@dataclass(frozen=True, slots=True)
class LiveChoices:
    """What a live run watches, whom it knows, and where it shows it.

    Attributes:
        camera: Its number or path, or the address of a stream, as the user gave it.
        people: Folder of photos in place of the gallery; None: the gallery.
        targets: Where results go.
        has_window: They are shown in a window.
        is_mirrored: The window's picture is mirrored at first.
    """

    camera: str
    people: Path | None
    targets: LiveTargets
    has_window: bool
    is_mirrored: bool
