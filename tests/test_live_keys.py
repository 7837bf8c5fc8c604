"""Keys and clicks of the live window: what they switch, what they ask for, and how a face is chosen and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.live_keys import KEYS, Ask, Controls, Deny, Enrol, Mode, Watch, zoom_of
from streamer.types import Annotation, FrameResult, Identity, Track
from tests.fakes import draw, make_frame


def shown(*places: tuple[int, float]) -> FrameResult:
    """Return a picture with faces of 40 px: (track_id, left)."""
    faces = tuple(
        Annotation(Track(track_id, np.array([left, 20, left + 40, 60], np.float32), None, 0.9, True, 0.0, 0.0))
        for track_id, left in places
    )
    return FrameResult(make_frame(draw([]), 0), faces)


def with_names(seen: FrameResult, *names: str | None) -> FrameResult:
    named = (
        replace(face, identity=Identity(name, 0.7, 0.9, 0.2, 4))
        for face, name in zip(seen.annotations, names, strict=True)
    )
    return replace(seen, annotations=tuple(named))


def controls(*places: tuple[int, float]) -> Controls:
    made = Controls()
    made.see(shown(*places))
    return made


@pytest.mark.parametrize(
    ("key", "ask"),
    [
        ("q", Ask.QUIT),
        ("escape", Ask.QUIT),
        (" ", Ask.PAUSE),
        ("r", Ask.RECORD),
        ("R", Ask.RECORD_CLEAN),
        ("s", Ask.SNAPSHOT),
        ("u", Ask.UNDO),
        ("f", Ask.FULL_SCREEN),
        ("+", Ask.LARGER),
        ("-", Ask.SMALLER),
        ("x", None),
    ],
)
def test_a_key_asks_for_what_the_help_says(key: str, ask: Ask | None) -> None:
    assert controls().press(key) == ask


@pytest.mark.parametrize(("key", "what"), [("b", "blur"), ("m", "mirror"), ("d", "details"), ("h", "help")])
def test_a_key_switches_on_and_off(key: str, what: str) -> None:
    made = controls()
    assert made.press(key) is None
    assert getattr(made, what) is True
    made.press(key)
    assert getattr(made, what) is False


def test_every_key_of_the_help_does_something() -> None:
    for keys, _ in KEYS:
        for key in [" "] if keys == "space" else keys.replace("Esc", "escape").split():
            before, made = controls((1, 10)), controls((1, 10))
            assert made.press(key) is not None or made != before, key


def test_escape_closes_the_help_before_it_quits() -> None:
    made = controls()
    made.press("h")
    assert made.press("escape") is None
    assert made.press("escape") is Ask.QUIT


def test_a_face_is_chosen_by_its_number_and_named_by_typing() -> None:
    made = controls((7, 200), (3, 10))
    made.press("e")
    assert made.numbers == {3: 1, 7: 2}  # from left to right
    assert made.press("2") == Watch(7)
    assert made.mode is Mode.TYPE
    for key in [*"Zoë Q", "backspace", "q"]:
        assert made.press(key) is None  # q is a letter now
    assert made.typed == "Zoë q"
    assert made.press("enter") == Enrol(7, "Zoë q")
    assert made.press("q") is Ask.QUIT


def test_the_number_may_follow_the_key_before_the_next_picture() -> None:
    made = controls((3, 10))
    assert [made.press(key) for key in ("e", "1")] == [None, Watch(3)]


def test_numbers_stay_with_their_faces_while_one_is_chosen() -> None:
    made = controls((3, 10), (7, 200))
    made.press("e")
    made.see(shown((9, 0), (7, 50), (3, 220)))  # they changed places, and one came
    assert made.numbers == {3: 1, 7: 2, 9: 3}
    assert made.press("1") == Watch(3)


def test_a_click_chooses_the_face_under_it_the_smallest_of_several() -> None:
    made = controls((3, 10), (7, 200))
    assert made.click(220, 40) is None  # nothing is to be chosen
    made.press("e")
    assert made.click(150, 40) is None  # between the faces
    assert made.click(220, 40) == Watch(7)
    large = Annotation(Track(1, np.array([0, 0, 300, 170], np.float32), None, 0.9, True, 0.0, 0.0))
    made = Controls()
    made.see(FrameResult(make_frame(draw([]), 0), (large, *shown((7, 200)).annotations)))
    made.press("e")
    assert made.click(220, 40) == Watch(7)


def test_there_are_as_many_numbers_as_keys_for_them_and_the_nearest_faces_have_them() -> None:
    made = controls(*((track_id, 10.0 * track_id) for track_id in range(1, 13)))
    near = Annotation(Track(20, np.array([0, 0, 90, 90], np.float32), None, 0.9, True, 0.0, 0.0))
    assert made.shown is not None
    made.see(replace(made.shown, annotations=(*made.shown.annotations, near)))
    made.press("e")
    assert sorted(made.numbers.values()) == list(range(1, 10))
    assert made.numbers[20] == 1


def test_who_comes_after_all_numbers_are_given_gets_that_of_one_who_is_gone() -> None:
    made = controls(*((track_id, 10.0 * track_id) for track_id in range(1, 10)))
    made.press("e")
    made.see(shown(*((track_id, 10.0 * track_id) for track_id in (*range(1, 5), *range(6, 10), 30))))
    assert made.numbers == {1: 1, 2: 2, 3: 3, 4: 4, 30: 5, 6: 6, 7: 7, 8: 8, 9: 9}


def test_while_a_name_is_typed_the_face_keeps_its_number() -> None:
    made, seen = controls((7, 200), (3, 10)), shown((7, 200), (3, 10), (4, 100))
    made.press("e")
    made.press("2")
    made.see(seen)
    assert made.numbers == {7: 2}
    made.press("escape")
    made.see(seen)
    assert made.numbers == {}


def test_only_who_has_a_name_is_numbered_where_a_name_is_wrong() -> None:
    made = Controls()
    made.see(with_names(shown((3, 10), (7, 200)), None, "Ana"))
    made.press("n")
    assert made.numbers == {7: 1}


def test_not_this_person_needs_no_name_to_be_typed() -> None:
    made = Controls()
    made.see(with_names(shown((3, 10)), "Ana"))
    made.press("n")
    assert made.press("1") == Deny(3)
    assert made.mode is Mode.USUAL


def test_escape_leaves_choosing_and_typing_and_does_not_quit() -> None:
    made = controls((3, 10))
    made.press("e")
    assert made.press("escape") is None
    assert not made.is_choosing
    made.press("e")
    made.press("1")
    made.press("A")
    assert made.press("escape") == Watch(None)
    assert made.mode is Mode.USUAL


@pytest.mark.parametrize("typed", ["", "   "])
def test_an_empty_name_is_not_taken(typed: str) -> None:
    made = controls((3, 10))
    for key in ["e", "1", *typed]:
        made.press(key)
    assert made.press("enter") is None
    assert made.mode is Mode.TYPE


def test_a_name_has_an_end_and_no_control_characters() -> None:
    made = controls((3, 10))
    for key in ["e", "1", "tab", "\n", *("x" * 500)]:
        made.press(key)
    assert made.typed == "x" * 60


def test_a_number_that_no_face_has_chooses_nobody() -> None:
    made = controls((3, 10))
    made.press("e")
    assert made.press("2") is None
    assert made.press("0") is None
    assert made.is_choosing


def test_larger_and_smaller_undo_each_other() -> None:
    assert zoom_of(Ask.LARGER) * zoom_of(Ask.SMALLER) == pytest.approx(1)
    assert zoom_of(Ask.LARGER) > 1
