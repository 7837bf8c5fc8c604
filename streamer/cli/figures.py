"""Figures as commands print them: shares in per cent for people, rounded JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from streamer.evaluation.shares import Interval, Spread

_JSON_DECIMALS = 6


def print_json(document: object) -> None:
    """Write a document to stdout; its numbers are rounded to what was measured."""
    typer.echo(json.dumps(_rounded(document), indent=2, ensure_ascii=False))


def _rounded(value: object) -> object:
    """Return the same with all numbers rounded, at any depth."""
    if isinstance(value, float):
        return round(value, _JSON_DECIMALS)
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def percent(share: float | None) -> str:
    """Return a share as `99.33 %`; None, a share of nothing, as a dash."""
    return "-" if share is None else f"{100 * share:.2f} %"


def interval_text(interval: Interval | None) -> str:
    """Return an interval as `98.22 to 99.24 %`; None as nothing."""
    return "" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %"


def spread_text(spread: Spread) -> str:
    """Return a mean, and in brackets what 95 % of the draws lie within."""
    low, high = spread.interval
    return f"{100 * spread.mean:.2f} % ({100 * low:.1f} to {100 * high:.1f})"
