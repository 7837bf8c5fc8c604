"""What the cards of known people say: how many photos, and what to expect of them."""

from __future__ import annotations

from streamer.cards import Card
from streamer.recognition.calibration import DEFAULT_FALSE_ACCEPT_RATE
from streamer.recognition.expectations import expectations_of
from streamer.recognition.people import Gallery, Person
from streamer.recognition.thresholds import knows_strangers


def person_cards(gallery: Gallery) -> list[Card]:
    """Return a card for each person, with their first thumbnail."""
    if not gallery.people:
        return []
    said = _expected(gallery)
    return [
        Card(person.name, _thumbnail(person, 0), (_photos(person), *said.get(person.name, ())))
        for person in gallery.people
    ]


def photo_cards(person: Person) -> list[Card]:
    """Return a card for each photo of one person, and say how many look-alikes there are on the first."""
    return [Card(source, _thumbnail(person, index), (person.name,)) for index, source in enumerate(person.sources)]


def _expected(gallery: Gallery) -> dict[str, tuple[str, ...]]:
    if not knows_strangers(gallery):
        return {}
    people = expectations_of(gallery, DEFAULT_FALSE_ACCEPT_RATE).people
    return {
        person.name: (
            f"{person.misses:.1%} of views missed" if person.misses is not None else "misses not known",
            "more photos would help" if person.needs_photos else "",
        )
        for person in people
    }


def _photos(person: Person) -> str:
    photos = "1 photo" if len(person.embeddings) == 1 else f"{len(person.embeddings)} photos"
    return f"{photos}, {len(person.look_alikes)} look-alikes" if len(person.look_alikes) else photos


def _thumbnail(person: Person, index: int) -> bytes | None:
    return person.thumbnails[index] or None
