"""The figures as JSON: all that was measured, and what the tables show of it, so that nobody need compute it again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from streamer.bench import figures
from streamer.bench.accuracy import Agreement, Scores
from streamer.bench.figures import Accuracy, Figures, Growth, Measurement, Spread, TruthFigures, VideoFigures
from streamer.bench.values import Run

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"

SCHEMA_VERSION = 1


def as_json(measured: Figures) -> str:
    """Return everything, indented; schema version 1."""
    document: Json = {
        "schema_version": SCHEMA_VERSION,
        "command": measured.command,
        "date": measured.date,
        "repeat": measured.repeat,
        "machine": dataclasses.asdict(measured.machine),
        "videos": [_video(video) for video in measured.videos],
        "truth": [_truth(one) for one in measured.truth],
        "growth": {growth.by: _growth(growth) for growth in measured.growth},
        "notes": list(measured.notes),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _video(video: VideoFigures) -> Json:
    return {
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "declared_fps": video.fps,
        "reference": video.reference,
        "measurements": [_measurement(one, video) for one in video.measurements],
    }


def _measurement(one: Measurement, video: VideoFigures) -> Json:
    peers = {
        "ceiling_ratio": video.of(figures.CEILING),
        "naive_ratio": video.of(figures.NAIVE),
        "peer_detection_ratio": video.of(figures.PEER_DETECTION),
    }
    ratios = {key: _spread(one.times(peer)) if peer is not None else None for key, peer in peers.items()}
    return {
        "name": one.name,
        **_speed(one),
        **ratios,
        "accuracy": _accuracy(one.accuracy) if one.accuracy is not None else None,
        "runs": [_run(run) for run in one.runs],
        "profile": _run(one.profile) if one.profile is not None else None,
    }


def _speed(one: Measurement) -> dict[str, Json]:
    return {
        "fps": _spread(one.fps),
        "cpu_ms_per_frame": _spread(one.cpu_ms_per_frame),
        "peak_mib": _spread(one.peak_mib),
        "faces_per_frame": one.runs[0].faces_per_frame,
    }


def _spread(spread: Spread) -> Json:
    return {"median": spread.median, "min": spread.least, "max": spread.most}


def _run(run: Run) -> Json:
    return {**dataclasses.asdict(run), "fps": run.fps, "cpu_ms_per_frame": run.cpu_ms_per_frame}


def _accuracy(accuracy: Accuracy) -> Json:
    return {
        "shown": _agreement(accuracy.shown),
        "detected": _agreement(accuracy.detected),
        "id_switches": accuracy.id_switches,
        "names": accuracy.names,
    }


def _agreement(one: Agreement) -> Json:
    return {
        "large": _scores(one.large),
        "all_sizes": _scores(one.all_sizes),
        "median_iou": one.median_iou,
    }


def _scores(scores: Scores) -> Json:
    return {
        "recall": scores.recall.value,
        "precision": scores.precision.value,
        "reference_faces": scores.recall.total,
        "found_faces": scores.precision.total,
    }


def _truth(one: TruthFigures) -> Json:
    scores = one.scores
    return {
        "name": one.name,
        "recall": scores.recall.value,
        "precision": scores.precision.value,
        "id_switches": scores.id_switches,
        "name_accuracy": scores.names.value,
        "false_names": scores.false_names,
    }


def _growth(growth: Growth) -> Json:
    slopes = growth.slopes_ms()
    return {
        "points": [
            {
                "amount": point.amount,
                **_speed(point.process),
                "ceiling_fps": _spread(point.ceiling.fps) if point.ceiling is not None else None,
                "ceiling_ratio": _spread(point.process.times(point.ceiling)) if point.ceiling is not None else None,
                "recall": point.recall,
            }
            for point in growth.points
        ],
        "slope_ms": {"passed": slopes[0], "cpu": slopes[1]} if slopes is not None else None,
    }
