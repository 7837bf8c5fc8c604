"""Turns decoded frames into pictures: the decoder's own planes where they fit, swscale's where they do not; upright.

It never scales, and it leaves high dynamic range as bright as it is stored.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from streamer.pictures import I420Picture, UInt8

# AVColorSpace, the colour matrix that a frame declares -> what swscale calls it.
_BT709 = 1
_MATRICES = {
    _BT709: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_BT2020 = (9, 10)


class Orientation(NamedTuple):
    """What to do to a stored picture, in this order, to see it upright."""

    transposed: bool
    mirrored: bool
    flipped: bool


UPRIGHT = Orientation(transposed=False, mirrored=False, flipped=False)
# Anticlockwise by 0, 90, 180 and 270 degrees.
_QUARTER_TURNS = (
    UPRIGHT,
    Orientation(transposed=True, mirrored=False, flipped=True),
    Orientation(transposed=False, mirrored=True, flipped=True),
    Orientation(transposed=True, mirrored=True, flipped=False),
)


class PictureMaker:
    """Makes pictures of one stream's frames; keeps swscale's tables from frame to frame."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._angle: int | None = None
        self._orientation = UPRIGHT

    @property
    def is_transposed(self) -> bool:
        """The latest picture's width was the height of the frame as stored."""
        return self._orientation.transposed

    def _turn_of(self, frame: VideoFrame) -> Orientation:
        """Return how to turn the frame upright; the matrix is read again only where the angle has changed."""
        if frame.rotation != self._angle:
            self._angle = frame.rotation
            # A frame whose side data was read refers to itself, so that its buffers wait for the garbage collector:
            # let that be a tiny one.
            matrix = Colorspace.ITU601
            tiny = self._reformatter.reformat(frame, 16, 16, "gray", src_colorspace=matrix, dst_colorspace=matrix)
            self._orientation = _read_orientation(tiny)
        return self._orientation

    def picture(self, frame: VideoFrame) -> I420Picture:
        """Return the frame upright, limited-range YUV 4:2:0.

        An 8-bit yuv420p frame is not copied: the arrays keep its buffers alive. Raises av.FFmpegError where swscale
        does not know the format.
        """
        is_bt709 = _is_bt709(frame)
        fitting = frame if _fits(frame) else self._reformat(frame, is_bt709)
        y, u, v = (_plane(plane) for plane in fitting.planes[:3])
        how = self._turn_of(frame)
        if how != UPRIGHT:
            y, u, v = (_turn(plane, how) for plane in (y, u, v))
        return I420Picture(y, u, v, is_bt709=is_bt709)

    def _reformat(self, frame: VideoFrame, is_bt709: bool) -> VideoFrame:
        matrix = Colorspace.ITU709 if is_bt709 else Colorspace.ITU601
        # Unless told, swscale takes a frame that declares no matrix for BT.601 and would shift HD colours.
        source_matrix = None if frame.format.is_rgb else _MATRICES.get(frame.colorspace, matrix)
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            src_colorspace=source_matrix,
            dst_colorspace=matrix,
            dst_color_range=ColorRange.MPEG,
        )


def _is_bt709(frame: VideoFrame) -> bool:
    # A frame that does not say is taken for BT.601 whatever its size, as swscale, and so PyAV and cv2, do: MTCNN's
    # boxes follow small differences of colour, and those that users compare with were found so.
    return not frame.format.is_rgb and (frame.colorspace == _BT709 or frame.colorspace in _BT2020)


def _fits(frame: VideoFrame) -> bool:
    return (
        frame.format.name == "yuv420p"
        and frame.color_range != ColorRange.JPEG
        and _MATRICES.get(frame.colorspace, Colorspace.ITU601) in (Colorspace.ITU709, Colorspace.ITU601)
        and all(plane.line_size > 0 for plane in frame.planes)
    )


def _plane(plane: VideoPlane) -> UInt8:
    """Return a view of the plane, (height, width) uint8; its base keeps the frame alive."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _read_orientation(frame: VideoFrame) -> Orientation:
    """Read how the frame's display matrix wants it shown; angles between multiples of 90° go to the nearest.

    The matrix takes a stored point (x, y), y downwards, to (a·x + c·y, b·x + d·y); a, b, c and d are its elements
    0, 1, 3 and 4 (libavutil/display.h).
    """
    try:
        side_data = cast(SideDataContainer, frame.side_data)
        raw = side_data.get(Type.DISPLAYMATRIX)
        matrix = None if raw is None else np.frombuffer(memoryview(raw), np.int32)
    except ValueError:  # PyAV knows no name for some other side data of the frame
        matrix = None
    if matrix is None:
        return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(transposed=False, mirrored=a < 0, flipped=d < 0)
    return Orientation(transposed=True, mirrored=c < 0, flipped=b < 0)


def _turn(plane: UInt8, how: Orientation) -> UInt8:
    turned = cv2.transpose(plane) if how.transposed else plane
    if how.mirrored or how.flipped:
        turned = cv2.flip(turned, -1 if how.mirrored and how.flipped else int(how.mirrored))
    return np.asarray(turned, np.uint8)
