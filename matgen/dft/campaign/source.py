"""The candidates of a campaign: rows of a table, or the compositions of a folder of structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.datasets import read_formula_table
from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.codes import CODES
from matgen.dft.references import element_jobs
from matgen.errors import DataError
from matgen.io.files import file_sha256
from matgen.io.parquet import read_parquet
from matgen.structures.energies import mp2020_phases
from matgen.structures.finish import Finish
from matgen.structures.folder import CANDIDATES, TABLE, is_structure_folder, read_plan, read_structures

LEFT_OUT = "left_out"
"""Column of a reason why a candidate is not calculated; empty where it is."""


@dataclass(frozen=True)
class Source:
    """What a campaign is about.

    Attributes:
        frame: a row for each distinct composition, with the columns of the input; `formula` is the reduced formula, or
            the input's text where it cannot be read. Of a folder of structures, with the columns of the lowest one.
        folder: the folder of structures, or None where they are to be made.
    """

    frame: pd.DataFrame
    folder: Path | None

    @property
    def formulas(self) -> list[str]:
        """Of the rows."""
        return [str(formula) for formula in self.frame["formula"]]

    def content(self) -> dict[str, Any]:
        """By what a later call recognizes the same candidates."""
        content: dict[str, Any] = {"formulas": self.formulas}
        return content if self.folder is None else content | {"structures": file_sha256(self.folder / TABLE)}

    def relaxation(self, plan: CampaignPlan) -> tuple[str, Finish | None]:
        """Potentials that relax competing phases: those of the candidates, where they were relaxed."""
        made = {} if self.folder is None else read_plan(self.folder)
        if made.get("potential"):
            return str(made["potential"]), Finish(**made["finish"]) if made.get("finish") else None
        return plan.potential, None if plan.finish is None else Finish(plan.finish)


def read_source(path: Path, column: str | None, plan: CampaignPlan) -> Source:
    """The first rows of a table, or the first compositions of a folder that `matgen structure` wrote.

    Rows of the same composition count once.

    Raises:
        DataError: the input is missing, damaged or empty.
    """
    if is_structure_folder(path):
        return Source(_of_folder(path).head(plan.top).reset_index(drop=True), path)
    frame, name = read_formula_table(path, column)
    parsed = parse_some(frame[name])
    formulas = [str(text) for text in frame[name]]
    for row, formula in zip(parsed.rows.tolist(), parsed.batch.formulas().tolist(), strict=True):
        formulas[row] = formula
    if name != "formula" and "formula" in frame:
        frame = frame.rename(columns={"formula": "formula_input"})
    frame = frame.drop(columns=name).reset_index(drop=True)
    frame.insert(0, "formula", formulas)
    frame = frame.drop_duplicates("formula").head(plan.top).reset_index(drop=True)
    if frame.empty:
        raise DataError(f"{path} has no rows")
    return Source(frame, None)


def _of_folder(folder: Path) -> pd.DataFrame:
    """The compositions with a structure, each with its lowest one and what the input said of it."""
    every, structures = read_structures(folder)
    lowest = every[every["reason"] == ""].drop_duplicates("rank")
    if lowest.empty:
        raise DataError(f"{folder} holds no structure")
    lowest = lowest.drop(columns=["reason", "duplicate_of"], errors="ignore")
    lowest = lowest.assign(n_atoms=[len(structures[id]) for id in lowest["structure_id"]])
    if not (folder / CANDIDATES).exists():
        return lowest
    candidates = read_parquet(folder / CANDIDATES)
    told = candidates.drop(columns=[name for name in candidates if name in lowest and name != "structure_id"])
    return lowest.merge(told.dropna(subset=["structure_id"]), on="structure_id", how="left")


def left_out(source: Source, plan: CampaignPlan) -> dict[str, str]:
    """Formula to reason, of the candidates that cannot be calculated or would get no formation energy.

    Raises:
        OptionError: the engine has data of no element, such as pw.x without pseudopotentials.
    """
    code = CODES[plan.engine]
    reasons = {str(source.formulas[bad.row]): f"the formula cannot be read: {bad.reason}"
               for bad in parse_some(pd.Series(source.formulas)).bad}  # fmt: skip
    symbols = {formula: _symbols(formula) for formula in source.formulas if formula not in reasons}
    known = code.known_elements(plan.settings)
    _, lacking = element_jobs(sorted(set().union(*symbols.values())) if symbols else [])
    for formula, elements in symbols.items():
        without_data = sorted(elements - known) if known is not None else []
        without_reference = sorted(elements & lacking.keys())
        if len(elements) == 1:
            reasons[formula] = "an element has no formation energy"
        elif without_data:
            reasons[formula] = f"{code.title} has no PBE data of {', '.join(without_data)} here"
        elif without_reference:
            reasons[formula] = "no formation energy: " + "; ".join(lacking[symbol] for symbol in without_reference)
    if source.folder is not None:
        for formula, n in zip(source.formulas, source.frame["n_atoms"], strict=True):
            if formula not in reasons and n > plan.max_atoms:
                reasons[formula] = f"{n} atoms, above --max-atoms {plan.max_atoms}"
    return reasons


def competing_formulas(formulas: Iterable[str]) -> list[str]:
    """The compounds of the hull of known phases (`mp2020_phases`) that compositions would decompose into, distinct."""
    names: dict[str, None] = {}
    batch = CompositionBatch.from_formulas(list(formulas))
    if len(batch):
        phases = mp2020_phases()
        products = phases.decompose(batch).product
        names = dict.fromkeys(phases.batch[products[products >= 0]].formulas().tolist())
    return list(names)


def with_reasons(frame: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """The rows with the reason why each is left out, empty text where it is not."""
    return frame.assign(**{LEFT_OUT: [reasons.get(str(formula), "") for formula in frame["formula"]]})


def _symbols(formula: str) -> set[str]:
    from matgen.composition.elements import SYMBOLS

    return {str(SYMBOLS[z]) for z in CompositionBatch.from_formulas([formula]).elements[0] if z}
