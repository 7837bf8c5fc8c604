"""Each name goes at most once to a frame's faces, so that their claims are as strong in total as they can be."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.recognition.vote import Claim, each_name_once
from streamer.types import Identity


def identity(name: str, similarity: float, probability: float = 0.9) -> Identity:
    return Identity(name, similarity, probability, 0.1)


def names_given(*claims: Claim) -> list[str | None]:
    return [answer.name if answer is not None else None for answer in each_name_once(claims)]


def claim(*answers: Identity, is_seen: bool = True, held: str | None = None) -> Claim:
    return Claim(answers, is_seen, held)


def test_a_name_goes_to_the_best_claim_only() -> None:
    assert names_given(
        claim(identity("Ana", 0.94)), claim(), claim(identity("Ana", 0.97)), claim(identity("Ben", 0.95))
    ) == [None, None, "Ana", "Ben"]


def test_who_could_also_be_somebody_else_leaves_the_name_to_who_could_not() -> None:
    """The likeliest answer of each by itself would name only one of the two."""
    either = claim(identity("Ana", 0.97, 0.97), identity("Ben", 0.96, 0.96))
    assert names_given(either, claim(identity("Ana", 0.96, 0.96))) == ["Ben", "Ana"]


def test_nobody_is_pushed_into_a_poor_second_name_for_a_weak_rival() -> None:
    """Two names given are no end in themselves: one that is all but certain outweighs two that are hardly so."""
    certain = claim(identity("Ana", 0.99, 0.999), identity("Ben", 0.93, 0.6))
    assert names_given(certain, claim(identity("Ana", 0.94, 0.7))) == ["Ana", None]


def test_who_had_the_name_keeps_it_unless_a_rival_is_much_better() -> None:
    holder = claim(identity("Ana", 0.95, 0.93), held="Ana")
    assert names_given(holder, claim(identity("Ana", 0.96, 0.97))) == ["Ana", None]
    assert names_given(holder, claim(identity("Ana", 0.99, 0.9999))) == [None, "Ana"]


def test_who_is_seen_goes_before_who_is_only_predicted() -> None:
    predicted = claim(identity("Ana", 0.99, 0.999), is_seen=False, held="Ana")
    assert names_given(predicted, claim(identity("Ana", 0.94, 0.6))) == [None, "Ana"]
    assert names_given(predicted) == ["Ana"]


answers = st.builds(
    identity, st.sampled_from(["Ana", "Ben", "Cleo"]), st.floats(0, 1), st.floats(0.5, 1).filter(lambda p: p < 1)
)


def test_where_nobody_is_nobody_is_named() -> None:
    assert each_name_once([]) == []


@given(st.lists(st.lists(answers, max_size=3, unique_by=lambda answer: answer.name).map(tuple), max_size=4))
def test_no_assignment_is_stronger(lists: list[tuple[Identity, ...]]) -> None:
    """Compared with all there are."""
    claims = [Claim(own) for own in lists]
    given_answers = each_name_once(claims)
    names = [answer.name for answer in given_answers if answer is not None]
    assert len(names) == len(set(names))

    def strength(chosen: tuple[Identity | None, ...]) -> float:
        return sum(c.strength(a) for c, a in zip(claims, chosen, strict=True) if a is not None)

    every = product(*[(None, *own) for own in lists])
    best = max(
        strength(chosen) for chosen in every if len({a.name for a in chosen if a}) == sum(a is not None for a in chosen)
    )
    assert strength(tuple(given_answers)) == pytest.approx(best, abs=1e-6)
