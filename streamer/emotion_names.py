"""The seven emotions, in the order of all probabilities of them; what needs no more of types.py needs no OpenCV."""

from __future__ import annotations

EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
