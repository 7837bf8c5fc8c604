"""What a live run allows itself: the usual, or less where the machine cannot keep up (overload.py decides).

What it spares, in milliseconds of processor time a frame at 30 frames a second (two cores, configs/live.yaml, so a
search every .4 s; each column spares what those before do; the first two are single_face_360p, the others
crowd_1080p, also scaled, and nine times beside itself), and what one search of the whole picture takes:

| picture   | faces | full effort | searched 4 × | faces 2 ×   | a quarter of | a search, at | for faces 2 × |
|           |       |             | less often   | as large    | the looks    | full effort  | as large      |
|-----------|-------|-------------|--------------|-------------|--------------|--------------|---------------|
| 640×480   |     1 |         2.1 |          1.5 |         1.4 |          1.2 |          8.5 |             5 |
| 1280×720  |     1 |         3.3 |          2.3 |         2.1 |          1.7 |           20 |            12 |
| 1280×720  |     5 |         7.6 |          4.9 |         4.8 |          3.8 |           26 |            14 |
| 1920×1080 |     5 |          10 |          5.8 |         5.0 |          4.2 |           46 |            23 |
| 1920×1080 |    40 |          25 |           21 |         8.6 |          7.2 |           69 |            28 |
| 3840×2160 |     5 |          21 |           10 |         8.0 |          7.2 |          160 |            69 |

A search holds up the frames behind it, so fewer of them spare the most work and drop fewer frames, and smaller ones
make results less old. What is left is following, .3 to .6 ms a face and frame: in the crowd of 40 the faces that are
too small to be found spare most. Of looks, those at emotions spare more: embeddings are at most 60 a second anyhow.
Drawing and showing (imshow) a frame takes 2 to 5 ms beside that.
"""

from __future__ import annotations

from dataclasses import dataclass

# Where something is done for every frame, doing it less often starts from here.
_EVERY_FRAME_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Effort:
    """What a live run allows itself, measured by what is configured.

    Attributes:
        search_times: Whole pictures are searched so many times less often. Who comes in is found that much later.
        face_times: The smallest face searched for is so many times as large; faces that are followed already may be
            smaller. Powers of 1 / 0.709 leave out whole levels of the detector's pyramid.
        looks: Share of the embeddings a second, and of the looks at an emotion. Names come later in a crowd.
        most_shown_fps: At most so many frames a second are drawn and shown; None: all. The pipeline has no use for it.
    """

    search_times: float = 1.0
    face_times: float = 1.0
    looks: float = 1.0
    most_shown_fps: float | None = None

    def __post_init__(self) -> None:
        if self.search_times < 1 or self.face_times < 1:
            raise ValueError(f"an effort is at most the usual one, which {self} exceeds")
        if not 0 < self.looks <= 1:
            raise ValueError(f"looks must be above 0 and at most 1, not {self.looks}")
        if self.most_shown_fps is not None and self.most_shown_fps <= 0:
            raise ValueError(f"most_shown_fps must be above 0, not {self.most_shown_fps}")

    def search_seconds(self, usual_seconds: float) -> float:
        """Return the time between two searches that are usually `usual_seconds` apart; 0: every frame."""
        return _stretched(usual_seconds, self.search_times)

    def look_seconds(self, usual_seconds: float) -> float:
        """Return the same for looks at an emotion."""
        return _stretched(usual_seconds, 1 / self.looks)


FULL = Effort()


def _stretched(seconds: float, times: float) -> float:
    # The usual value exactly where nothing is stretched: results may not depend on this module then.
    return seconds if times == 1 else max(seconds, _EVERY_FRAME_SECONDS) * times
