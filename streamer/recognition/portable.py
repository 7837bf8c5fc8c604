"""One file with some people of a gallery, to be carried to another: what gallery.json holds, then the vectors file.

The first line is the sha256 of all that follows, so that a letter changed in a name is found, too; the second is the
index, as one line of JSON; the rest is a safetensors file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streamer.errors import GalleryError, printable
from streamer.recognition import gallery_format as form
from streamer.recognition.people import Gallery
from streamer.recognition.private_file import write_private

SUFFIX = ".people"
_CHECKSUM_BYTES = 65
_MAX_BYTES = 6 * 2**30


def export_people(gallery: Gallery, names: Sequence[str], path: Path, *, overwrite: bool = False) -> Gallery:
    """Write people of a gallery to one file, private to the user, in one step.

    Args:
        gallery: The gallery.
        names: Whom; none: everybody.
        path: The file.
        overwrite: It may exist.

    Returns:
        Those who were written.

    Raises:
        GalleryError: Nobody has one of the names, or the file exists or cannot be written.
    """
    people = [gallery.person(name) for name in dict.fromkeys(names)] if names else list(gallery.people)
    chosen = replace(gallery, people=tuple(people), calibration=None)
    if not people:
        raise GalleryError("nobody is enrolled, so there is nothing to export")
    if path.exists() and not overwrite:
        raise GalleryError(f"{printable(path)} exists already; name another file, or add --overwrite")
    vectors = form.serialise_vectors(chosen) or b""
    index = json.dumps(json.loads(form.serialise_index(chosen, vectors)), ensure_ascii=True)
    content = index.encode() + b"\n" + vectors
    try:
        write_private(path, _checksum(content) + content)
    except OSError as error:
        raise GalleryError(f"{printable(path)} cannot be written ({error.strerror}); name another place") from error
    return chosen


def read_people(path: Path) -> Gallery:
    """Read what `export_people` wrote.

    Raises:
        GalleryError: It is absent, damaged, too large, or no such file.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > _MAX_BYTES:
                raise GalleryError(
                    f"{printable(path)} is too large for exported people; give what `people export` wrote"
                )
            checksum, content = file.readline(_CHECKSUM_BYTES), file.read()
    except OSError as error:
        raise GalleryError(f"{printable(path)} cannot be read ({error.strerror}); check the name") from error
    damaged = GalleryError(f"{printable(path)} is damaged, or not what `people export` wrote; export the people again")
    if checksum != _checksum(content):
        raise damaged
    index, _, vectors = content.partition(b"\n")
    try:
        return form.assemble(form.parse_index(index, path), vectors or None, path)
    except GalleryError as error:
        raise damaged from error


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
