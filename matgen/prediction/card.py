"""The card (README.md) that is written into every predictor."""

from __future__ import annotations

from typing import Any

_KINDS = {
    "network": "Networks of attention among the elements of a formula",
    "trees": "Boosted trees on Magpie features",
    "language_model": "Composition language models with a head",
}
_FEW_TESTED = 100
"""Rows below which a share of intervals that hold is told as a number of rows."""


def predictor_card(metadata: dict[str, Any]) -> str:
    """Markdown made from the content of `predictor.json`."""
    unit = metadata["unit"]
    of = f" ({unit})" if unit else ""
    rows = [*_of_rows(metadata), *_of_metrics(metadata, of), *_of_stability(metadata.get("stability", {}))]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""# {metadata["property"]}{of} from composition{_and_columns(metadata)}, source {metadata["source"]}

{_KINDS[metadata["kind"]]}, made by matgen. Open with `matgen predict --model <this folder>`.

| | |
|---|---|
{table}
{_columns(metadata)}
## Limits

A composition has many structures; what is predicted is the label that the source gives it (of the most stable structure
that the source knows). Outside of what was learned from (`in_domain` False) the spread is a guess too.
{_of_folds(metadata)}"""


def _of_rows(metadata: dict[str, Any]) -> list[tuple[str, str]]:
    formulas, folds = metadata["formulas"], metadata.get("folds")
    left_out = "; ".join(f"{n:,} {reason}" for reason, n in metadata["left_out"].items() if n) or "nothing"
    what = "formulas to learn from / stop and calibrate by / test"
    parts = " / ".join(f"{n:,}" for n in formulas.values())
    if folds:
        what = f"rows to learn from and calibrate by, in {folds} folds / test"
        parts = f"{formulas['train']:,} / {formulas['test']:,}"
    rows = [(what, parts), ("left out", left_out)]
    rows += [("of the table", _cell(remark)) for remark in metadata.get("remarks", ())]
    if metadata.get("classes"):
        rows.append(("classes", _cell(", ".join(metadata["classes"]))))
    rows.append(("members, parameters of each", f"{len(metadata['training'])}, {metadata['parameters']:,}"))
    tuning = metadata.get("tuning")
    if tuning:
        changed = ", ".join(f"{name} {value:.3g}" for name, value in tuning["best"].items())
        rows.append((f"settings, the best of {tuning['trials']} trials", changed))
    return rows


def _of_metrics(metadata: dict[str, Any], of: str) -> list[tuple[str, str]]:
    metrics = metadata["metrics"]
    classify = metadata["task"] == "classification"
    rows = []
    if "n" in metrics:
        rows += (_of_classes if classify else _of_numbers)(metrics, of, f"of the test part ({metrics['n']:,} rows)")
        if "coverage" in metrics:
            rows.append(("truth inside intervals of", ", ".join(_held(metrics, c) for c in metrics["coverage"])))
    crossed = metrics.get("cross_validation")
    if crossed:
        rows += (_of_classes if classify else _of_numbers)(crossed, of, f"in cross-validation ({crossed['n']:,} rows)")
    return rows


def _of_numbers(metrics: dict[str, Any], of: str, where: str) -> list[tuple[str, str]]:
    return [
        (f"mean absolute error {where}{of}", f"{metrics['mae']:.4f}"),
        (f"the same, always saying the median{of}", f"{metrics['mae_of_the_median']:.4f}"),
    ]


def _of_classes(metrics: dict[str, Any], of: str, where: str) -> list[tuple[str, str]]:
    return [
        (f"right, {where}", f"{100 * metrics['accuracy']:.2f} %"),
        ("the same, always saying the majority", f"{100 * metrics['accuracy_of_the_majority']:.2f} %"),
        ("area under the ROC curve", "" if metrics["roc_auc"] is None else f"{metrics['roc_auc']:.4f}"),
        ("Brier score", f"{metrics['brier']:.4f}"),
    ]


def _held(metrics: dict[str, Any], confidence: str) -> str:
    return f"{100 * float(confidence):g} %: {held_in_words(metrics, confidence)}"


def held_in_words(metrics: dict[str, Any], confidence: str) -> str:
    """How many of the tested rows lie in the intervals of a confidence: a share only where it tells something."""
    share, n = metrics["coverage"][confidence], metrics["n"]
    if n >= _FEW_TESTED:
        return f"{100 * share:.1f} %"
    low, high = metrics["coverage_between"][confidence]
    return f"{round(share * n)} of {n} rows ({100 * low:.0f} to {100 * high:.0f} % by so few)"


def _and_columns(metadata: dict[str, Any]) -> str:
    names = [_cell(one["name"]) for one in metadata.get("features", ())]
    return f" and {', '.join(names)}" if names else ""


def _columns(metadata: dict[str, Any]) -> str:
    from matgen.prediction.features import Feature

    features = [Feature.from_json(one) for one in metadata.get("features", ())]
    if not features:
        return ""
    lines = "\n".join(f"* {_cell(str(one))}" for one in features)
    return f"""
## Columns beside the formula

A table to predict for has these columns under these names; single cells may be empty.

{lines}
"""


def _of_folds(metadata: dict[str, Any]) -> str:
    if not metadata.get("folds"):
        return ""
    tuned = "\nSettings were chosen by the same rows, so that these errors are a little too small." * bool(
        metadata.get("tuning")
    )
    if metadata["task"] == "classification":
        return f"""
Each member has learned from all folds but its own; probabilities are calibrated by what each says of its own.{tuned}
"""
    from matgen.prediction.cross_conformal import guarantee

    least = 100 * guarantee(metadata["formulas"]["train"], metadata["folds"], 0.95)
    return f"""
Each member has learned from all folds but its own, and its errors there calibrate the intervals (CV+: Barber, Candes,
Ramdas and Tibshirani, Ann. Stat. 49, 486, 2021). Of rows like these, intervals of 95 % hold the truth in about 95 % of
cases, and in at least {least:.0f} %.{tuned}
"""


def _cell(text: str) -> str:
    """A user's text within a table of Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")


_ORIGINS = {
    "held_out": "held-out compositions of the source",
    "other_source": "compositions that only the other database holds",
    "drawn": "drawn compositions, relaxed by CHGNet",
}
"""Where compositions come from that probabilities of stability are judged on (`stability_fit`), in words."""


def probabilities_in_words(name: str, metadata: dict[str, Any]) -> list[str]:
    """Lines on what a predictor's probabilities of stability are worth; none where that was not measured.

    Args:
        name: of the predictor.
        metadata: the content of its `predictor.json`.
    """
    figures = metadata.get("stability", {})
    if not figures:
        return []
    lines = [f"Brier score (lower is better) of probability_hull_0.1 of {name} (always saying the true share):"]
    for origin, measured in figures.items():
        one = measured["0.1"]
        lines.append(f"  {one['brier']:.3f} ({one['brier_of_share']:.3f})  {_ORIGINS[origin]}")
    return lines


def _of_stability(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """What the probabilities of stability are worth, measured on chemical systems that their trees lack."""
    rows = []
    for origin, measured in figures.items():
        limits = [limit for limit, value in measured.items() if isinstance(value, dict)]
        briers = ", ".join(
            f"{measured[limit]['brier']:.3f} ({measured[limit]['brier_of_share']:.3f})" for limit in limits
        )
        rows.append((f"Brier score at {', '.join(limits)} eV/atom (always the share), {_ORIGINS[origin]}", briers))
        if measured["flagged_of_off"] is not None:
            flagged = f"{100 * measured['flagged_of_off']:.0f} % / {100 * measured['flagged_of_others']:.0f} %"
            rows.append(
                (f"out of domain, of those off by more than 0.3 eV/atom / of the others, {_ORIGINS[origin]}", flagged)
            )
    return rows
