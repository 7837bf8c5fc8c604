"""What `streamer evaluate image` and `video` print: a table, or JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamer.cli.figures import interval_text, percent, print_json
from streamer.cli.output import print_table, printable

if TYPE_CHECKING:
    from streamer.evaluation.labelled import JudgedFace
    from streamer.evaluation.pictures import PictureFigures
    from streamer.evaluation.video import VideoFigures

Row = Mapping[str, object]


def show_pictures(figures: PictureFigures, folder: Path, *, as_json: bool) -> None:
    """Print what became of each face, and how many were right; pictures are named as seen from `folder`."""
    from streamer.evaluation.labelled import Verdict

    summary = {
        "accuracy": figures.listed.value,
        "accuracy_interval": figures.listed.interval,
        "known_accuracy": figures.known.value,
        "stranger_accuracy": figures.strangers.value,
        "emotion_accuracy": figures.emotions.value,
        "faces": figures.listed.total,
        **{verdict.value: figures.count(verdict) for verdict in Verdict},
        "false_names": figures.misnamed,
        "pictures": figures.pictures,
    }
    rows = [_face_row(face, folder) for face in figures.faces]
    if as_json:
        print_json({**summary, "results": rows})
        return
    has_emotions = figures.emotions.total > 0
    titles = ["image", "expected", "given", "verdict", *(["emotion expected", "emotion given"] if has_emotions else [])]
    keys = ["image", "expected", "given", "verdict", *(["expected_emotion", "given_emotion"] if has_emotions else [])]
    print_table(titles, [["-" if row[key] is None else str(row[key]) for key in keys] for row in rows])
    typer.echo("")
    shares = [
        ("right", figures.listed),
        ("known people named", figures.known),
        ("strangers unnamed", figures.strangers),
    ]
    shares += [("emotions", figures.emotions)]
    print_table(
        ["figure", "faces", "share", "95 % within"],
        [
            [what, f"{share.hits} of {share.total}", percent(share.value), interval_text(share.interval)]
            for what, share in shares
            if share.total
        ],
    )
    typer.echo(
        f"{figures.count(Verdict.WRONG)} wrong, {figures.count(Verdict.MISSED)} not found, "
        f"{figures.count(Verdict.EXTRA)} found that the table does not have; {figures.misnamed} false names"
    )


def _face_row(face: JudgedFace, folder: Path) -> Row:
    seen, expected = face.seen, face.expected
    picture = face.picture.relative_to(folder) if face.picture.is_relative_to(folder) else face.picture
    return {
        "image": str(picture),
        "line": None if expected is None else expected.line,
        "verdict": face.verdict.value,
        "expected": None if expected is None else expected.name or "unknown",
        "given": None if seen is None else seen.name or "unknown",
        "expected_emotion": None if expected is None else expected.emotion,
        "given_emotion": None if seen is None else seen.emotion,
        "box": None if seen is None else [round(float(edge), 1) for edge in seen.xyxy],
    }


def show_sheet(path: Path, left_out: int) -> None:
    """Say where the sheet is, and how many right faces had no room on it."""
    without = f", without {left_out} faces for which there is no room" if left_out else ""
    typer.echo(printable(f"the sheet is {path}{without}"))


def show_video(figures: VideoFigures, *, as_json: bool) -> None:
    """Print how well a video's faces were found, followed and named; what was left out of it goes to stderr."""
    tracking = figures.tracking
    for note in _video_notes(figures):
        typer.echo(f"note: {note}", err=True)
    if as_json:
        print_json(
            {
                "recall": tracking.recall.value,
                "precision": tracking.precision.value,
                "id_switches": tracking.id_switches,
                "idf1": tracking.identity.value,
                "name_accuracy": tracking.names.value,
                "false_names": tracking.false_names,
                "false_name_tracks": tracking.false_name_tracks,
                "frames": figures.frames,
                "faces": tracking.recall.total,
                "found": tracking.precision.total,
                "named_faces": tracking.names.total,
                "absent_frames": figures.absent,
                "is_cut": figures.is_cut,
                "frames_beyond_cut": figures.beyond,
            }
        )
        return
    shares = [
        ("recall", tracking.recall, "faces of the truth found"),
        ("precision", tracking.precision, "found faces are faces of the truth"),
        ("IDF1", tracking.identity, "faces, of both, covered by their own track"),
        ("name accuracy", tracking.names, "found faces with a name were given it"),
    ]
    rows = [[what, percent(share.value), f"{share.hits} of {share.total} {of}"] for what, share, of in shares]
    rows.append(["id switches", str(tracking.id_switches), "a face's track is another than before"])
    rows.append(["false names", str(tracking.false_names), f"in {tracking.false_name_tracks} tracks"])
    print_table(["figure", "value", "of what"], rows)
    typer.echo(f"{figures.frames} frames judged")


def _video_notes(figures: VideoFigures) -> Iterator[str]:
    if figures.is_cut:
        yield (
            "the results have no summary, so they were cut off; they are used up to their last whole line"
            + (f", and {figures.beyond} frames of the truth behind that are not judged" if figures.beyond else "")
        )
    if figures.absent:
        yield f"{figures.absent} frames of the truth are not in the results; their faces count as missed"
