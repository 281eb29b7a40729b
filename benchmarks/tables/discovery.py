"""Rows of what models draw: all draws, what checkpoints know, structures of the novel draws, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.tables.generation import RANKINGS
from benchmarks.tables.render import Json, percent

POTENTIALS = {"chgnet": "CHGNet", "7net-l3i5": "SevenNet-l3i5", "all": "both"}
JUDGE = "7net-l3i5"
NOT_MEASURED = "-"


def of_draws(content: Json) -> Iterator[Json]:
    """Rows with draws, random ones first."""
    for name, row in content["rows"].items():
        if "predicted" not in row:
            continue
        draws = row["draws"]
        kept = f" (best {draws['n']:,} of {draws['drawn']:,})" if draws["drawn"] > draws["n"] else ""
        found = {split: percent(of["found"]) if of["held_out"] else NOT_MEASURED
                 for split, of in row["recovery"].items() if isinstance(of, dict)}  # fmt: skip
        yield row | {"title": name + kept, "formulas": found["split"], "systems": found["split_chemsys"]}


def of_models(content: Json) -> Iterator[Json]:
    """Checkpoints at temperature 1."""
    for name, row in content["rows"].items():
        if "substitution" in row:
            yield row | {"title": name, "first": " ".join(row["tinkered"]["first"])} | _recall(row["substitution"])


def without_model(content: Json) -> Iterator[Json]:
    """Rankings of substitutions that need no model."""
    tables = next(iter(content["substitution"].values()), {})
    for name, title in RANKINGS.items():
        if name in tables:
            yield {"title": title} | _recall(tables[name])


def _recall(table: Json) -> Json:
    shares = {f"at_{k}": percent(table[f"recall_at_{k}"]["value"]) for k in (1, 5, 20)}
    return shares | {"reciprocal": f"{table['mean_reciprocal_rank']['value']:.3f}"}


def of_relaxed(content: Json) -> Iterator[Json]:
    """A row for each potential, and for both, of every row with structures."""
    for name, row in content["rows"].items():
        relaxed = row.get("relaxed", {})
        for key, shares in relaxed.get("by", {}).items():
            stable, metastable, far = shares["stable"], shares["metastable"], relaxed["far_off"].get(key)
            yield {
                "title": f"{name}, first {relaxed['n']}", "by": POTENTIALS.get(key, key), "relaxed": relaxed,
                "stable": _share(stable["count"], relaxed["novel"], stable["interval"]),
                "metastable": _share(metastable["count"], relaxed["novel"], metastable["interval"]),
                "sun": _share(stable["count"], relaxed["n"], stable["of_draws"]),
                "msun": _share(metastable["count"], relaxed["n"], metastable["of_draws"]),
                **{name: NOT_MEASURED if far is None else _share(far[name]["count"], far["n"], far[name]["interval"])
                   for name in ("off", "too_low")},
            }  # fmt: skip


def _share(count: int, n: int, interval: list[float]) -> str:
    low, high = interval
    return f"{percent(count / n)} ({100 * low:.0f} to {100 * high:.0f} %)" if n else NOT_MEASURED


@dataclass(frozen=True)
class Goal:
    """One goal: what it is of, what is wanted, and how it is read from the rows.

    Attributes:
        goal: in words.
        wanted: in words.
        role: of the row that should meet it.
        shown: from a row and the content to the figure in words.
        met: from the same to whether it is met.
        former: whether the checkpoint of matgen 0.2 has a figure too.
    """

    goal: str
    wanted: str
    role: str
    shown: Callable[[Json, Json], str]
    met: Callable[[Json, Json], bool]
    former: bool = True


def goals(content: Json) -> Iterator[Json]:
    """Each goal with the figures of the checkpoint of matgen 0.2 and of the row in the role that the goal asks of."""
    rows = content["rows"]
    for goal in GOALS:
        name = content["roles"].get(goal.role)
        measured = None if name is None else _read(goal.shown, rows.get(name, {}), content)
        former = _read(goal.shown, rows.get(content["roles"]["former"], {}), content) if goal.former else None
        yield {
            "goal": goal.goal, "wanted": goal.wanted, "former": former or NOT_MEASURED,
            "measured": f"{measured} (`{name}`)" if measured else NOT_MEASURED,
            "met": ("yes" if goal.met(rows[name], content) else "no") if measured and name else NOT_MEASURED,
        }  # fmt: skip


def _read(shown: Callable[[Json, Json], str], row: Json, content: Json) -> str | None:
    """A figure in words; None where what it is made of was not measured."""
    try:
        return shown(row, content)
    except KeyError:
        return None


def made_ratio(row: Json, content: Json) -> float:
    """Made compounds found, against the checkpoint of matgen 0.2 at temperature 1."""
    former = content["rows"][content["roles"]["former"]]["made"]["found_per_100000"]
    return float(row["made"]["found_per_100000"] / former) if former else float("inf")


def yield_ratio(row: Json, content: Json) -> float:
    """Valid, unique and novel draws, against the strongest random baseline."""
    strongest = max(
        other["draws"]["valid_unique_novel"] for other in content["rows"].values()
        if "draws" in other and other["source"].get("valid_only") is False
    )  # fmt: skip
    return float(row["draws"]["valid_unique_novel"] / strongest)


def both(row: Json) -> tuple[float, float]:
    """Shares novel and within 0.1 eV/atom, and at most 0, by both potentials, of the draws or of the ranking."""
    relaxed = row["relaxed"]
    counts = relaxed["by"]["all"]
    return counts["metastable"]["count"] / relaxed["n"], counts["stable"]["count"] / relaxed["n"]


def against_filter(row: Json, content: Json) -> tuple[float, float]:
    """Shares of the novel ones that the judge finds metastable, and of chemical systems, against draw-and-filter."""
    own, other = row["relaxed"], content["rows"][content["roles"]["filtered"]]["relaxed"]
    share, theirs = (one["by"][JUDGE]["metastable"]["count"] / max(one["novel"], 1) for one in (own, other))
    systems, filtered = (one["chemical_systems"] / one["n"] for one in (own, other))
    return (share / theirs if theirs else float("inf")), systems / filtered


def two(shares: tuple[float, float]) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares) + " %"


def at_least(shares: tuple[float, float], *wanted: float) -> bool:
    return all(share >= least for share, least in zip(shares, wanted, strict=True))


def _tinkered(row: Json, content: Json) -> bool:
    first = set(row["tinkered"]["first"])
    return len(first & {"Ba", "Ca", "Eu", "Pb"}) >= 3 and "Au" not in first


def _neutral(row: Json) -> tuple[float, float]:
    return row["draws"]["charge_neutral"], row["draws"]["electronegativity_balanced"]


GOALS = (
    Goal(
        "made compounds outside `hybrid`, per 100,000 draws, against 0.2", "at least 4 x", "checkpoint",
        lambda row, content: f"{row['made']['found_per_100000']:.0f}, {made_ratio(row, content):.1f} x",
        lambda row, content: made_ratio(row, content) >= 4,
    ),
    Goal(
        "balanced by common states, of draws", "at least 54 %", "checkpoint",
        lambda row, content: percent(row["draws"]["balanced_common"]),
        lambda row, content: row["draws"]["balanced_common"] >= 0.54,
    ),
    Goal(
        "valid, unique and novel at temperature 1, against the strongest random baseline", "at least 2 x", "checkpoint",
        lambda row, content: f"{percent(row['draws']['valid_unique_novel'])}, {yield_ratio(row, content):.2f} x",
        lambda row, content: yield_ratio(row, content) >= 2,
    ),
    Goal(
        "unfiltered draws novel and within 0.1 eV/atom / at most 0, by both potentials", "at least 25 / 6 %",
        "checkpoint", lambda row, content: two(both(row)), lambda row, content: at_least(both(row), 0.25, 0.06),
    ),
    Goal(
        "the first 100 of `matgen discover` within 0.1 eV/atom / at most 0, by both potentials", "at least 75 / 40 %",
        "settled", lambda row, content: two(both(row)), lambda row, content: at_least(both(row), 0.75, 0.40),
        former=False,
    ),
    Goal(
        "reinforced against draw-and-filter in equal time: share of novel ones within 0.1 by SevenNet-l3i5 / "
        "chemical systems",
        "at least 2 x / 70 %", "reinforced",
        lambda row, content: "{:.1f} x / {:.0%}".format(*against_filter(row, content)),
        lambda row, content: at_least(against_filter(row, content), 2, 0.7), former=False,
    ),
    Goal(
        "`tinker SrTiO3 --mask Sr`, first six", "three of Ba, Ca, Eu, Pb, and no Au", "checkpoint",
        lambda row, content: " ".join(row["tinkered"]["first"]), _tinkered,
    ),
    Goal(
        "charge neutral / balanced", "at least 99 / 97 %", "checkpoint",
        lambda row, content: two(_neutral(row)), lambda row, content: at_least(_neutral(row), 0.99, 0.97),
    ),
)  # fmt: skip
