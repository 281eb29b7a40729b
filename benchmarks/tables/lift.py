"""Rows of language models that learn from tables as sentences (LIFT)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, fill
from matgen.lift.drawn.comparison import mean_difference, mean_distance

UNITS = {"matbench_expt_gap": "eV", "matbench_steels": "MPa", "formation_energy": "eV/atom"}
METHODS = {"LIFT": "matgen", "k_nearest": "k nearest", "random_forest": "random forest", "xgboost": "XGBoost",
           "logistic": "logistic regression", "svm": "SVM", "gradient_boosting": "gradient boosting",
           "gaussian_process": "Gaussian process"}  # fmt: skip

IMAGE_METHODS = ("logistic", "k_nearest", "random_forest")


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
        "top layers": "top layers fine-tuned by adapters",
        "ensemble": "ensemble of the head and the top layers",
        "lora": "all layers fine-tuned by adapters",
        "in context": f"{content['examples']} similar rows in the prompt, no training",
        "shuffled labels": "all layers fine-tuned by adapters on shuffled labels",
    }
    cell = "{accuracy!c:.2f} ± {accuracy_std!c:.2f} ({interval[0]!c:.1f} to {interval[1]!c:.1f})"
    rows = {(row["table"], row["kind"], row["template"]): row for row in content["rows"]}
    for table, kind in dict.fromkeys((table, kind) for table, kind, _ in rows):
        own = {template: rows.get((table, kind, template)) for template in ("named", "x1", "shuffled")}
        seconds = [row.get("core_seconds", row.get("seconds")) for row in own.values() if row and "seconds" in row]
        yield {
            **{template: fill(cell, row) if row else "" for template, row in own.items()},
            "title": f"{table}, {titles[kind]}",
            "seeds": " / ".join(str(row["seeds"]) if row else "-" for row in own.values()),
            "epochs": content["epochs"][table] if kind in ("lora", "shuffled labels") else "",
            "minutes": f"{sum(seconds) / len(seconds) / 60:.1f}" if seconds else "",
        }


def differences(content: Json) -> str:
    """What names and pre-training are worth to a head, by table; empty where nothing is measured in pairs."""
    titles = {"x1": "x1, x2 ...", "shuffled": "shuffled names"}
    cell = "{table} {difference!c:+.1f} ({interval[0]!c:+.1f} to {interval[1]!c:+.1f}; seeds: {seeds})"
    groups: dict[str, list[str]] = {}
    for row in content.get("differences", []):
        against = "random weights" if row["kind"] == "head on random weights" else titles[row["template"]]
        groups.setdefault(against, []).append(fill(cell, row))
    if not groups:
        return ""
    shown = "; ".join(f"than with {against}: {', '.join(cells)}" for against, cells in groups.items())
    return (
        f"Points of accuracy that a head has more with column names (95 % interval, by resampling test rows) {shown}."
    )


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


def gap_ways(content: Json) -> Iterator[Json]:
    """Ways of training and drawing formulas for a band gap, with what was drawn for each gap."""
    cell = ": {median predicted gap:.2f} eV ({electronegativity_balanced!p} balanced, {copies!p} copies)"
    for part in ("composition", "balanced composition"):
        for way, by_gap in content.get(part, {}).items():
            if isinstance(by_gap, dict):
                yield {"way": way, "gaps": "; ".join(gap + fill(cell, row) for gap, row in by_gap.items())}


def images(content: Json) -> Iterator[Json]:
    """Sets of images with every method's accuracy; None for what is not measured."""
    for name, parts in content["sets"].items():
        own, usual = parts.get("classifier"), parts.get("baselines", {})
        cell = "{accuracy!c:.2f} ({interval[0]!c:.1f} to {interval[1]!c:.1f})"
        yield {
            "title": {"mnist": "MNIST, 10,000 digits", "fashion-mnist": "Fashion-MNIST"}[name],
            "averaged": fill(cell, own["averaged"]) if own else None,
            "plain": fill(cell, own["plain"]) if own else None,
            **{method: fill(cell, usual[method]) if usual else None for method in IMAGE_METHODS},
            "gptj": content["published"][name]["LIFT GPT-J"],
            "steps": own["steps"] if own else None,
            "parameters": own["n_parameters"] if own else None,
            "minutes": own["core_seconds"] / 60 if own else None,
        }


def split(content: Json) -> str:
    return "; ".join(f"{name}: {text}" for name, text in content["splits"].items())


def noisy(content: Json) -> str:
    """Accuracies of each method over the shares of noise."""
    noise = content["sets"]["mnist"]["noise"]
    methods = {
        METHODS[method]: " / ".join(f"{100 * row[method]:.1f}" for row in noise.values())
        for method in next(iter(noise.values()))
    }
    return "; ".join(f"{method} {shown}" for method, shown in methods.items())


def shares(content: Json) -> str:
    return " / ".join(f"{100 * float(share):g}" for share in content["sets"]["mnist"]["noise"])
