"""Configuration to policies: when frames are searched and faces looked at, what that costs, and what is told of it."""

from __future__ import annotations

from streamer.annotate import AnnotateStyle
from streamer.config import Config
from streamer.emotion.policy import EmotionPolicy
from streamer.label_policy import LabelPolicy
from streamer.rungs import Usual
from streamer.scans import ScanPolicy

_PYRAMID_STEP = 1 / 0.709  # a search for faces larger by this leaves out one level of the detector's pyramid


def label_policy(config: Config) -> LabelPolicy:
    """Return when and how faces are named and their emotions told."""
    return LabelPolicy(
        embed_every_seconds=config.labels.embed_every_seconds,
        refresh_seconds=config.labels.refresh_seconds,
        min_face_pixels=config.labels.min_face_pixels,
        embeddings_per_second=config.labels.embeddings_per_second,
        look_ahead_seconds=config.labels.look_ahead_seconds,
        revive_seconds=config.labels.revive_seconds,
        emotion=_emotion_policy(config),
        left_after_seconds=config.tracker.max_lost_seconds,
        keep_looks=config.sinks.keep_embeddings,
    )


def _emotion_policy(config: Config) -> EmotionPolicy:
    settings = config.emotion
    return EmotionPolicy(
        every_seconds=settings.every_seconds,
        smoothing_seconds=settings.smoothing_seconds,
        steady_seconds=settings.steady_seconds,
        hold_seconds=settings.hold_seconds,
        least_confidence=settings.least_confidence,
        min_face_pixels=settings.min_face_pixels,
        max_yaw_degrees=settings.max_yaw_degrees,
        least_sharpness=settings.least_sharpness,
        baseline_seconds=settings.baseline_seconds,
    )


def scan_policy(config: Config, usual_seconds: float, *, can_wait: bool) -> ScanPolicy:
    """Return how often whole frames are searched; `usual_seconds`: unless it is set."""
    every = config.tracker.detect_every_seconds
    return ScanPolicy(
        every_seconds=_search_seconds(config, usual_seconds),
        min_face_pixels=config.detector.min_face_pixels,
        spares=can_wait and every is None,
        coarse_min_face_pixels=None if every == 0 else config.detector.min_face_pixels * _PYRAMID_STEP,
        most_frame_bytes=ScanPolicy().most_frame_bytes if can_wait else None,
        detect_cuts=config.tracker.detect_cuts,
    )


def _search_seconds(config: Config, usual_seconds: float) -> float:
    every = config.tracker.detect_every_seconds
    return usual_seconds if every is None else every


def usual_effort(config: Config, usual_seconds: float, *, is_shown: bool) -> Usual:
    """Return what a live run costs at its full effort; `usual_seconds` between searches, unless that is set."""
    return Usual(
        search_seconds=_search_seconds(config, usual_seconds),
        min_face_pixels=config.detector.min_face_pixels,
        embeddings_per_second=config.labels.embeddings_per_second,
        emotion_seconds=config.emotion.every_seconds if config.emotion.enabled else None,
        is_shown=is_shown,
    )


def annotate_style(config: Config) -> AnnotateStyle:
    """Return what is drawn."""
    settings = config.annotate
    return AnnotateStyle(
        show_emotion=settings.show_emotion,
        show_probability=settings.show_probability,
        show_landmarks=settings.show_landmarks,
        blur_unknown=settings.blur_unknown,
        text_scale=settings.text_scale,
        font=settings.font,
    )
