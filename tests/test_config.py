"""The configuration: its layers and their order, its errors in one line, and the files in configs/."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from streamer.config import Config, as_yaml, load_config, load_with_origins
from streamer.errors import UsageError
from streamer.settings import FIELDS, allowed_values

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EXAMPLES = ("live.yaml", "file.yaml", "rtsp.yaml")
KEYS = [(section, key) for section, fields in FIELDS.items() for key in fields]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def outcome(
    path: Path | None = None, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> str | None:
    """Return the line that a user sees, None where all is well."""
    try:
        load_config(path, overrides, environment or {})
    except UsageError as error:
        return str(error)
    return None


def problem(
    path: Path | None = None, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> str:
    told = outcome(path, overrides, environment)
    assert told is not None, "was accepted"
    assert "\n" not in told
    return told


def test_without_anything_given_all_is_default() -> None:
    assert load_config(environment={}) == Config()


def test_each_layer_overrides_the_one_before(tmp_path: Path) -> None:
    path = written(tmp_path, "tracker:\n  detect_every_seconds: 1\n")
    environment = {"STREAMER_TRACKER__DETECT_EVERY_SECONDS": "2"}
    overrides = ["tracker.detect_every_seconds=3"]
    flags = {"tracker.detect_every_seconds": 4.0}
    assert load_config(path, environment={}).tracker.detect_every_seconds == 1
    assert load_config(path, environment=environment).tracker.detect_every_seconds == 2
    assert load_config(path, overrides, environment).tracker.detect_every_seconds == 3
    assert load_config(path, overrides, environment, flags).tracker.detect_every_seconds == 4


def test_layers_change_only_the_keys_they_name(tmp_path: Path) -> None:
    path = written(tmp_path, "tracker:\n  max_lost_seconds: 5\nemotion:\n  enabled: false\n")
    config = load_config(path, ["tracker.detect_cuts=false"], {"STREAMER_RUNTIME__THREADS": "2"})
    assert (config.tracker.max_lost_seconds, config.tracker.detect_cuts, config.runtime.threads) == (5.0, False, 2)
    assert not config.emotion.enabled
    assert config.tracker.detect_every_seconds == Config().tracker.detect_every_seconds


def test_the_last_of_several_settings_of_a_key_counts() -> None:
    assert load_config(None, ["sinks.video_crf=20", "sinks.video_crf=30"], {}).sinks.video_crf == 30


def test_overrides_may_be_a_mapping() -> None:
    assert load_config(None, {"sinks.video_crf": "20"}, {}).sinks.video_crf == 20


def test_an_option_that_was_not_given_overrides_nothing() -> None:
    flags = {"runtime.device": None, "runtime.batch_size": 3}
    config = load_config(None, ["runtime.device=cpu"], {}, flags)
    assert (config.runtime.device, config.runtime.batch_size) == ("cpu", 3)


def test_origins_tell_where_each_given_value_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, "# mine\ntracker:\n  max_lost_seconds: 5\n  detect_cuts: false\n")
    environment = {"STREAMER_SINKS__VIDEO_CRF": "20"}
    origins = load_with_origins(path, ["tracker.detect_cuts=true"], environment).origins
    assert origins == {
        "tracker.max_lost_seconds": f"{path} line 3",
        "tracker.detect_cuts": "--set",
        "sinks.video_crf": "environment variable STREAMER_SINKS__VIDEO_CRF",
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "tracker:\n", "tracker: {}\n", "\ufefftracker:\r\n"])
def test_an_empty_file_or_section_changes_nothing(tmp_path: Path, text: str) -> None:
    assert load_config(written(tmp_path, text), environment={}) == Config()


@pytest.mark.parametrize(
    ("text", "value"), [("1e-1", 0.1), ("0.5", 0.5), ("2", 2.0), ("+5", 5.0), ("1:30", None), ("'1'", None)]
)
def test_numbers_are_read_as_people_write_them(text: str, value: float | None) -> None:
    if value is None:
        assert "a number" in problem(None, [f"labels.embed_every_seconds={text}"])
    else:
        assert load_config(None, [f"labels.embed_every_seconds={text}"], {}).labels.embed_every_seconds == value


def test_null_gives_an_optional_key_its_default_back(tmp_path: Path) -> None:
    path = written(tmp_path, "runtime:\n  threads: 3\n")
    assert load_config(path, ["runtime.threads=null"], {}).runtime.threads is None
    assert load_config(path, ["runtime.threads="], {}).runtime.threads is None


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    config = load_config(None, ["recognition.gallery=~/faces"], {})
    assert config.recognition.gallery_path == tmp_path / "faces"


def test_without_a_gallery_given_it_lies_in_the_users_data_folder() -> None:
    assert Config().recognition.gallery_path.name == "gallery"
    assert Config().recognition.gallery_path.is_absolute()


# ---- errors


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        (
            "tracker:\n  detect_evry_seconds: 1\n",
            2,
            ["tracker.detect_evry_seconds", "did you mean tracker.detect_every_"],
        ),
        (
            "tracker:\n  batch_size: 1\n",
            2,
            ["tracker.batch_size", "did you mean runtime.batch_size?", "max_lost_seconds"],
        ),
        ("trakcer:\n  detect_cuts: true\n", 1, ["trakcer", "did you mean tracker?", "recognition"]),
        ("trakcer: 5\n", 1, ["trakcer", "did you mean tracker?"]),
        ("trakcer:\n", 1, ["trakcer", "did you mean tracker?"]),
        ("tracker: 5\n", 1, ["tracker must hold keys"]),
        ("tracker:\n  - a\n", 2, ["tracker must hold keys"]),
        ("tracker:\n  detect_cuts: 0.2\n", 2, ["tracker.detect_cuts is 0.2", "true or false"]),
        ("tracker:\n  max_lost_seconds: true\n", 2, ["tracker.max_lost_seconds is true", "a number"]),
        ("tracker:\n  max_lost_seconds: '1'\n", 2, ["tracker.max_lost_seconds is '1'", "a number"]),
        ("tracker:\n  max_lost_seconds:\n", 2, ["tracker.max_lost_seconds is null", "a number"]),
        ("tracker:\n  max_lost_seconds: -1\n", 2, ["tracker.max_lost_seconds is -1", "at least 0 and at most 60"]),
        ("tracker:\n  max_lost_seconds: .nan\n", 2, ["tracker.max_lost_seconds is nan", "a number"]),
        ("tracker:\n  max_lost_seconds: .inf\n", 2, ["tracker.max_lost_seconds is inf", "a number"]),
        (
            "detector:\n  min_face_pixels: 20.5\n",
            2,
            ["detector.min_face_pixels is 20.5", "a whole number, at least 12"],
        ),
        ("detector:\n  min_face_pixels: 11\n", 2, ["at least 12"]),
        ("detector:\n  score_threshold: 0.4\n", 2, ["at least 0.5 and at most 1"]),
        ("source:\n  end_seconds: .inf\n", 2, ["source.end_seconds is inf", "above 0 and at most 1e+07, or null"]),
        ("recognition:\n  matcher: svm\n", 2, ["recognition.matcher is 'svm'", "cosine or knn"]),
        ("recognition:\n  gallery: 5\n", 2, ["recognition.gallery is 5", "a path or null"]),
        ("recognition:\n  gallery: ~no_such_user/x\n", 2, ["recognition.gallery", "a path or null"]),
        ("recognition:\n  false_accept_rate: 0\n", 2, ["above 0 and at most 0.5"]),
        ("runtime:\n  threads: 0\n", 2, ["a whole number, at least 1 and at most 1024, or null"]),
        ("runtime:\n  threads: [1, 2]\n", 2, ["runtime.threads is [1, 2]"]),
        ("source:\n  end_seconds: 2\n  start_seconds: 5\n", 3, ["end_seconds (2) must lie after start_seconds (5)"]),
        ("tracker:\n  detect_cuts: true\n  detect_cuts: false\n", 3, ["tracker.detect_cuts", "first in line 2"]),
        ("tracker:\n  detect_cuts: true\nsinks:\ntracker:\n", 4, ["tracker stands here again", "first in line 1"]),
        ("tracker:\n  ? [a]\n  : 1\n", 2, ["not a name"]),
        ("tracker:\n\tdetect_cuts: true\n", 2, ["is not YAML"]),
        ("tracker: [\n", 2, ["is not YAML"]),
        ("tracker:\n---\nsinks:\n", 2, ["is not YAML", "another document"]),
        ("tracker:\n  max_lost_seconds: 2024-13-45\n", 2, ["tracker.max_lost_seconds cannot be read"]),
        ("tracker:\n  max_lost_seconds: {[a]: b}\n", 2, ["is not YAML"]),
        ("tracker: &t\n  detect_cuts: true\n", 1, ["anchors, aliases and tags"]),
        ("tracker:\n  detect_cuts: !!python/object/apply:os.getcwd []\n", 2, ["anchors, aliases and tags"]),
        ("tracker:\n  detect_cuts: !!int ''\n", 2, ["anchors, aliases and tags"]),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, line: int, parts: list[str]) -> None:
    path = written(tmp_path, text)
    told = problem(path)
    assert f"{path} line {line}" in told
    for part in parts:
        assert part in told


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"- tracker\n", "holds no sections"),
        (b"tracker\n", "holds no sections"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"tracker: \0\n", "is not YAML"),
        (b"[" * 50_000, "nested too deeply"),
        (b"#" * 300_000, "larger than 256 KiB"),
    ],
)
def test_what_is_no_configuration_is_refused_by_name(tmp_path: Path, content: bytes, part: str) -> None:
    path = written(tmp_path, content)
    told = problem(path)
    assert str(path) in told
    assert part in told


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'no.yaml'}: there is no such configuration file" in problem(tmp_path / "no.yaml")


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    assert f"{tmp_path}: the configuration cannot be read" in problem(tmp_path)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    endless = Path("/dev/zero")
    if not endless.exists():
        pytest.skip("needs /dev/zero")
    assert "larger than" in problem(endless)


@pytest.mark.parametrize("text", ["tracker.detect_cuts", "=1", "detect_cuts=true", "", "tracker=1"])
def test_an_override_needs_section_key_and_value(text: str) -> None:
    assert "write it as section.key=value" in problem(None, [text])


def test_an_override_of_an_unknown_key_is_told_with_its_origin() -> None:
    told = problem(None, ["tracker.detect_cutz=true"])
    assert told.startswith("--set: tracker.detect_cutz is not a key; did you mean tracker.detect_cuts?")


def test_an_override_with_an_unreadable_value_is_told() -> None:
    assert "--set: tracker.max_lost_seconds cannot be read" in problem(None, ["tracker.max_lost_seconds=2024-13-45"])


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    told = problem(environment={"STREAMER_TRACKER__DETECT_CUTS": "perhaps"})
    assert told.startswith("environment variable STREAMER_TRACKER__DETECT_CUTS: tracker.detect_cuts is 'perhaps'")
    assert "STREAMER_NOWHERE__KEY: nowhere is not a section" in problem(environment={"STREAMER_NOWHERE__KEY": "1"})
    assert "STREAMER_SINKS__CRF: sinks.crf is not a key" in problem(environment={"STREAMER_SINKS__CRF": "1"})


@pytest.mark.parametrize("variable", ["STREAMER_TRACKER", "STREAMER_TRACKER_DETECT_CUTS"])
def test_a_variable_with_one_underscore_too_few_is_not_ignored(variable: str) -> None:
    assert "write STREAMER_TRACKER__" in problem(environment={variable: "true"})


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environment = {"STREAMER_DEBUG": "1", "STREAMER_HOME": "/x", "PATH": "/bin", "STREAMER_TRACKER_PORT": "80"}
    assert load_config(environment=environment) == Config()


@given(st.text(alphabet=string.printable, max_size=60))
def test_any_text_is_either_read_or_refused_in_one_line(text: str) -> None:
    """Nothing but UsageError ever comes out, whatever is written behind a key."""
    told = outcome(None, [f"recognition.similarity_threshold={text}"])
    assert told is None or "recognition.similarity_threshold" in told


# ---- writing


def test_what_is_written_reads_back_as_the_same(tmp_path: Path) -> None:
    overrides = ["runtime.threads=3", "tracker.detect_every_seconds=1e-5", "emotion.enabled=false"]
    loaded = load_with_origins(None, [*overrides, "recognition.gallery=/a b/#1: [x]\t'é'\\"], {})
    path = written(tmp_path, as_yaml(loaded.config, loaded.origins))
    assert load_config(path, environment={}) == loaded.config


def test_every_key_is_written_with_what_it_means() -> None:
    text = as_yaml(Config())
    assert yaml.safe_load(text).keys() == FIELDS.keys()
    for section, key in KEYS:
        assert f"\n  {key}: " in text
        assert FIELDS[section][key].description, f"{section}.{key} has no description"


def test_given_values_are_written_with_where_they_came_from() -> None:
    loaded = load_with_origins(None, ["sinks.video_crf=20"], {})
    lines = as_yaml(loaded.config, loaded.origins).splitlines()
    assert "  video_crf: 20  # from --set" in lines
    assert "  video_preset: ultrafast" in lines


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_says_what_it_may_be(section: str, key: str) -> None:
    field: FieldInfo = FIELDS[section][key]
    assert allowed_values(field)
    default = "null" if field.default is None else str(field.default)
    if isinstance(field.default, str):
        assert default in allowed_values(field)


@pytest.mark.parametrize(("section", "key"), [name for name in KEYS if "seconds" in name[1]])
def test_durations_name_their_unit(section: str, key: str) -> None:
    description = FIELDS[section][key].description
    assert description is not None
    assert "seconds" in description.lower()


def test_the_configuration_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().tracker.detect_cuts = False


# ---- configs/


def test_default_yaml_lists_every_key_as_it_is() -> None:
    """Made by `python -c "from streamer.config import *; print(as_yaml(Config()), end='')" > configs/default.yaml`."""
    assert (CONFIGS / "default.yaml").read_text(encoding="utf-8") == as_yaml(Config())


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_load_and_set_only_what_differs(name: str) -> None:
    loaded = load_with_origins(CONFIGS / name, environment={})
    assert loaded.origins
    for dotted in loaded.origins:
        section, key = dotted.split(".")
        assert getattr(getattr(loaded.config, section), key) != FIELDS[section][key].default, dotted


def test_cut_configurations_never_crash_the_reader(tmp_path: Path) -> None:
    """A file cut or spoilt anywhere is read or refused, nothing else."""
    text = (CONFIGS / "live.yaml").read_text(encoding="utf-8")
    chance = random.Random(7)
    for _ in range(200):
        place = chance.randrange(len(text))
        spoilt = text[:place] + chance.choice(["", "\n", "\t", "{", "*a", "!x ", ": ", "\u2028", '"'])
        spoilt += text[place + chance.randrange(3) :]
        told = outcome(written(tmp_path, spoilt), [])
        assert told is None or "mine.yaml" in told
