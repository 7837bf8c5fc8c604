"""One file of weights: what is known of it, where it lies, and whether it is the expected one. Loads no net.

Of some files nobody has published a sha256: a user brings them, and what came is noted beside them, so that later
damage shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Weights:
    """One weights file as it must be.

    Attributes:
        name: What options and messages call it.
        role: What it is for, in a few words.
        path: Where it must lie; None: the package that carries it is not installed.
        sha256: Of the whole file, lower-case hexadecimal; None: not known until a user brings the file.
        size_bytes: Of the whole file; None: likewise.
        licence: SPDX identifier.
        source: Where it comes from originally.
        remedy: What to do where it is absent or damaged, an imperative.
        url: Where `streamer models fetch` gets it; None: it comes with an installed package.
    """

    name: str
    role: str
    path: Path | None
    sha256: str | None
    size_bytes: int | None
    licence: str
    source: str
    remedy: str
    url: str | None = None

    @property
    def is_optional(self) -> bool:
        """Nothing needs it until a user chooses its net."""
        return self.url is not None

    @property
    def is_absent(self) -> bool:
        """There is no file, good or bad."""
        return self.path is None or not self.path.exists()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a file from all others.

    Attributes:
        sha256: Of the whole file, lower-case hexadecimal.
        size_bytes: Of the whole file.
    """

    sha256: str
    size_bytes: int


def fingerprint(weights: Weights) -> Fingerprint | None:
    """Return what a file must be: as the registry knows, or as was noted when a user brought it; None: neither."""
    if weights.sha256 is not None and weights.size_bytes is not None:
        return Fingerprint(weights.sha256, weights.size_bytes)
    try:
        sha256, size_bytes = note_path(weights).read_text(encoding="ascii").split()
        return Fingerprint(sha256, int(size_bytes))
    except (OSError, ValueError):
        return None


def note_path(weights: Weights) -> Path:
    """Return where it is noted what a user brought: a line of sha256 and size."""
    assert weights.path is not None, "what is brought has a place in the user's data directory"
    return weights.path.with_name(f"{weights.path.name}.sha256")


def check(weights: Weights) -> Path:
    """Return the path of a weights file once its size and sha256 are seen to be right.

    Raises:
        WeightsError: The file is absent, unreadable, of another length or of other content.
    """
    if weights.path is None:
        raise WeightsError(f"the package that carries {weights.name} is not installed; {weights.remedy}")
    file_text = f"the weights file {weights.path} ({weights.name})"
    try:
        size_bytes = weights.path.stat().st_size
        with weights.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"{file_text} is absent; {weights.remedy}") from error
    except OSError as error:
        raise WeightsError(f"{file_text} cannot be read ({error.strerror}); {weights.remedy}") from error
    wanted = fingerprint(weights)
    if wanted is None:
        raise WeightsError(f"{file_text} did not come there by `streamer models fetch`; {weights.remedy}")
    if size_bytes < wanted.size_bytes:
        raise WeightsError(f"{file_text} is cut: {size_bytes} of {wanted.size_bytes} bytes; {weights.remedy}")
    if sha256 != wanted.sha256:
        raise WeightsError(
            f"{file_text} is another one: its sha256 starts {sha256[:12]} instead of {wanted.sha256[:12]}; "
            f"{weights.remedy}"
        )
    return weights.path
