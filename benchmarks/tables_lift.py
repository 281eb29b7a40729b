"""The README's tables of language models that learn from tables as sentences, for `benchmarks.tables`."""

from __future__ import annotations

from typing import Any

from benchmarks.tables_predict import percent

Row = dict[str, Any]
NAMES = {
    "logistic": "logistic regression",
    "svm": "SVM",
    "k_nearest": "k nearest",
    "random_forest": "random forest",
    "gradient_boosting": "gradient boosting",
    "xgboost": "XGBoost",
    "gaussian_process": "Gaussian process",
}
FOREST = "random_forest"


def by_method(content: dict[str, Any], table: str) -> dict[str, Row]:
    """Rows of a table by method."""
    return {row["method"]: row for row in content["rows"] if row["table"] == table}


def tables_of(content: dict[str, Any], task: str) -> list[str]:
    return list(dict.fromkeys(row["table"] for row in content["rows"] if row["task"] == task))


def classification(content: dict[str, Any]) -> list[str]:
    """Accuracies on LIFT's tables; what is below the forest says so."""
    shown = ("logistic", "k_nearest", FOREST, "xgboost")
    lines = [
        f"| accuracy, % | matgen (95 % interval) | {' | '.join(NAMES[name] for name in shown)} | LIFT with GPT-J, "
        "published | with GPT-3 | against the forest | weights | seconds a fit, at most |",
        "|---" * (len(shown) + 7) + "|",
    ]
    for table in tables_of(content, "classification"):
        rows = by_method(content, table)
        own, published = rows["LIFT"], content["published"][table]
        cells = [
            f"{table.replace('_', ' ')} ({own['n_test']:,} test rows)",
            f"{_accuracy(own)} ({_bounds(own, 100, 1)})",
            *(_accuracy(rows[name]) for name in shown),
            *(f"{published[f'LIFT {name}']:.2f}" for name in ("GPT-J", "GPT-3")),
            _against(own["accuracy"], rows[FOREST]["accuracy"], 100, "points"),
            f"{own['n_parameters']:,}",
            f"{own['seconds_most']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    controls = ", ".join(
        f"{row['table']} {_accuracy(row)} ({100 * row['chance']:.1f} by the most frequent label)"
        for row in content["controls"]
    )
    exact = ", ".join(
        f"{table} {row['measured']:.2f} ± {row['measured_std']:.2f} ({row['published']:.2f} ± "
        f"{row['published_std']:.2f})"
        for table, row in content["logistic_regression"].items()
    )
    return [
        *lines,
        "",
        f"Mean ± standard deviation of {len(content['seeds'])} seeds on one test set, whose size the interval is of. "
        f"With labels shuffled before training: {controls}. Logistic regression by the protocol, in brackets as "
        f"published: {exact}.",
    ]


def regression(content: dict[str, Any]) -> list[str]:
    """Relative absolute errors on LIFT's functions, raw, with the trimmed ones that were published beside them."""
    shown = ("k_nearest", FOREST, "xgboost", "gaussian_process")
    lines = [
        f"| relative absolute error | matgen (95 % interval) | trimmed as published | "
        f"{' | '.join(NAMES[name] for name in shown)} | LIFT with GPT-J, published (trimmed) | with GPT-3 | "
        "against the forest |",
        "|---" * (len(shown) + 6) + "|",
    ]
    for table in tables_of(content, "regression"):
        rows = by_method(content, table)
        own, published = rows["LIFT"], content["published"][table]
        cells = [
            table,
            f"{own['rae']:.3f} ± {own['rae_std']:.3f} ({_bounds(own, 1, 3)})",
            f"{own['rae_trimmed']:.3f}",
            *(f"{rows[name]['rae']:.3f}" for name in shown),
            *(f"{published[f'LIFT {name}']:.3f}" for name in ("GPT-J", "GPT-3")),
            _against(-own["rae"], -rows[FOREST]["rae"], 1, ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    found = content["coverage_of_80"]
    low, high = found["band"]
    perfect_low, perfect_high = found["band_were_calibration_perfect"]
    return [
        *lines,
        "",
        f"Intervals that should hold 80 % hold {percent(found['share'])} of {found['n']:,} test rows, pooled over "
        f"{found['fits']} fits. Each fit is calibrated by {found['calibrated_by']} rows only, so chance allows "
        f"{percent(low)} to {percent(high)}; were the calibration perfect it would allow {percent(perfect_low)} to "
        f"{percent(perfect_high)}.",
    ]


def materials(content: dict[str, Any]) -> list[str]:
    """Mean absolute errors or areas under ROC on tables of materials, beside usual methods and what was published."""
    units = {"matbench_expt_gap": "eV", "matbench_steels": "MPa", "formation_energy": "eV/atom"}
    lines = [
        "| table, what counts | folds | matgen, LIFT | majority or mean | logistic regression or ridge | "
        "random forest | XGBoost | composition network | published |",
        "|---" * 9 + "|",
    ]
    for table in dict.fromkeys(row["table"] for row in content["rows"]):
        rows = by_method(content, table)
        own = rows["LIFT"]
        regress = own["task"] == "regression"
        measure = "mae" if regress else "roc_auc"
        named = f"mean absolute error, {units[table]}" if regress else "area under ROC"
        usual = ("mean", "ridge") if regress else ("majority", "logistic")
        published = ", ".join(f"{name} {value:g}" for name, value in content["published"].get(table, {}).items())
        cells = [
            f"`{table}`, {named}",
            str(own["seeds"]),
            f"{_figure(own[measure])} ± {_figure(own[f'{measure}_std'])}",
            *(_figure(rows[name][measure]) for name in (*usual, FOREST, "xgboost", "composition network")),
            published,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def pretrained(content: dict[str, Any]) -> list[str]:
    """SmolLM2 with adapters and in context, with and without the names of columns."""
    rows = {(row["table"], row["kind"], row["template"]): row for row in content["rows"]}
    templates = {"named": "names of columns", "x1": "x1, x2 ...", "shuffled": "names shuffled"}
    lines = [
        f"| SmolLM2-135M, accuracy, % | {' | '.join(templates.values())} | seeds | epochs | minutes a fit |",
        "|---" * 7 + "|",
    ]
    for table, kind in dict.fromkeys((row["table"], row["kind"]) for row in content["rows"]):
        own = [rows.get((table, kind, template)) for template in templates]
        known = [row for row in own if row is not None]
        told = {
            "lora": "fine-tuned",
            "in context": f"{content['examples']} near rows in the prompt, nothing trained",
            "shuffled labels": "fine-tuned on shuffled labels",
        }
        seeds = " / ".join(str(row["seeds"]) if row is not None else "-" for row in own)
        cells = [
            f"{table}, {told[kind]}",
            *("" if row is None else f"{_accuracy(row)} ({_bounds(row, 100, 1)})" for row in own),
            seeds,
            "" if kind == "in context" else str(content["epochs"][table]),
            f"{sum(row['seconds'] for row in known) / len(known) / 60:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def extras(content: dict[str, Any]) -> list[str]:
    """What else the paper claims, each a line."""
    makers = {
        "outliers": _outliers,
        "corruption": _corruption,
        "pretext": _pretext,
        "augmentation": _augmentation,
        "shift": _shift,
        "generator": _generator,
        "images": _images,
        "composition": _composition,
    }
    lines = ["| claim | measured |", "|---|---|"]
    for name, make in makers.items():
        if name in content:
            title, text = make(content[name])
            lines.append(f"| {title} | {text} |")
    return lines


def _outliers(found: dict[str, Any]) -> tuple[str, str]:
    said = [
        f"{'matgen' if name == 'LIFT' else NAMES.get(name, name)} {row['clean']['mean']:.3f} to "
        f"{row['with outliers']['mean']:.3f}"
        for name, row in found.items()
    ]
    return "four training answers of `linear` moved far away: relative absolute error before and after", "; ".join(said)


def _corruption(found: dict[str, Any]) -> tuple[str, str]:
    said = [
        f"{'matgen' if name == 'LIFT' else NAMES.get(name, name)} "
        + " / ".join(f"{100 * part['mean']:.1f}" for part in row.values())
        for name, row in found.items()
    ]
    shares = " / ".join(f"{100 * float(share):g}" for share in next(iter(found.values())))
    return f"{shares} % of `wine`'s training labels replaced: accuracy, %", "; ".join(said)


def _pretext(found: dict[str, Any]) -> tuple[str, str]:
    return (
        f"synthetic tasks first, `blobs` from {found['rows']} rows: accuracy, %",
        f"{_spread(found['0 pretext tasks'], 100, 1)} without, {_spread(found['2 pretext tasks'], 100, 1)} with two "
        f"(published: {100 * found['published']['without']:.0f} and {100 * found['published']['with']:.0f})",
    )


def _augmentation(found: dict[str, Any]) -> tuple[str, str]:
    said = []
    for table, ways in found.items():
        scale, digits, what = (1, 3, "error") if table == "piecewise" else (100, 1, "accuracy")
        parts = ", ".join(f"{way} {_spread(row, scale, digits)}" for way, row in ways.items())
        said.append(f"`{table}` ({what}): {parts}")
    return "augmentation", "; ".join(said)


def _shift(found: dict[str, Any]) -> tuple[str, str]:
    near = found["4 near rows"]
    return (
        f"answers move by {found['moved by']:g} after the training; relative absolute error",
        f"{near['after']['mean']:.3f}, and {near['after, updated']['mean']:.3f} when {found['rows that become known']} "
        f"new rows can be retrieved into the prompt, with no training ({near['before']['mean']:.3f} before the shift)",
    )


def _generator(found: dict[str, Any]) -> tuple[str, str]:
    said = [
        f"`{name}` {100 * row['drawn rows']['mean']:.1f} % ({100 * row['real rows']['mean']:.1f} % from the real rows; "
        f"{100 * row['copies among the drawn rows']['mean']:.1f} % of drawn rows are copies)"
        for name, row in found.items()
    ]
    return "accuracy of logistic regression taught by as many drawn rows", "; ".join(said)


def _images(found: dict[str, Any]) -> tuple[str, str]:
    seen, error = found["the digit is seen"], found["mean absolute error of a pixel"]
    return (
        f"lower half of {found['n']} digits from their upper half",
        f"an SVM sees the digit in {percent(seen['in completions'])} ({percent(seen['in the truth'])} in the truth, "
        f"{percent(seen['in lower halves of other images'])} with another image's half); a pixel is off by "
        f"{error['completions']:.2f} of 16 ({error['lower halves of other images']:.2f})",
    )


def _composition(found: dict[str, Any]) -> tuple[str, str]:
    said = [
        f"{gap}: {row['median predicted gap']:.2f} eV, {percent(row['electronegativity_balanced'])} balanced, "
        f"{percent(row['novel'])} novel"
        for gap, row in found.items()
        if isinstance(row, dict)
    ]
    title = f"400 formulas drawn for a band gap, learned from {found['learned from']:,} rows: median predicted gap"
    return title, "; ".join(said)


def _accuracy(row: Row) -> str:
    return f"{100 * row['accuracy']:.2f} ± {100 * row['accuracy_std']:.2f}"


def _bounds(row: Row, scale: float, digits: int) -> str:
    low, high = row["interval"]
    return f"{scale * low:.{digits}f} to {scale * high:.{digits}f}"


def _against(own: float, other: float, scale: float, unit: str) -> str:
    """How a score, the higher the better, stands to the forest's."""
    difference = scale * (own - other)
    shown = f"{abs(difference):.1f} {unit}" if unit else f"{abs(difference):.3f}"
    if abs(difference) < 0.05 * (1 if unit else 0.01):
        return "equal"
    return f"better by {shown}" if difference > 0 else f"**worse by {shown}**"


def _figure(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _spread(row: Row, scale: float, digits: int) -> str:
    return f"{scale * row['mean']:.{digits}f} ± {scale * row['std']:.{digits}f}"
