"""Rows of language models that learn from tables as sentences (LIFT)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, fill
from matgen.lift.drawn.comparison import mean_difference, mean_distance

UNITS = {"matbench_expt_gap": "eV", "matbench_steels": "MPa", "formation_energy": "eV/atom"}
METHODS = {"LIFT": "matgen", "k_nearest": "k nearest", "random_forest": "random forest", "xgboost": "XGBoost",
           "logistic": "logistic regression", "svm": "SVM", "gradient_boosting": "gradient boosting",
           "gaussian_process": "Gaussian process"}  # fmt: skip


def classification(content: Json) -> list[Json]:
    return [row | {"title": row["table"].replace("_", " ")} for row in _by_table(content, "classification")]


def regression(content: Json) -> list[Json]:
    return _by_table(content, "regression")


def _by_table(content: Json, *tasks: str) -> list[Json]:
    """Rows of LIFT, a table each, with each method's row under its name and the published values."""
    methods: dict[str, dict[str, Json]] = {}
    for row in content["rows"]:
        methods.setdefault(row["table"], {})[row["method"]] = row
    return [
        {**rows, **rows["LIFT"], "published": content["published"].get(table, {})}
        for table, rows in methods.items()
        if rows["LIFT"]["task"] in tasks
    ]


def against_forest(row: Json) -> str:
    """How a score stands to the forest's; what is worse stands out."""
    if row["task"] == "regression":
        difference = row["random_forest"]["rae"] - row["rae"]
        equal, shown = abs(difference) < 0.0005, f"{abs(difference):.3f}"
    else:
        difference = 100 * (row["accuracy"] - row["random_forest"]["accuracy"])
        equal, shown = abs(difference) < 0.05, f"{abs(difference):.1f} points"
    if equal:
        return "equal"
    return f"better by {shown}" if difference > 0 else f"**worse by {shown}**"


def shuffled(content: Json) -> str:
    cell = "{table} {accuracy!c:.2f} ± {accuracy_std!c:.2f} ({chance!c:.1f} for the most frequent label)"
    return ", ".join(fill(cell, row) for row in content["controls"])


def exact(content: Json) -> str:
    cell = " {measured:.2f} ± {measured_std:.2f} ({published:.2f} ± {published_std:.2f})"
    return ", ".join(table + fill(cell, row) for table, row in content["logistic_regression"].items())


def materials(content: Json) -> Iterator[Json]:
    """Mean absolute errors or areas under ROC, beside usual methods and what was published."""
    for row in _by_table(content, "regression", "classification"):
        regress = row["task"] == "regression"
        measure = "mae" if regress else "roc_auc"
        methods = {
            name: _figure(other[measure]) for name, other in row.items() if isinstance(other, dict) and measure in other
        }
        yield {
            **row,
            **methods,
            "measure": f"mean absolute error, {UNITS[row['table']]}" if regress else "area under ROC",
            "std": _figure(row[f"{measure}_std"]),
            "constant": methods["mean" if regress else "majority"],
            "linear": methods["ridge" if regress else "logistic"],
            "published_values": ", ".join(f"{name} {value:g}" for name, value in row["published"].items()),
        }


def _figure(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def pretrained(content: Json) -> Iterator[Json]:
    """SmolLM2 with a head, with adapters and in context, with and without the names of columns."""
    titles = {
        "head": "linear head on hidden states",
        "head on random weights": "linear head on hidden states of random weights",
        "lora": "fine-tuned by adapters",
        "in context": f"{content['examples']} similar rows in the prompt, no training",
        "shuffled labels": "fine-tuned by adapters on shuffled labels",
    }
    cell = "{accuracy!c:.2f} ± {accuracy_std!c:.2f} ({interval[0]!c:.1f} to {interval[1]!c:.1f})"
    rows = {(row["table"], row["kind"], row["template"]): row for row in content["rows"]}
    for table, kind in dict.fromkeys((table, kind) for table, kind, _ in rows):
        own = {template: rows.get((table, kind, template)) for template in ("named", "x1", "shuffled")}
        seconds = [row.get("core_seconds", row["seconds"]) for row in own.values() if row]
        yield {
            **{template: fill(cell, row) if row else "" for template, row in own.items()},
            "title": f"{table}, {titles[kind]}",
            "seeds": " / ".join(str(row["seeds"]) if row else "-" for row in own.values()),
            "epochs": content["epochs"][table] if kind in ("lora", "shuffled labels") else "",
            "seconds": sum(seconds) / len(seconds),
        }


def drawn_rows(content: Json) -> Iterator[Json]:
    """Models of rows, and the rows that none learned from, by what their rows are like."""
    for row in content["rows"]:
        report = row["report"]
        yield {
            **row,
            **report,
            "columns": mean_distance(report["marginals"]),
            "relations": mean_difference(report["associations"]),
            "closest": report["closest_records"]["drawn"],
            "membership": report["membership_inference"],
            "forest": report["usefulness"]["species"]["drawn"],
        }


def held_out_rows(content: Json) -> Json:
    """What rows that were not learned from have in place of drawn ones, and how far sdmetrics is from our distances."""
    base, rows = content["baseline"], content["rows"]
    apart = [
        abs(row["report"]["marginals"][name]["distance"] - value)
        for row in rows
        for name, value in row["others"]["sdmetrics"]["columns"].items()
    ]
    return {
        "columns": mean_distance(base["marginals"]),
        "relations": mean_difference(base["associations"]),
        "discriminator": base["discriminator"],
        "closest": rows[0]["report"]["closest_records"]["baseline"],
        "real": rows[0]["report"]["usefulness"]["species"]["real"],
        "apart": max(apart),
    }


def held_out(content: Json) -> str:
    return fill(
        "columns differ by {columns:.3f}, relations by {relations:.3f}, the forest tells them in "
        "{discriminator[accuracy]!c:.1f} %, the closest record is at {closest[median]:.2f}, {closest[copies]!p} are "
        "copies; a forest that learned from the real rows is right in {real!c:.1f} %",
        held_out_rows(content),
    )


def not_scored(content: Json) -> str:
    """What is said of models whose rows could not be scored; empty where all were."""
    return "".join(f" Not scored: {title}, {why}." for title, why in content["not_scored"].items())


def apart(content: Json) -> str:
    return f"{held_out_rows(content)['apart']:.3f}"


def outliers(content: Json) -> str:
    cell = " {clean[mean]:.3f} to {with outliers[mean]:.3f}"
    return "; ".join(METHODS.get(name, name) + fill(cell, row) for name, row in content["outliers"].items())


def replaced(content: Json) -> str:
    return " / ".join(f"{100 * float(share):g}" for share in next(iter(content["corruption"].values())))


def corrupted(content: Json) -> str:
    means = {
        METHODS.get(name, name): " / ".join(f"{100 * part['mean']:.1f}" for part in row.values())
        for name, row in content["corruption"].items()
    }
    return "; ".join(f"{name} {shown}" for name, shown in means.items())


def augmented(content: Json) -> str:
    errors, accuracies = "{mean:.3f} ± {std:.3f}", "{mean!c:.1f} ± {std!c:.1f}"
    tables = []
    for table, ways in content["augmentation"].items():
        what, cell = ("error", errors) if table == "piecewise" else ("accuracy", accuracies)
        tables.append(f"`{table}` ({what}): " + ", ".join(f"{way} {fill(cell, row)}" for way, row in ways.items()))
    return "; ".join(tables)


def generated(content: Json) -> str:
    cell = (
        " {drawn rows[mean]!p} ({real rows[mean]!p} from the real rows; {copies among the drawn rows[mean]!p} of "
        "generated rows are copies)"
    )
    return "; ".join(f"`{name}`" + fill(cell, row) for name, row in content["generator"].items())


def by_gap(content: Json) -> str:
    cell = ": {median predicted gap:.2f} eV, {electronegativity_balanced!p} balanced, {novel!p} novel"
    return "; ".join(gap + fill(cell, row) for gap, row in content["composition"].items() if isinstance(row, dict))
