"""Rows of predictors, their intervals, and the distance to the hull."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.tables.render import Json, fill, percent

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
KINDS = {"network": "network", "trees": "boosted trees on Magpie features", "language_model": "GPT-J with a head"}


def of_oqmd(content: Json) -> Iterator[Json]:
    """The bundled ensemble after its members."""
    if row := content["oqmd"]:
        minutes = [training["seconds"] / 60 for training in row["training"]]
        members = [f"network, member {i + 1}" for i in range(len(minutes))]
        titles = [*members, f"the bundled ensemble of {len(minutes)}"]
        errors = [*row["test"]["mae_of_members"], row["test"]["mae"]]
        for title, error, took in zip(titles, errors, [*minutes, sum(minutes)], strict=True):
            yield row | {"title": title, "error": error, "minutes": took, "best": PUBLISHED["oqmd"]}


def without_failed(content: Json) -> list[Json]:
    row = content["oqmd"]
    return [row | {"failed": row["test"]["n"] - row["test_without_outliers"]["n"]}] if row else []


def of_folds(content: Json) -> list[Json]:
    """The same predictor's folds on one line, those of a task by their error."""
    groups: dict[str, list[Json]] = {}
    for key, row in content["rows"].items():
        groups.setdefault(key.rpartition(" ")[0], []).append(row)
    order = list(PUBLISHED)
    folds = sorted(groups.values(), key=lambda rows: (order.index(rows[0]["task"]), statistics.mean(_errors(rows))))
    return [_folds(rows) for rows in folds]


def _folds(rows: list[Json]) -> Json:
    first, task = rows[0], rows[0]["task"]
    minutes = statistics.mean(row["seconds"] for row in rows) / 60
    median = statistics.mean(row["metrics"].get("mae_of_the_median", 0) for row in rows)
    spread = f" ± {statistics.stdev(_errors(rows)):.4f}" if len(rows) > 1 else ""
    whole = 1 if task in ("oqmd", "critexam_ed") else 5
    begun = f", from `{first['init']}`" if first["init"] else ""
    return {
        "split": f"`{task}`" + f", {len(rows)} of {whole} folds" * (len(rows) != whole),
        "predictor": KINDS[first["kind"]] + begun + f", {first['members']} members" * (first["members"] > 1),
        "size": fill("{parameters:,} leaves" if first["kind"] == "trees" else "{parameters!M:.2f} M", first),
        "minutes": "< 0.1" if minutes < 0.05 else f"{minutes:.1f}",
        "error": f"{statistics.mean(_errors(rows)):.4f} {UNITS.get(task, 'eV/atom')}{spread}",
        "baseline": "0.5" if task == "expt_is_metal" else f"{median:.3f}",
        "published": PUBLISHED[task],
    }


def _errors(rows: list[Json]) -> list[float]:
    """Of each fold what its task is judged by."""
    return [row["metrics"]["roc_auc" if row["task"] == "expt_is_metal" else "mae"] for row in rows]


def repeated(content: Json) -> str:
    in_training = {row["task"]: row["compositions_in_training"] for row in content["rows"].values()}
    return ", ".join(f"`{task}` {percent(share)}" for task, share in in_training.items() if task != "critexam_ed")


def training_curve(content: Json) -> str:
    if not content["oqmd"]:
        return ""
    history = content["oqmd"]["training"][0]["history"][3::4]
    curve = ", ".join(f"{seconds / 60:.0f} minutes {error:.4f}" for seconds, _, error in history)
    return f"Validation error of the first member of `oqmd` over its training: {curve} eV/atom."


def coverage(content: Json) -> Iterator[Json]:
    """Test parts, those with the widest spread, the selected, and what is out of domain."""
    for name, row in content["predictors"].items():
        if "band" in row:
            yield {**row, "title": f"`{name}`, test split"}
            yield {**row["by_spread"][-1], "title": "the 10 % with the largest standard deviation", "n": row["n"] // 10}
    chosen = content["stability"]["most_stable_hundredth"]
    for kind in ("plain", "corrected"):
        title = f"the 1 % of OQMD's test split predicted most stable, {kind}"
        yield {"title": title, "n": chosen["n"], "coverage": chosen[f"coverage_{kind}"]}
    for what, row in content["left_out"].items():
        title = "unseen chemical systems" if what == "systems" else f"compositions with the unseen element {what}"
        yield {**row["strange"], "title": title}


JUDGES = {
    "by_spread": "spread",
    "own_labels_alone": "trees, labels of the source alone",
    "anonymous_formulas_left_out": "trees, anonymous formulas left out",
    "chemical_systems_left_out": "trees, chemical systems left out",
}
ORIGINS = {
    "held_out": "held-out compositions of the source",
    "other_source": "compositions that only the other database holds",
    "drawn": "drawn compositions, relaxed by CHGNet",
}


def shifted(content: Json) -> Iterator[Json]:
    """Each predictor's compositions by origin, and by what judges them; then its test part."""
    for source, judged in content["sources"].items():
        for origin, words in ORIGINS.items():
            for key, by in JUDGES.items():
                if origin in judged[key]:
                    yield _shifted(f"`{source}`: {words}", by, judged[key][origin])
        test = content["test"][source]
        yield _shifted(f"`{source}`: test part", "spread", test["by_spread"])
        yield _shifted(f"`{source}`: test part", "trees, as bundled", test["by_trees"])


def _shifted(title: str, by: str, row: Json) -> Json:
    limits = [value for value in row.values() if isinstance(value, dict)]
    said = limits[-1]
    return {
        "title": title, "by": by, "said": said,
        "briers": " / ".join(f"{one['brier']:.3f}" for one in limits),
        "of_share": " / ".join(f"{one['brier_of_share']:.3f}" for one in limits),
        "sure": " / ".join("-" if said[key] is None else percent(said[key]) for key in ("sure", "true_of_sure")),
        "flagged": " / ".join(
            "-" if row[key] is None else percent(row[key]) for key in ("flagged_of_off", "flagged_of_others")
        ),
    }  # fmt: skip
