"""Read the configuration's layers, and say in one line what is wrong with them and where.

Precedence: defaults < file < environment (`STREAMER_TRACKER__DETECT_EVERY_SECONDS=0.4`) < `--set a.b=c` < flags.
What can be set is in `settings.py`. Nothing is built from the configuration here.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml
from pydantic import ValidationError

from streamer.errors import UsageError
from streamer.settings import FIELDS, Config, allowed_values, as_yaml

__all__ = ["Config", "LoadedConfig", "as_yaml", "load_config", "load_with_origins"]

_MAX_FILE_BYTES = 256 * 1024
_ENVIRONMENT_PREFIX = "STREAMER_"

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Given:
    """One value given for one key, and where, for messages."""

    section: str
    key: str
    value: object
    origin: str

    @property
    def name(self) -> str:
        """The key as a user writes it, `section.key`."""
        return f"{self.section}.{self.key}"


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and for each key that was given (`section.key`) where that was."""

    config: Config
    origins: Mapping[str, str]


def load_config(
    path: Path | None = None,
    overrides: Mapping[str, str] | Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] = _NOTHING,
) -> Config:
    """Read the configuration in its layers.

    Args:
        path: A YAML file of sections; None: no file.
        overrides: `"section.key=value"` strings, or a mapping of `section.key` to such values.
        environment: Variables to read; None: the process's own.
        flags: Values of other command-line options by `section.key`; None: the option was not given.

    Raises:
        UsageError: One line naming where, which key, what was given and what is allowed.
    """
    return load_with_origins(path, overrides, environment, flags).config


def load_with_origins(
    path: Path | None = None,
    overrides: Mapping[str, str] | Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] = _NOTHING,
) -> LoadedConfig:
    """Read the configuration as `load_config` does, and tell where each value came from."""
    given = [] if path is None else list(_from_file(path))
    given += _from_environment(os.environ if environment is None else environment)
    given += _from_overrides(overrides)
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if value is not None:
            given.append(_Given(section, key, value, "command line"))
    for one in given:
        _check_section(one.section, one.origin)
        _check_key(one)
    chosen = {one.name: one for one in given}  # the last one wins
    return LoadedConfig(_validated(chosen), {name: one.origin for name, one in chosen.items()})


def _validated(chosen: Mapping[str, _Given]) -> Config:
    sections: dict[str, dict[str, object]] = {}
    for one in chosen.values():
        sections.setdefault(one.section, {})[one.key] = one.value
    try:
        return Config.model_validate(sections)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(_explained([str(part) for part in problem["loc"]], problem["msg"], chosen)) from None


def _explained(location: Sequence[str], message: str, chosen: Mapping[str, _Given]) -> str:
    """Say in one line what pydantic found at `location` (section, key, …; or a section whose keys contradict)."""
    one = chosen.get(".".join(location[:2]))
    if one is not None:
        allowed = allowed_values(FIELDS[one.section][one.key])
        return f"{one.origin}: {one.name} is {_shown(one.value)}; it must be {allowed}"
    section = location[0]
    origins = sorted({one.origin for one in chosen.values() if one.section == section})
    return f"{', '.join(origins)}: {section}: {message.removeprefix('Value error, ')}"


def _shown(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else reprlib.repr(value)


def _check_section(section: str, origin: str) -> None:
    if section not in FIELDS:
        guess = difflib.get_close_matches(section, FIELDS, 1)
        hint = f"; did you mean {guess[0]}?" if guess else ""
        raise UsageError(f"{origin}: {section} is not a section{hint} (sections: {', '.join(FIELDS)})")


def _check_key(one: _Given) -> None:
    keys = FIELDS[one.section]
    if one.key in keys:
        return
    elsewhere = [f"{section}.{one.key}" for section, others in FIELDS.items() if one.key in others]
    near = [f"{one.section}.{key}" for key in difflib.get_close_matches(one.key, keys, 1)]
    guess = elsewhere if len(elsewhere) == 1 else near
    hint = f"; did you mean {guess[0]}?" if guess else ""
    raise UsageError(f"{one.origin}: {one.name} is not a key{hint} (keys of {one.section}: {', '.join(keys)})")


# ---- the file


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without what a configuration has no use for.

    Anchors and aliases can expand without bound, and tags reach constructors that trust their input.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None or getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(None, None, "anchors, aliases and tags are not used here", event.start_mark)
        return super().compose_node(parent, index)


# YAML 1.1 takes 1e-3 for text, for want of a decimal point.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _from_file(path: Path) -> Iterator[_Given]:
    try:
        loader = _Loader(_text_of(path))
        root = loader.get_single_node()
        if root is None:  # an empty file, or one of comments alone
            return
        if not isinstance(root, yaml.MappingNode):
            raise UsageError(f"{path}: holds no sections; write `section:` and its keys below, as configs/default.yaml")
        for section, line, keys in _items(root, path, ""):
            _check_section(section, f"{path} line {line}")
            yield from _of_section(section, keys, loader, path)
    except yaml.MarkedYAMLError as error:
        place = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UsageError(f"{path}{place}: is not YAML: {what}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UsageError(f"{path}: is nested too deeply; write sections and below each its keys") from None


def _of_section(section: str, keys: yaml.Node, loader: _Loader, path: Path) -> Iterator[_Given]:
    if isinstance(keys, yaml.ScalarNode) and keys.tag == "tag:yaml.org,2002:null":
        return  # every key of the section is commented out
    line = keys.start_mark.line + 1
    if not isinstance(keys, yaml.MappingNode):
        raise UsageError(f"{path} line {line}: {section} must hold keys, one a line, not a single value or a list")
    for key, key_line, node in _items(keys, path, f"{section}."):
        origin = f"{path} line {key_line}"
        yield _Given(section, key, _value(loader, node, f"{origin}: {section}.{key}"), origin)


def _items(mapping: yaml.MappingNode, path: Path, prefix: str) -> Iterator[tuple[str, int, yaml.Node]]:
    """Walk a mapping's keys in order, with their lines; of two equal ones PyYAML itself would take the last."""
    lines: dict[str, int] = {}
    for key_node, node in mapping.value:
        line = key_node.start_mark.line + 1
        name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a key that is not a name"
        if name in lines:
            raise UsageError(f"{path} line {line}: {prefix}{name} stands here again (first in line {lines[name]})")
        lines[name] = line
        yield name, line, node


def _value(loader: _Loader, node: yaml.Node, where: str) -> object:
    try:
        value: object = loader.construct_object(node, deep=True)
    except ValueError as error:  # 2024-13-45 looks like a date
        raise UsageError(f"{where} cannot be read: {error}") from None
    return value


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such configuration file; give one that exists") from None
    except OSError as error:
        raise UsageError(f"{path}: the configuration cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise UsageError(f"{path}: is larger than {_MAX_FILE_BYTES // 1024} KiB, which no configuration is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text, which a configuration must be") from None


# ---- the environment and --set


def _from_environment(environment: Mapping[str, str]) -> Iterator[_Given]:
    misspelt = {f"{section}_{key}": (section, key) for section, keys in FIELDS.items() for key in keys}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(_ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(_ENVIRONMENT_PREFIX).lower()
        origin = f"environment variable {variable}"
        section, separator, key = name.partition("__")
        if separator:
            yield _Given(section, key, _scalar(text, f"{origin}: {section}.{key}"), origin)
        elif name in FIELDS or name in misspelt:
            section, key = misspelt.get(name, (name, "key"))
            right = f"{_ENVIRONMENT_PREFIX}{section}__{key}".upper()
            raise UsageError(f"{origin}: write {right}, with two underscores between section and key")


def _from_overrides(overrides: Mapping[str, str] | Sequence[str]) -> Iterator[_Given]:
    texts: Iterable[str] = overrides
    if isinstance(overrides, Mapping):
        texts = [f"{name}={value}" for name, value in overrides.items()]
    for text in texts:
        name, equals, value = text.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise UsageError(f"--set {text}: write it as section.key=value")
        yield _Given(section, key, _scalar(value.strip(), f"--set: {section}.{key}"), "--set")


def _scalar(text: str, where: str) -> object:
    """Read a text as a plain YAML scalar: 0.4, true, null; all else, quotes and brackets too, is text."""
    loader = _Loader("")
    tag: str = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag.rpartition(":")[2] not in ("null", "bool", "int", "float", "timestamp"):
        return text
    return _value(loader, yaml.ScalarNode(tag, text), where)
