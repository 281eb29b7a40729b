"""Stable, unique, novel: what a folder of relaxed structures is worth, by the measures that the field reports.

A structure is stable where its energy is at most 0 eV/atom above the hull of known phases, metastable where it is at
most `METASTABLE` above; unique where no earlier one of the folder is the same crystal by StructureMatcher; novel where
its composition is in no reference, and novel as a structure where none of a user's crystals is the same. S.U.N. is the
conjunction (C. Zeni et al., Nature 639, 624, 2025, who call stable what is within 0.1 eV/atom: `msun` here).

Where a second potential finished the lowest structures, each potential has its own verdict, and what both of them call
stable is counted too: the figure to quote, since a search finds the errors of the potential that guided it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError
from matgen.hull.limits import METASTABLE
from matgen.io.parquet import read_parquet
from matgen.structures.energies import anion_class
from matgen.structures.finish import DISAGREE
from matgen.structures.folder import CANDIDATES, read_plan, read_structures
from matgen.structures.potentials.registry import column_suffix
from matgen.structures.propose import MATCHER, is_new, same_crystals
from matgen.structures.templates import TemplateLibrary

if TYPE_CHECKING:
    from pymatgen.core import Structure

IMPLAUSIBLE = -0.5
"""eV/atom: what a potential puts further below the hull of known phases is its own failure and counts as unstable."""

FLAGS = ("relaxed", "implausible", "stable", "metastable", "unique", "novel", "sun", "msun")
"""Columns of yes and no, whose shares over all compositions are reported."""

STRUCTURE_FLAGS = ("novel_structure", "sun_structure", "msun_structure")
"""The same where there are reference structures: novelty as a crystal instead of a composition."""

VERDICTS = ("implausible", "stable", "metastable", "sun", "msun")
"""Of `FLAGS`, those that depend on the potential."""

BOTH = "both"
"""In the place of a potential's name: a verdict of both, `implausible` where either says so."""


@dataclass(frozen=True)
class JudgedStructures:
    """What a folder of structures is worth.

    Attributes:
        frame: a row for each composition of the folder with its lowest structure: `formula`, `structure_id`,
            `energy_above_hull_<potential>`, the columns of `FLAGS` (by the potential that relaxed all structures),
            `anion_class`, `same_structure_as`; where a second potential finished some, `VERDICTS` with each
            potential's name and `both` behind them, missing where it was not asked, `potential_spread` and
            `potentials_disagree`.
        structures: the lowest structures by id.
        content: shares and settings, as JSON.
    """

    frame: pd.DataFrame
    structures: dict[str, Structure]
    content: dict[str, Any]


def judge_structures(
    folder: Path | str, novel: np.ndarray, *, reference_structures: TemplateLibrary | None = None
) -> JudgedStructures:
    """Judge the lowest structure of each composition of a folder.

    Args:
        folder: that `matgen structure` wrote, with relaxed structures.
        novel: bool `(n,)`, whether each of the folder's `n` compositions is in no reference.
        reference_structures: known crystals.

    Raises:
        DataError: no such folder, or its structures were not relaxed.
    """
    folder = Path(folder)
    candidates, plan = relaxed_candidates(folder)
    names = potentials_of(plan)
    every, structures = read_structures(folder)
    if len(novel) != len(candidates):
        raise DataError(f"{len(novel)=} != {len(candidates)=}")
    lowest = every[every["reason"] == ""].drop_duplicates("rank").set_index("rank")
    lowest = lowest.reindex(range(1, len(candidates) + 1)).reset_index(drop=True)
    formulas = every.drop_duplicates("rank").set_index("rank")["formula"]
    frame = pd.DataFrame({"formula": formulas.reindex(range(1, len(candidates) + 1)).to_numpy()})
    frame["structure_id"] = lowest["structure_id"]
    energies = [f"{column}_{column_suffix(name)}" for name in names
                for column in ("formation_energy", "energy_above_hull")]  # fmt: skip
    agreement = ["potential_spread", "potentials_disagree"] if len(names) == 2 else []
    for name in ("origin", "template", "prototype", "mapping", "space_group", "n_atoms", "volume_per_atom",
                 *energies, *agreement):  # fmt: skip
        frame[name] = lowest[name]
    frame["relaxed"] = lowest["relaxed"].eq(True)
    _stability(frame, names[0], "")
    frame["same_structure_as"] = same_crystals(frame["formula"], frame["structure_id"], structures)
    frame["unique"] = frame["structure_id"].notna() & frame["same_structure_as"].isna()
    frame["novel"] = np.asarray(novel, dtype=bool) & frame["structure_id"].notna()
    _conjunctions(frame, "novel", "")
    if len(names) == 2:
        _verdicts_by_potential(frame, names, asked=_asked(plan, len(frame)))
    if reference_structures is not None:
        frame["novel_structure"] = _novel_crystals(frame, structures, reference_structures)
        _conjunctions(frame, "novel_structure", "_structure")
    frame["anion_class"] = _anion_classes(frame["formula"])
    kept = {id: structures[id] for id in frame["structure_id"].dropna()}
    return JudgedStructures(frame, kept, _content(frame, every, plan))


def potentials_of(plan: dict[str, Any]) -> list[str]:
    """Names of the potential that relaxed all structures of a folder, and of the one that finished some, if any."""
    finish = plan.get("finish")  # folders of earlier versions have none
    return [plan["potential"]] if finish is None else [plan["potential"], finish["potential"]]


def relaxed_candidates(folder: Path | str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The candidates of a folder of relaxed structures, and how it was made.

    Raises:
        DataError: no such folder, or its structures were not relaxed.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    if plan.get("potential") is None:
        raise DataError(f"the structures in {folder} were not relaxed, so they have no energy: leave out --no-relax")
    try:
        return read_parquet(folder / CANDIDATES), plan
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {folder / CANDIDATES}: end it by matgen structure --resume") from error


def _stability(frame: pd.DataFrame, potential: str, suffix: str) -> None:
    energy = frame[f"energy_above_hull_{column_suffix(potential)}"].to_numpy(dtype=float, na_value=np.nan)
    implausible = energy < IMPLAUSIBLE
    frame[f"implausible{suffix}"] = implausible
    frame[f"stable{suffix}"] = (energy <= 0) & ~implausible
    frame[f"metastable{suffix}"] = (energy <= METASTABLE) & ~implausible


def _asked(plan: dict[str, Any], n: int) -> np.ndarray:
    """Which of `n` compositions the second potential was asked about, bool `(n,)`."""
    top = plan["finish"]["top"]
    return np.arange(n) < (top or n)


def _verdicts_by_potential(frame: pd.DataFrame, names: list[str], asked: np.ndarray) -> None:
    """Add `VERDICTS` by each potential and by both, missing where the second was not asked."""
    both = frame["unique"] & frame["novel"]
    suffixes = [f"_{column_suffix(name)}" for name in names]
    for name, suffix in zip(names, suffixes, strict=True):
        _stability(frame, name, suffix)
        frame[f"sun{suffix}"] = frame[f"stable{suffix}"] & both
        frame[f"msun{suffix}"] = frame[f"metastable{suffix}"] & both
    for verdict in VERDICTS:
        first, second = (frame[f"{verdict}{suffix}"].astype(bool) for suffix in suffixes)
        of_both = first | second if verdict == "implausible" else first & second
        frame[f"{verdict}{suffixes[1]}"] = second.astype("boolean").where(asked)
        frame[f"{verdict}_{BOTH}"] = of_both.astype("boolean").where(asked)


def _by_potential(frame: pd.DataFrame, plan: dict[str, Any]) -> dict[str, Any]:
    """Counts of `VERDICTS` by each potential and by both, of how many compositions, and how far the two differ."""
    names = potentials_of(plan)
    if len(names) == 1:
        return {}
    n_asked = int(_asked(plan, len(frame)).sum())
    counts = {name: {"n": n, "counts": {verdict: int(frame[f"{verdict}_{column_suffix(name)}"].sum())
                                        for verdict in VERDICTS}}
              for name, n in ((names[0], len(frame)), (names[1], n_asked), (BOTH, n_asked))}  # fmt: skip
    spread = frame["potential_spread"].dropna()
    return {
        "by_potential": counts,
        "agreement": {
            "n": len(spread),
            "disagree": int(frame["potentials_disagree"].sum()),
            "median_spread": None if spread.empty else round(float(spread.median()), 4),
        },
    }


def _conjunctions(frame: pd.DataFrame, novel: str, suffix: str) -> None:
    both = frame["unique"] & frame[novel]
    frame[f"sun{suffix}"] = frame["stable"] & both
    frame[f"msun{suffix}"] = frame["metastable"] & both


def _novel_crystals(frame: pd.DataFrame, structures: dict[str, Structure], library: TemplateLibrary) -> list[bool]:
    """Whether each structure differs from all crystals of a library with the same composition."""
    known: dict[str, list[Structure]] = {}
    for template in library.templates:
        known.setdefault(template.formula, []).append(template.structure())
    return [
        id in structures and is_new(structures[id], known.get(structures[id].composition.reduced_formula, []))
        for id in frame["structure_id"]
    ]


def _anion_classes(formulas: pd.Series) -> np.ndarray:
    """The class of each composition, None where the formula could not be read."""
    classes = np.full(len(formulas), None, dtype=object)
    readable = formulas.notna().to_numpy()
    classes[readable] = anion_class(CompositionBatch.from_formulas(formulas[readable].astype(str)))
    return classes


@lru_cache(maxsize=1)
def _measured_bias() -> dict[str, Any]:
    from importlib.resources import files

    content = json.loads(files("matgen.structures").joinpath("hull_bias.json").read_text(encoding="utf-8"))
    return dict(content["potentials"])


def hull_bias(potential: str) -> dict[str, dict[str, float]]:
    """How far a potential's formation energies of known compounds lie from the hull's labels, by anion class.

    Measured by `python -m benchmarks.structure_energies`.

    Returns:
        of each anion `n`, and `bias` and `mae` in eV/atom; bias is the mean of potential minus label. Empty for a
        potential of which it was not measured.
    """
    return dict(_measured_bias().get(potential, {}).get("classes", {}))


def _content(frame: pd.DataFrame, every: pd.DataFrame, plan: dict[str, Any]) -> dict[str, Any]:
    above = f"energy_above_hull_{column_suffix(plan['potential'])}"
    finish = plan.get("finish")
    names = [name for name in (*FLAGS, *STRUCTURE_FLAGS) if name in frame]
    bias, *bias_of_finish = (hull_bias(name) for name in potentials_of(plan))
    classes: dict[str, dict[str, Any]] = {}
    for name, group in frame.groupby("anion_class", sort=False):
        known = bias.get(str(name), {})
        classes[str(name)] = {"n": len(group), "stable": int(group["stable"].sum()),
                              "metastable": int(group["metastable"].sum()), "known_compounds": known.get("n", 0),
                              "bias": known.get("bias"), "mae": known.get("mae")}  # fmt: skip
        for known in (measured.get(str(name), {}) for measured in bias_of_finish):
            classes[str(name)] |= {"bias_of_finish": known.get("bias"), "mae_of_finish": known.get("mae")}
    return {
        "n": len(frame),
        "with_structure": int(frame["structure_id"].notna().sum()),
        "structures": int((every["reason"] == "").sum()),
        "counts": {name: int(frame[name].sum()) for name in names},
        "median_energy_above_hull": None if frame[above].isna().all() else round(float(frame[above].median()), 4),
        "by_anion_class": dict(sorted(classes.items(), key=lambda entry: -entry[1]["n"])),
        "failures": plan.get("failures", {}),
        **_by_potential(frame, plan),
        "protocol": {
            "potential": plan["potential"],
            "potential_version": plan.get("potential_version"),
            "finish": finish and {**finish, "version": plan.get("finish_version"), "disagree": DISAGREE},
            "hull": plan.get("hull"),
            "stable": 0.0,
            "metastable": METASTABLE,
            "implausible": IMPLAUSIBLE,
            "matcher": MATCHER,
            "novel": "composition" if "novel_structure" not in frame else "composition, and crystal",
        },
    }
