"""How emotions are told over time: what views tell one, how they are averaged, and when the label shown changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmotionPolicy:
    """What emotions are told from; every duration in seconds of stream time.

    Attributes:
        every_seconds: Between looks at one face; half of it while its label is about to change.
        smoothing_seconds: Time constant of the average; 0: none.
        steady_seconds: Time constant of the average that an emotion must lead, too, which was told a moment ago; 0: it
            need not.
        hold_seconds: So long a label stays that nothing supports: no view tells, or nothing is likely.
        least_confidence: Probability below which no emotion is told.
        min_face_pixels: Smaller faces (the box's shorter side) tell none.
        max_yaw_degrees: Nor do faces turned further to a side.
        least_sharpness: Nor do crops with less detail (legibility.py), 0..1.
        baseline_seconds: In so long a person's look at rest is learnt; None: all are measured alike.
    """

    every_seconds: float = 0.2
    smoothing_seconds: float = 0.25
    steady_seconds: float = 1.5
    hold_seconds: float = 1.0
    least_confidence: float = 0.4
    min_face_pixels: float = 24.0
    max_yaw_degrees: float = 60.0
    least_sharpness: float = 0.012
    baseline_seconds: float | None = None
