"""Every weights file has a card that says what there is to say, and `streamer models show` prints it."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from streamer import cli
from streamer import model_cards as cards
from streamer.emotion import ferplus_file
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_data import read_ferplus
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.errors import WeightsError
from streamer.model_cards import SECTIONS, read_card
from streamer.types import EMOTIONS
from streamer.weights import WEIGHTS, locate

PACKAGE = Path(cards.__file__).parent
SHIPPED = "emotion-ferplus"


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_weights_file_has_a_card_without_gaps(name: str) -> None:
    card = read_card(name)
    assert tuple(card.sections) == SECTIONS
    for heading, text in card.sections.items():
        assert len(text) > 60, f"{name} says too little under {heading}"
        assert not re.search(r"TODO|TBD|\?\?", text), f"{name} has a gap under {heading}"
    assert 10 < len(card.summary) < 100


def test_there_is_no_card_too_many() -> None:
    assert {path.stem for path in (PACKAGE / "assets" / "cards").iterdir()} == set(WEIGHTS)


def test_figures_that_name_a_file_are_of_the_file_that_is_shipped() -> None:
    """Whoever replaces a net must measure it anew."""
    told = {
        name: re.findall(r"sha256\s+starts\s+`([0-9a-f]{12})`", read_card(name).sections["Figures"]) for name in WEIGHTS
    }
    assert told[SHIPPED]
    for name, beginnings in told.items():
        for beginning in beginnings:
            assert str(WEIGHTS[name].sha256).startswith(beginning), f"the figures of {name} are another file's"


def table_of(text: str, first: str) -> dict[str, list[float]]:
    """Return the rows of the table whose first heading is `first`: figures in per cent or as shares."""
    block = next(part for part in text.split("\n\n") if part.startswith(f"| {first} |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return {row[0]: [float(cell.rstrip(" %").replace(",", "")) for cell in row[1:]] for row in rows}


def test_the_emotion_net_s_card_has_figures_for_each_emotion() -> None:
    text = read_card(SHIPPED).sections["Figures"].replace("| | tau", "| figure | tau")
    by_emotion = table_of(text, "emotion")
    assert tuple(by_emotion) == EMOTIONS
    assert all(len(row) == 5 for row in by_emotion.values())
    assert {"accuracy", "balanced accuracy", "macro-F1", "expected calibration error"} == set(table_of(text, "figure"))


@pytest.mark.shared_data
@pytest.mark.timeout(120)
def test_the_emotion_net_s_figures_are_true(shared_data: Path) -> None:
    """On FER+ valid, all pictures with a majority; tolerance: a picture in two hundred, of rare emotions one more."""
    text = read_card(SHIPPED).sections["Figures"].replace("| | tau", "| figure | tau")
    grey, classes = read_ferplus(shared_data / "ferplus", "valid").majority()
    crops = np.repeat(grey[..., None], 3, axis=3)
    net = OpenVinoEmotionNet(ferplus_file.read(locate(SHIPPED)))
    for column, tau in enumerate((0.0, 0.5)):
        answers = FerPlusClassifier(net, tau).classify(crops).argmax(axis=1)
        accuracy = 100 * (answers == classes).mean()
        assert accuracy == pytest.approx(table_of(text, "figure")["accuracy"][column], abs=0.2)
        for place, (name, row) in enumerate(table_of(text, "emotion").items()):
            of_it = classes == place
            assert of_it.sum() == row[0], name
            recall = 100 * (answers[of_it] == place).mean()
            assert recall == pytest.approx(row[1 + 2 * column], abs=1 + 100 / of_it.sum()), name


class TestShow:
    def test_prints_the_whole_card_as_text_where_there_is_no_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "show", SHIPPED]) == 0
        told = capsys.readouterr().out
        assert told.startswith(f"# {SHIPPED}\n")
        assert [f"## {heading}" in told for heading in (*SECTIONS, "File")] == [True] * 6
        entry = WEIGHTS[SHIPPED]
        assert entry.size_bytes is not None
        for fact in (str(entry.sha256), f"{entry.size_bytes:,} bytes", "Licence: MIT", entry.source, "State: good"):
            assert fact in told
        assert "\x1b" not in told

    def test_draws_it_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "100")
        assert cli.main(["models", "show", SHIPPED]) == 0
        told = capsys.readouterr().out
        assert "Known weaknesses" in told
        assert "## " not in told
        assert "|---|" not in told

    def test_gives_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "show", "dlib-resnet", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["licence"] == "CC0-1.0"
        assert told["sha256"] == WEIGHTS["dlib-resnet"].sha256
        assert tuple(told["sections"]) == SECTIONS

    def test_lists_all_without_a_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "show"]) == 0
        told = capsys.readouterr().out
        assert [line.split()[0] for line in told.splitlines()[1:]] == list(WEIGHTS)
        assert cli.main(["models", "show", "--json"]) == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(WEIGHTS)

    def test_weights_that_nobody_has_brought_are_shown_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "show", "fer-pytorch-mobilenetv2_140"]) == 0
        assert "releases/download/1.0.1/mobilenetv2_140" in capsys.readouterr().out

    def test_an_unknown_name_is_one_line_and_exit_code_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "show", "nope\x1b[31m"]) == 2
        told = capsys.readouterr().err
        assert "there are no weights called nope" in told
        assert told.count("\n") == 1
        assert "\x1b" not in told


def test_a_card_that_is_missing_or_has_gaps_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"x\.md of x cannot be read"):
        read_card("x", tmp_path)
    (tmp_path / "x.md").write_text("## What it is\nA net.\n\n## Data\n\n## Figures\nGood.\n")
    with pytest.raises(WeightsError, match="has no section Data and no Known weaknesses and no Intended use"):
        read_card("x", tmp_path)


def test_all_assets_are_packaged() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["streamer"]
    for path in (PACKAGE / "assets").rglob("*"):
        # setuptools' patterns do not go into folders, fnmatch's do.
        name = path.relative_to(PACKAGE).as_posix()
        same_depth = [pattern for pattern in patterns if pattern.count("/") == name.count("/")]
        assert path.is_dir() or any(fnmatch(name, pattern) for pattern in same_depth), f"{name} is not packaged"
