"""The card (README.md) that is written into every predictor."""

from __future__ import annotations

from typing import Any

_KINDS = {
    "network": "Networks of attention among the elements of a formula",
    "trees": "Boosted trees on Magpie features",
    "language_model": "Composition language models with a head",
}


def predictor_card(metadata: dict[str, Any]) -> str:
    """Markdown made from the content of `predictor.json`."""
    metrics, formulas, unit = metadata["metrics"], metadata["formulas"], metadata["unit"]
    of = f" ({unit})" if unit else ""
    left_out = "; ".join(f"{n:,} {reason}" for reason, n in metadata["left_out"].items() if n) or "nothing"
    rows = [
        ("formulas to learn from / stop and calibrate by / test", " / ".join(f"{n:,}" for n in formulas.values())),
        ("left out", left_out),
        ("members, parameters of each", f"{len(metadata['training'])}, {metadata['parameters']:,}"),
    ]
    if metrics and metadata["task"] == "classification":
        rows += [
            ("right, of the test part", f"{100 * metrics['accuracy']:.2f} %"),
            ("the same, always saying the majority", f"{100 * metrics['accuracy_of_the_majority']:.2f} %"),
            ("area under the ROC curve", "" if metrics["roc_auc"] is None else f"{metrics['roc_auc']:.4f}"),
            ("Brier score", f"{metrics['brier']:.4f}"),
        ]
    elif metrics:
        coverage = ", ".join(
            f"{100 * float(c):g} %: {100 * measured:.1f} %" for c, measured in metrics["coverage"].items()
        )
        rows += [
            (f"mean absolute error of the test part{of}", f"{metrics['mae']:.4f}"),
            (f"the same, always saying the median{of}", f"{metrics['mae_of_the_median']:.4f}"),
            ("truth inside intervals of", coverage),
        ]
    rows += _stability(metadata.get("stability", {}))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""# {metadata["property"]}{of} from composition, source {metadata["source"]}

{_KINDS[metadata["kind"]]}, made by matgen. Open with `matgen predict --model <this folder>`.

| | |
|---|---|
{table}

## Limits

A composition has many structures; what is predicted is the label that the source gives it (of the most stable structure
that the source knows). Outside of what was learned from (`in_domain` False) the spread is a guess too.
"""


_ORIGINS = {
    "held_out": "held-out compositions of the source",
    "other_source": "compositions that only the other database holds",
    "drawn": "drawn compositions, relaxed by CHGNet",
}


def _stability(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows on what the probabilities of stability are worth, measured on chemical systems that their trees lack."""
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
