"""Whether looks at a track's face show whom it is known to show, and when enough of them say somebody else."""

from __future__ import annotations

from streamer.dossiers import Glance, Trail
from streamer.label_policy import LabelPolicy
from streamer.recognition.vote import TrackEvidence
from streamer.types import Float32

# A view so much worth as the best so far shows a whole face.
_CLEAR = 0.7
# A track that begins behind something, or at the picture's edge, shows half a face for about so long.
_HALF_SEEN_SECONDS = 0.6
_GRACE_SECONDS = 1e-3


def agrees(trail: Trail, glance: Glance, policy: LabelPolicy) -> bool:
    """Say whether a look may show whom the trail is known to show."""
    dossier = trail.dossier
    if not dossier.evidence.samples:
        return True
    is_so_named = dossier.identity is None or glance.answer.name == dossier.name
    if policy.same_similarity is None:
        return is_so_named
    known = dossier.evidence.mean()
    return float(glance.vector @ known) >= policy.same_similarity or (
        is_so_named and may_be_same(glance, known, policy)
    )


def may_be_same(glance: Glance, known: Float32, policy: LabelPolicy) -> bool:
    """Say whether a look is not too unlike the (D,) mean of what is known of a face."""
    return policy.same_similarity is None or float(glance.vector @ known) >= policy.other_similarity


def is_believed(trail: Trail, policy: LabelPolicy) -> bool:
    """Say whether a trail's looks in a row at somebody else are enough to believe that somebody else stands there.

    A face that came back or changed from one frame to the next may be somebody else's at once. Otherwise nobody else
    can have got there, unless behind something that hides faces, and half a face looks like somebody else.
    """
    first, last, known = trail.dissent[0], trail.dissent[-1], trail.dossier.evidence
    is_sudden = trail.turn_seconds is not None and not trail.is_merged
    is_other_face = policy.same_similarity is not None and float(last.vector @ known.mean()) < policy.other_similarity
    if is_sudden and is_other_face and last.quality >= _CLEAR * known.best_quality:
        return True
    needed = policy.looks_to_rename if is_other_face or last.answer.name is not None else policy.looks_to_unname
    if last.quality < known.best_quality / 2:
        needed += 1  # a poor view is like many
    lasted = last.seconds - first.seconds + _GRACE_SECONDS
    return len(trail.dissent) >= needed and (is_sudden or lasted >= policy.takeover_seconds)


def was_half_seen(trail: Trail, evidence: TrackEvidence, since: float, policy: LabelPolicy) -> bool:
    """Say whether a trail's dossier rests on a few views of the same person's face that showed it badly.

    Nobody else can have come there unless the face was away, changed at once, or merged with another.

    Args:
        trail: Whose looks since then say somebody else.
        evidence: These looks.
        since: Stream seconds of the first of them.
        policy: When a dossier is sure.
    """
    old = trail.dossier
    if old.evidence.samples > policy.unknown_samples or old.is_sure(policy):
        return False
    if trail.turn_seconds is None and not trail.was_merged:
        return True
    is_young = since - old.begin_seconds < _HALF_SEEN_SECONDS
    return is_young and old.evidence.best_quality < _CLEAR * evidence.best_quality
