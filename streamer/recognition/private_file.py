"""Writes a file of biometric data: for its owner's eyes only, and whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Put `content` under `path` in one step; stopped at any moment, the name holds what it held before.

    Raises:
        OSError: It cannot be written; no part of it is left.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:  # an interruption, too, leaves no half-written file
        part.unlink(missing_ok=True)
        raise
