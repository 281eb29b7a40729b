"""What probabilities of stability are worth inside the families of a database and outside them.

By origin of the compositions (`matgen.prediction.stability_fit`), by the predictor's own spread (as matgen 0.2 had it)
and by the trees that learn where predictions fail, cross-fitted over whole chemical systems and over whole anonymous
formulas; by trees that have seen the labels of the predictor's own source alone; on OQMD's official test part; and of
novel draws of the bundled model that SevenNet-l3i5 judged (`results/sun.json`), which enters no training.

python -m benchmarks.stability_model [--only-draws]     (a quarter of an hour of two cores)
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks.record import RESULTS, read_result, write_result
from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.io.files import write_json
from matgen.prediction import Predictor, bundled_property
from matgen.prediction.families import anonymous_keys
from matgen.prediction.locate import find_predictor
from matgen.prediction.stability import probability_column, stability
from matgen.prediction.stability_fit import (
    FOLDS,
    CrossFitted,
    StabilityRows,
    cross_fit,
    most_off,
    said_of,
    shifted_by_other_folds,
    stability_figures,
    stability_rows,
)
from matgen.prediction.stability_model import LIMITS, stability_features

NAME = "stability_model"
JUDGE = "7net-l3i5"


def by_spread(predictor: Predictor, rows: StabilityRows) -> CrossFitted:
    """What the predictor says without the trees: its spread, corrected for selection."""
    plain = replace(predictor, stability=None)
    said = stability(rows.batch, plain.predict(rows.batch), plain, labeled_phases(predictor.metadata["source"]))
    probability = said[[probability_column(limit) for limit in LIMITS]].to_numpy(np.float64)
    off = 1.0 - said["in_domain"].to_numpy(np.float64)
    return CrossFitted(rows, said["energy_above_hull"].to_numpy(np.float64), probability, off)


def of_source(source: str) -> dict[str, Any]:
    predictor = Predictor.load(find_predictor(f"formation_energy-{source}"))
    rows = stability_rows(source, *bundled_property("formation_energy", source).of("valid"))
    said = said_of(predictor, rows.batch, labeled_phases(source).decompose(rows.batch).energy)
    features = stability_features(rows.batch, said, source)
    by_system = shifted_by_other_folds(cross_fit(features, said, rows, rows.folds()))
    anonymous = (anonymous_keys(rows.batch) % np.uint64(FOLDS)).astype(np.int64)
    drawn = rows.origin == "drawn"
    own_labels = np.where(rows.origin == "held_out", -1, 0)
    return {
        "by_spread": stability_figures(by_spread(predictor, rows), 0.5),
        "chemical_systems_left_out": stability_figures(by_system, most_off(by_system)),
        "anonymous_formulas_left_out": stability_figures(
            cross_fit(features, said, rows, np.where(drawn, -1, anonymous)), most_off(by_system)
        ),
        "own_labels_alone": stability_figures(cross_fit(features, said, rows, own_labels), most_off(by_system)),
    }


def of_test_part(source: str) -> dict[str, Any]:
    """The source's test part, which neither the networks nor the trees have seen: by the spread and by the trees."""
    predictor = Predictor.load(find_predictor(f"formation_energy-{source}"))
    batch, energy = bundled_property("formation_energy", source).of("test")
    distance = energy - labeled_phases(source).decompose(batch).energy
    usable = np.flatnonzero(np.isfinite(distance) & (batch.n_elements > 1))
    rows = StabilityRows(batch[usable], distance[usable], np.full(len(usable), "held_out", dtype=object))
    frame = stability(rows.batch, predictor.predict(rows.batch), predictor, labeled_phases(source))
    trees = CrossFitted(
        rows,
        frame["energy_above_hull"].to_numpy(np.float64),
        frame[[probability_column(limit) for limit in LIMITS]].to_numpy(np.float64),
        1.0 - frame["in_domain"].to_numpy(np.float64),
    )
    return {
        "by_spread": stability_figures(by_spread(predictor, rows), 0.5)["held_out"],
        "by_trees": stability_figures(trees, 0.5)["held_out"],
    }


def of_judged_draws() -> dict[str, Any]:
    """Novel draws of the bundled model: what is said before anything is relaxed, and what the judge finds."""
    found = read_result("sun").get("novel_by_potential")
    if found is None:
        return {}
    judged = [row for row in found["rows"] if row[f"labels_{JUDGE}"] is not None]
    batch = CompositionBatch.from_formulas([row["formula"] for row in judged])
    above = np.array([row[f"labels_{JUDGE}"] for row in judged])
    screened = np.array([row["labels_chgnet"] for row in judged])
    predictor = Predictor.load(find_predictor("formation_energy-oqmd"))
    phases = labeled_phases("oqmd")
    within = above <= LIMITS[-1]
    content: dict[str, Any] = {"n": len(judged), "found_within_0.1": round(float(within.mean()), 4)}
    for name, one in (("by_spread", replace(predictor, stability=None)), ("by_trees", predictor)):
        said = stability(batch, one.predict(batch), one, phases)[probability_column(LIMITS[-1])].to_numpy(np.float64)
        content[name] = {"said_within_0.1": round(float(said.mean()), 4)} | _order(said, above, within)
    return content | {"chgnet": _order(-screened, above, within)}


def _order(score: np.ndarray, above: np.ndarray, within: np.ndarray) -> dict[str, float]:
    return {
        "auc": round(float(roc_auc_score(within, score)), 3),
        "spearman": round(float(spearmanr(score, -above).statistic), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only-draws", action="store_true", help="judge the draws anew and leave the rest as it is")
    only_draws = parser.parse_args().only_draws
    content: dict[str, Any] = {"sources": {}, "test": {}} | (read_result(NAME) if only_draws else {})
    content["judged_draws"] = of_judged_draws()
    for source in [] if only_draws else SOURCES:
        content["test"][source] = of_test_part(source)
        content["sources"][source] = of_source(source)
        write_result(NAME, content)
    if only_draws:
        write_json(RESULTS / f"{NAME}.json", content)
    print(content["judged_draws"])


if __name__ == "__main__":
    main()
