"""What sections and their keys are made of: how texts become values, how these are written, and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

_KINDS: Mapping[object, str] = MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path", NoneType: "null"}
)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _listed(value: object) -> object:
    """Return a list, or a text such as `a, b` or `[a, b]`, as a tuple; all else as it is."""
    if isinstance(value, str):
        value = [part.strip().strip("'\"") for part in value.strip().removeprefix("[").removesuffix("]").split(",")]
    return tuple(value) if isinstance(value, list) else value


def _numbered(value: object) -> object:
    """Return the same, its texts turned into numbers where they are such."""
    value = _listed(value)
    try:
        return (
            tuple(float(one) if isinstance(one, str) else one for one in value) if isinstance(value, tuple) else value
        )
    except ValueError:
        return value


LocalPath = Annotated[Path, Field(strict=False), AfterValidator(_expanded)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=2, max_length=100)]
Share = Annotated[float, Field(gt=0, le=1)]
Numbers = Annotated[tuple[Share, ...], BeforeValidator(_numbered)]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
Encoder = Literal["auto", "libx264", "h264_nvenc", "h264_vaapi", "h264_videotoolbox", "h264_qsv", "h264_amf"]


def scalar_text(value: object) -> str:
    """Write one value as YAML, in one line."""
    if isinstance(value, tuple):
        return yaml.safe_dump(list(value), allow_unicode=True, width=1_000_000, default_flow_style=True).strip()
    plain = str(value) if isinstance(value, Path) else value
    if isinstance(plain, str) and not plain.isprintable():
        return json.dumps(plain)  # YAML, too, and always one line
    return yaml.safe_dump({"x": plain}, allow_unicode=True, width=1_000_000).removeprefix("x:").strip()


def allowed_values(field: FieldInfo) -> str:
    """Say what a key may be: `a number, at least 0.5 and at most 1, or null`."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    limits = [
        f"{word} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, word in words.items()
        if hasattr(limit, name)
    ]
    kinds = _kinds(field.annotation)
    bounded = ", ".join([kinds[0], " and ".join(limits)]) if limits else kinds[0]
    return bounded if len(kinds) == 1 else f"{bounded}{',' if limits else ''} or {kinds[1]}"


def _kinds(annotation: object) -> list[str]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    if origin is Annotated:
        kind, *details = get_args(annotation)
        words = [detail for detail in details if isinstance(detail, str)]  # what a text must be like
        return words or _kinds(kind)
    if origin is Literal:
        *names, last = get_args(annotation)
        return [f"{', '.join(names)} or {last}" if names else str(last)]
    if origin is tuple:
        return [f"a list of {_kinds(get_args(annotation)[0])[0].removeprefix('a ')}s"]
    return [_KINDS[annotation]]


class Section(BaseModel):
    """Keys that belong together. Strict, because `detect_cuts: 0.2` is a slip and not a wish."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
