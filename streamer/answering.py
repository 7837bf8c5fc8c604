"""What the evidence says of people, and what those who see them say: answers are taken over, and given anew.

They are given anew where who is known has changed while a run goes on: of everybody whose name may still be shown or
asked for, at once, from the looks that there are. What was seen stays; only what follows from the old gallery goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.dossiers import Dossier, Trail
from streamer.label_policy import LabelPolicy
from streamer.stages import Matcher
from streamer.types import Float32, Identity

# What a look says where nobody is enrolled.
_NOBODY = Identity(None, -1.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody who sees a face says of it, which goes before what looks say.

    Attributes:
        source_id: Where it is seen.
        track_id: What results call its track.
        name: A person's.
        is_theirs: The face is that person's; False: it is not.
    """

    source_id: str
    track_id: int
    name: str
    is_theirs: bool


def single_answers(vectors: Float32, matcher: Matcher | None) -> Sequence[Identity]:
    """Return what each of (N, D) looks says by itself."""
    return matcher.match(vectors) if matcher is not None else [_NOBODY] * len(vectors)


def take_answers(dossiers: Sequence[Dossier], matcher: Matcher, policy: LabelPolicy) -> None:
    """Ask whom the evidence of each dossier shows, and take that over; each must rest on a look at least."""
    if not dossiers:
        return
    means = np.stack([dossier.evidence.mean() for dossier in dossiers])
    for dossier, mean, answer in zip(dossiers, means, matcher.match(means), strict=True):
        if answer.name in dossier.denied:
            others = [one for one in matcher.candidates(mean[None])[0] if one.name not in dossier.denied]
            answer = others[0] if others else nobody(answer)
        _take(dossier, replace(answer, samples=dossier.evidence.samples), policy)


def _take(dossier: Dossier, answer: Identity, policy: LabelPolicy) -> None:
    """Take over what the evidence says; against what it said before only where it is sure or says so repeatedly.

    A name that rests on few looks must be all but certain: until then it is nobody's.
    """
    has_few_looks = answer.samples < policy.sure_samples
    is_sure = answer.probability >= policy.sure_probability and not has_few_looks
    if answer.name is not None and has_few_looks and answer.probability < policy.certain_probability:
        answer = nobody(answer)
    if dossier.identity is not None and answer.name != dossier.name and not is_sure:
        dossier.doubts += 1
        if dossier.doubts < (policy.looks_to_unname if dossier.was_sure else policy.looks_to_rename):
            return
    dossier.identity, dossier.doubts, dossier.was_sure = answer, 0, is_sure


def nobody(answer: Identity) -> Identity:
    """Return an answer without its name; that nobody in the gallery is meant is then as likely as not, at least."""
    return replace(answer, name=None, probability=max(0.5, 1 - answer.probability))


def answer_anew(
    dossiers: Sequence[Dossier], trails: Sequence[Trail], matcher: Matcher | None, policy: LabelPolicy
) -> None:
    """Forget all that an earlier gallery said, and ask another one; None: nobody is known, so nobody is assessed.

    Whatever comes out holds at once: that an earlier answer was sure is no reason to doubt this one.
    """
    for dossier in dossiers:
        dossier.identity, dossier.doubts, dossier.was_sure, dossier.candidates = None, 0, False, None
    if matcher is not None:
        take_answers([dossier for dossier in dossiers if dossier.evidence.samples], matcher, policy)
    for trail in trails:
        if trail.dissent:
            answers = single_answers(np.stack([glance.vector for glance in trail.dissent]), matcher)
            trail.dissent = [
                replace(glance, answer=answer) for glance, answer in zip(trail.dissent, answers, strict=True)
            ]
