"""Reasons for verdicts: the oxidation states that work, or what stands in the way, for whole batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ELECTRONEGATIVITY, SYMBOLS
from matgen.runtime.compiled import load_kernel
from matgen.runtime.cores import available_cores
from matgen.runtime.progress import ProgressFactory, silent
from matgen.validity.commonness import Commonness, commonness
from matgen.validity.judging import FEW, Validity, check, slices
from matgen.validity.metallicity import INTERMETALLIC, metallicity_score
from matgen.validity.rules import COMMON, StateTable, ValidityRules, electronegativity_text, state_table
from matgen.validity.witness import MAX_SITES, Site, best_balanced, best_nearest

_CHUNK = 20_000


@dataclass(frozen=True)
class Ions:
    """The witnesses of a batch as one table: an entry for each formula, element and state, in order of the formulas.

    Attributes:
        row: int64 `(m,)`, the formula.
        element: uint8 `(m,)`, atomic number; within a formula in matgen's order.
        state: int8 `(m,)`, oxidation state, ascending within an element.
        count: int64 `(m,)`, atoms in the reduced formula.
    """

    row: np.ndarray
    element: np.ndarray
    state: np.ndarray
    count: np.ndarray

    def texts(self) -> np.ndarray:
        """Each ion with its atoms, such as `3O2-`, object `(m,)`. Equal ions share one text."""
        kind = np.stack([self.element.astype(np.int64), self.state.astype(np.int64), self.count])
        code = (kind[2] * 256 + kind[1] + 128) * 256 + kind[0]
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        words = [_ion_text(*ion) for ion in kind[:, first].T.tolist()]
        return np.array(words, dtype=object)[place] if words else np.empty(0, dtype=object)


@dataclass(frozen=True)
class Explanation:
    """Verdicts with their reasons; the text columns are made when they are asked for.

    The witness is the most common assignment of oxidation states that works: of those that balance (or, where none
    does, of the neutral ones; or, where none is neutral, of those nearest to neutral) the one with the largest product
    over the elements of each state's share of the element's reports in the ICSD (2024). A single element has the state
    zero. Under mixed valence an element's share is the geometric mean over its atoms, and assignments without mixing go
    first.

    Attributes:
        batch: the `n` compositions.
        rules: the settings.
        validity: the verdicts.
        charge: int64 `(n,)`, total charge of the assignment in `ions`: 0 where it is neutral.
        ions: the assignments.
        explained: bool `(n,)`, formulas that have an assignment in `ions`.
    """

    batch: CompositionBatch
    rules: ValidityRules
    validity: Validity
    charge: np.ndarray
    ions: Ions
    explained: np.ndarray

    @cached_property
    def assignments(self) -> np.ndarray:
        """Every assignment, neutral or only near it, as text such as `Sr2+ Ti4+ 3O2-`, object `(n,)`, None without."""
        texts = np.full(len(self.batch), None, dtype=object)
        starts = np.flatnonzero(np.diff(self.ions.row, prepend=-1))
        if len(starts):
            tokens = self.ions.texts()
            tokens[np.delete(np.arange(len(tokens)), starts)] = " " + tokens[np.delete(np.arange(len(tokens)), starts)]
            texts[self.ions.row[starts]] = np.add.reduceat(tokens, starts)
        return texts

    @cached_property
    def oxidation_states(self) -> np.ndarray:
        """The witness of every neutral formula as text, object `(n,)`, None for the others."""
        texts = self.assignments.copy()
        texts[~self.validity.charge_neutral] = None
        return texts

    @cached_property
    def commonness(self) -> Commonness:
        """How common the states of the balanced witnesses are.

        The witness is the assignment with the best score: per element, the share of reports that it is chosen by and
        the ratio to the commonest state differ by a constant factor.
        """
        ions, single = self.ions, self.batch.n_elements == 1
        balanced = self.validity.electronegativity_balanced
        return commonness(
            len(self.batch),
            (ions.row, ions.element, ions.state, ions.count),
            balanced & self.explained & ~single,
            single,
            ~self.validity.judged | (balanced & ~self.explained),
            state_table(self.rules),
        )

    @cached_property
    def balanced_common(self) -> np.ndarray:
        """Whether states that are common in the ICSD balance (`rules.COMMON`, whatever the table), bool `(n,)`."""
        rules = replace(COMMON, mixed_valence=self.rules.mixed_valence)
        return check(self.batch, rules).electronegativity_balanced

    @cached_property
    def metallicity_score(self) -> np.ndarray:
        """SMACT's metallicity score, float64 `(n,)`; see `metallicity`."""
        return metallicity_score(self.batch)

    @property
    def intermetallic(self) -> np.ndarray:
        """Whether a composition counts as intermetallic, so that its oxidation states say little, bool `(n,)`."""
        return np.asarray(self.metallicity_score >= INTERMETALLIC)

    @cached_property
    def reason(self) -> np.ndarray:
        """Why a formula is not balanced, in words, object `(n,)`, None where it is."""
        reasons = np.full(len(self.batch), None, dtype=object)
        balanced, neutral = self.validity.electronegativity_balanced, self.validity.charge_neutral
        self._explain_unjudged(reasons)
        self._explain_stateless(reasons)
        rows = np.flatnonzero(self.validity.judged & ~neutral & self.explained)
        reasons[rows] = _join(
            "no neutral assignment: the nearest, ", self.assignments[rows], ", has charge ", _signed(self.charge[rows])
        )
        self._explain_unbalanced(reasons, np.flatnonzero(neutral & ~balanced & self.explained))
        left = np.flatnonzero((reasons == None) & ~balanced)  # noqa: E711 (an array of objects)
        reasons[left] = np.where(neutral[left], "neutral, but not balanced", "no neutral assignment")
        return reasons

    def _explain_unjudged(self, reasons: np.ndarray) -> None:
        reasons[~self.validity.judged] = "too many atoms: the charges are too large to add up"

    def _explain_stateless(self, reasons: np.ndarray) -> None:
        """Name the elements without a state."""
        table = state_table(self.rules)
        stateless = (self.batch.elements > 0) & (table.n_states[self.batch.elements] == 0)
        for i in np.flatnonzero(stateless.any(axis=1) & ~self.validity.charge_neutral):
            symbols = " and ".join(SYMBOLS[self.batch.elements[i][stateless[i]]])
            reasons[i] = f"no oxidation states for {symbols} in {table.name}"

    def _explain_unbalanced(self, reasons: np.ndarray, rows: np.ndarray) -> None:
        """Name the worst pair: the most electronegative cation beside the least electronegative anion."""
        missing = np.isnan(ELECTRONEGATIVITY[self.batch.elements]) & (self.batch.elements > 0)
        lacking = missing[rows].any(axis=1)
        for i in rows[lacking]:
            symbol = SYMBOLS[self.batch.elements[i][missing[i]]][0]
            reasons[i] = f"neutral as {self.assignments[i]}, but {symbol} has no electronegativity to test"
        rows = rows[~lacking]
        if not len(rows):
            return
        cation = self._extreme_ion(rows, positive=True)
        anion = self._extreme_ion(rows, positive=False)
        bare = replace(self.ions, count=np.ones_like(self.ions.count)).texts()
        chi = np.array([electronegativity_text(z) for z in range(len(SYMBOLS))], dtype=object)[self.ions.element]
        reasons[rows] = _join(
            "neutral as ",
            self.assignments[rows],
            ", but ",
            _join(bare[cation], " (electronegativity ", chi[cation], ") is no less electronegative than "),
            _join(bare[anion], " (", chi[anion], ")"),
        )

    def _extreme_ion(self, rows: np.ndarray, *, positive: bool) -> np.ndarray:
        """Of each row the place in `ions` of its last cation, or first anion, the extreme one, int64 `(m,)`."""
        place = np.flatnonzero(self.ions.state > 0 if positive else self.ions.state < 0)
        at = np.searchsorted(self.ions.row[place], rows, side="right" if positive else "left")
        return place[at - 1 if positive else at]


def explain(
    batch: CompositionBatch | Any,
    rules: ValidityRules | None = None,
    *,
    workers: int | None = None,
    progress: ProgressFactory = silent,
) -> Explanation:
    """Judge every composition of a batch and find its witness, or what comes nearest to one.

    Args:
        batch: `n` compositions, or formulas as `CompositionBatch.from_formulas` takes them.
        rules: the settings, by default SMACT's default table without its alloy rule.
        workers: threads, by default the number of cores this process may use.
        progress: counts the compositions judged.

    Raises:
        FormulaError: a formula cannot be read.
        DataError: the rules name a table that cannot be read.
    """
    batch = CompositionBatch.from_formulas(batch)
    rules = rules or ValidityRules()
    table = state_table(rules)
    validity = check(batch, rules, workers=workers, progress=progress)
    simple = check(batch, replace(rules, mixed_valence=False), workers=workers) if rules.mixed_valence else validity
    single = batch.n_elements == 1
    stateless = ((batch.elements > 0) & (table.n_states[batch.elements] == 0)).any(axis=1)
    searched = validity.judged & ~single & ~stateless
    balanced = validity.electronegativity_balanced
    # Mixing is looked at only where it is what makes the verdict, or where nothing helps.
    apart = searched & ~np.where(balanced, simple.electronegativity_balanced, simple.charge_neutral)
    charge = np.zeros(len(batch), dtype=np.int64)
    explained = single.copy()
    parts = [_single_elements(batch, np.flatnonzero(single))]
    for rows, mixing in ((np.flatnonzero(searched & ~apart), False), (np.flatnonzero(apart), rules.mixed_valence)):
        sites = _Sites.of(batch, rows, table, mixing=mixing)
        chosen, charge[rows], explained[rows] = sites.search(table, balanced[rows], workers)
        parts.append(sites.ions(table, chosen, explained[rows]))
    return Explanation(batch, rules, validity, charge, _merge(parts), explained)


@dataclass(frozen=True)
class _Sites:
    """Sites of some formulas, one after another: see `witness_kernel.find` for the arrays."""

    rows: np.ndarray
    offsets: np.ndarray
    element: np.ndarray
    atoms: np.ndarray
    divisor: np.ndarray

    @classmethod
    def of(cls, batch: CompositionBatch, rows: np.ndarray, table: StateTable, *, mixing: bool) -> _Sites:
        elements, counts = batch.elements[rows].astype(np.int64), batch.counts[rows].astype(np.int64)
        split = table.mixed[elements] & (elements > 0) if mixing else np.zeros(elements.shape, dtype=bool)
        n_sites = np.where(split, counts, np.minimum(counts, 1))
        too_many = n_sites.sum(axis=1) > MAX_SITES  # nobody searches them: keep them unsplit, they stay unexplained
        split[too_many], n_sites[too_many] = False, np.minimum(counts[too_many], 1)
        repeats = n_sites.ravel()
        return cls(
            rows,
            np.concatenate([[0], np.cumsum(n_sites.sum(axis=1))]),
            np.repeat(elements.ravel(), repeats),
            np.repeat(np.where(split, 1, counts).ravel(), repeats),
            np.repeat(np.where(split, counts, 1).ravel(), repeats),
        )

    def search(
        self, table: StateTable, balanced: np.ndarray, workers: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States chosen at each site, total charge and success of each formula."""
        n = len(self.rows)
        chosen = np.zeros(len(self.element), dtype=np.int8)
        charge, done = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
        kernel = load_kernel("validity.witness_kernel") if n > FEW else None

        def search(part: slice) -> None:
            if kernel is not None:
                kernel.find(
                    self.offsets[part.start : part.stop + 1],
                    self.element,
                    self.atoms,
                    self.divisor,
                    table.states,
                    table.n_states,
                    table.weights,
                    ELECTRONEGATIVITY,
                    balanced[part],
                    chosen,
                    charge[part],
                    done[part],
                )
            for i in part.start + np.flatnonzero(~done[part]):
                place = slice(self.offsets[i], self.offsets[i + 1])
                result = _search_one(self._sites(place, table), balanced[i])
                if result is not None:
                    chosen[place], charge[i], done[i] = result[0], result[1], True

        with ThreadPoolExecutor(workers or available_cores()) as pool:
            list(pool.map(search, slices(n, _CHUNK)))
        return chosen, charge, done

    def _sites(self, place: slice, table: StateTable) -> list[Site]:
        sites = []
        for z, atoms, divisor in zip(self.element[place], self.atoms[place], self.divisor[place], strict=True):
            n = table.n_states[z]
            charges = [state * int(atoms) for state in table.states[z, :n].tolist()]
            weights = [weight // int(divisor) for weight in table.weights[z, :n].tolist()]
            sites.append(Site(charges, weights, float(ELECTRONEGATIVITY[z])))
        return sites

    def ions(self, table: StateTable, chosen: np.ndarray, explained: np.ndarray) -> Ions:
        """The choice as ions, sites of the same element and state added up."""
        row = np.repeat(np.arange(len(self.rows)), np.diff(self.offsets))
        kept = explained[row]
        row, element, atoms = row[kept], self.element[kept], self.atoms[kept]
        state = table.states[element, chosen[kept]]
        slot = np.cumsum(np.diff(row * 256 + element, prepend=-1) != 0)  # elements of a row keep their order
        order = np.lexsort((state, slot))
        row, element, atoms, state, slot = row[order], element[order], atoms[order], state[order], slot[order]
        first = np.flatnonzero(np.diff(slot * 256 + state, prepend=-1) != 0)
        count = np.add.reduceat(atoms, first) if len(first) else atoms
        return Ions(self.rows[row[first]], element[first].astype(np.uint8), state[first], count)


def _search_one(sites: list[Site], balanced: bool) -> tuple[list[int], int] | None:
    if len(sites) > MAX_SITES:
        return None
    if balanced:
        picked = best_balanced(sites)
        return None if picked is None else (picked, 0)
    return best_nearest(sites)


def _single_elements(batch: CompositionBatch, rows: np.ndarray) -> Ions:
    ones = np.ones(len(rows), dtype=np.int64)
    return Ions(rows, batch.elements[rows, 0], np.zeros(len(rows), dtype=np.int8), ones)


def _merge(parts: list[Ions]) -> Ions:
    """One table in order of the formulas."""
    row = np.concatenate([part.row for part in parts])
    order = np.argsort(row, kind="stable")
    return Ions(
        row[order],
        np.concatenate([part.element for part in parts])[order],
        np.concatenate([part.state for part in parts])[order],
        np.concatenate([part.count for part in parts])[order],
    )


def _ion_text(element: int, state: int, count: int) -> str:
    sign = "0" if state == 0 else "+" if state > 0 else "-"
    return f"{count if count > 1 else ''}{SYMBOLS[element]}{abs(state) if abs(state) > 1 else ''}{sign}"


def _signed(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, "+", "").astype(object) + values.astype(str).astype(object)


def _join(*parts: np.ndarray | str) -> np.ndarray:
    """Texts put together row by row."""
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + part
    return np.asarray(joined, dtype=object)
