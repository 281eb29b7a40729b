"""The rules of a judgment: which oxidation states an element may take, and what is accepted without a test."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY, N_ELEMENTS, SYMBOLS
from matgen.errors import DataError, OptionError, unknown_name

TABLES: dict[str, str | None] = {
    "icsd24": None,
    "icsd16": "icsd16",
    "smact14": "smact14",
    "pymatgen": "pymatgen_sp",
    "wiki": "wiki",
}
"""Oxidation-state tables: matgen's name to the `oxidation_states_set` of `smact_validity`. `icsd24` is SMACT's default,
the states that the ICSD (2024) reports, filtered as `ValidityRules` says; the others are fixed lists."""

COMMONALITY: dict[str, float] = {"low": 0.0, "medium": 10.0, "high": 50.0}
"""Words for the least share of an element's reports, in per cent, that a state needs; besides, `main` keeps the most
reported state alone. As in SMACT's `ICSD24OxStatesFilter`."""

MIXED_VALENCE_ELEMENTS: tuple[str, ...] = (
    *("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Nb", "Mo", "Ru", "Pd", "Ag", "Sn", "Sb"),
    *("Ce", "Eu", "Yb", "W", "Re", "Os", "Au", "Bi", "U"),
)
"""Elements whose atoms may take different states in one formula under mixed valence: SMACT's list of 24."""

MAX_STATE = 20
"""Largest oxidation state, of either sign, that a user's table may hold. The known ones reach from -5 to +9."""

UNREPORTED = 0.5
"""Reports assumed for a state that the ICSD (2024) does not report, so that the logarithm of its share exists."""

_SCALE = 1_000_000


@dataclass(frozen=True)
class ValidityRules:
    """How compositions are judged. The defaults are SMACT's, but for its alloy rule.

    Attributes:
        oxidation_states: a key of `TABLES`, or the path of a table in SMACT's format: lines of an element's symbol
            and its states (`Fe 2 3`), `#` starts a comment.
        include_alloys: call compositions of metals alone valid without a test, as SMACT does by default.
        mixed_valence: let the atoms of an element of `MIXED_VALENCE_ELEMENTS` take several states at once.
        consensus: reports in the ICSD that a state needs (`icsd24` only).
        commonality: least share of its element's reports that a state needs: a word of `COMMONALITY`, `main`, or per
            cent (`icsd24` only).
        include_zero: count the state zero among an element's states (`icsd24` only).

    Raises:
        OptionError: an unknown table, or a filter that does not exist or that the table does not have.
    """

    oxidation_states: str = "icsd24"
    include_alloys: bool = False
    mixed_valence: bool = False
    consensus: int = 3
    commonality: str | float = "low"
    include_zero: bool = False

    def __post_init__(self) -> None:
        if self.oxidation_states not in TABLES and not Path(self.oxidation_states).is_file():
            raise OptionError(
                f"{unknown_name('oxidation-state table', self.oxidation_states, TABLES)}; a file of your own is named "
                "by its path, and there is none of this name"
            )
        filtered = (self.consensus, self.commonality, self.include_zero) != (3, "low", False)
        if filtered and self.oxidation_states != "icsd24":
            raise OptionError(
                f"consensus, commonality and include_zero filter icsd24 alone, not {self.oxidation_states}"
            )
        if self.consensus < 0:
            raise OptionError(f"consensus {self.consensus}: at least 0")
        if isinstance(self.commonality, str):
            if self.commonality not in (*COMMONALITY, "main"):
                raise OptionError(f"commonality {self.commonality!r}: low, medium, high, main, or a number of per cent")
        elif not 0 <= self.commonality <= 100:
            raise OptionError(f"commonality {self.commonality}: 0 to 100 per cent")


COMMON = ValidityRules(commonality="medium")
"""The rules of `balanced_common`: only states with at least 10 % of their element's reports, SMACT's "medium"."""


@dataclass(frozen=True)
class StateTable:
    """The states that each element may take, as arrays indexed by atomic number.

    Attributes:
        states: int8 `(119, s)`, ascending, padded with 0 behind the first `n_states`.
        n_states: int64 `(119,)`.
        weights: int64 `(119, s)`, how common each state is: 10^6 times the natural logarithm of its share of the
            element's reports in the ICSD (2024), `UNREPORTED` reports standing in for none. Integers, so that sums of
            them do not depend on order.
        mixed: bool `(119,)`, elements whose atoms may differ in state.
        name: the table's name or path.
        sha256: of the states (not of the weights), the same for equal tables from different sources.
    """

    states: np.ndarray
    n_states: np.ndarray
    weights: np.ndarray
    mixed: np.ndarray
    name: str
    sha256: str

    def of(self, symbol: str) -> list[int]:
        """The states of one element, ascending."""
        z = ATOMIC_NUMBER[symbol]
        return self.states[z, : self.n_states[z]].tolist()


def state_table(rules: ValidityRules) -> StateTable:
    """The table that the rules name, filtered as they say.

    Raises:
        DataError: a user's table cannot be read or holds something else than elements and integers.
    """
    if rules.oxidation_states in TABLES:
        return _named_table(rules)
    return _table(read_states(rules.oxidation_states), rules)


def read_states(path: Path | str) -> dict[str, list[int]]:
    """Read a table of oxidation states in SMACT's format; commas or semicolons may stand for its blanks.

    Raises:
        DataError: not readable, a line with an unknown element or something that is not a small integer, or two lines
            of one element with other states.
    """
    try:
        content = Path(path).read_bytes()
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        lines = content.decode(encoding).replace("\u2212", "-").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the oxidation states in {path}: {error}") from error
    table: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        symbol, *states = re.split(r"[\s,;]+", line.partition("#")[0].strip(" \t,;"))
        if not symbol:
            continue
        if symbol not in SYMBOLS[1:]:
            raise DataError(f"{path}, line {number}: {symbol!r} is not an element (a line is like: Fe 2 3)")
        try:
            read = [int(state) for state in states]
        except ValueError as error:
            raise DataError(f"{path}, line {number}: states of {symbol} must be integers, like: Fe 2 3") from error
        if symbol in table and set(table[symbol]) != set(read):
            raise DataError(
                f"{path}, line {number}: {symbol} has a line with other states above: write all states of an element "
                "in one line"
            )
        table[symbol] = read
        if any(abs(state) > MAX_STATE for state in table[symbol]):
            raise DataError(f"{path}, line {number}: a state of {symbol} is beyond {MAX_STATE}")
    if not any(table.values()):
        raise DataError(f"{path} holds no oxidation state (a line is like: Fe 2 3)")
    return table


@lru_cache(maxsize=1)
def _bundled() -> dict[str, dict]:
    return json.loads(Path(__file__).with_name("oxidation_states.json").read_text(encoding="utf-8"))


def icsd_reports() -> np.ndarray:
    """How often the ICSD (2024) reports each state, as SMACT 4 ships it: int64 `(119, 2 * MAX_STATE + 1)`.

    Row: atomic number; column: state + `MAX_STATE`. The state zero has reports too (elements, intermetallics).
    """
    reports = np.zeros((N_ELEMENTS + 1, 2 * MAX_STATE + 1), dtype=np.int64)
    for symbol, states in _bundled()["icsd24_reports"].items():
        for state, count in states.items():
            reports[ATOMIC_NUMBER[symbol], int(state) + MAX_STATE] = count
    return reports


@lru_cache(maxsize=16)
def _named_table(rules: ValidityRules) -> StateTable:
    if rules.oxidation_states == "icsd24":
        return _table(_filter_icsd24(rules), rules)
    return _table(_bundled()[rules.oxidation_states], rules)


def _filter_icsd24(rules: ValidityRules) -> dict[str, list[int]]:
    """States by the filter of SMACT's `ICSD24OxStatesFilter`: the share is of the reports that the consensus left."""
    table = {}
    for symbol, reports in _bundled()["icsd24_reports"].items():
        left = {
            int(state): count
            for state, count in reports.items()
            if count >= max(rules.consensus, 1) and (rules.include_zero or state != "0")
        }
        total = sum(left.values())
        if rules.commonality == "main":
            table[symbol] = [max(left, key=lambda state: left[state])] if left else []  # of equals the lowest state
        else:
            share = COMMONALITY[rules.commonality] if isinstance(rules.commonality, str) else rules.commonality
            table[symbol] = [state for state, count in left.items() if count / total * 100 >= share]
    return table


def _table(states: dict[str, list[int]], rules: ValidityRules) -> StateTable:
    distinct = {ATOMIC_NUMBER[symbol]: sorted(set(of_element)) for symbol, of_element in states.items()}
    width = max(map(len, distinct.values()), default=0) or 1
    array = np.zeros((N_ELEMENTS + 1, width), dtype=np.int8)
    n_states = np.zeros(N_ELEMENTS + 1, dtype=np.int64)
    for z, of_element in distinct.items():
        array[z, : len(of_element)] = of_element
        n_states[z] = len(of_element)
    mixed = np.zeros(N_ELEMENTS + 1, dtype=bool)
    if rules.mixed_valence:
        mixed[[ATOMIC_NUMBER[symbol] for symbol in MIXED_VALENCE_ELEMENTS]] = True
    content = json.dumps({str(SYMBOLS[z]): of_element for z, of_element in sorted(distinct.items()) if of_element})
    return StateTable(
        array,
        n_states,
        _weights(distinct, width),
        mixed,
        rules.oxidation_states,
        hashlib.sha256(content.encode()).hexdigest(),
    )


def _weights(distinct: dict[int, list[int]], width: int) -> np.ndarray:
    reports = icsd_reports()
    weights = np.zeros((N_ELEMENTS + 1, width), dtype=np.int64)
    for z, of_element in distinct.items():
        counts = [max(float(reports[z, state + MAX_STATE]), UNREPORTED) for state in of_element]
        weights[z, : len(of_element)] = [round(_SCALE * math.log(count / sum(counts))) for count in counts]
    return weights


def electronegativity_text(atomic_number: int) -> str:
    """An element's electronegativity as it is shown beside it."""
    return f"{ELECTRONEGATIVITY[atomic_number]:.2f}"
