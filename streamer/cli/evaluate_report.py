"""What `streamer evaluate` prints: a table a command for people, or JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamer.cli.output import print_table, printable

if TYPE_CHECKING:
    from streamer.evaluation.labelled import JudgedFace
    from streamer.evaluation.pairs import PairFigures
    from streamer.evaluation.people import DrawPlan, MethodFigures
    from streamer.evaluation.pictures import PictureFigures
    from streamer.evaluation.shares import Interval, Spread
    from streamer.evaluation.video import VideoFigures

_JSON_DECIMALS = 6
Row = Mapping[str, object]


def show_pairs(figures: PairFigures, *, as_json: bool) -> None:
    """Print how well pairs are told."""
    judged = figures.verification
    if as_json:
        _print_json(
            {
                "accuracy": judged.accuracy.value,
                "accuracy_interval": judged.accuracy.interval,
                "equal_error_rate": judged.equal_error_rate,
                "threshold": judged.threshold,
                "tpr_at_fpr": {f"{point.rate:g}": point.share.value for point in judged.tpr_at_fpr},
                "tpr_at_fpr_intervals": {f"{point.rate:g}": point.share.interval for point in judged.tpr_at_fpr},
                "pairs": figures.pairs,
                "same": figures.same,
                "folds": figures.folds,
                "pictures": figures.pictures,
                "undetected": figures.undetected,
                "undetected_pairs": figures.undetected_pairs,
            }
        )
        return
    rows = [
        ["accuracy", _percent(judged.accuracy.value), _range(judged.accuracy.interval)],
        ["equal error rate", _percent(judged.equal_error_rate), ""],
        *(
            [f"same found at {100 * point.rate:g} % false", _percent(point.share.value), _range(point.share.interval)]
            for point in judged.tpr_at_fpr
        ),
        ["threshold, cosine", f"{judged.threshold:.4f}", ""],
    ]
    print_table(["", "", "95 % within"], rows)
    typer.echo(
        f"{figures.pairs} pairs, {figures.same} of one person, of {figures.pictures} pictures; {figures.folds} folds"
    )
    if figures.undetected:
        typer.echo(
            f"no face was found in {figures.undetected} pictures: their {figures.undetected_pairs} pairs count as "
            "judged different"
        )


def show_people(
    figures: Sequence[MethodFigures], plan: DrawPlan, unusable: int, false_accept_rate: float, *, as_json: bool
) -> None:
    """Print how well each method names; `false_accept_rate`: what calibration was asked for."""
    from streamer.evaluation.identification import FALSE_ACCEPT_RATES

    if as_json:
        _print_json([_method_row(one, plan, unusable, false_accept_rate) for one in figures])
        return
    shares = [f"{100 * rate:g} %" for rate in FALSE_ACCEPT_RATES]
    print_table(
        ["method", "rank-1", *(f"named at {share} strangers" for share in shares)],
        [[one.method, *map(_spread, (one.figures.rank1, *one.figures.tpir))] for one in figures],
    )
    typer.echo(f"\nat the threshold that calibration chose for {100 * false_accept_rate:g} % of strangers:")
    print_table(
        ["method", "strangers named", "known named", "known misnamed"],
        [
            [
                one.method,
                *map(_spread, (one.figures.strangers_named, one.figures.known_named, one.figures.known_misnamed)),
            ]
            for one in figures
        ],
    )
    first = figures[0]
    typer.echo(
        f"\n{plan.draws} galleries of {plan.people} people × {plan.enrol} photos, {first.known_faces} known faces and "
        f"{first.stranger_faces} of strangers in all; in brackets what 95 % of the galleries lie within"
    )
    if unusable:
        typer.echo(f"{unusable} pictures were left out, for they show no face or cannot be read")


def _method_row(one: MethodFigures, plan: DrawPlan, unusable: int, false_accept_rate: float) -> Row:
    from streamer.evaluation.identification import FALSE_ACCEPT_RATES

    figures = one.figures
    rates = [f"{rate:g}" for rate in FALSE_ACCEPT_RATES]
    return {
        "method": one.method,
        "rank1": figures.rank1.mean,
        "rank1_interval": figures.rank1.interval,
        "tpir_at_fpir": {rate: spread.mean for rate, spread in zip(rates, figures.tpir, strict=True)},
        "tpir_at_fpir_intervals": {rate: spread.interval for rate, spread in zip(rates, figures.tpir, strict=True)},
        "calibrated": {
            "false_accept_rate": false_accept_rate,
            "strangers_named": figures.strangers_named.mean,
            "strangers_named_interval": figures.strangers_named.interval,
            "known_named": figures.known_named.mean,
            "known_named_interval": figures.known_named.interval,
            "known_misnamed": figures.known_misnamed.mean,
            "known_misnamed_interval": figures.known_misnamed.interval,
        },
        "people": plan.people,
        "enrol": plan.enrol,
        "draws": plan.draws,
        "known_faces": one.known_faces,
        "stranger_faces": one.stranger_faces,
        "unusable": unusable,
    }


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
        _print_json({**summary, "results": rows})
        return
    has_emotions = figures.emotions.total > 0
    titles = ["image", "expected", "given", "", *(["emotion expected", "emotion given"] if has_emotions else [])]
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
        ["", "", "", "95 % within"],
        [
            [what, f"{share.hits} of {share.total}", _percent(share.value), _range(share.interval)]
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
        _print_json(
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
    rows = [[what, _percent(share.value), f"{share.hits} of {share.total} {of}"] for what, share, of in shares]
    rows.append(["id switches", str(tracking.id_switches), "a face's track is another than before"])
    rows.append(["false names", str(tracking.false_names), f"in {tracking.false_name_tracks} tracks"])
    print_table(["", "", ""], rows)
    typer.echo(f"{figures.frames} frames judged")


def _video_notes(figures: VideoFigures) -> Iterator[str]:
    if figures.is_cut:
        yield (
            "the results have no summary, so they were cut off; they are used up to their last whole line"
            + (f", and {figures.beyond} frames of the truth behind that are not judged" if figures.beyond else "")
        )
    if figures.absent:
        yield f"{figures.absent} frames of the truth are not in the results; their faces count as missed"


def _print_json(document: object) -> None:
    typer.echo(json.dumps(_rounded(document), indent=2, ensure_ascii=False))


def _rounded(value: object) -> object:
    """Round all numbers inside to what was measured, at any depth."""
    if isinstance(value, float):
        return round(value, _JSON_DECIMALS)
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _range(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %"


def _spread(spread: Spread) -> str:
    low, high = spread.interval
    return f"{100 * spread.mean:.2f} % ({100 * low:.1f} to {100 * high:.1f})"
