"""What `streamer evaluate pairs` and `people` print: a table, or JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from streamer.cli.figures import interval_text, percent, print_json, spread_text
from streamer.cli.output import print_table

if TYPE_CHECKING:
    from streamer.evaluation.pairs import PairFigures
    from streamer.evaluation.people import DrawPlan, MethodFigures
    from streamer.settings import RecognitionSettings

Row = Mapping[str, object]


def show_pairs(figures: PairFigures, *, as_json: bool) -> None:
    """Print how well pairs are told."""
    judged = figures.verification
    if as_json:
        print_json(
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
        ["accuracy", percent(judged.accuracy.value), interval_text(judged.accuracy.interval)],
        ["equal error rate", percent(judged.equal_error_rate), ""],
        *(
            [
                f"same found at {100 * point.rate:g} % false",
                percent(point.share.value),
                interval_text(point.share.interval),
            ]
            for point in judged.tpr_at_fpr
        ),
        ["threshold, cosine", f"{judged.threshold:.4f}", ""],
    ]
    print_table(["figure", "value", "95 % within"], rows)
    typer.echo(
        f"{figures.pairs} pairs, {figures.same} of one person, of {figures.pictures} pictures; {figures.folds} folds"
    )
    if figures.undetected:
        typer.echo(
            f"no face was found in {figures.undetected} pictures: their {figures.undetected_pairs} pairs count as "
            "judged different"
        )


def show_people(
    figures: Sequence[MethodFigures], plan: DrawPlan, unusable: int, settings: RecognitionSettings, *, as_json: bool
) -> None:
    """Print how well each method names; `settings`: what calibration was asked for, or the threshold in its place."""
    from streamer.evaluation.identification import FALSE_ACCEPT_RATES

    if as_json:
        print_json([_method_row(one, plan, unusable, settings) for one in figures])
        return
    shares = [f"{100 * rate:g} %" for rate in FALSE_ACCEPT_RATES]
    print_table(
        ["method", "rank-1", *(f"named at {share} strangers" for share in shares)],
        [[one.method, *map(spread_text, (one.figures.rank1, *one.figures.tpir))] for one in figures],
    )
    chosen = f"that calibration chose for {100 * settings.false_accept_rate:g} % of strangers"
    if settings.similarity_threshold is not None:
        chosen = f"that is set, a similarity of {settings.similarity_threshold:g}"
    typer.echo(f"\nat the threshold {chosen}:")
    print_table(
        ["method", "strangers named", "known named", "known misnamed"],
        [
            [
                one.method,
                *map(spread_text, (one.figures.strangers_named, one.figures.known_named, one.figures.known_misnamed)),
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


def _method_row(one: MethodFigures, plan: DrawPlan, unusable: int, settings: RecognitionSettings) -> Row:
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
            "false_accept_rate": settings.false_accept_rate,
            "similarity_threshold": settings.similarity_threshold,
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
