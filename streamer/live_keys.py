"""What the keys and clicks of the live window mean: which view is wanted, and what is asked of the run. No window here.

A face is chosen by its number or a click, for a name that is then typed, or to say that the name it has is wrong.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from streamer.types import Annotation, FrameResult, Track

# Below the gallery's own limit; what is longer could not be read while it is typed.
_MOST_LETTERS = 60
_ZOOM = 1.25
_MOST_NUMBERED = 9

KEYS: Sequence[tuple[str, str]] = (
    ("q Esc", "quit"),
    ("space", "pause"),
    ("r", "record what you see"),
    ("R", "record the clean picture"),
    ("s", "snapshot"),
    ("e", "enrol: give a face a name"),
    ("n", "not this person"),
    ("u", "undo the last name"),
    ("b", "blur strangers"),
    ("m", "mirror"),
    ("d", "details"),
    ("+ -", "larger, smaller"),
    ("f", "full screen"),
    ("h", "this help"),
)


class Ask(enum.Enum):
    """What a key asks for, of the run or of the window."""

    QUIT = enum.auto()
    PAUSE = enum.auto()
    RECORD = enum.auto()
    RECORD_CLEAN = enum.auto()
    SNAPSHOT = enum.auto()
    UNDO = enum.auto()
    FULL_SCREEN = enum.auto()
    LARGER = enum.auto()
    SMALLER = enum.auto()


@dataclass(frozen=True, slots=True)
class Enrol:
    """Give the face of a track a name."""

    track_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Deny:
    """The face of a track is not whom it is called."""

    track_id: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Look closely at the face of a track, for a name is being typed; None: no longer at any."""

    track_id: int | None


Request = Ask | Enrol | Deny | Watch

_ASKS: Mapping[str, Ask] = {
    "q": Ask.QUIT,
    "escape": Ask.QUIT,
    " ": Ask.PAUSE,
    "r": Ask.RECORD,
    "R": Ask.RECORD_CLEAN,
    "s": Ask.SNAPSHOT,
    "u": Ask.UNDO,
    "f": Ask.FULL_SCREEN,
    "+": Ask.LARGER,
    "=": Ask.LARGER,  # the same key without Shift
    "-": Ask.SMALLER,
}


class Mode(enum.Enum):
    """What keys are for just now."""

    USUAL = enum.auto()
    CHOOSE_TO_ENROL = enum.auto()
    CHOOSE_TO_DENY = enum.auto()
    TYPE = enum.auto()


@dataclass(slots=True)
class Controls:
    """What the user has chosen so far.

    Attributes:
        mode: What keys are for.
        blur: Strangers are blurred.
        mirror: The picture is mirrored.
        details: Landmarks, scores and times are shown.
        help: The list of keys is shown.
        typed: The name so far.
        track_id: Whose name is being typed.
        numbers: By which number each track can be chosen; while a name is typed, the number of whom it is for.
        shown: What the window shows.
        advice: What whoever gets the name should do meanwhile; "": nothing.
    """

    blur: bool = False
    mirror: bool = False
    details: bool = False
    help: bool = False
    mode: Mode = Mode.USUAL
    typed: str = ""
    track_id: int | None = None
    numbers: dict[int, int] = field(default_factory=dict)  # track_id to number
    shown: FrameResult | None = None
    advice: str = ""

    @property
    def is_choosing(self) -> bool:
        """Say whether a face is to be chosen."""
        return self.mode in (Mode.CHOOSE_TO_ENROL, Mode.CHOOSE_TO_DENY)

    def see(self, shown: FrameResult) -> None:
        """Take the picture that is shown next, whose faces keys and clicks are about."""
        self.shown = shown
        self._number()

    def _number(self) -> None:
        """Number the nearest faces from left to right, as many as there are keys; those that have a number keep it."""
        if self.mode is Mode.TYPE:
            return  # the number of the face that was chosen stays on it
        if not self.is_choosing or self.shown is None:
            self.numbers = {}
            return
        faces = [face.track for face in self.shown.annotations if self.mode is not Mode.CHOOSE_TO_DENY or _name(face)]
        present = {track.track_id for track in faces}
        nearest = sorted(faces, key=_area, reverse=True)[:_MOST_NUMBERED]
        for track in sorted(nearest, key=lambda track: float(track.xyxy[0])):
            if track.track_id not in self.numbers:
                self._give_number(track.track_id, present)

    def _give_number(self, track_id: int, present: Set[int]) -> None:
        """Give a face the first number that no other has; where all are taken, that of a face that is gone."""
        holders = {number: holder for holder, number in self.numbers.items()}
        numbers = range(1, _MOST_NUMBERED + 1)
        free = [number for number in numbers if number not in holders]
        free += [number for number in numbers if number in holders and holders[number] not in present]
        if free:
            self.numbers.pop(holders.get(free[0], track_id), None)
            self.numbers[track_id] = free[0]

    def press(self, key: str) -> Request | None:
        """Take a key, a character or a name such as `enter`; return what it asks for, if anything."""
        if self.mode is Mode.TYPE:
            return self._type(key)
        if self.is_choosing:
            return self._choose_by(key)
        match key:
            case "e" | "n":
                self.mode = Mode.CHOOSE_TO_ENROL if key == "e" else Mode.CHOOSE_TO_DENY
                self.help = False
                self._number()  # the number may be pressed before the next picture
            case "b":
                self.blur = not self.blur
            case "m":
                self.mirror = not self.mirror
            case "d":
                self.details = not self.details
            case "h" | "?":
                self.help = not self.help
            case "escape" if self.help:
                self.help = False
            case _:
                return _ASKS.get(key)
        return None

    def click(self, x: int, y: int) -> Request | None:
        """Take a click on the picture that is shown: the smallest face there is chosen, where one is to be."""
        if not self.is_choosing or self.shown is None:
            return None
        boxes = [(face.track.track_id, face.track.xyxy) for face in self.shown.annotations]
        hit = [
            (float((box[2] - box[0]) * (box[3] - box[1])), track_id)
            for track_id, box in boxes
            if box[0] <= x <= box[2] and box[1] <= y <= box[3]
        ]
        return self._choose(min(hit)[1]) if hit else None

    def _choose_by(self, key: str) -> Request | None:
        if key == "escape":
            self.mode = Mode.USUAL
        elif len(key) == 1 and "1" <= key <= str(_MOST_NUMBERED):
            chosen = [track_id for track_id, number in self.numbers.items() if number == int(key)]
            return self._choose(chosen[0]) if chosen else None
        return None

    def _choose(self, track_id: int) -> Request:
        if self.mode is Mode.CHOOSE_TO_DENY:
            self.mode = Mode.USUAL
            return Deny(track_id)
        self.mode, self.track_id, self.typed = Mode.TYPE, track_id, ""
        self.numbers = {one: number for one, number in self.numbers.items() if one == track_id}
        return Watch(track_id)

    def _type(self, key: str) -> Request | None:
        match key:
            case "escape":
                self.mode, self.track_id = Mode.USUAL, None
                return Watch(None)
            case "enter" if self.typed.strip() and self.track_id is not None:
                request = Enrol(self.track_id, self.typed.strip())
                self.mode, self.track_id = Mode.USUAL, None
                return request
            case "backspace":
                self.typed = self.typed[:-1]
            case _ if len(key) == 1 and key.isprintable() and len(self.typed) < _MOST_LETTERS:
                self.typed += key
        return None


def _name(face: Annotation) -> str | None:
    return None if face.identity is None else face.identity.name


def _area(track: Track) -> float:
    left, top, right, bottom = track.xyxy.tolist()
    return float((right - left) * (bottom - top))


def zoom_of(request: Ask) -> float:
    """Return by what the window's sides are multiplied."""
    return _ZOOM if request is Ask.LARGER else 1 / _ZOOM
