"""The card of each weights file: what it is, what it learnt from, how good it is, where it fails, what it is for.

Cards are Markdown files in assets/cards, of the sections below. What the registry knows (licence, source, size, sha256)
does not stand in them, so that it cannot contradict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import WeightsError

SECTIONS = ("What it is", "Data", "Figures", "Known weaknesses", "Intended use")

_FOLDER = Path(__file__).parent / "assets" / "cards"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One card.

    Attributes:
        name: The weights'.
        sections: Markdown by the names in `SECTIONS`, in their order.
    """

    name: str
    sections: Mapping[str, str]

    @property
    def summary(self) -> str:
        """The first sentence, in a line."""
        first = " ".join(self.sections["What it is"].split())
        return first.partition(". ")[0].partition(": ")[0].rstrip(".")


def read_card(name: str, folder: Path = _FOLDER) -> ModelCard:
    """Return the card of the weights called `name`.

    Raises:
        WeightsError: There is none, or a section is missing.
    """
    path = folder / f"{name}.md"
    remedy = "install streamer again, with pip's options --force-reinstall --no-deps"
    try:
        parts = f"\n{path.read_text(encoding='utf-8')}".split("\n## ")[1:]
    except OSError as error:
        raise WeightsError(f"the card {path} of {name} cannot be read ({error.strerror}); {remedy}") from error
    texts = {heading.strip(): text.strip() for heading, _, text in (part.partition("\n") for part in parts)}
    missing = [section for section in SECTIONS if not texts.get(section)]
    if missing:
        raise WeightsError(f"the card {path} of {name} has no section {' and no '.join(missing)}; {remedy}")
    return ModelCard(name, {section: texts[section] for section in SECTIONS})
