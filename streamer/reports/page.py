"""Makes the page: one HTML text that needs nothing else, no network and no script, to be read.

What it shows is escaped by the template; a policy inside forbids the page to load anything, and any script but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version

import jinja2
from markupsafe import Markup

from streamer.reports import charts
from streamer.reports.composing import ABSTAINED_TEXT, LABEL_TEXTS, file_view
from streamer.reports.texts import counted, length, page_text, percent
from streamer.reports.views import FileContents, PageView, TableRow

_TEMPLATE, _STYLE, _SCRIPT = "report.html.j2", "report.css", "report.js"


def page_html(contents: Sequence[FileContents], title: str | None = None) -> str:
    """Return the page of one or more results files, at least one; `title` None: what they are of."""
    script = _asset(_SCRIPT)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset(_TEMPLATE)).render(
        page=_page_view(contents, title),
        style=Markup(_asset(_STYLE)),  # noqa: S704  ours
        script=Markup(script),  # noqa: S704  ours
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        curve={"width": charts.WIDTH, "height": charts.HEIGHT},
        bar={"width": charts.BAR_WIDTH, "height": charts.BAR_HEIGHT},
        labels=LABEL_TEXTS,
        abstained=ABSTAINED_TEXT.capitalize(),
        version=version("streamer"),
    )


def _asset(name: str) -> str:
    return (resources.files("streamer") / "assets" / name).read_text(encoding="utf-8")


def _page_view(contents: Sequence[FileContents], title: str | None) -> PageView:
    files = tuple(file_view(one) for one in contents)
    seconds = sum(one.gathered.seconds for one in contents)
    names = {person.name for one in contents for person in one.gathered.named}
    unknown = sum(len(one.gathered.unnamed) for one in contents)
    every = ", ".join(
        (
            length(seconds),
            counted(len(names), "known person", "known people"),
            counted(unknown, "unknown track"),
        )
    )
    of_what = files[0].title if len(files) == 1 else counted(len(files), "video")
    return PageView(
        title=page_text(title) if title else f"Who was there: {of_what}",
        subtitle=every if len(files) > 1 else files[0].caption,
        files=files,
        overview=_overview(contents, seconds) if len(files) > 1 else (),
    )


def _overview(contents: Sequence[FileContents], whole_seconds: float) -> tuple[TableRow, ...]:
    """Return known people over all files, in view longest first."""
    seconds: dict[str, float] = defaultdict(float)
    files: dict[str, int] = defaultdict(int)
    for one in contents:
        for person in one.gathered.named:
            assert person.name is not None
            seconds[person.name] += person.tally.seconds
            files[person.name] += 1
    return tuple(
        TableRow(
            page_text(name) or "\ufffd",
            "",
            (
                f"{seconds[name]:.1f}",
                percent(seconds[name] / whole_seconds) if whole_seconds > 0 else "–",
                str(files[name]),
            ),
        )
        for name in sorted(seconds, key=lambda name: (-seconds[name], name))
    )
