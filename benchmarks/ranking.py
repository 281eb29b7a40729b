"""What the ranking's score rewards, and whether it foretells what relaxation finds: before and after 0.3.

Of 10,000 compositions that the bundled model draws: rank correlations of the score and its factors with the size of the
formula, and what the first 50 are. Of novel draws that were relaxed (`data/relaxed_draws.parquet` and the novel ones of
`results/sun.json`): how the scores order them, with probabilities by trees that have not seen their chemical systems.
SevenNet-l3i5's energies of the second set enter nothing; they judge at the end.

python -m benchmarks.ranking [--folder runs/ranking]     (a quarter of an hour of one core)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks.commands import matgen
from benchmarks.made_model import novel_draws
from benchmarks.record import read_result, write_result
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.datasets.labels import labeled_phases
from matgen.evaluation.ranking import MADE, PROBABILITY, chosen, ranked
from matgen.prediction import Predictor, bundled_property
from matgen.prediction.forest_fit import FOLDS, fit_forest, system_folds
from matgen.prediction.locate import find_predictor
from matgen.prediction.made_fit import cross_fit, made_rows
from matgen.prediction.made_model import corrected, made_features
from matgen.prediction.stability_fit import StabilityRows, relaxed_draws, said_of, stability_rows
from matgen.prediction.stability_model import stability_feature_names, stability_features
from matgen.screening import supply
from matgen.validity import RARE, explain

NAME = "ranking"
DRAWS, DRAWS_SEED, FIRST = 10_000, 11, 50
WITHIN = 0.1
MOST = 40_000
"""Compositions that trees for relaxed draws learn from besides drawn ones; the bundled ones saw three times as many."""
SOURCE = "oqmd"
FACTORS = (PROBABILITY, MADE, "oxidation_state_score", "novelty", "share_of_atoms")


def share_of_atoms(batch: CompositionBatch, known: CompositionBatch) -> np.ndarray:
    """Novelty as matgen 0.2 had it: the share of atoms unlike the nearest known composition, float64 `(n,)`."""
    rows, slots = np.nonzero(known.elements)
    elements = known.elements[rows, slots]
    order = np.argsort(elements, kind="stable")
    rows, fractions = rows[order], (known.counts / known.counts.sum(axis=1, keepdims=True))[rows, slots][order]
    start = np.searchsorted(elements[order], np.arange(120))
    novelty = np.ones(len(batch))
    for i in range(len(batch)):
        shared = np.zeros(len(known))
        for z, n in zip(batch.elements[i], batch.counts[i] / batch.counts[i].sum(), strict=True):
            if z:
                listed = slice(start[z], start[z + 1])
                shared[rows[listed]] += np.minimum(fractions[listed], n)
        novelty[i] = max(0.0, 1.0 - shared.max())
    return novelty


def scores(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Scores of the rows of a ranking: as they were, as they are, without some factors, and the factors alone."""
    factors = {name: rows[name].to_numpy(np.float64) for name in FACTORS}
    stable, made, states, novelty, share = factors.values()
    return {
        "before": stable * share,
        "after": stable * np.cbrt(made * states * novelty),
        "product": stable * made * states * novelty,
        "without_made": stable * np.sqrt(states * novelty),
        "without_novelty": stable * np.sqrt(made * states),
    } | factors


def of_draws(folder: Path) -> dict[str, Any]:
    """The ranking of 10,000 draws: what it has to do with size, and what comes first."""
    drawn, predicted, report = folder / "draws.csv", folder / "predicted.parquet", folder / "report"
    if not drawn.exists():
        matgen("sample", "-n", DRAWS, "--seed", DRAWS_SEED, "--out", drawn)
    if not predicted.exists():
        matgen("predict", drawn, "--property", "formation_energy", "--out", predicted)
    if not (report / "report.json").exists():
        matgen("evaluate", predicted, "--no-baselines", "--out", report)
    rows = ranked(chosen(pd.read_parquet(report / "candidates.parquet")), [load_dataset("hybrid").batch])
    rows = rows[rows["in_domain"].astype(bool) & rows["score"].notna()].reset_index(drop=True)
    batch = CompositionBatch.from_formulas(rows["formula"])
    rows["share_of_atoms"] = share_of_atoms(batch, load_dataset("hybrid").batch)
    by_name = scores(rows)
    sizes = {"atoms": batch.n_atoms, "elements": batch.n_elements}
    return {
        "ranked": len(rows),
        "correlation_with_size": {
            name: {size: round(float(spearmanr(values, numbers).statistic), 3) for size, numbers in sizes.items()}
            for name, values in by_name.items()
        },
        "first": {
            name: first(rows, values, batch)
            for name, values in by_name.items()
            if name in ("before", "after", "without_made")
        },
        "all": first(rows, -np.arange(len(rows)), batch, len(rows)),
    }  # fmt: skip


def first(rows: pd.DataFrame, score: np.ndarray, batch: CompositionBatch, most: int = FIRST) -> dict[str, Any]:
    """What the first rows by a score are: shares, medians, and the formulas of those of a short list."""
    order = np.argsort(-score, kind="stable")[:most]
    top, takes = rows.iloc[order], supply(batch[order])
    shares = {
        "rare_state": top["rarest_state_share"] < RARE, "balanced_common": top["balanced_common"].astype(bool),
        "all_metal": top["all_metal"].astype(bool), "toxic": takes["toxic"], "radioactive": takes["radioactive"],
    }  # fmt: skip
    medians = {
        "atoms": batch.n_atoms[order],
        "chemical_distance": top["chemical_distance"],
        PROBABILITY: top[PROBABILITY],
    }
    return (
        {name: round(float(np.mean(values)), 3) for name, values in shares.items()}
        | {
            f"median_{name}": round(float(np.median(np.asarray(values, np.float64))), 3)
            for name, values in medians.items()
        }
        | ({"formulas": top["formula"].tolist()} if most == FIRST else {})
    )


def relaxed_sets() -> dict[str, tuple[CompositionBatch, np.ndarray, np.ndarray | None]]:
    """Compositions with their distances to the hull by CHGNet and, of the second set, by the judge, eV/atom."""
    rows = read_result("sun")["novel_by_potential"]["rows"]
    judged = np.array([row["labels_7net-l3i5"] for row in rows], dtype=np.float64)
    sun = CompositionBatch.from_formulas([row["formula"] for row in rows])
    return {
        "relaxed_draws": (*relaxed_draws(), None),
        "sun": (sun, np.array([row["labels_chgnet"] for row in rows], dtype=np.float64), judged),
    }


def unseen_probability(asked: CompositionBatch) -> np.ndarray:
    """Probability of `PROBABILITY` by trees that have not seen the chemical system, float64 `(n,)`; not shifted."""
    predictor, phases = Predictor.load(find_predictor(f"formation_energy-{SOURCE}")), labeled_phases(SOURCE)
    rows = stability_rows(SOURCE, *bundled_property("formation_energy", SOURCE).of("valid"))
    drawn = rows.origin == "drawn"
    others = np.random.default_rng(0).permutation(np.flatnonzero(~drawn))[:MOST]
    kept = np.sort(np.concatenate([others, np.flatnonzero(drawn)]))
    rows = StabilityRows(rows.batch[kept], rows.distance[kept], rows.origin[kept])
    features, features_asked = (
        stability_features(batch, said_of(predictor, batch, phases.decompose(batch).energy), SOURCE)
        for batch in (rows.batch, asked)
    )
    folds, folds_asked, within = rows.folds(), system_folds(asked), rows.distance <= WITHIN
    probability = np.empty(len(asked))
    for fold in range(FOLDS):
        seen, unseen = folds != fold, folds_asked == fold
        forest = fit_forest(features[seen], within[seen], rows.weights()[seen], stability_feature_names())
        probability[unseen] = expit(forest.sums(features_asked[unseen]))
    return probability


def unseen_made(asked: CompositionBatch, folder: Path) -> np.ndarray:
    """`probability_made` by trees that have not seen the chemical system, float64 `(n,)`."""
    rows = made_rows(novel_draws(folder), MOST // 4)
    both = CompositionBatch.concatenate([rows.batch, asked])
    features = made_features(both)
    labeled = cross_fit(rows, features[: len(rows.batch)], both, features)
    return corrected(labeled[len(rows.batch) :], float(labeled[: len(rows.batch)][rows.made].mean()))


def factors_of_relaxed(folder: Path) -> list[dict[str, Any]]:
    """A row for each relaxed draw: its set, its distances to the hull and the factors of the scores."""
    sets = relaxed_sets()
    asked = CompositionBatch.concatenate([batch for batch, *_ in sets.values()])
    explanation, known = explain(asked), load_dataset("hybrid").batch
    rows = pd.DataFrame({
        "formula": asked.formulas(), PROBABILITY: unseen_probability(asked), MADE: unseen_made(asked, folder),
        "oxidation_state_score": explanation.commonness.score, "in_domain": True,
    })  # fmt: skip
    order = ranked(rows, [known]).set_index("formula").loc[rows["formula"]].reset_index()
    order = order.assign(
        share_of_atoms=share_of_atoms(asked, known),
        atoms=asked.n_atoms,
        valid=explanation.validity.valid,
        set=np.repeat(list(sets), [len(batch) for batch, *_ in sets.values()]),
        chgnet=np.concatenate([above for _, above, _ in sets.values()]),
        judge=np.concatenate([np.full(len(batch), np.nan) if j is None else j for batch, _, j in sets.values()]),
    )
    columns = ["formula", "set", "chgnet", "judge", "valid", "atoms", *FACTORS, "score"]
    found: list[dict[str, Any]] = order[columns].round(5).to_dict("records")
    return [{name: None if value != value else value for name, value in row.items()} for row in found]


def of_relaxed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How scores order relaxed draws: the area under the curve for `WITHIN`, and Spearman's correlation."""
    frame = pd.DataFrame(rows)
    by_name = scores(frame) | {"fewer_atoms": -frame["atoms"].to_numpy(np.float64)}
    valid = frame["valid"].to_numpy(bool)
    taught, chgnet = frame["set"].to_numpy() == "relaxed_draws", frame["chgnet"].to_numpy(np.float64)
    judge = frame["judge"].to_numpy(np.float64)
    return {
        "relaxed_draws": {"chgnet": _orders(by_name, np.where(taught, chgnet, np.nan), valid)},
        "sun": {"chgnet": _orders(by_name, np.where(taught, np.nan, chgnet), valid),
                "7net-l3i5": _orders(by_name, judge, valid)},
        "both": {"chgnet": _orders(by_name, chgnet, valid)},
    }  # fmt: skip


def _orders(by_name: dict[str, np.ndarray], above: np.ndarray, valid: np.ndarray) -> dict[str, Any]:
    """Of all compositions with an energy, and of the valid ones among them."""
    found: dict[str, Any] = {}
    for kind, usable in {"all": np.isfinite(above), "valid": np.isfinite(above) & valid}.items():
        within = above[usable] <= WITHIN
        found[kind] = {"n": int(usable.sum()), "within_0.1": round(float(within.mean()), 3)}
        for name, values in by_name.items():
            score = np.nan_to_num(values[usable], nan=-1.0)
            found[kind][name] = {
                "auc": round(float(roc_auc_score(within, score)), 3),
                "spearman": round(float(spearmanr(score, -above[usable]).statistic), 3),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/ranking"))
    parser.add_argument("--only", choices=("draws", "relaxed"), help="measure one part and leave the other as it is")
    arguments = parser.parse_args()
    content = {name: part for name, part in read_result(NAME).items() if name in ("draws", "rows")}
    if arguments.only != "draws":
        content["rows"] = factors_of_relaxed(arguments.folder)
    content["relaxed"] = of_relaxed(content["rows"])
    if arguments.only != "relaxed":
        content["draws"] = of_draws(arguments.folder)
    print(write_result(NAME, content))


if __name__ == "__main__":
    main()
