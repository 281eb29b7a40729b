"""The README's tables of predictors, stability, conditions and the released code, for `benchmarks.tables`."""

from __future__ import annotations

import statistics
from typing import Any

PUBLISHED = {
    "oqmd": "0.0310 (CrabNet, one-hot)",
    "mp_e_form": "0.0839 (Finder)",
    "mp_gap": "0.2308 (Finder)",
    "expt_gap": "0.287 (fine-tuned language model); 0.331 (CrabNet)",
    "expt_is_metal": "0.9598 (fine-tuned language model)",
    "critexam_ed": "",
}
"""Best published without structure on the same splits: mean absolute error, of the last but one area under the ROC."""
UNITS = {"expt_is_metal": "ROC-AUC", "mp_gap": "eV", "expt_gap": "eV"}


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def hull(content: dict[str, Any]) -> list[str]:
    lines = [
        f"| hull of | phases | {content['n']:,} drawn compositions | pymatgen's `PhaseDiagram`, one by one | ratio | "
        "largest difference |",
        "|---" * 6 + "|",
    ]
    for source, row in content["sources"].items():
        lines.append(
            f"| {source.upper()} | {row['phases']:,} | {row['seconds']:.0f} s | "
            f"{1e3 * row['pymatgen_seconds_each']:.0f} ms each | {row['ratio']:.0f} x | "
            f"{row['largest_difference']:.0e} eV/atom |"
        )
    return lines


def predictors(content: dict[str, Any]) -> list[str]:
    lines = [
        "| split | predictor | parameters | minutes a fold, one core | error | the median alone, or chance | "
        "best published |",
        "|---" * 7 + "|",
    ]
    if content["oqmd"]:
        lines += _of_oqmd(content["oqmd"])
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, row in content["rows"].items():
        groups.setdefault(key.rpartition(" ")[0], []).append(row)
    order = list(PUBLISHED)
    for name, rows in sorted(groups.items(), key=lambda item: (order.index(item[1][0]["task"]), _error(item[1]))):
        first, task = rows[0], rows[0]["task"]
        ours = f"{_error(rows):.4f} {UNITS.get(task, 'eV/atom')}"
        if len(rows) > 1:
            ours += f" ± {statistics.stdev(_errors(rows)):.4f}"
        whole = 1 if task in ("oqmd", "critexam_ed") else 5
        title = f"`{task}`" + ("" if len(rows) == whole else f", {len(rows)} of {whole} folds")
        minutes = sum(row["seconds"] for row in rows) / len(rows) / 60
        took = "< 0.1" if minutes < 0.05 else f"{minutes:.1f}"
        base = (
            "0.5"
            if task == "expt_is_metal"
            else f"{statistics.mean(row['metrics']['mae_of_the_median'] for row in rows):.3f}"
        )
        size = f"{first['parameters'] / 1e6:.2f} M" if first["kind"] != "trees" else f"{first['parameters']:,} leaves"
        lines.append(f"| {title} | {_title(name, first)} | {size} | {took} | {ours} | {base} | {PUBLISHED[task]} |")
    told = {
        row["task"]: row["compositions_in_training"] for row in content["rows"].values() if row["task"] != "critexam_ed"
    }
    repeated = ", ".join(f"`{task}` {percent(share)}" for task, share in told.items())
    lines += [
        "",
        f"Test rows whose composition is in the training part too (another structure or measurement): {repeated}.",
    ]
    if content["oqmd"]:
        history = content["oqmd"]["training"][0]["history"]
        points = [history[i] for i in range(3, len(history), 4)]
        curve = ", ".join(f"{seconds / 60:.0f} minutes {error:.4f}" for seconds, _, error in points)
        lines.append(f"Validation error of the first member of `oqmd` over its training: {curve} eV/atom.")
    return lines


def _of_oqmd(row: dict[str, Any]) -> list[str]:
    lines = []
    base = f"{row['test']['mae_of_the_median']:.3f}"
    size = f"{row['parameters'] / 1e6:.2f} M"
    alone = row["test"]["mae_of_members"]
    rounds = [
        (f"network, member {i + 1}", mae, training["seconds"] / 60)
        for i, (mae, training) in enumerate(zip(alone, row["training"], strict=True))
    ]
    rounds.append((f"the bundled ensemble of {len(alone)}", row["test"]["mae"], sum(minutes for *_, minutes in rounds)))
    for title, mae, minutes in rounds:
        lines.append(
            f"| `oqmd` | {title} | {size} | {minutes:.0f} | {mae:.4f} eV/atom | {base} | {PUBLISHED['oqmd']} |"
        )
    clean = row["test_without_outliers"]
    lines.append(
        f"| the same without {row['test']['n'] - clean['n']} failed calculations | the ensemble | | | "
        f"{clean['mae']:.4f} eV/atom | {clean['mae_of_the_median']:.3f} | |"
    )
    return lines


def _title(name: str, row: dict[str, Any]) -> str:
    kinds = {"network": "network", "trees": "boosted trees on Magpie features", "language_model": "GPT-J with a head"}
    title = kinds[row["kind"]]
    if row["init"]:
        title += f", from `{row['init']}`"
    return title + (f", {row['members']} members" if row["members"] > 1 else "")


def _error(rows: list[dict[str, Any]]) -> float:
    return statistics.mean(_errors(rows))


def _errors(rows: list[dict[str, Any]]) -> list[float]:
    """Of each fold what its task is judged by."""
    return [row["metrics"]["roc_auc" if row["task"] == "expt_is_metal" else "mae"] for row in rows]


def coverage(content: dict[str, Any]) -> list[str]:
    """Coverage of intervals on test parts, among the selected, and out of domain."""
    lines = [
        "| truth inside intervals of | compositions | error | 50 % | 80 % | 95 % | flagged out of domain |",
        "|---" * 7 + "|",
    ]
    for name, row in content["predictors"].items():
        if "band" in row:
            tenth = row["by_spread"][-1]
            lines.append(_covered(f"`{name}`, test part", row["n"], row["mae"], row["coverage"], row["out_of_domain"]))
            lines.append(_covered("the tenth with the widest spread", row["n"] // 10, tenth["mae"], tenth["coverage"]))
    chosen = content["stability"]["most_stable_hundredth"]
    for kind in ("plain", "corrected"):
        title = f"the hundredth of OQMD's test part predicted most stable, {kind}"
        lines.append(_covered(title, chosen["n"], None, chosen[f"coverage_{kind}"]))
    for what, row in content["left_out"].items():
        title = "chemical systems never seen" if what == "systems" else f"compositions with {what}, never seen"
        strange = row["strange"]
        lines.append(_covered(title, strange["n"], strange["mae"], strange["coverage"], strange["out_of_domain"]))
    return lines


def _covered(title: str, n: int, mae: float | None, found: dict[str, float], flagged: float | None = None) -> str:
    error = "" if mae is None else f"{mae:.3f}"
    cells = " | ".join(percent(found[c]) for c in ("0.5", "0.8", "0.95"))
    return f"| {title} | {n:,} | {error} | {cells} | {'' if flagged is None else percent(flagged)} |"


def stability(content: dict[str, Any]) -> list[str]:
    found = content["stability"]
    lines = [
        "| OQMD's test part, each left out of its own hull | so it is | Brier score | corrected for selection | always "
        "the mean |",
        "|---" * 5 + "|",
    ]
    for limit, row in found["limits"].items():
        lines.append(
            f"| at most {limit} eV/atom above the hull | {percent(row['stable'])} | {row['plain']['brier']:.4f} | "
            f"{row['corrected']['brier']:.4f} | {row['corrected']['brier_of_the_mean']:.4f} |"
        )
    called = found["called_stable"]
    chosen = found["most_stable_hundredth"]
    lines += [
        "",
        f"The distance to the hull of {found['n']:,} compounds is off by {found['mae_of_distance']:.4f} eV/atom in the "
        f"mean. Called stable (below the hull): {percent(called['accuracy'])} right, precision "
        f"{percent(called['precision'])}, recall {percent(called['recall'])}, false positives "
        f"{percent(called['false_positive_rate'])}. The hundredth predicted most stable is said to lie at "
        f"{chosen['mean_predicted']:.3f} eV/atom and lies at {chosen['mean_true']:.3f}.",
    ]
    return lines


def experiments(content: dict[str, Any]) -> list[str]:
    found = content["experiments"]
    lines = [
        f"| {found['compounds']:,} measured formation enthalpies (eV/atom) | error | mean error | not trained on | "
        "error of these | the labels' own error | error where there is a label |",
        "|---" * 7 + "|",
    ]
    for name, row in found.items():
        if isinstance(row, dict):
            lines.append(
                f"| `{name}` | {row['mae']:.3f} | {row['mean_error']:+.3f} | {row['not_trained_on']:,} | "
                f"{row['mae_not_trained_on']:.3f} | {row['mae_of_labels']:.3f} ({row['with_label']:,}) | "
                f"{row['mae_with_label']:.3f} |"
            )
    return lines


def conditional(content: dict[str, Any]) -> list[str]:
    lines = [
        "| told | balanced | all three | new to `mp-pure` | predicted inside the range (untold) | held-out formulas "
        "found | of which inside by their labels (untold) |",
        "|---" * 7 + "|",
    ]
    for name, row in content["rows"].items():
        beside = name != "untold"
        predicted = f"{percent(row['predicted_inside'])} ({percent(row['untold_predicted_inside'])})" * beside
        truth = f"{percent(row['held_out_inside'])} ({percent(row['untold_held_out_inside'])})" * beside
        title = name if name.startswith(("untold", "trained")) else f"`{name}`"
        lines.append(
            f"| {title} | {percent(row['electronegativity_balanced'])} | {percent(row['valid_unique_novel'])} | "
            f"{row['new_to_dataset']:,} | {predicted} | {row['held_out_found']:,} | {truth} |"
        )
    return lines


def as_released(content: dict[str, Any]) -> list[str]:
    lines = [
        f"| GPT-J `tiny`, {content['minutes']:.0f} minutes of one core | formulas judged | neutral | balanced | "
        "unique | novel | all three | held-out formulas recovered |",
        "|---" * 8 + "|",
    ]
    titles = {
        "as_released": "trained and drawn as released",
        "drawn_by_matgen": "trained as released, drawn by matgen",
        "matgen": "trained and drawn by matgen",
    }
    names = ("charge_neutral", "electronegativity_balanced", "unique", "novel", "valid_unique_novel", "recovered")
    for name, title in titles.items():
        row = content[name]
        lines.append(f"| {title} | {row['n']:,} | {' | '.join(percent(row[metric]) for metric in names)} |")
    drawing = content["as_released"]["drawing"]
    lines += [
        "",
        f"Drawn as released, {drawing['prompts']} prompts gave {drawing['pieces']:,} pieces, of which "
        f"{drawing['formulas']:,} were distinct formulas of a possible size ({drawing['miscounted']:,} of them with "
        f"wrong counts), {drawing['distinct_formulas_per_second']:.0f} a second.",
    ]
    return lines
