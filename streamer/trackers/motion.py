"""A constant-velocity Kalman filter for boxes, in stream time and in units of the box itself.

State: centre, width and height with their velocities. The four axes share one 2 × 2 covariance, because noise is
expressed in box heights: a near face moves more pixels than a far one. Method: SORT (Bewley et al., ICIP 2016), with
time in seconds instead of frames and a white-noise acceleration.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamer.types import Float32

_ACCELERATION = 6.0  # box heights a second²: a head that turns and walks; standard deviation
_MEASUREMENT = 0.04  # box heights: how far MTCNN's box wanders about a still face; standard deviation
_FIRST_VELOCITY = 1.5  # box heights a second; standard deviation of the unknown first velocity


def _to_state(xyxy: Float32) -> npt.NDArray[np.float64]:
    left, top, right, bottom = (float(edge) for edge in xyxy)
    return np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])


class BoxMotion:
    """Where one box is, how it moves, and how sure that is.

    Args:
        xyxy: (4,) float32 px, the first measurement.
        pts_seconds: When it was measured.
    """

    __slots__ = ("_covariance", "_seconds", "_value", "_velocity")

    def __init__(self, xyxy: Float32, pts_seconds: float) -> None:
        self._value = _to_state(xyxy)
        self._velocity = np.zeros(4)
        self._covariance = np.diag([_MEASUREMENT**2, _FIRST_VELOCITY**2])
        self._seconds = pts_seconds

    def predicted(self, pts_seconds: float) -> Float32:
        """Return the (4,) box expected at `pts_seconds`, px; a shrinking side stops at a quarter of its last size."""
        ahead = max(pts_seconds - self._seconds, 0.0)
        centre_x, centre_y, width, height = self._value + self._velocity * ahead
        width, height = max(width, self._value[2] / 4), max(height, self._value[3] / 4)
        return np.array(
            [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2], np.float32
        )

    def measure(self, xyxy: Float32, pts_seconds: float) -> None:
        """Take a (4,) box measured at `pts_seconds`."""
        ahead = max(pts_seconds - self._seconds, 0.0)
        step = np.array([[1.0, ahead], [0.0, 1.0]])
        push = np.array([ahead**2 / 2, ahead]) * _ACCELERATION
        covariance = step @ self._covariance @ step.T + np.outer(push, push)
        gain = covariance[:, 0] / (covariance[0, 0] + _MEASUREMENT**2)
        surprise = _to_state(xyxy) - (self._value + self._velocity * ahead)
        self._value = self._value + self._velocity * ahead + gain[0] * surprise
        self._velocity = self._velocity + gain[1] * surprise
        self._covariance = covariance - np.outer(gain, covariance[0])
        self._seconds = pts_seconds
