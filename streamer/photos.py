"""Photos and other still pictures as people keep them: read upright, in 8-bit colour, whatever their format."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from streamer.errors import SourceOpenError, printable
from streamer.pictures import BgrPicture

# Endings of still pictures; .gif is not among them, for it may move.
PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

# What people's photos come in. Pillow knows more, some by starting other programs on the file.
_PHOTO_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
# What Pillow's readers raise on damaged files.
_PHOTO_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
)


def read_picture(path: Path) -> BgrPicture:
    """Read a photo, turned upright by its EXIF orientation, as 8-bit colour; what is transparent becomes white.

    Raises SourceOpenError where it is absent, no picture, damaged, or has more pixels than Pillow holds for sane.
    """
    Image.init()
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise SourceOpenError(f"{printable(path)} is no file; a pipe or device would be waited for without end")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[name for name in _PHOTO_FORMATS if name in Image.OPEN]) as image:
                rgb = np.asarray(_to_rgb(ImageOps.exif_transpose(image)), np.uint8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SourceOpenError(f"{printable(path)} has too many pixels; save it smaller") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise SourceOpenError(f"{printable(path)} cannot be read: {error.strerror}") from error
    except _PHOTO_ERRORS as error:
        raise SourceOpenError(f"{printable(path)} is not a picture that can be read, or it is damaged") from error
    return BgrPicture(np.ascontiguousarray(rgb[:, :, ::-1]))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits: convert() would clip them to 8, not scale.
        image = Image.fromarray(np.clip(np.asarray(image, np.float32) / 257, 0, 255).round().astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
