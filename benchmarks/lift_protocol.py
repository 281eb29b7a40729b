"""LIFT with a small model from nothing on the tables of its paper, beside the usual methods and what was published.

Every finished fit is a file in `--work`, so that a run goes on where it stopped. Also controls whose training labels
are shuffled, and the agreement of logistic regression with the published figures.

python -m benchmarks.lift_protocol [--tables iris wine ...] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import RESULTS, write_result
from matgen.lift import LiftClassifier, LiftRegressor
from matgen.lift.augment import shuffled_labels
from matgen.lift.measures import accuracy_interval, conformal_coverage_band, coverage_band
from matgen.lift.paper import protocol
from matgen.lift.paper.published import EXACT, published
from matgen.lift.paper.tables import CLASSIFICATION, PROTOCOL_TABLES, REGRESSION, Table

CONTROLS = ("iris", "wine", "tae", "moons")


def lift(table: Table, seed: int) -> Any:
    """Our estimator as it comes: no setting is chosen by table."""
    kind = LiftClassifier if table.task == "classification" else LiftRegressor
    return kind(random_state=seed, units=table.units)


class Shuffled:
    """An estimator that learns from shuffled labels."""

    def __init__(self, model: Any) -> None:
        self.model, self.backend = model, model.backend

    def fit(self, X: Any, y: Any, *, validation: Any) -> None:
        self.model.fit(X, shuffled_labels(y, 0), validation=(validation[0], shuffled_labels(validation[1], 1)))

    def predict(self, X: Any) -> np.ndarray:
        return self.model.predict(X)


def exact(rows: list[dict[str, Any]]) -> dict[str, Any]:
    results = {}
    for table, (mean, spread) in EXACT.items():
        own = [100 * row["accuracy"] for row in rows if row["table"] == table and row["method"] == "logistic"]
        if own:
            results[table] = {
                "published": mean,
                "published_std": spread,
                "measured": round(float(np.mean(own)), 2),
                "measured_std": round(float(np.std(own)), 2),
            }
    return results


def coverage(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Pooled coverage of the intervals that should hold 80 %, and what chance allows: of rows, and of calibration."""
    own = [row for row in rows if row["method"] == protocol.LIFT and "covered" in row]
    if not own:
        return None
    tested, calibrated = [row["n_test"] for row in own], [row["n_valid"] for row in own]
    return {
        "share": sum(row["covered"] for row in own) / sum(tested),
        "n": sum(tested),
        "fits": len(own),
        "calibrated_by": calibrated[0],
        "band_were_calibration_perfect": list(coverage_band(sum(tested))),
        "band": list(conformal_coverage_band(tested, calibrated)),
        "tables": list(dict.fromkeys(row["table"] for row in own)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(PROTOCOL_TABLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=RESULTS.parent / "work" / "lift_protocol")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds, rows = tuple(options.seeds), []
    for name in options.tables:
        table = protocol.open_table(name, seeds)
        methods = {protocol.LIFT: lift, **protocol.baselines_of(table)}
        if name in CONTROLS:
            methods["LIFT, labels shuffled"] = lambda table, seed: Shuffled(lift(table, seed))
        rows += protocol.run([name], methods, options.work, seeds=seeds, say=lambda text: print(text, flush=True))
    summaries = protocol.summary(rows)
    controls = [row for row in summaries if row["method"] == "LIFT, labels shuffled"]
    for row in controls:
        row["chance"] = next(
            r["accuracy"] for r in summaries if (r["table"], r["method"]) == (row["table"], "majority")
        )
        row["interval"] = list(
            accuracy_interval(row["accuracy"], next(r["n_test"] for r in rows if r["table"] == row["table"]))
        )
    write_result(
        "lift_protocol",
        {
            "threads": torch.get_num_threads(),
            "seeds": list(seeds),
            "rows": [row for row in summaries if row not in controls],
            "published": {name: published(name) for name in (*CLASSIFICATION, *REGRESSION)},
            "logistic_regression": exact(rows),
            "controls": controls,
            "coverage_of_80": coverage(rows),
        },
    )
    print(protocol.as_text(summaries))


if __name__ == "__main__":
    main()
