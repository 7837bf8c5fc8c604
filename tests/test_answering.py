"""Who is known changes while a run goes on: names change at once, and all that does not depend on them stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from streamer.labels import LabelPolicy, Recognition, TrackLabeller, Word
from streamer.recognition.gallery import Gallery, edit_gallery, forget
from streamer.stages import Matcher
from streamer.types import Float32, FrameResult, Identity
from tests.fakes import GREEN, NAMES, RED, ColourEmbedder, ColourMatcher, make_frame
from tests.live_fakes import EMBEDDER, ORANGE, LiveShow, names, track_of
from tests.test_live_people import person_like
from tests.test_vote import MODES, Person, Show, crossing, drawn, replaced, shown


class NamesOnly(ColourMatcher):
    """A ColourMatcher that knows some of NAMES."""

    def __init__(self, *known: str) -> None:
        self._known = known

    def match(self, embeddings: Float32) -> list[Identity]:
        return [
            one if one.name in self._known else Identity(None, one.similarity, one.probability, one.margin)
            for one in super().match(embeddings)
        ]


class Unsure(ColourMatcher):
    """Calls everybody Vera, hardly more likely than not."""

    def match(self, embeddings: Float32) -> list[Identity]:
        return [Identity("Vera", 0.9, 0.6, 0.1) for _ in embeddings]


def said(results: Sequence[FrameResult]) -> list[tuple[object, ...]]:
    """Return all that results say, but for pictures."""
    return [
        (
            result.frame.index,
            [(one.track.track_id, one.identity, one.emotion and one.emotion.label) for one in result.annotations],
            result.events,
        )
        for result in results
    ]


def played(
    scene: Callable[[float], list[Person]],
    news: dict[int, Matcher | None],
    *,
    is_live: bool,
    seconds: float = 3.0,
) -> list[FrameResult]:
    """Return a run's results; `news`: the matchers that come before frames."""
    show = Show(is_live=is_live)
    results: list[FrameResult] = []
    for index in range(round(seconds * 25)):
        if index in news:
            show.pipeline._labeller.know(news[index])
        results += show.pipeline.process([make_frame(drawn(scene(index / 25)), index, 25.0, "s")])
    return results + show.pipeline.finish()


def two(_seconds: float) -> list[Person]:
    return [(20, 60, RED), (200, 60, GREEN)]


def name_of(result: FrameResult, colour: tuple[int, int, int]) -> str | None:
    return {found: name for _, name, found in shown(result)}[colour]


class TestKnowing:
    @MODES
    @pytest.mark.parametrize("scene", [crossing, replaced, two])
    def test_the_same_people_again_change_nothing(self, scene: Callable[[float], list[Person]], is_live: bool) -> None:
        """Ids, names, emotions and events are those of a run without news, also while people cross or are exchanged."""
        again: dict[int, Matcher | None] = {index: ColourMatcher() for index in range(0, 75, 7)}
        assert said(played(scene, again, is_live=is_live)) == said(played(scene, {}, is_live=is_live))

    def test_a_name_is_gone_and_back_in_the_very_next_frame(self) -> None:
        """However sure it was: a gallery that changed is no look to be doubted."""
        news: dict[int, Matcher | None] = {30: NamesOnly("Rosa"), 50: ColourMatcher()}
        results = played(two, news, is_live=True)
        assert [name_of(results[index], GREEN) for index in (29, 30, 49, 50)] == ["Greta", None, None, "Greta"]
        assert {name_of(result, RED) for result in results[10:]} == {"Rosa"}
        kinds = [(result.frame.index, event.kind, event.name) for result in results[10:] for event in result.events]
        assert kinds[:2] == [(30, "renamed", None), (50, "renamed", "Greta")]

    def test_without_anybody_known_nobody_is_assessed(self) -> None:
        results = played(two, {30: None, 50: ColourMatcher()}, is_live=True)
        assert all(one.identity is None for one in results[30].annotations)
        assert [event.kind for event in results[30].events] == ["renamed", "renamed"]
        assert name_of(results[50], RED) == "Rosa"

    def test_where_frames_wait_those_that_have_not_left_have_the_new_name(self) -> None:
        """Of a file that is two seconds of frames at most; what has left stays as it was."""
        results = played(two, {0: NamesOnly("Rosa"), 30: ColourMatcher()}, is_live=False)
        assert name_of(results[-1], GREEN) == "Greta"
        named = [name_of(result, GREEN) for result in results]
        first = named.index("Greta")
        assert first <= 30
        assert set(named[:first]) <= {None}
        assert set(named[first:]) == {"Greta"}

    def test_an_answer_that_rests_on_few_looks_must_be_all_but_certain_also_then(self) -> None:
        results = played(two, {1: Unsure()}, is_live=True, seconds=1.0)
        assert name_of(results[1], RED) is None
        assert {name for _, name, _ in shown(results[-1])} & {"Vera"}

    def test_news_that_come_together_are_all_taken_up(self) -> None:
        labeller = TrackLabeller(Recognition(ColourEmbedder(), ColourMatcher()), None)
        for matcher in (None, NamesOnly("Rosa"), NamesOnly("Greta")):
            labeller.know(matcher, (Word("elsewhere", 1, "Rosa", is_theirs=True),))
        last = labeller._news[-1][0]
        labeller.label([], [])
        assert labeller.matcher is last

    def test_who_looks_at_nobody_can_know_nobody(self) -> None:
        with pytest.raises(ValueError, match="without an embedder"):
            TrackLabeller(None, None).know(ColourMatcher())


@pytest.mark.parametrize("same_similarity", [0.9, None])
def test_a_word_about_one_person_is_not_held_against_another_who_comes_after_them(
    tmp_path: Path, same_similarity: float | None
) -> None:
    """Olga was said not to be Ana; she leaves, and Ana comes, who resembles her enough to be taken for her return."""
    folder = tmp_path / "gallery"
    edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", RED)))
    policy = LabelPolicy(same_similarity=same_similarity, other_similarity=0.8, keep_looks=True)
    show = LiveShow(folder, policy=policy)
    result = show.watch((40, 60, ORANGE))
    assert names(result) == {ORANGE: "Ana"}
    olga = track_of(result, ORANGE)
    show.people.deny("s", olga)
    assert names(show.watch((40, 60, ORANGE), seconds=1)) == {ORANGE: None}
    show.watch(seconds=2)
    came = show.watch((300, 60, RED), seconds=1)
    assert names(came) == {RED: "Ana"}
    assert track_of(came, RED) != olga


def test_a_denied_name_does_not_come_back_with_the_person(tmp_path: Path) -> None:
    """Also where nothing but the word says so, because the look-alike was taken out of the gallery again."""
    folder = tmp_path / "gallery"
    edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", RED)))
    policy = LabelPolicy(same_similarity=0.97, other_similarity=0.8, keep_looks=True)
    show = LiveShow(folder, policy=policy)
    track = track_of(show.watch((40, 60, ORANGE)), ORANGE)
    show.labeller.know(show.labeller.matcher, (Word("s", track, "Ana", is_theirs=False),))
    assert names(show.watch((40, 60, ORANGE), seconds=3)) == {ORANGE: None}
    show.watch(seconds=2)
    back = show.watch((300, 60, ORANGE), seconds=2)
    assert track_of(back, ORANGE) == track
    assert names(back) == {ORANGE: None}


def test_a_name_that_was_wrongly_held_is_free_for_whose_it_is_in_the_next_frame(tmp_path: Path) -> None:
    """Ana came when Olga had been taken for her for long, so she was believed to be somebody else."""
    folder = tmp_path / "gallery"
    edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", RED)))
    show = LiveShow(folder)
    olga, ana = (40, 60, ORANGE), (200, 60, RED)
    show.watch(olga, seconds=2)
    result = show.watch(olga, ana, seconds=2)
    assert names(result) == {ORANGE: "Ana", RED: None}
    word = Word("s", track_of(result, ORANGE), "Ana", is_theirs=False)
    show.labeller.know(show.labeller.matcher, (word,))
    assert names(show.step(olga, ana)) == {ORANGE: None, RED: "Ana"}


def test_who_left_a_moment_ago_and_was_forgotten_comes_back_without_the_name(tmp_path: Path) -> None:
    """It had been sure, and three looks would have been needed to doubt it: Olga resembles her nearly enough."""
    folder = tmp_path / "gallery"
    for name, colour in (("Ana", RED), ("Olga", (0, 137, 250))):
        edit_gallery(folder, EMBEDDER, adding(name, colour))
    policy = LabelPolicy(same_similarity=0.93, other_similarity=0.88, keep_looks=True)
    show = LiveShow(folder, policy=policy)
    show.people.refresh_if_changed()
    result = show.watch((40, 60, RED), seconds=3)
    assert names(result) == {RED: "Ana"}
    show.watch(seconds=2)
    forget(folder, "Ana")
    assert show.people.refresh_if_changed() is not None
    for _ in range(25):
        back = show.step((300, 60, RED))
        assert set(names(back).values()) <= {None}
    assert track_of(back, RED) == track_of(result, RED)


def adding(name: str, colour: tuple[int, int, int]) -> Callable[[Gallery], Gallery]:
    return lambda known: known.with_person(person_like(name, colour))


def test_the_colours_of_these_tests_are_known() -> None:
    assert NAMES[RED] == "Rosa"
    assert NAMES[GREEN] == "Greta"
