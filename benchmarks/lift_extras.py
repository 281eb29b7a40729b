"""What else LIFT's paper claims, measured with the small model from nothing: part after part, each kept when done.

outliers: four training answers moved by 10 standard deviations, and what that does to the error on clean rows;
corruption: 5, 10 and 20 % of training labels replaced; pretext: Blobs from 10 rows, with and without synthetic tasks
first; augmentation: noise and mixup on and off; shift: near rows in the prompt, renewed after the answers have moved;
generator: a classifier taught by drawn rows; images: the lower half of digits from the upper; composition: formulas
drawn for a band gap, judged by the evaluation, and by a model of balanced rows; boundaries: pictures.

python -m benchmarks.lift_extras [--parts outliers ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from benchmarks.record import RESULTS, command_line, machine, read_result
from matgen.io.files import write_json
from matgen.lift import LiftClassifier, LiftGenerator, LiftRegressor
from matgen.lift.augment import corrupted_labels, with_outliers
from matgen.lift.measures import relative_absolute_error
from matgen.lift.paper.baselines import baseline
from matgen.lift.paper.tables import Table, protocol_table

if TYPE_CHECKING:
    from matgen.composition.keys import KeySet
    from matgen.prediction import Predictor

SEEDS = (0, 1, 2)
OUTLIERS = 4
SHIFT = 4.0
GAPS, GUIDANCE = (0.0, 1.5, 3.0, 5.0), (1.0, 1.5, 2.0, 3.0)
COMPOSITION_STEPS, DRAWN = 5_000, 400


def parts_of(table: Table, i: int) -> list[tuple[pd.DataFrame, pd.Series]]:
    return [table.of(rows) for rows in table.parts[i]]


def mean_of(values: list[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "std": float(np.std(values)), "of": [round(float(v), 4) for v in values]}


def outliers() -> dict[str, Any]:
    table = protocol_table("linear")
    results: dict[str, Any] = {}
    for method in ("LIFT", "gradient_boosting", "random_forest", "xgboost", "ridge", "gaussian_process"):
        for n in (0, OUTLIERS):
            errors = []
            for i, seed in enumerate(SEEDS):
                train, valid, test = parts_of(table, i)
                answers = pd.Series(with_outliers(train[1].to_numpy(), n, seed), name="y")
                if method == "LIFT":
                    model = LiftRegressor(random_state=seed).fit(train[0], answers, validation=valid)
                else:
                    model = baseline(method, train[0], "regression", seed).fit(train[0], answers)
                errors.append(relative_absolute_error(test[1].to_numpy(), model.predict(test[0])))
            results.setdefault(method, {})["clean" if n == 0 else "with outliers"] = mean_of(errors)
            print(method, n, errors, flush=True)
    return results


def corruption() -> dict[str, Any]:
    table = protocol_table("wine")
    results: dict[str, Any] = {}
    for method in ("LIFT", "logistic", "random_forest", "xgboost", "k_nearest"):
        for share in (0.0, 0.05, 0.1, 0.2):
            right = []
            for i, seed in enumerate(SEEDS):
                train, valid, test = parts_of(table, i)
                labels = corrupted_labels(train[1], share, seed)
                if method == "LIFT":
                    model = LiftClassifier(random_state=seed).fit(train[0], labels, validation=valid)
                else:
                    model = baseline(method, train[0], "classification", seed).fit(train[0], labels)
                right.append(float((model.predict(test[0]) == test[1].to_numpy()).mean()))
            results.setdefault(method, {})[f"{share:g}"] = mean_of(right)
            print(method, share, right, flush=True)
    return results


def pretext() -> dict[str, Any]:
    table = protocol_table("blobs")
    results = {}
    for tasks in (0, 2):
        right = []
        for i, seed in enumerate(SEEDS):
            train, _, test = parts_of(table, i)
            rng = np.random.default_rng(seed)
            few = np.concatenate(
                [
                    rng.choice(np.flatnonzero(train[1] == label), k)
                    for label, k in zip(sorted(set(train[1])), (3, 3, 2, 2), strict=True)
                ]
            )
            model = LiftClassifier(pretext=tasks, random_state=seed, backend_options={"steps": 400})
            model.fit(train[0].iloc[few], train[1].iloc[few])
            right.append(model.score(*test))
        results[f"{tasks} pretext tasks"] = mean_of(right)
        print(tasks, right, flush=True)
    return {"rows": 10, **results, "published": {"without": 0.12, "with": 0.52}}


def augmentation() -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name in ("iris", "wine", "piecewise"):
        table = protocol_table(name)
        kind = LiftClassifier if table.task == "classification" else LiftRegressor
        for way, options in {"none": {"noise": 0.0}, "noise": {}, "noise and mixup": {"mixup": 0.3}}.items():
            scores = []
            for i, seed in enumerate(SEEDS):
                train, valid, test = parts_of(table, i)
                plain = {"backend_options": {"answer_noise": 0.0, "missing": 0.0}} if way == "none" else {}
                model = kind(random_state=seed, **options, **plain).fit(*train, validation=valid)
                said = model.predict(test[0])
                truth = test[1].to_numpy()
                scores.append(
                    float((said == truth).mean()) if kind is LiftClassifier else relative_absolute_error(truth, said)
                )
            results.setdefault(name, {})[way] = mean_of(scores)
            print(name, way, scores, flush=True)
    return results


def shift() -> dict[str, Any]:
    """Answers move by `SHIFT` after the training; 60 rows of the new kind become known."""

    def rows(n: int, offset: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
        x = np.random.default_rng(seed).uniform(-10, 10, n)
        return pd.DataFrame({"x": x}), 9 * np.cos(x / 3) + offset

    results: dict[str, Any] = {"moved by": SHIFT, "rows that become known": 60}
    for k in (0, 4):
        scores: dict[str, list[float]] = {}
        for seed in SEEDS:
            model = LiftRegressor(retrieval=k, random_state=seed, backend_options={"steps": 800})
            model.fit(*rows(300, 0, 10 * seed))
            before, after = rows(500, 0, 10 * seed + 1), rows(500, SHIFT, 10 * seed + 2)
            for name, (X, y) in {"before": before, "after": after}.items():
                scores.setdefault(name, []).append(relative_absolute_error(y, model.predict(X)))
            if k:
                model.update(*rows(60, SHIFT, 10 * seed + 3), replace=True)
                scores.setdefault("after, updated", []).append(
                    relative_absolute_error(after[1], model.predict(after[0]))
                )
        results[f"{k} near rows"] = {name: mean_of(values) for name, values in scores.items()}
        print(k, scores, flush=True)
    return results


def generator() -> dict[str, Any]:
    """Logistic regression taught by drawn rows, beside the same taught by the rows they were drawn like."""
    results: dict[str, Any] = {}
    for name in ("iris", "wine"):
        table = protocol_table(name)
        scores: dict[str, list[float]] = {}
        for i, seed in enumerate(SEEDS):
            train, valid, test = parts_of(table, i)
            rows, more = (pd.concat([part[0], part[1]], axis=1) for part in (train, valid))
            model = LiftGenerator(random_state=seed).fit(rows, validation=more)
            drawn = model.sample(len(rows), seed=seed)
            for taught_by, own in {"real rows": rows, "drawn rows": drawn}.items():
                said = baseline("logistic", train[0], "classification").fit(own[table.X.columns], own[table.y.name])
                scores.setdefault(taught_by, []).append(float((said.predict(test[0]) == test[1].to_numpy()).mean()))
            copied = (drawn.round(3).astype(str).agg("|".join, axis=1)).isin(
                rows.round(3).astype(str).agg("|".join, axis=1)
            )
            scores.setdefault("copies among the drawn rows", []).append(float(copied.mean()))
        results[name] = {what: mean_of(values) for what, values in scores.items()}
        print(name, scores, flush=True)
    return results


def images() -> dict[str, Any]:
    """Half an image in, half out: scikit-learn's digits, and whether a classifier sees the digit in what was drawn."""
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    from matgen.lift.plots import completed_images

    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.data))
    train, test = order[300:], order[:300]
    table = pd.DataFrame(loaded.data.astype(int), columns=[f"pixel {i // 8} {i % 8}" for i in range(64)])
    model = LiftGenerator(order="table", backend_options={"steps": 2_000}).fit(table.iloc[train])
    judge = SVC().fit(loaded.data[train], loaded.target[train])
    drawn = model.sample(given=table.iloc[test].iloc[:, :32], seed=0).to_numpy()
    random = drawn.copy()
    random[:, 32:] = table.iloc[np.random.default_rng(1).choice(train, len(test))].to_numpy()[:, 32:]
    first = [int(np.flatnonzero(loaded.target[test] == digit)[0]) for digit in range(10)]
    completed_images(model, loaded.images[test[first]], RESULTS / "lift_digits.png")
    truth = loaded.target[test]
    return {
        "n": len(test),
        "the digit is seen": {
            "in the truth": float((judge.predict(loaded.data[test]) == truth).mean()),
            "in completions": float((judge.predict(drawn) == truth).mean()),
            "in lower halves of other images": float((judge.predict(random) == truth).mean()),
        },
        "mean absolute error of a pixel": {
            "completions": float(np.abs(drawn[:, 32:] - loaded.data[test][:, 32:]).mean()),
            "lower halves of other images": float(np.abs(random[:, 32:] - loaded.data[test][:, 32:]).mean()),
        },
    }


def composition() -> dict[str, Any]:
    """Formulas drawn for a band gap by a model of all rows as they are."""
    return drawn_for_gaps("as they are", None, (1.0,))


def balanced_composition() -> dict[str, Any]:
    """The same by a model of rows balanced over the gap, by strength of guidance."""
    return drawn_for_gaps("balanced", "band gap", GUIDANCE)


def gap_table() -> pd.DataFrame:
    """Formulas of `oqmd-pure` of fewer than 16 characters, with their band gaps in eV."""
    from matgen.datasets import load_dataset

    frame = load_dataset("oqmd-pure").frame
    frame = frame[frame["band_gap_oqmd"].notna() & frame["formula"].str.len().lt(16)]
    return pd.DataFrame({"band gap": frame["band_gap_oqmd"].to_numpy(), "formula": frame["formula"].to_numpy(object)})


def drawn_for_gaps(training: str, balance: str | None, strengths: tuple[float, ...]) -> dict[str, Any]:
    """What is drawn for each gap by a model of rows balanced over a column, by strength of guidance."""
    from matgen import parse_formulas
    from matgen.composition.keys import KeySet
    from matgen.prediction import Predictor
    from matgen.prediction.locate import bundled_name, find_predictor

    table = gap_table()
    learned = KeySet(parse_formulas(table["formula"]).batch.keys())
    predictor = Predictor.load(find_predictor(bundled_name("band_gap", None)))
    options = {"steps": COMPOSITION_STEPS, "batch_size": 128}
    model = LiftGenerator(units={"band gap": "eV"}, backend_options=options, balance=balance).fit(table)
    results: dict[str, Any] = {"learned from": len(table), "metals": float((table["band gap"] == 0).mean())}
    for strength in strengths:
        name = training if strength == 1 else f"{training}, guidance {strength:g}"
        results[name] = {f"{gap:g} eV": formulas_for(model, gap, strength, learned, predictor) for gap in GAPS}
        print(name, results[name], flush=True)
    return results


def formulas_for(model: LiftGenerator, gap: float, guidance: float, learned: KeySet, by: Predictor) -> dict[str, Any]:
    """Formulas drawn for a gap in eV: that which the predictor sees in them, copies, and the evaluation."""
    from matgen import parse_formulas
    from matgen.evaluation import evaluate

    drawn = model.sample(DRAWN, {"band gap": gap}, seed=1, guidance=guidance)["formula"]
    batch = parse_formulas(drawn).batch
    report = evaluate(drawn.to_numpy(object), "hybrid-pure", baselines=False)
    return {
        "could not be read at first": model.redrawn_,
        "median predicted gap": float(by.predict(batch)["band_gap"].median()),
        "copies": float(learned.contains(batch.keys()).mean()),
        **{key: report.content[key] for key in ("charge_neutral", "electronegativity_balanced", "unique", "novel")},
    }


def boundaries() -> dict[str, Any]:
    from matgen.lift.plots import decision_boundary

    results = {}
    for name in ("moons", "two_circles"):
        train, valid, test = parts_of(protocol_table(name), 0)
        model = LiftClassifier().fit(*train, validation=valid)
        path = decision_boundary(model, test[0], test[1], RESULTS / f"lift_{name}.png", title=name.replace("_", " "))
        results[name] = {"accuracy": model.score(*test), "picture": path.name}
    return results


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "shift": shift,
    "pretext": pretext,
    "generator": generator,
    "images": images,
    "outliers": outliers,
    "composition": composition,
    "balanced composition": balanced_composition,
    "corruption": corruption,
    "boundaries": boundaries,
    "augmentation": augmentation,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    path, content = RESULTS / "lift_extras.json", read_result("lift_extras")
    for name in options.parts:
        part = PARTS[name]()
        content = {"command": command_line(), "machine": machine(), **{k: v for k, v in content.items() if k in PARTS}}
        write_json(path, content | {name: part})
        content[name] = part


if __name__ == "__main__":
    main()
