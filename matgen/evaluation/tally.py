"""Counts over all candidates, chunk by chunk: everything that the numbers of a report are made from.

All of it is additive and none of it grows with the number of candidates, so that a million rows at a time give the same
numbers as all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from matgen.composition.batch import BadFormula
from matgen.datasets.splits import PARTS
from matgen.evaluation import metrics
from matgen.evaluation.distributions import Census
from matgen.evaluation.metrics import Judged, ratio
from matgen.evaluation.systems import SystemCounts, system_codes

MOST_BAD = 100
"""Rows that could not be read that a report lists."""

MOST_ELEMENTS = 84
"""References are counted by number of elements up to here: a part code holds it beside the part, and ends at 255."""

REPORTED = ("train", "test")
"""Parts whose recovery is reported."""

_FIELDS = (
    "n",
    "distinct",
    "novel",
    "charge_neutral",
    "electronegativity_balanced",
    "valid",
    "balanced_common",
    "rare_state",
    "intermetallic",
    "valid_unique_novel",
    "unjudged",
)
_CODES = 256


def cell_codes(part: np.ndarray, n_elements: np.ndarray) -> np.ndarray:
    """Codes for `Membership` that say a composition's part and its number of elements, uint8 `(m,)`.

    Args:
        part: integers `(m,)`, 1 + the place in `datasets.splits.PARTS`.
        n_elements: integers `(m,)`; those above `MOST_ELEMENTS` share one code.
    """
    return (part + len(PARTS) * (np.minimum(n_elements, MOST_ELEMENTS + 1) - 1)).astype(np.uint8)


def curve_points(n: int) -> np.ndarray:
    """Numbers of rows at which curves are given: 1, 2 and 5 times powers of ten from 10 on, below n, and n itself."""
    points = [step * 10**power for power in range(1, len(str(n)) + 1) for step in (1, 2, 5)]
    return np.array([*(point for point in points if point < n), n], dtype=np.int64)


class Tally:
    """What was counted so far.

    Attributes:
        n_rows: all candidates there will be.
        parsed: rows that were read.
        cells: int64 `(120, 2, 11)`, counts of `_FIELDS` by number of elements and by being made of metals alone.
        recovered: int64 `(r, 256)`, distinct compositions found in each reference, by part code.
        recovered_valid: likewise, of the first reference, the valid ones; int64 `(256,)`.
        not_in: int64 `(r,)`, distinct compositions that are not in each reference.
        near: novel distinct compositions looked at for near-duplicates, and how many were one.
        census: distributions.
        systems: chemical systems; None where they are not counted.
        bad: how many rows could not be read.
        bad_listed: the first of them.
    """

    def __init__(
        self,
        n_rows: int,
        n_references: int = 1,
        *,
        census: Census | None = None,
        systems: SystemCounts | None = None,
    ) -> None:
        self.n_rows = n_rows
        self.parsed = 0
        self.cells = np.zeros((120, 2, len(_FIELDS)), dtype=np.int64)
        self.recovered = np.zeros((n_references, _CODES), dtype=np.int64)
        self.recovered_valid = np.zeros(_CODES, dtype=np.int64)
        self.not_in = np.zeros(n_references, dtype=np.int64)
        self.near = np.zeros(2, dtype=np.int64)
        self.census = census
        self.systems = systems
        self.bad = 0
        self.bad_listed: list[BadFormula] = []
        self._points = curve_points(max(n_rows, 1))
        self._events = {
            name: np.zeros(len(self._points), dtype=np.int64)
            for name in ("parsed", "distinct", "novel", "valid", "valid_unique_novel", *REPORTED)
        }

    def add(self, judged: Judged, examined: int | None = None) -> None:
        """Take in the next rows.

        Args:
            judged: what was found of them.
            examined: the row up to whose first occurrences near-duplicates were looked for; None for none at all.
        """
        validity, first, novel = judged.validity, judged.is_first, judged.novel
        explanation, distinct = judged.explanation, judged.place
        new = first & novel
        values = {
            "n": np.ones(len(first), dtype=bool),
            "distinct": first,
            "novel": new,
            "charge_neutral": validity.charge_neutral,
            "electronegativity_balanced": validity.electronegativity_balanced,
            "valid": validity.valid,
            "balanced_common": explanation.balanced_common[distinct],
            "rare_state": explanation.commonness.rare[distinct],
            "intermetallic": explanation.intermetallic[distinct],
            "valid_unique_novel": new & validity.valid,
            "unjudged": ~validity.judged,
        }
        cell = judged.batch.n_elements * 2 + judged.batch.all_metal
        for place, field in enumerate(_FIELDS):
            added = np.bincount(cell[values[field]], minlength=self.cells.shape[0] * 2)
            self.cells[:, :, place] += added.reshape(self.cells.shape[:2])
        self.parsed += len(first)
        self._add_parts(judged, first, validity.valid)
        if examined is not None:
            looked_at = new & (judged.first <= examined)
            self.near += [int(looked_at.sum()), int((judged.near[looked_at] != None).sum())]  # noqa: E711 (objects)

        code = judged.part[:, 0] if judged.part.shape[1] else np.zeros(len(first), dtype=np.uint8)
        in_part = {part: first & (code > 0) & ((code.astype(np.int64) - 1) % len(PARTS) == i)
                   for i, part in enumerate(PARTS)}  # fmt: skip
        events = {"parsed": values["n"]} | {name: values[name] for name in values if name in self._events}
        for name, happened in (events | {part: in_part[part] for part in REPORTED}).items():
            at = np.searchsorted(self._points, judged.rows[happened], side="right")
            self._events[name] += np.bincount(at, minlength=len(self._points))
        if self.census is not None:
            self._add_to_census(judged, first)
        if self.systems is not None:
            fields = np.stack([values["n"], first, new, first & validity.valid], axis=1)
            self.systems.add(judged.batch, system_codes(judged.batch), fields)
        self.bad += len(judged.bad)
        room = MOST_BAD - len(self.bad_listed)
        self.bad_listed += [BadFormula(bad.row + judged.start, bad.formula, bad.reason) for bad in judged.bad[:room]]

    def _add_parts(self, judged: Judged, first: np.ndarray, valid: np.ndarray) -> None:
        for number in range(judged.part.shape[1]):
            code = judged.part[:, number]
            self.recovered[number] += np.bincount(code[first], minlength=_CODES)
            self.not_in[number] += int((code[first] == 0).sum())
            if number == 0:
                self.recovered_valid += np.bincount(code[first & valid], minlength=_CODES)

    def _add_to_census(self, judged: Judged, first: np.ndarray) -> None:
        assert self.census is not None
        rows = np.flatnonzero(first)
        chosen = np.zeros(len(judged.explanation.batch), dtype=bool)
        chosen[judged.place[rows]] = True
        add_to_census(self.census, judged.explanation, chosen)

    def count(self, cells: tuple[Any, Any] = (slice(None), slice(None))) -> dict[str, int]:
        """How many rows, and how many distinct compositions, are what.

        Args:
            cells: number of elements, and 1 for metals alone (0 for the others); by default all rows, read or not.
        """
        total = self.cells[cells].reshape(-1, len(_FIELDS)).sum(axis=0)
        count = {field: int(value) for field, value in zip(_FIELDS, total, strict=True)}
        everything = cells == (slice(None), slice(None))
        return {"n": self.n_rows if everything else count["n"], "parsed": count.pop("n")} | count

    def groups(self) -> dict[str, dict[str, Any]]:
        """The fractions of ionic and of all-metal rows apart, with `n`, each over the group's own (parsed) rows."""
        groups = {}
        for name, all_metal in (("ionic", 0), ("all_metal", 1)):
            count = self.count((slice(None), all_metal))
            shares = metrics.fractions(count)
            groups[name] = {"n": count["n"], **{k: v for k, v in shares.items() if k != "parsed"}}
        return groups

    def by_n_elements(self, sizes: dict[int, int]) -> dict[str, dict[str, Any]]:
        """The fractions by number of elements, each over the group's own rows, where there are any.

        Args:
            sizes: of the first reference, part code to distinct compositions.
        """
        groups = {}
        for number in np.flatnonzero(self.cells[:, :, 0].sum(axis=1)).tolist():
            count = self.count((number, slice(None)))
            shares = metrics.fractions(count)
            recovery: dict[str, float | None] = dict.fromkeys(REPORTED)
            if number <= MOST_ELEMENTS:
                codes = {part: int(cell_codes(np.array([1 + PARTS.index(part)]), np.array([number]))[0])
                         for part in REPORTED}  # fmt: skip
                recovery = {part: self._share(int(self.recovered[0, code]), sizes.get(code, 0))
                            for part, code in codes.items()}  # fmt: skip
            groups[str(number)] = (
                {"n": count["n"], "distinct": count["distinct"]}
                | {name: value for name, value in shares.items() if name != "parsed"}
                | {"recovery": recovery}
            )
        return groups

    def recovery(self, reference: int, sizes: dict[int, int], *, valid: bool = False) -> dict[str, dict[str, Any]]:
        """How many of a reference's compositions are among the candidates, for the parts `train` and `test`.

        Args:
            reference: its number.
            sizes: part code to distinct compositions.
            valid: only valid ones; of the first reference alone.

        Returns:
            Of each part `found`, `of` and `fraction` (None where the part is empty).
        """
        by_code = self.recovered_valid if valid else self.recovered[reference]
        recovered = {}
        for part in REPORTED:
            codes = np.arange(1 + PARTS.index(part), _CODES, len(PARTS))
            of = sum(sizes.get(code, 0) for code in codes.tolist())
            hits = int(by_code[codes].sum())
            recovered[part] = {"found": hits, "of": of, "fraction": self._share(hits, of)}
        return recovered

    def curves(self, recovery: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """The entry `curves` of a report: shares of the first rows, in order.

        Args:
            recovery: of the first reference, as `recovery` gives it.
        """
        so_far = {name: np.cumsum(events).tolist() for name, events in self._events.items()}
        points = self._points.tolist()

        def shares(part: Sequence[int], total: Sequence[int]) -> list[float]:
            return [ratio(a, b) for a, b in zip(part, total, strict=True)]

        return {
            "n": points,
            "unique": shares(so_far["distinct"], so_far["parsed"]),
            "novel": shares(so_far["novel"], so_far["distinct"]),
            "valid": shares(so_far["valid"], points),
            "valid_unique_novel": so_far["valid_unique_novel"],
            "recovery": {part: [self._share(hits, recovery[part]["of"]) for hits in so_far[part]]
                         for part in REPORTED},
        }  # fmt: skip

    def near_duplicates(self) -> dict[str, Any]:
        """The entry `near_duplicates` of a report."""
        of, hits = self.near.tolist()
        count = self.count()
        fraction = ratio(hits, of)
        beyond = ratio(count["novel"], count["distinct"]) * (1.0 - fraction)
        return {"of": of, "found": hits, "fraction": fraction, "novel_beyond_substitution": beyond}

    @staticmethod
    def _share(part: int, total: int) -> float | None:
        return part / total if total else None


def add_to_census(census: Census, explanation: Any, chosen: np.ndarray) -> None:
    """Count some compositions of an `Explanation`, bool `(d,)`, and the ions of the neutral ones among them."""
    rows = np.flatnonzero(chosen)
    ions = explanation.ions
    of_chosen = (chosen & explanation.validity.charge_neutral)[ions.row]
    census.add(explanation.batch[rows], ions.element[of_chosen], ions.state[of_chosen])
