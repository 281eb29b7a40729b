"""Drawn rows beside the table that their model learned: everything that is measured, as a report and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import DataError
from matgen.lift.columns import Column, describe, typed
from matgen.lift.drawn.likeness import associations, discriminator, features, marginals
from matgen.lift.drawn.privacy import anonymity, closest_records, membership_inference

ROWS_AT_MOST = 10_000
"""Rows of a table that forests and distances are computed of; others are left out evenly, seed 0."""


def compared(
    real: pd.DataFrame,
    drawn: pd.DataFrame,
    held_out: pd.DataFrame | None = None,
    *,
    quasi_identifiers: Sequence[str] = (),
    bins: int = 5,
    targets: Sequence[str] = (),
    column_types: dict[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare drawn rows with real ones, as works on generated tables do (Borisov et al., ICLR 2023).

    Args:
        real: rows that the model learned from; its columns are those compared.
        drawn: rows of the model with the same columns.
        held_out: rows of the same table that it did not learn from. They are what drawn rows should be like: each
            measure is given for them too, and membership inference needs them.
        quasi_identifiers: columns that somebody else may know, for k-anonymity.
        bins: of k-anonymity, for numbers.
        targets: columns that a forest which learned from drawn rows predicts for the held-out ones.
        column_types: as of `LiftGenerator`.
        seed: of forests and parts of tables.

    Returns:
        Numbers of `rows`; `marginals`, `associations`, `discriminator`, `closest_records`, `membership_inference`,
        `anonymity` and `usefulness`, as the functions of these names return them; what cannot be computed is left out.

    Raises:
        DataError: a column is missing, or a cell cannot be read.
        OptionError: a column is named that is not there.
    """
    columns = describe(real, column_types=column_types)
    tables = {"real": real, "drawn": drawn} | ({} if held_out is None else {"held_out": held_out})
    rows = {
        which: typed(table, columns, where=f"the {which} table".replace("_", "-")) for which, table in tables.items()
    }
    for which, own in rows.items():
        if len(own) < 2:
            raise DataError(f"the {which} table has {len(own)} rows, at least 2 are needed".replace("_", "-"))
    some = {which: own.sample(min(len(own), ROWS_AT_MOST), random_state=seed) for which, own in rows.items()}
    some = {which: own.sort_index().reset_index(drop=True) for which, own in some.items()}
    out: dict[str, Any] = {"rows": {which: len(own) for which, own in rows.items()}}
    out["marginals"] = marginals(columns, rows["real"], rows["drawn"])
    out["associations"] = associations(columns, rows["real"], rows["drawn"])
    out["discriminator"] = discriminator(columns, some["real"], some["drawn"], seed=seed)
    near = [column for column in columns if column.type != "text"]
    kept = some.get("held_out")
    if near:
        out["closest_records"] = closest_records(near, some["real"], some["drawn"], kept)
    if kept is not None:
        out["held_out"] = {
            "marginals": marginals(columns, rows["real"], rows["held_out"]),
            "associations": associations(columns, rows["real"], rows["held_out"]),
        }
        if len(kept) >= 5:
            out["held_out"]["discriminator"] = discriminator(columns, some["real"], kept, seed=seed)
        if near:
            out["membership_inference"] = membership_inference(near, some["real"], some["drawn"], kept)
        out["usefulness"] = {name: usefulness(columns, some, name, seed=seed) for name in targets}
    if quasi_identifiers:
        out["anonymity"] = anonymity(columns, rows["real"], rows["drawn"], quasi_identifiers, bins=bins)
    return out


def usefulness(columns: Sequence[Column], rows: dict[str, pd.DataFrame], name: str, *, seed: int = 0) -> dict[str, Any]:
    """How well a random forest that learned from drawn rows predicts a column of held-out ones.

    Args:
        columns: of the tables.
        rows: those of `real`, `drawn` and `held_out`, as `typed` returns them.
        name: of the column; a number or a category.
        seed: of the forests.

    Returns:
        `measure` (accuracy or R2), and its value where the forest learned from `drawn` and from `real` rows.

    Raises:
        DataError: there is no such column, or it is text, or has no value in a table.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    target = next((column for column in columns if column.name == name), None)
    if target is None or target.type not in ("number", "category"):
        raise DataError(f"target {name!r}: there is no column of numbers or categories of this name")
    given = [column for column in columns if column.name != name]
    there = {which: own[own[name].notna()].reset_index(drop=True) for which, own in rows.items()}
    if empty := next((which for which, own in there.items() if not len(own)), None):
        raise DataError(f"the {empty.replace('_', '-')} table has no value in {name!r}")
    all_features = features(given, pd.concat(there.values(), ignore_index=True))
    ends = np.cumsum([len(own) for own in there.values()])[:-1]
    X = dict(zip(there, np.split(all_features, ends), strict=True))
    kind = RandomForestRegressor if target.type == "number" else RandomForestClassifier
    return {"measure": "R2" if target.type == "number" else "accuracy"} | {
        which: float(
            kind(random_state=seed).fit(X[which], there[which][name]).score(X["held_out"], there["held_out"][name])
        )
        for which in ("drawn", "real")
    }


def as_text(report: dict[str, Any]) -> str:
    """A report in a line for each measure; values of held-out rows stand in parentheses."""
    base = report.get("held_out", {})
    lines = ["rows: " + ", ".join(f"{n:,} {which.replace('_', ' ')}" for which, n in report["rows"].items())]
    lines.append(_distances(report["marginals"], base.get("marginals")))
    if report["associations"]:
        lines.append(_relations(report["associations"], base.get("associations")))
    told, other = report["discriminator"], base.get("discriminator")
    low, high = told["interval"]
    beside = f" (held-out rows {100 * other['accuracy']:.1f} %)" if other else ""
    lines.append(
        f"a forest tells real from drawn rows in {100 * told['accuracy']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        f"{beside}; 50 % is chance"
    )
    if "closest_records" in report:
        lines.append(_records(report["closest_records"]))
    if "membership_inference" in report:
        found = report["membership_inference"]
        low, high = found["interval"]
        lines.append(
            f"membership inference: advantage {found['advantage']:.3f} [{low:.3f}, {high:.3f}], area under ROC "
            f"{found['auc']:.3f}; 0 and 0.5 give nothing away"
        )
    else:
        lines.append("membership inference: needs rows that were not learned from (--held-out)")
    if "anonymity" in report:
        lines.append(_groups(report["anonymity"]))
    for name, found in report.get("usefulness", {}).items():
        lines.append(
            f"{name} predicted from the other columns, {found['measure']} on held-out rows: {found['drawn']:.3f} by a "
            f"forest of drawn rows ({found['real']:.3f} of real ones)"
        )
    return "\n".join(lines)


def mean_distance(found: dict[str, dict[str, Any]]) -> float:
    """Mean of the distances of all columns, from 0 (alike) to 1."""
    return float(np.mean([own["distance"] for own in found.values()]))


def mean_difference(pairs: list[dict[str, Any]]) -> float:
    """Mean of the absolute differences of all pairs' relations."""
    return float(np.mean([abs(pair["real"] - pair["drawn"]) for pair in pairs]))


def _distances(found: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]] | None) -> str:
    worst = max(found, key=lambda name: found[name]["distance"])
    beside = f" (held-out rows {mean_distance(other):.3f})" if other else ""
    return (
        f"columns differ by {mean_distance(found):.3f} on average{beside}, most: {worst} {found[worst]['distance']:.3f}"
    )


def _relations(found: list[dict[str, Any]], other: list[dict[str, Any]] | None) -> str:
    worst = max(found, key=lambda pair: abs(pair["real"] - pair["drawn"]))
    beside = f" (held-out rows {mean_difference(other):.3f})" if other else ""
    return (
        f"relations of columns differ by {mean_difference(found):.3f} on average{beside}, most: "
        f"{' and '.join(worst['columns'])} {worst['real']:.2f} real, {worst['drawn']:.2f} drawn"
    )


def _groups(found: dict[str, Any]) -> str:
    own, real = found["drawn"], found["real"]
    return (
        f"k-anonymity by {', '.join(found['quasi_identifiers'])}: k {own['k']} (real {real['k']}); alone in their "
        f"group are {100 * own['unique']:.1f} % (real {100 * real['unique']:.1f} %); in a group of one real row are "
        f"{100 * found['unique_hit']:.1f} % of the drawn rows"
    )


def _records(found: dict[str, Any]) -> str:
    own, base = found["drawn"], found["baseline"]
    nearer = found.get("nearer_to_learned")
    closer = (
        "" if nearer is None else f"; {100 * nearer:.1f} % are closer to learned than to held-out rows (50 %: none)"
    )
    return (
        f"distance to the closest record, median: {own['median']:.3f} ({base['kind']} {base['median']:.3f}); copies "
        f"{100 * own['copies']:.1f} % ({100 * base['copies']:.1f} %){closer}"
    )
