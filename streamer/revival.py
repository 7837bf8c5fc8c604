"""Who of those who just came is back: new dossiers are compared with those of people who are out of sight."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.dossiers import Dossier, Glance
from streamer.label_policy import LabelPolicy

# Two tracks that change places are not seen to do so in the same frame; so far apart it is still one exchange.
_EXCHANGE_SECONDS = 1.0
# By so much more alike than usual somebody must be who is taken for a named person that the look did not name, and
# where only the last of several looks is like somebody: of many looks one is like anybody by chance.
_MARGIN = 0.01


def returning(
    fresh: Sequence[tuple[Dossier, Glance]], away: Sequence[Dossier], policy: LabelPolicy
) -> list[Dossier | None]:
    """Say for each new dossier whose face is back, the most alike first, each at most once; None: nobody known.

    Args:
        fresh: New dossiers of one frame, each with the last look at its face.
        away: Dossiers of people who are not in that frame.
        policy: How alike they must be.
    """
    back: list[Dossier | None] = [None] * len(fresh)
    if policy.same_similarity is None:
        return back
    pairs = [
        (_excess(new, glance, old, policy, policy.same_similarity), row, old)
        for row, (new, glance) in enumerate(fresh)
        for old in away
        if _can_be(new, old)
    ]
    taken: set[int] = set()
    # By likeness alone: equal ones stay in the order in which they were seen.
    for excess, row, old in sorted(pairs, key=lambda pair: -pair[0]):
        if excess >= 0 and back[row] is None and old.track_id not in taken:
            back[row] = old
            taken.add(old.track_id)
    return back


def _can_be(new: Dossier, old: Dossier) -> bool:
    """Say whether the times allow that two dossiers are about one person: nobody is seen twice at once."""
    if old is new or old.track_id == new.track_id:
        return False
    return old.shown_seconds < new.begin_seconds + (_EXCHANGE_SECONDS if old.left_trail is not None else 0.0)


def _excess(new: Dossier, glance: Glance, old: Dossier, policy: LabelPolicy, same_similarity: float) -> float:
    """Return by how much two faces are more alike than two people are."""
    name = glance.answer.name
    likeness = max(new.likeness(old), float(glance.vector @ old.evidence.mean()) - _MARGIN)
    if name in old.denied:
        if likeness <= glance.answer.similarity:
            return -1.0  # it is more like whom the old face was said not to be
        name = None
    if name is not None and name == old.name:
        return likeness - policy.other_similarity  # the gallery says so, too
    if old.name is not None:
        return likeness - same_similarity - _MARGIN if name is None else -1.0
    return likeness - same_similarity
