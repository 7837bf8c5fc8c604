"""Pictures as decoders give them: planes that are converted only where, and only as far as, a stage asks.

A file that goes from decoder to encoder stays in YUV; converting it to BGR and back costs 3 to 6 ms a frame at 720p.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]  # (2, 3): linear part and shift

# Fixed-point YUV to BGR, limited range, as swscale computes it on x86 (each product is rounded down on its own). The
# cascade is that sensitive: with OpenCV's conversion, about one level brighter, its boxes overlap by .975 in the median
# with those found in swscale's pixels, which is what users of PyAV and cv2.VideoCapture see.
_LUMA = ((np.arange(256) * 8 - 128) * 9539 >> 16).astype(np.int16)
_GREY_OF_LUMA = np.clip(_LUMA, 0, 255).astype(np.uint8)
_Tables = tuple[npt.NDArray[np.int16], ...]


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

    def warped(self, matrix: Matrix, side: int, shrink: int) -> UInt8:
        """Return what `matrix` takes to a square of `side` px, (side, side, 3) uint8 BGR; see `warp`."""
        return warp(self._bgr, matrix, side, shrink)

    def warped_grey(self, matrix: Matrix, side: int, shrink: int) -> UInt8:
        """Return the same in grey, (side, side) uint8."""
        return np.asarray(cv2.cvtColor(self.warped(matrix, side, shrink), cv2.COLOR_BGR2GRAY), np.uint8)

    def planes(self, xyxy: tuple[int, int, int, int]) -> tuple[UInt8, UInt8, UInt8]:
        """Convert a part (inside the picture, x1 and y1 even) to y (h, w), u and v (ceil(h/2), ceil(w/2)) uint8."""
        y, u, v = planes_of(packed_from_bgr(self.bgr_region(xyxy)))
        return y[: xyxy[3] - xyxy[1], : xyxy[2] - xyxy[0]], u, v

    def shrunk(self, factor: int) -> BgrPicture:
        """Return the picture with sides divided by a whole factor, at least a pixel."""
        return BgrPicture(_shrunk(self._bgr, factor))


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

    def planes(self, xyxy: tuple[int, int, int, int]) -> tuple[UInt8, UInt8, UInt8]:
        """Return a part (inside the picture, x1 and y1 even): y (h, w), u and v (ceil(h/2), ceil(w/2)) uint8."""
        x1, y1, x2, y2 = xyxy
        half = (slice(y1 // 2, (y2 + 1) // 2), slice(x1 // 2, (x2 + 1) // 2))
        return self.y[y1:y2, x1:x2], self.u[half], self.v[half]

    def shrunk(self, factor: int) -> I420Picture:
        """Return the picture with sides divided by a whole factor, at least a pixel."""
        y = _shrunk(self.y, factor)
        size = ((y.shape[1] + 1) // 2, (y.shape[0] + 1) // 2)
        u, v = (
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8) for plane in (self.u, self.v)
        )
        return I420Picture(y, u, v, is_bt709=self.is_bt709)

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
        wide = (np.repeat(np.repeat(plane, 2, axis=0), 2, axis=1)[inside] for plane in (u, v))
        return _converted((self.y[y1:y2, x1:x2], *wide), _BT709 if self.is_bt709 else _BT601)

    def warped(self, matrix: Matrix, side: int, shrink: int) -> UInt8:
        """Return what `matrix` takes to a square of `side` px, (side, side, 3) uint8 BGR; see `warp`.

        Each plane is warped for itself and only the square is converted.
        """
        # Whole numbers are pixel centres, of which a chroma pixel's lies between its four pixels'.
        half = np.array(matrix, np.float64)
        half[:, 2] += half[:, :2].sum(axis=1) / 2
        half[:, :2] *= 2
        planes = (warp(plane, m, side, shrink) for plane, m in ((self.y, matrix), (self.u, half), (self.v, half)))
        return _converted(planes, _BT709 if self.is_bt709 else _BT601)

    def warped_grey(self, matrix: Matrix, side: int, shrink: int) -> UInt8:
        """Return the same in grey, (side, side) uint8: the luma, of which only the range is changed."""
        return np.asarray(cv2.LUT(warp(self.y, matrix, side, shrink), _GREY_OF_LUMA), np.uint8)


def _converted(planes: Iterable[UInt8], tables: _Tables) -> UInt8:
    """Return (h, w, 3) uint8 BGR of the planes y, u and v, all of one size."""
    y, u, v = planes
    to_red, u_to_green, v_to_green, to_blue = tables
    brightness = cv2.LUT(y, _LUMA)
    green = cv2.add(cv2.LUT(u, u_to_green), cv2.LUT(v, v_to_green))
    colours = (cv2.LUT(u, to_blue), green, cv2.LUT(v, to_red))
    return np.asarray(cv2.merge([cv2.add(brightness, colour, dtype=cv2.CV_8U) for colour in colours]), np.uint8)


def warp(plane: UInt8, matrix: Matrix, side: int, shrink: int) -> UInt8:
    """Warp an (H, W) or (H, W, 3) plane to a square; what lies outside repeats its edge.

    Args:
        plane: What is warped.
        matrix: (2, 3) from its pixel centres to those of a square `shrink` times as large as the one wanted.
        side: Of the square, px.
        shrink: By so much the square is averaged down: sampling for itself sees 2 × 2 pixels only.
    """
    size = (side * shrink, side * shrink)
    large = cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if shrink > 1:
        large = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(large, np.uint8)


def _shrunk(plane: UInt8, factor: int) -> UInt8:
    size = (max(plane.shape[1] // factor, 1), max(plane.shape[0] // factor, 1))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _whole_bgr(picture: I420Picture) -> UInt8:
    """Convert by swscale: a tenth of the time of the tables, the same pixels on x86 and within a level elsewhere.

    For even sides only: swscale treats the last, half-covered chroma of odd ones differently.
    """
    import av

    frame = av.VideoFrame.from_ndarray(
        pack(picture.y, picture.u, picture.v, np.empty(packed_shape(picture), np.uint8)), format="yuv420p"
    )
    frame.colorspace = 1 if picture.is_bt709 else 5
    frame.color_range = 1
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def packed_shape(picture: Picture) -> tuple[int, int]:
    """Return the shape of the one buffer that takes all planes: (3h/2, w), of sides made even."""
    return (picture.height + 1) // 2 * 3, (picture.width + 1) // 2 * 2


def pack(y: UInt8, u: UInt8, v: UInt8, packed: UInt8) -> UInt8:
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


def packed_from_bgr(bgr: UInt8) -> UInt8:
    """Convert (H, W, 3) BGR pixels to planes in one buffer; odd sides are extended by their last line."""
    bottom, right = bgr.shape[0] % 2, bgr.shape[1] % 2
    if bottom or right:
        bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)


def planes_of(packed: UInt8) -> tuple[UInt8, UInt8, UInt8]:
    """Return views of the y, u and v that lie in one (3h/2, w) buffer."""
    height, width = packed.shape[0] * 2 // 3, packed.shape[1]
    u, v = packed[height:].reshape(2, height // 2, width // 2)
    return packed[:height], u, v
