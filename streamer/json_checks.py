"""Checks of values that were read from JSON, each saying in a few words what is wrong; no file is touched here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn, cast

Fields = Mapping[str, object]

_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_TEXT_CHARACTERS = 100_000
# Whole numbers beyond what JavaScript's readers keep exactly count nothing that a run has.
_MAX_WHOLE = 2**53
_MOST_NUMBER = 1e9
_ALL_FLOAT = {float}


class MalformedError(Exception):
    """Something that was read is not as it must be; says what."""


def parse_object(content: bytes) -> dict[str, object]:
    """Return the JSON object that `content` holds. Raises MalformedError; NaN and infinity are no JSON."""
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a number without end, nested without end
        raise MalformedError("it is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedError("it is not a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def value_of(fields: Fields, key: str) -> object:
    """Return a field, whatever it is. Raises MalformedError where it is absent; so do all below."""
    try:
        return fields[key]
    except KeyError:
        raise MalformedError(f"{key!r} is missing") from None


def text(fields: Fields, key: str) -> str:
    """Return a text."""
    value = value_of(fields, key)
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS:
        raise MalformedError(f"{key!r} is not a text of {MAX_TEXT_CHARACTERS} characters at most")
    return value


def text_or_none(fields: Fields, key: str) -> str | None:
    """Return a text, or None where the field is null."""
    return None if value_of(fields, key) is None else text(fields, key)


def sha256(fields: Fields, key: str) -> str:
    """Return a sha256 in lower-case hexadecimal."""
    value = text(fields, key)
    if not _SHA256.fullmatch(value):
        raise MalformedError(f"{key!r} is not a sha256")
    return value


def whole(fields: Fields, key: str, least: int = 0) -> int:
    """Return a whole number of at least `least`."""
    value = value_of(fields, key)
    if type(value) is not int or not least <= value <= _MAX_WHOLE:
        raise MalformedError(f"{key!r} is not a whole number of at least {least}")
    return value


def number(fields: Fields, key: str, least: float = -_MOST_NUMBER, most: float = _MOST_NUMBER) -> float:
    """Return a finite number between `least` and `most`."""
    value = fields.get(key)
    if type(value) is float and least <= value <= most:  # nearly always, and a file has tens of millions
        return value
    return checked_number(value_of(fields, key), repr(key), least, most)


def checked_number(value: object, what: str, least: float = -_MOST_NUMBER, most: float = _MOST_NUMBER) -> float:
    """Return `value` where it is a number between `least` and `most`; `what` names it."""
    # NaN is between nothing.
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise MalformedError(f"{what} is not a number between {least:g} and {most:g}")
    return float(value)


def checked_numbers(values: list[object], what: str) -> tuple[float, ...]:
    """Return `values` where all are finite numbers; `what` names one of them."""
    if set(map(type, values)) == _ALL_FLOAT:  # nearly always, as above
        floats = cast("list[float]", values)
        if min(floats) >= -_MOST_NUMBER and max(floats) <= _MOST_NUMBER:
            return tuple(floats)
    return tuple(checked_number(value, what) for value in values)


def flag(fields: Fields, key: str) -> bool:
    """Return a truth value."""
    value = value_of(fields, key)
    if not isinstance(value, bool):
        raise MalformedError(f"{key!r} is neither true nor false")
    return value


def items(fields: Fields, key: str, most: int) -> list[object]:
    """Return a list of at most `most` items."""
    return checked_list(value_of(fields, key), repr(key), most)


def checked_list(value: object, what: str, most: int) -> list[object]:
    """Return `value` where it is a list of at most `most` items; `what` names it."""
    if not isinstance(value, list) or len(value) > most:
        raise MalformedError(f"{what} is not a list of {most} items at most")
    return value


def objects(fields: Fields, key: str, most: int) -> Iterator[Fields]:
    """Yield the objects of a list of at most `most`."""
    for item in items(fields, key, most):
        yield _object(item, key)


def child(fields: Fields, key: str) -> Fields:
    """Return an object."""
    return _object(value_of(fields, key), key)


def child_or_none(fields: Fields, key: str) -> Fields | None:
    """Return an object, or None where the field is null."""
    value = value_of(fields, key)
    return None if value is None else _object(value, key)


def _object(value: object, key: str) -> Fields:
    if not isinstance(value, dict):
        raise MalformedError(f"{key!r} does not hold objects")
    return value
