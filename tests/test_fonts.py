"""Text: any script, whatever fonts there are, and never silence where a glyph is missing."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import features

from streamer.cmap import FontFormatError, covered_characters
from streamer.errors import UsageError
from streamer.fonts import ELLIPSIS, MAX_CHARACTERS, TextRenderer, clean_text, system_font_folders

SIZE = 24
# In DejaVu Sans Mono, which matplotlib ships, and not in DejaVu Sans Bold, which this package ships.
ONLY_IN_MONO = "⌒"


@pytest.fixture(scope="module")
def matplotlib_fonts() -> Path:
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"


@pytest.fixture(scope="module")
def shipped_only() -> TextRenderer:
    return TextRenderer(folders=())


@given(st.text(max_size=120))
def test_cleaned_text_is_one_short_line_without_anything_that_could_steer_it(text: str) -> None:
    cleaned = clean_text(text)
    assert len(cleaned) <= MAX_CHARACTERS
    assert not any(ord(character) < 32 or character in "\u202e\u2066\u2028\x7f" for character in cleaned)
    assert cleaned == clean_text(cleaned)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Ana\nMaria\t\r\x00X", "Ana Maria X"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("\ud800", "\ufffd"),
        ("  ", ""),
        ("نوه\u200cای", "نوه\u200cای"),
        ("x" * 10_000, "x" * (MAX_CHARACTERS - 1) + ELLIPSIS),
        ("<b>../../%s", "<b>../../%s"),
    ],
)
def test_names_are_drawn_as_what_they_are(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.text(max_size=MAX_CHARACTERS))
@settings(deadline=None, max_examples=40)
def test_every_line_has_the_same_height_and_the_width_that_was_announced(text: str) -> None:
    renderer = TextRenderer(folders=())
    line = renderer.line(clean_text(text), SIZE)
    assert line.shape == (renderer.line_height(SIZE), max(1, renderer.width(clean_text(text), SIZE)))
    assert line.dtype == np.uint8


@pytest.mark.parametrize("text", ["Ana", "Ана Петровић", "أحمد", "שלום", "Ψ", "ありがとう", "अनीता"])
def test_every_script_leaves_ink(shipped_only: TextRenderer, text: str) -> None:
    line = shipped_only.line(text, SIZE)
    assert (line > 128).sum() > 20 * len(text) / 2


def test_ink_is_not_cut_at_the_top(shipped_only: TextRenderer) -> None:
    for text in ("أحمد", "ÅÉÑ", "Ǻ"):
        assert not shipped_only.line(text, 48)[0].any()


def test_a_missing_glyph_is_a_box_and_is_said_once_a_script(caplog: pytest.LogCaptureFixture) -> None:
    renderer = TextRenderer(folders=())
    with caplog.at_level(logging.WARNING):
        two = renderer.line("東京", SIZE)
        renderer.line("東京 花子", SIZE)
        renderer.line("は", SIZE)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "no installed font can draw '東' (CJK)",
        "no installed font can draw 'は' (HIRAGANA)",
    ]
    assert "install e.g. fonts-noto-cjk or set annotate.font" in caplog.text
    one = renderer.line("花", SIZE)
    assert np.array_equal(two, np.hstack([one, one]))
    rows, columns = np.nonzero(one)
    box = one[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (box[[0, -1]] == 255).all()
    assert (box[:, [0, -1]] == 255).all()
    assert (box[3:-3, 3:-3] == 0).all()


def test_another_font_of_the_system_draws_what_the_shipped_one_lacks(
    matplotlib_fonts: Path, shipped_only: TextRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    box = shipped_only.line(ONLY_IN_MONO, SIZE)
    caplog.clear()
    renderer = TextRenderer(folders=(matplotlib_fonts,))
    drawn = renderer.line(ONLY_IN_MONO, SIZE)
    assert drawn.any()
    assert not np.array_equal(drawn, box)
    assert not caplog.records
    # The rest of a mixed line still comes from the shipped font.
    mixed = renderer.line(f"Ana {ONLY_IN_MONO}", SIZE)
    ana = shipped_only.line("Ana ", SIZE)
    assert np.array_equal(mixed[:, : ana.shape[1] - 3], ana[:, :-3])


def test_broken_and_missing_font_files_are_passed_over(tmp_path: Path, matplotlib_fonts: Path) -> None:
    (tmp_path / "a-sans.ttf").write_bytes(b"no font at all")
    (tmp_path / "b-sans.ttf").write_bytes(b"")
    (tmp_path / "c-sans.otf").symlink_to(tmp_path / "nowhere")
    whole = (matplotlib_fonts / "DejaVuSansMono.ttf").read_bytes()
    (tmp_path / "d-sans.ttf").write_bytes(whole[: len(whole) // 50])
    (tmp_path / "e-mono.ttf").write_bytes(whole)
    renderer = TextRenderer(folders=(tmp_path, tmp_path / "absent"))
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "mono.ttf").write_bytes(whole)
    expected = TextRenderer(folders=(tmp_path / "good",)).line(ONLY_IN_MONO, SIZE)
    assert not np.array_equal(expected, TextRenderer(folders=()).line(ONLY_IN_MONO, SIZE))
    assert np.array_equal(renderer.line(ONLY_IN_MONO, SIZE), expected)


def test_a_chosen_font_comes_first(matplotlib_fonts: Path, shipped_only: TextRenderer) -> None:
    renderer = TextRenderer(matplotlib_fonts / "DejaVuSerif.ttf", folders=())
    assert not np.array_equal(renderer.line("Ana", SIZE), shipped_only.line("Ana", SIZE))


def test_a_chosen_font_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.ttf").write_text("hello")
    for path in (tmp_path / "notes.ttf", tmp_path / "absent.ttf"):
        with pytest.raises(UsageError, match=f"{path.name} cannot be used as a font"):
            TextRenderer(path)


def test_what_does_not_fit_ends_in_an_ellipsis_and_keeps_as_much_as_fits(shipped_only: TextRenderer) -> None:
    name = "Maximiliane von Hohenlohe"
    assert shipped_only.fit(name, SIZE, 1000) == name
    for room in (60, 100, 150, 222):
        fitted = shipped_only.fit(name, SIZE, room)
        assert fitted.endswith(ELLIPSIS)
        assert shipped_only.width(fitted, SIZE) <= room
        longer = name[: len(fitted)].rstrip() + ELLIPSIS
        assert shipped_only.width(longer, SIZE) > room or longer == fitted


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow is built without raqm")
def test_right_to_left_text_is_shaped_and_stands_in_order(shipped_only: TextRenderer) -> None:
    # Lam and alef join to one narrower sign.
    assert shipped_only.width("لا", SIZE) < shipped_only.width("ل", SIZE) + shipped_only.width("ا", SIZE)
    # The first letter stands at the right.
    word, first = (shipped_only.line(text, 48) for text in ("שם", "ש"))
    ink = word[:, np.flatnonzero(word.any(axis=0))]
    letter = first[:, np.flatnonzero(first.any(axis=0))]
    right, left = ink[:, -letter.shape[1] :], ink[:, : letter.shape[1]]
    assert np.corrcoef(right.ravel(), letter.ravel())[0, 1] > 0.9 > np.corrcoef(left.ravel(), letter.ravel())[0, 1]


def test_the_table_of_characters_is_read_in_both_formats(matplotlib_fonts: Path) -> None:
    mono = set(covered_characters(matplotlib_fonts / "DejaVuSansMono.ttf").tolist())
    assert {ord("A"), ord("я"), ord(ONLY_IN_MONO)} <= mono
    assert ord("東") not in mono
    # Beyond the 65,536 first characters only format 12 reaches.
    assert ord("𝖠") in covered_characters(matplotlib_fonts / "DejaVuSans.ttf")


@pytest.mark.parametrize("cut", [0, 3, 11, 40, 300, 5000])
def test_a_cut_font_is_refused_not_half_read(tmp_path: Path, matplotlib_fonts: Path, cut: int) -> None:
    path = tmp_path / "cut.ttf"
    path.write_bytes((matplotlib_fonts / "DejaVuSansMono.ttf").read_bytes()[:cut])
    with pytest.raises(FontFormatError, match=r"cut\.ttf is not a TrueType or OpenType font"):
        covered_characters(path)


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
def test_every_system_has_its_font_folders(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert any("font" in folder.name.lower() for folder in system_font_folders())


def test_a_line_that_was_drawn_before_is_not_drawn_again_and_cannot_be_changed(shipped_only: TextRenderer) -> None:
    mask = shipped_only.line("Ana", SIZE)
    assert shipped_only.line("Ana", SIZE) is mask
    with pytest.raises(ValueError, match="read-only"):
        mask[0, 0] = 1
