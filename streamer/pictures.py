"""Pictures as decoders give them: planes that are converted only where, and only as far as, a stage asks.

A file that goes from decoder to encoder stays in YUV; converting it to BGR and back costs 3 to 6 ms a frame at 720p.
"""

from __future__ import annotations

import struct
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from streamer.errors import SourceOpenError, printable

UInt8 = npt.NDArray[np.uint8]

# Endings of still pictures; .gif is not among them, for it may move.
PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

# Fixed-point YUV to BGR, limited range, as swscale computes it on x86 (each product is rounded down on its own). The
# cascade is that sensitive: with OpenCV's conversion, about one level brighter, its boxes overlap by .975 in the median
# with those found in swscale's pixels, which is what users of PyAV and cv2.VideoCapture see.
_LUMA = ((np.arange(256) * 8 - 128) * 9539 >> 16).astype(np.int16)


def _chroma(coefficient: int) -> npt.NDArray[np.int16]:
    return ((np.arange(256) * 8 - 1024) * coefficient >> 16).astype(np.int16)


# v to red, u to green, v to green, u to blue: the standards' coefficients × 8192.
_BT601 = (_chroma(13075), _chroma(-3209), _chroma(-6660), _chroma(16525))
_BT709 = (_chroma(14686), _chroma(-1747), _chroma(-4366), _chroma(17305))


def _read_only(plane: UInt8) -> UInt8:
    view = plane.view()
    view.flags.writeable = False
    return view


def _check_plane(name: str, plane: UInt8, shape: tuple[int, ...]) -> None:
    if plane.dtype != np.uint8 or plane.shape != shape:
        raise ValueError(f"{name} must be uint8 of shape {shape}, not {plane.dtype} of shape {plane.shape}")


class BgrPicture:
    """A picture of (H, W, 3) uint8 BGR pixels, as cameras, images and arrays give it."""

    __slots__ = ("_bgr",)

    def __init__(self, pixels: UInt8) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise ValueError(f"pixels must be (H, W, 3) uint8 BGR, not {pixels.dtype} of shape {pixels.shape}")
        self._bgr = _read_only(pixels)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self._bgr.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self._bgr.shape[0])

    def bgr(self) -> UInt8:
        """Return the whole picture, (H, W, 3) uint8, read-only."""
        return self._bgr

    def luma(self) -> UInt8:
        """Return the brightness, (H, W) uint8."""
        return np.asarray(cv2.cvtColor(self._bgr, cv2.COLOR_BGR2GRAY), np.uint8)

    def bgr_region(self, xyxy: tuple[int, int, int, int]) -> UInt8:
        """Return the part inside `xyxy` (whole pixels, clipped to the picture), (h, w, 3) uint8."""
        x1, y1, x2, y2 = xyxy
        return self._bgr[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]


class I420Picture:
    """A planar YUV 4:2:0 picture, limited range: what video decoders give and encoders take.

    Args:
        y: (H, W) uint8 luma; rows may be padded (strided views are kept, not copied).
        u: (ceil(H/2), ceil(W/2)) uint8 blue difference.
        v: (ceil(H/2), ceil(W/2)) uint8 red difference.
        is_bt709: The colours are BT.709 (HD) rather than BT.601 (SD).
    """

    __slots__ = ("_bgr", "is_bt709", "u", "v", "y")

    def __init__(self, y: UInt8, u: UInt8, v: UInt8, *, is_bt709: bool = False) -> None:
        if y.ndim != 2 or 0 in y.shape:
            raise ValueError(f"y must be (H, W) uint8, not of shape {y.shape}")
        half = ((y.shape[0] + 1) // 2, (y.shape[1] + 1) // 2)
        for name, plane, shape in (("y", y, y.shape), ("u", u, half), ("v", v, half)):
            _check_plane(name, plane, shape)
        self.y, self.u, self.v = _read_only(y), _read_only(u), _read_only(v)
        self.is_bt709 = is_bt709
        self._bgr: UInt8 | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.y.shape[0])

    def bgr(self) -> UInt8:
        """Return the whole picture, (H, W, 3) uint8, read-only; converted once and kept."""
        if self._bgr is None:
            self._bgr = _read_only(self.bgr_region((0, 0, self.width, self.height)))
        return self._bgr

    def luma(self) -> UInt8:
        """Return the luma plane, (H, W) uint8, read-only."""
        return self.y

    def bgr_region(self, xyxy: tuple[int, int, int, int]) -> UInt8:
        """Convert and return only the part inside `xyxy` (whole pixels, clipped to the picture), (h, w, 3) uint8."""
        x1, y1, x2, y2 = max(xyxy[0], 0), max(xyxy[1], 0), min(xyxy[2], self.width), min(xyxy[3], self.height)
        if x2 <= x1 or y2 <= y1:
            return np.empty((max(y2 - y1, 0), max(x2 - x1, 0), 3), np.uint8)
        if self._bgr is not None:
            return self._bgr[y1:y2, x1:x2]
        if (x2 - x1, y2 - y1) == (self.width, self.height) and self.width % 2 == self.height % 2 == 0:
            return _whole_bgr(self)  # not kept: a frame waits a while in queues, and its BGR is twice its size
        # Chroma is shared by 2 × 2 pixels: cut it from even to even.
        left, top = x1 // 2, y1 // 2
        u, v = (plane[top : (y2 + 1) // 2, left : (x2 + 1) // 2] for plane in (self.u, self.v))
        inside = (slice(y1 - 2 * top, y2 - 2 * top), slice(x1 - 2 * left, x2 - 2 * left))
        to_red, u_to_green, v_to_green, to_blue = _BT709 if self.is_bt709 else _BT601
        brightness = cv2.LUT(self.y[y1:y2, x1:x2], _LUMA)
        green = cv2.add(cv2.LUT(u, u_to_green), cv2.LUT(v, v_to_green))
        channels = (cv2.LUT(u, to_blue), green, cv2.LUT(v, to_red))
        wide = (np.repeat(np.repeat(channel, 2, axis=0), 2, axis=1)[inside] for channel in channels)
        bgr = cv2.merge([cv2.add(brightness, channel, dtype=cv2.CV_8U) for channel in wide])
        return np.asarray(bgr, np.uint8)


def _whole_bgr(picture: I420Picture) -> UInt8:
    """Convert by swscale: a tenth of the time of the tables, the same pixels on x86 and within a level elsewhere.

    For even sides only: swscale treats the last, half-covered chroma of odd ones differently.
    """
    import av

    frame = av.VideoFrame.from_ndarray(
        _pack(picture.y, picture.u, picture.v, np.empty(_packed_shape(picture), np.uint8)), format="yuv420p"
    )
    frame.colorspace = 1 if picture.is_bt709 else 5
    frame.color_range = 1
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _packed_shape(picture: Picture) -> tuple[int, int]:
    """Return the shape of the one buffer that takes all planes: (3h/2, w), of sides made even."""
    return (picture.height + 1) // 2 * 3, (picture.width + 1) // 2 * 2


def _pack(y: UInt8, u: UInt8, v: UInt8, packed: UInt8) -> UInt8:
    """Lay three planes into the one (3h/2, w) buffer that swscale converts; odd sides repeat their last line."""
    height = 2 * u.shape[0]
    packed[: y.shape[0], : y.shape[1]] = y
    packed[y.shape[0] : height, : y.shape[1]] = y[-1:]
    packed[:height, y.shape[1] :] = packed[:height, y.shape[1] - 1 : y.shape[1]]
    flat = packed[height:].reshape(-1)
    # By shape, not by size: the planes' rows may be padded, and flattening such would copy them once more.
    flat[: u.size].reshape(u.shape)[:] = u
    flat[u.size :].reshape(v.shape)[:] = v
    return packed


Picture = BgrPicture | I420Picture


def _references(buffers: list[UInt8], place: int) -> int:
    return sys.getrefcount(buffers[place])


# To a buffer that nobody but its list refers to; how many the counting adds differs between Pythons.
_FREE = _references([np.empty(0, np.uint8)], 0)


class BufferRing:
    """Memory for canvases, used again once nobody refers to it: fresh pages cost more than the copying.

    One thread takes; whoever holds a canvas, a plane of it or a view of one keeps its buffer, in any thread.
    """

    def __init__(self) -> None:
        self._buffers: list[UInt8] = []

    def take(self, shape: tuple[int, int]) -> UInt8:
        """Return a buffer of `shape` uint8 that nothing else refers to; what it holds is left over."""
        if self._buffers and self._buffers[0].shape != shape:
            self._buffers.clear()
        for place in range(len(self._buffers)):
            if _references(self._buffers, place) <= _FREE:
                return self._buffers[place]
        self._buffers.append(np.empty(shape, np.uint8))
        return self._buffers[-1]


class Canvas:
    """A writable copy of a picture's I420 planes, to draw on; sides are even because H.264 4:2:0 needs them so.

    An odd source side is extended by repeating its last row or column, so nothing is cut off or rescaled.
    The decoder may still refer to its own planes, hence the copy.

    Args:
        picture: What is copied.
        ring: Where the copy's memory comes from; None: from the system.
    """

    __slots__ = ("is_bt709", "u", "v", "y")

    def __init__(self, picture: Picture, ring: BufferRing | None = None) -> None:
        if isinstance(picture, I420Picture):
            shape = _packed_shape(picture)
            buffer = np.empty(shape, np.uint8) if ring is None else ring.take(shape)
            packed = _pack(picture.y, picture.u, picture.v, buffer)
        else:
            packed = _packed_from_bgr(picture)
        height, width = packed.shape[0] * 2 // 3, packed.shape[1]
        quarter = height * width // 4
        flat = packed[height:].reshape(-1)
        self.y = packed[:height]
        self.u = flat[:quarter].reshape(height // 2, width // 2)
        self.v = flat[quarter:].reshape(height // 2, width // 2)
        self.is_bt709 = isinstance(picture, I420Picture) and picture.is_bt709

    @classmethod
    def untouched(cls, picture: Picture) -> Canvas:
        """Return a canvas to show as it is: the picture's own planes, read-only, where their sides are even."""
        if not isinstance(picture, I420Picture) or picture.width % 2 or picture.height % 2:
            return cls(picture)
        canvas = cls.__new__(cls)
        canvas.y, canvas.u, canvas.v, canvas.is_bt709 = picture.y, picture.u, picture.v, picture.is_bt709
        return canvas

    @property
    def width(self) -> int:
        """Width in pixels, even."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, even."""
        return int(self.y.shape[0])

    def picture(self) -> I420Picture:
        """Return a read-only view of the planes."""
        return I420Picture(self.y, self.u, self.v, is_bt709=self.is_bt709)

    def bgr(self) -> UInt8:
        """Convert the drawn picture, (H, W, 3) uint8: for windows, pages and snapshots."""
        return self.picture().bgr()


def _packed_from_bgr(picture: BgrPicture) -> UInt8:
    bgr = picture.bgr()
    bottom, right = bgr.shape[0] % 2, bgr.shape[1] % 2
    if bottom or right:
        bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)


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
