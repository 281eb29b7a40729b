"""Formation energies from a user's own entries of pymatgen, and which of them may share a hull."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, first_line
from matgen.io.files import read_json
from matgen.runtime.unreadable import report_unreadable


def formation_energies_of(path: Path | str) -> tuple[CompositionBatch, np.ndarray]:
    """Compositions and formation energies, eV/atom, of a JSON list of pymatgen's `ComputedEntry`.

    They refer to the lowest entry of each element in the file.

    Returns:
        `n` compositions, and float64 `(n,)`.

    Entries that cannot be read are left out with a warning (`MatgenWarning`).

    Raises:
        DataError: the file is not such a list, or more than a fifth of it cannot be read; an element has no entry of
            its own, or energies of functionals meet that cannot be compared.
    """
    from pymatgen.entries.computed_entries import ComputedEntry

    content = read_json(path)
    if not isinstance(content, list):
        raise DataError(f"{path} is not a JSON list of pymatgen ComputedEntry")
    entries, bad = [], []
    for number, entry in enumerate(content, 1):
        try:
            entries.append(ComputedEntry.from_dict(entry))
            if not np.isfinite(entries[-1].energy):
                raise ValueError(f"its energy is {entries.pop().energy}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else first_line(error)
            bad.append(f"entry {number}: {reason}")
    if not entries:
        raise DataError(f"{path} is not a JSON list of pymatgen ComputedEntry: {(bad or ['it is empty'])[0]}")
    report_unreadable(str(path), len(bad), len(content), bad[0] if bad else None)
    _require_comparable(entries, path)
    lowest: dict[str, float] = {}
    for entry in entries:
        if entry.composition.is_element:
            symbol = entry.composition.elements[0].symbol
            lowest[symbol] = min(lowest.get(symbol, np.inf), entry.energy_per_atom)
    missing = {element.symbol for entry in entries for element in entry.composition} - set(lowest)
    if missing:
        raise DataError(f"{path} has no entry of the element {', '.join(sorted(missing))}: add one")
    formation = [
        entry.energy_per_atom
        - sum(lowest[element.symbol] * share for element, share in entry.composition.fractional_composition.items())
        for entry in entries
    ]
    return CompositionBatch.from_formulas([entry.composition.reduced_formula for entry in entries]), np.array(formation)


_FUNCTIONALS = {"GGA": "PBE", "GGA+U": "PBE", "R2SCAN": "r2SCAN", "R2SCAN+U": "r2SCAN", "SCAN": "SCAN", "LDA": "LDA"}
"""Run types of the Materials Project (emmet's `RunType`) to the functional of their energies."""


def _require_comparable(entries: Sequence[Any], path: Path | str) -> None:
    """Raise a `DataError` where entries of several functionals would share a hull.

    PBE and PBE+U share one by the corrections of their +U entries only (Jain et al., Phys. Rev. B 84, 045115, 2011);
    PBE and r2SCAN by pymatgen's mixing scheme (Kingsbury et al., npj Comput. Mater. 8, 195, 2022), which adjusts all
    entries of one of the two.
    """
    run_types = [str((entry.parameters or {}).get("run_type") or "").upper() for entry in entries]
    formulas = [entry.composition.reduced_formula for entry in entries]
    if not any(run_types):
        return
    if not all(run_types):
        raise DataError(
            f"{path}: {run_types.count(''):,} of {len(entries):,} entries have no run_type in their parameters, as "
            f"{formulas[run_types.index('')]}: give it for all, so that no functionals are mixed"
        )
    by_functional = Counter(
        _FUNCTIONALS.get(run_type, run_type)
        for entry, run_type in zip(entries, run_types, strict=True)
        if not any("mixing" in str(adjustment.name).lower() for adjustment in entry.energy_adjustments)
    )
    if len(by_functional) > 1:
        counts = ", ".join(f"{n:,} of {functional}" for functional, n in by_functional.most_common())
        raise DataError(f"{path} mixes functionals (entries: {counts}), whose energies share no hull: split the file")
    without_u = [run_type for run_type in run_types if not run_type.endswith("+U")]
    plain_u = [
        formula
        for entry, formula, run_type in zip(entries, formulas, run_types, strict=True)
        if run_type.endswith("+U") and not entry.correction
    ]
    if without_u and plain_u:
        raise DataError(
            f"{path}: {len(plain_u):,} entries with U have no correction, such as {plain_u[0]}, beside some without: "
            "apply pymatgen's MaterialsProject2020Compatibility to all of them first"
        )
