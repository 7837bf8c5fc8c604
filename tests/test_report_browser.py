"""The report in a real browser: nothing goes wrong or outside, everything fits a phone, and the charts can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.cli import main
from tests.browser import Browser, started
from tests.drawn import two_people_scene, write_video
from tests.report_lines import (
    HOSTILE_NAMES,
    broken_frames,
    crowd_frames,
    face,
    frame,
    header,
    hostile_frames,
    mood,
    write_lines,
)

pytestmark = pytest.mark.timeout(120)

WIDTHS = pytest.mark.parametrize("width", [1280, 390])
SCHEMES = pytest.mark.parametrize("dark", [False, True])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a page of each kind of recording that there is."""
    folder = tmp_path_factory.mktemp("pages")
    write_video(folder / "smile.mp4", two_people_scene(2.0), with_sound=False)
    smile = [header("smile.mp4", width=640, height=360)]
    for at in range(50):
        shown = mood("happiness", 0.6 + 0.3 * (at == 45)) if at >= 30 else mood("neutral")
        smile.append(frame(at, face(1, "Ana", shown, box=(120, 100, 200, 200))))
    kinds = {
        "smile": smile,
        "hostile": hostile_frames(),
        "crowd": crowd_frames(),
        "broken": broken_frames(),
        "nobody": [frame(at) for at in range(9)],
        "empty": [],
        "single": [frame(0, face(1, "Ana", mood("fear")))],
    }
    found = {}
    for name, lines in kinds.items():
        results = write_lines(folder / f"{name}.jsonl", lines)
        assert main(["report", str(results)]) == 0
        found[name] = results.with_suffix(".html")
    every = [str(folder / f"{name}.jsonl") for name in kinds]
    assert main(["report", *every, "-o", str(folder / "several.html")]) == 0
    return found | {"several": folder / "several.html"}


KINDS = ("smile", "hostile", "crowd", "broken", "nobody", "empty", "single", "several")


@WIDTHS
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_goes_wrong_or_outside_and_everything_fits(
    browser: Browser, pages: dict[str, Path], kind: str, width: int
) -> None:
    browser.open(pages[kind], width=width)
    browser.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [pages[kind].resolve().as_uri()]


@WIDTHS
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_cut_but_names_in_the_timeline(
    browser: Browser, pages: dict[str, Path], kind: str, width: int
) -> None:
    browser.open(pages[kind], width=width)
    cut = browser.evaluate(
        "[...document.querySelectorAll('h1,h2:not(.hidden),h3,h4,p,dt,dd,li,figcaption,.label,.value,.time')]"
        ".filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map(one => one.textContent)"
    )
    assert cut == []


@WIDTHS
def test_labels_do_not_lie_on_each_other(browser: Browser, pages: dict[str, Path], width: int) -> None:
    browser.open(pages["several"], width=width)
    overlapping = browser.evaluate(
        """[...document.querySelectorAll('.axis, .curve, .line > summary')].flatMap(group => {
          const boxes = [...group.querySelectorAll(':scope > span')].map(one => one.getBoundingClientRect())
            .filter(box => box.width > 0).sort((a, b) => a.left - b.left);
          return boxes.slice(1).filter((box, at) => box.left < boxes[at].right && box.top < boxes[at].bottom
            && boxes[at].top < box.bottom).map(() => group.textContent.trim().slice(0, 60));
        })"""
    )
    assert overlapping == []


def test_what_can_be_touched_is_large_enough(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["several"], width=390)
    heights = browser.evaluate("[...document.querySelectorAll('summary')].map(one => one.offsetHeight)")
    assert heights
    assert min(heights) >= 44


@SCHEMES
def test_text_stands_out_from_its_ground(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    """At least 4.5 to 1, as WCAG 2 asks for; its formula."""
    browser.open(pages["several"], dark=dark)
    worst = browser.evaluate(
        """(() => {
          const rgb = text => text.match(/[0-9.]+/g).map(Number);
          const luminance = text => rgb(text).slice(0, 3).map(one => one / 255)
            .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
            .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
          const ground = one => {
            for (; one; one = one.parentElement) {
              const colour = getComputedStyle(one).backgroundColor;
              if (rgb(colour)[3] !== 0) return colour;
            }
          };
          const contrast = one => {
            const [ink, paper] = [getComputedStyle(one).color, ground(one)].map(luminance);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
          };
          return Math.min(...[...document.querySelectorAll('body *')]
            .filter(one => one.offsetParent && !one.closest('svg, .skip'))
            .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
            .map(contrast));
        })()"""
    )
    assert worst >= 4.5


def test_the_strongest_smile_is_there_with_its_picture(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["smile"])
    smile = "document.querySelector('.moments .happiness')"
    assert browser.evaluate(f"{smile}.querySelector('img').decode().then(() => true)")
    assert browser.evaluate(f"{smile}.querySelector('img').naturalWidth") == 176
    assert browser.evaluate(f"{smile}.textContent.replace(/\\s+/g, ' ').trim()") == "happiness 90 % 0:01.8"
    peak, plot = (
        browser.evaluate(f"document.querySelector('.curve.happiness {part}').getBoundingClientRect().toJSON()")
        for part in (".peak", "svg")
    )
    middle = peak["left"] + peak["width"] / 2
    assert (middle - plot["left"]) / plot["width"] == pytest.approx(45.5 / 50, abs=0.02)
    assert (peak["top"] + peak["height"] / 2 - plot["top"]) / plot["height"] == pytest.approx(0.1, abs=0.03)


def test_pointing_at_a_curve_tells_time_and_value_and_so_do_the_arrow_keys(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["smile"])
    readout = "document.querySelector('.readout')?.textContent"
    place = browser.evaluate(
        "(() => { const plot = document.querySelector('.plot'); plot.scrollIntoView({block: 'center'});"
        "return plot.querySelector('svg').getBoundingClientRect().toJSON() })()"
    )
    x, y = place["left"] + 0.9 * place["width"], place["top"] + 5
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert browser.evaluate(readout).startswith("0:01.8  happiness ")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=1)
    assert browser.evaluate(readout) is None
    browser.evaluate("document.querySelector('.plot').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft")
    assert browser.evaluate(readout).startswith("0:01.")
    assert browser.complaints == []


def test_a_hostile_name_runs_nothing_and_changes_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    assert browser.evaluate("document.querySelectorAll('script, iframe, object, form').length") == 1
    names = browser.evaluate("[...document.querySelectorAll('h4 bdi')].map(one => one.textContent)")
    assert set(HOSTILE_NAMES[:7]) < set(names)
    blocked = browser.evaluate(
        "new Promise(done => { addEventListener('securitypolicyviolation', () => done(true));"
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        "document.body.append(script); setTimeout(() => done(false), 2000) })"
    )
    assert blocked
    assert browser.evaluate("window.ran") is None


def test_it_is_read_without_scripts_and_on_paper(browser: Browser, pages: dict[str, Path]) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["smile"], width=794, media="print", dark=True)  # A4 at 96 px an inch
        assert browser.evaluate("document.documentElement.scrollWidth") <= 794
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert browser.evaluate("document.querySelectorAll('.curve .mean').length") == 7
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
