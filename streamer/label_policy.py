"""How tracks are labelled: when a model looks at a face, and when a track's face is believed to be somebody else's."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamer.emotion.policy import EmotionPolicy


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """When a track is due for a model, and who it may be; every duration in seconds of stream time.

    Attributes:
        first_looks_seconds: Between looks until there are `sure_samples` of them, and while two faces are merged.
        embed_every_seconds: Between looks while the identity is unsure.
        refresh_seconds: The same while it is sure.
        recheck_seconds: The same after a look that said somebody else stands there.
        sure_probability: From here on an answer is sure, once it rests on `sure_samples` views.
        sure_samples: See there; of a name.
        certain_probability: A name that rests on fewer views must be so probable.
        unknown_samples: The same of "unknown": half a face is nobody's, and the first views of one are often such.
        looks_to_rename: So many looks in a row at somebody else end what was known of a track.
        looks_to_unname: The same for looks at somebody who resembles the track's face, but is nobody in the gallery.
        takeover_seconds: They must last so long, unless the face was away or changed from one frame to the next.
        better_quality: A view better by this factor than the best so far is embedded early.
        absence_seconds: A face back after so long is embedded at once: somebody else may stand there.
        merge_iou: Two faces whose boxes overlap by so much may have changed places when they come apart.
        same_similarity: From this cosine on two faces are one person, whatever their names; None: the embedder's scale
            is not known, so nobody is told apart or revived by appearance.
        other_similarity: Below this cosine they are two.
        revive_seconds: Who is back within this time after leaving, or after a cut, goes on under the old track id.
        min_face_pixels: Smaller faces are not embedded: there is too little to see.
        embeddings_per_second: Of one source, at most; unused ones are saved up for half a second.
        keep_looks: Annotations carry what the embedder saw.
        emotion: How emotions are told.
        left_after_seconds: A track not seen for so long has left.
        look_ahead_seconds: Frames that can wait do so for at most so long, until their tracks are sure; 0: they do not.
        look_ahead_bytes: The pictures of one source that wait for it hold at most so much.
    """

    first_looks_seconds: float = 0.12
    embed_every_seconds: float = 0.4
    refresh_seconds: float = 3.0
    recheck_seconds: float = 0.04
    sure_probability: float = 0.9
    sure_samples: int = 3
    certain_probability: float = 0.9
    unknown_samples: int = 5
    looks_to_rename: int = 2
    looks_to_unname: int = 3
    takeover_seconds: float = 0.3
    better_quality: float = 1.4
    absence_seconds: float = 0.2
    merge_iou: float = 0.2
    # The dlib embedder on lfw_dev (2,719 pictures of 1,241 people, 3.7 million pairs; much the same where faces are
    # shrunk to 32 px): of different people's pairs .06 % reach .93 and 10 % reach .88; of one person's, taken on
    # different days, 11 % stay below .93 and .2 % below .88. Faces followed through crowd_1080p and expressions_360p
    # stay above .876 of the mean of their first three looks.
    same_similarity: float | None = 0.93
    other_similarity: float = 0.88
    revive_seconds: float = 10.0
    min_face_pixels: float = 24.0
    embeddings_per_second: float = 60.0
    keep_looks: bool = False
    emotion: EmotionPolicy = field(default_factory=EmotionPolicy)
    left_after_seconds: float = 1.0
    look_ahead_seconds: float = 2.0
    look_ahead_bytes: int = 24 * 2**20
