"""The columns a reward may name, each from the stage that makes it; of compositions only those named are computed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.errors import OptionError
from matgen.prediction.columns import IN_DOMAIN, PredictedColumns, predicted_names
from matgen.reinforcement.expression import OF_ELEMENTS, elements_of
from matgen.sampling.known import known_compositions
from matgen.screening import supply
from matgen.validity import COMMON, ValidityRules, check, explain, metallicity_score

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

Columns = dict[str, np.ndarray]

JUDGED = ("charge_neutral", "electronegativity_balanced", "valid", "judged")
"""Columns of `evaluate` by its default rules."""
COMMON_STATES = ("oxidation_state_score", "rarest_state_share")
SUPPLIED = ("cost", "crustal_abundance", "hhi_production", "hhi_reserve", "toxic", "radioactive")
"""Numbers that `screen` adds."""
COUNTED: dict[str, Callable[[CompositionBatch], np.ndarray]] = {
    "all_metal": lambda batch: batch.all_metal,
    "balanced_common": lambda batch: check(batch, COMMON).electronegativity_balanced,
    "metallicity_score": metallicity_score,
    "num_elements": lambda batch: batch.n_elements,
    "num_atoms": lambda batch: batch.n_atoms,
}
"""Columns that take one call."""
NOVEL = "novel"
_OF_TEXT = (
    "reduced_formula", "near_duplicate_of", "oxidation_states", "rarest_state", "reason", "scarcest_element",
    "decomposition", "formula", "chemical_system", "anonymous_formula",
)  # fmt: skip


class RewardColumns:
    """Columns of compositions by name, of which only those that are named are computed.

    Args:
        names: as a reward names them, in any case.
        predictors: folders to take before the bundled predictors.
        source: whose labels bundled predictors learned, `oqmd` or `mp`.
        reference: datasets or files that `novel` is judged against.

    Attributes:
        predicted: the predictors' columns, None where none is named.
        references: name, SHA-256 and size of what `novel` is judged against, where it is named.

    Raises:
        OptionError: a column that nothing writes; those alike are named.
        DataError: a reference that cannot be read.
        CheckpointError: a folder that is no predictor.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        predictors: Sequence[Path] = (),
        source: str | None = None,
        reference: Sequence[str] = ("hybrid",),
    ) -> None:
        known = {one.casefold(): one for one in (*JUDGED, *COMMON_STATES, *SUPPLIED, *COUNTED, NOVEL)}
        predictable = predicted_names(predictors)
        by_predictors = {one.casefold(): one for one in predictable}
        self.names = {}
        for name in names:
            if elements_of(name) is not None:
                self.names[name] = name
                continue
            folded = name.casefold()
            if folded not in known and folded not in by_predictors:
                raise _unknown(name, [*known.values(), *predictable])
            self.names[name] = known.get(folded, by_predictors.get(folded, name))
        self._own = set(self.names.values())
        predicted = [one for one in self.names.values() if one in predictable]
        if predicted == [IN_DOMAIN]:
            predicted = ["formation_energy", IN_DOMAIN]
        self.predicted = PredictedColumns(predicted, predictors, source) if predicted else None
        self._known, self.references = known_compositions(tuple(reference) if NOVEL in self._own else ())

    def __call__(self, batch: CompositionBatch) -> tuple[Columns, np.ndarray]:
        """The columns of `n` compositions, `(n,)` each by the names as given, and where predictors are in their
        domain, bool `(n,)`: everywhere where none is asked."""
        found: Columns = {name: make(batch) for name, make in COUNTED.items() if name in self._own}
        if self._own & set(JUDGED):
            validity = check(batch)
            found |= {name: getattr(validity, name) for name in JUDGED}
        if self._own & set(COMMON_STATES):
            said = explain(batch, ValidityRules()).commonness
            found |= {"oxidation_state_score": said.score, "rarest_state_share": said.rarest_state_share}
        if self._own & set(SUPPLIED):
            frame = supply(batch)
            found |= {name: frame[name].to_numpy() for name in SUPPLIED}
        if self._known is not None:
            found[NOVEL] = ~self._known.contains(batch.keys())
        inside = np.ones(len(batch), dtype=bool)
        if self.predicted is not None:
            predicted = self.predicted.of(batch)
            inside = predicted[IN_DOMAIN].to_numpy(dtype=bool)
            found |= {name: _numbers(predicted[name]) for name in self._own if name in predicted}
            if lacking := [name for name in self._own if name not in found and elements_of(name) is None]:
                raise OptionError(
                    f"the predictor does not write {lacking[0]}; it writes {', '.join(predicted.columns)}"
                )
        for name in self._own:
            if (of_elements := elements_of(name)) is not None:
                found[name] = _of_elements(batch, *of_elements)
        return {given: found[name] for given, name in self.names.items()}, inside


def _numbers(column: pd.Series) -> np.ndarray:
    if not pd.api.types.is_numeric_dtype(column):
        raise OptionError(f"the column {column.name} holds text, a reward is made of numbers")
    return column.to_numpy()


def _of_elements(batch: CompositionBatch, function: str, numbers: tuple[int, ...]) -> np.ndarray:
    """Whether a composition holds one of some elements, or the share of its atoms that are of them."""
    atoms = (np.isin(batch.elements, numbers) * batch.counts).sum(axis=1)
    return atoms > 0 if function == OF_ELEMENTS[0] else atoms / batch.n_atoms


def _unknown(name: str, known: Sequence[str]) -> OptionError:
    """The error of a name that nothing writes, with the names that it may have meant."""
    if name in _OF_TEXT:
        return OptionError(f"the column {name} holds text, a reward is made of numbers")
    alike = difflib.get_close_matches(name.lower(), known, n=3)
    meant = f": did you mean {' or '.join(alike)}?" if alike else f"; there are {', '.join(known)}"
    return OptionError(f"the reward names a column {name!r} that nothing writes{meant}")
