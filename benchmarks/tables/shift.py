"""Rows of predictions where nobody has calculated, beside those of random compositions."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, percent

LIMITS = ("0", "0.05", "0.1")
POTENTIALS = {"chgnet": "CHGNet", "7net_l3i5": "SevenNet-l3i5"}


def asked(content: Json) -> Iterator[Json]:
    """Rows with a known truth, in order: fitted ones, then what is bundled."""
    for row in content["rows"].values():
        if "energy" in row:
            formulas = row.get("formulas")
            yield row | of_limits(row["limits"]) | {
                "by": _by(row),
                "learned": f"{formulas['train'] + formulas['valid']:,}" if formulas else "-",
                "auc": _number(row["limits"]["0.05"]["auc"]),
                "spearman": _number(row["distance"]["spearman"]),
            }  # fmt: skip


def _by(row: Json) -> str:
    return row["model_title"] + ("" if "formulas" in row else ", bundled")


def of_limits(limits: Json) -> Json:
    """Figures at the three distances, in one cell each."""

    def cell(name: str) -> str:
        return " / ".join(_number(limits[limit][name]) for limit in LIMITS)

    sure = limits["0.1"]["sure"]
    true = f", {percent(sure['true'])}" if sure["n"] else ""
    return {
        "frequencies": " / ".join(_percent(limits[limit]["share"]) for limit in LIMITS),
        "said": " / ".join(_percent(limits[limit]["said"]) for limit in LIMITS),
        "briers": cell("brier"),
        "bases": cell("brier_of_the_share"),
        "sure": f"{_percent(sure['share_of_rows'])}{true}",
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else percent(value)


def fits(content: Json) -> str:
    """How long models were fitted, as far as any was."""
    found = {
        (
            row["settings"]["minutes"],
            row["settings"]["members"],
            row["settings"]["width"],
            row["settings"]["valid_alike"],
        )
        for row in content["rows"].values()
        if "formulas" in row
    }
    each = [
        f"{minutes:g} minutes of one core, {members} members of width {width}"
        + ", validated by held-out families" * alike
        for minutes, members, width, alike in sorted(found)
    ]
    return f" Fitted for each split: {'; '.join(each)}." if each else ""


def most(content: Json) -> int:
    return max(row["settings"]["most"] for row in content["rows"].values())


def selected(content: Json) -> Iterator[Json]:
    """The hundredth predicted most stable of each."""
    for row in asked(content):
        found = row["most_stable_hundredth"]
        yield row | found | of_limits(found["limits"])


def made_and_drawn(content: Json) -> Iterator[Json]:
    """What is said of made compounds and of draws."""
    titles = {
        "made": "made compounds that no bundled table of energies holds",
        "drawn": "valid novel draws of the bundled model",
    }
    for row in content["rows"].values():
        for name, title in titles.items() if row["split"] == "made" else ():
            limits = row[name]["limits"]
            yield row[name] | {
                "title": title,
                "by": _by(row),
                "said": " / ".join(percent(limits[limit]["said"]) for limit in LIMITS),
                "sure": " / ".join(percent(limits[limit]["sure"]) for limit in LIMITS),
            }


def parted(content: Json) -> str:
    """How well made compounds are told from draws."""
    found = [
        f"{_by(row)}: {row['auc_of_made_against_drawn']['energy_above_hull']:.3f} by the predicted distance, "
        f"{row['auc_of_made_against_drawn']['probability_hull_0.05']:.3f} by the probability at 0.05"
        for row in content["rows"].values()
        if row["split"] == "made"
    ]
    return f"ROC-AUC of made against drawn compositions: {'; '.join(found)}." if found else ""


def relaxed_heading(content: Json) -> str:
    """Heads of the table, where relaxed draws were judged."""
    if not any(row["split"] == "relaxed" for row in content["rows"].values()):
        return "Not measured: no draws were relaxed."
    names = ("novel draws, relaxed; judged by", "draws", "mean probability at 0 / 0.05 / 0.1 eV/atom", "found",
             "Brier score", "ROC-AUC at 0.1 (95 % interval)", "rank correlation (95 % interval)")  # fmt: skip
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def relaxed(content: Json) -> Iterator[Json]:
    """Each group of draws by each potential, and the order that the screening potential itself reaches."""
    for row in content["rows"].values():
        for group, found in row["groups"].items() if row["split"] == "relaxed" else ():
            who = "" if group == "all" else f", drawn by {group}"
            for name, judged in found["potentials"].items():
                potential = POTENTIALS.get(name, name)
                yield (
                    of_limits(judged["limits"]) | _order(judged["order"]) | {"title": f"| {potential}{who}; {_by(row)}"}
                )
                if ceiling := judged.get("order_by_screening_potential"):
                    blank = dict.fromkeys(("said", "frequencies", "briers"), "")
                    first = next(iter(found["potentials"]))
                    title = f"| {potential}{who}; the energies of {POTENTIALS.get(first, first)}"
                    yield _order(ceiling) | blank | {"title": title}


def _order(order: Json) -> Json:
    return {"n": order["n"], **{name: _with_interval(order, name) for name in ("auc", "spearman")}}


def _with_interval(order: Json, name: str) -> str:
    ends = order[f"{name}_interval"]
    return _number(order[name]) + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")
