"""What a drawn composition must satisfy: constraints as a value, their contradictions, and the check of a batch.

Every constraint speaks of the reduced formula that the user sees. How a sampler keeps to them is `reachability`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.composition.groups import symbols_of
from matgen.errors import OptionError
from matgen.sampling.constraints.syntax import (
    Range,
    Slot,
    read_anonymous,
    read_counts,
    read_elements,
    read_range,
    read_stoichiometry,
    write_anonymous,
    write_range,
    write_stoichiometry,
)
from matgen.validity import ValidityRules, check

_FORMER_NAMES = {"elements": "num_elements", "anonymous": "anonymous_formula"}
"""Names of constraints in metadata up to 0.2, to those of today."""


def with_present_names(description: Mapping[str, Any]) -> dict[str, Any]:
    """What `Constraints.describe` wrote, under the names of today."""
    return {_FORMER_NAMES.get(name, name): value for name, value in description.items()}


@dataclass(frozen=True)
class Constraints:
    """Conditions on a composition, all of which must hold. Elements are atomic numbers, in ascending order.

    Attributes:
        chemsys: exactly these elements, each of them present.
        within: no other elements than these.
        contains: these elements are present, whatever else is.
        exclude: none of these elements is present.
        num_elements: how many different elements, as a range.
        max_atoms: the most atoms in the reduced formula.
        anonymous_formula: the counts of the reduced formula, ascending, whatever the elements (`ABC3` is `(1, 1, 3)`).
        stoichiometry: slots of an element, 0 where it is open, and its atoms; together they are the formula.
        count: `(element, least, most)` of single elements; absence counts as 0.
        valid: charge neutral and balanced by electronegativity (`matgen.validity.check`); single elements pass.
        rules: the table of oxidation states behind `valid`.

    Raises:
        OptionError: a value makes no sense, or two constraints contradict each other; the message says which.
    """

    chemsys: tuple[int, ...] | None = None
    within: tuple[int, ...] | None = None
    contains: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    num_elements: Range | None = None
    max_atoms: int | None = None
    anonymous_formula: tuple[int, ...] | None = None
    stoichiometry: tuple[Slot, ...] | None = None
    count: tuple[tuple[int, int, int | None], ...] = ()
    valid: bool = False
    rules: ValidityRules = field(default_factory=ValidityRules)

    @classmethod
    def from_options(
        cls,
        *,
        chemsys: str | Sequence[str] | None = None,
        within: str | Sequence[str] | None = None,
        contains: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        num_elements: str | int | None = None,
        max_atoms: str | int | None = None,
        anonymous_formula: str | None = None,
        stoichiometry: str | None = None,
        count: str | Sequence[str] | None = None,
        valid: bool = False,
        rules: ValidityRules | Mapping[str, Any] | None = None,
    ) -> Constraints:
        """Constraints from text, as on the command line; None leaves a constraint out.

        Args:
            chemsys: `Li-Fe-P-O` (hyphens, commas and blanks part elements everywhere).
            within: the same; groups of `matgen.composition.groups` may be named too.
            contains: elements.
            exclude: elements and groups: `actinides,toxic,Fr`.
            num_elements: `3`, `3..5`, `3..` or `..5`.
            max_atoms: a number.
            anonymous_formula: `ABC3`; the order of the letters does not matter.
            stoichiometry: `Sr ? O3`, `A2 B O4`; see `read_stoichiometry`.
            count: `O:2..6`, several by commas or as a list; from 1 on the element must be there.
            valid: charge neutral and balanced.
            rules: of `valid`; what `describe` wrote is read too.

        Raises:
            OptionError: text that cannot be read, or constraints that contradict each other.
        """
        if isinstance(rules, Mapping):
            rules = ValidityRules(**rules)
        return cls(
            chemsys=None if chemsys is None else read_elements("chemsys", chemsys),
            within=None if within is None else read_elements("within", within, groups=True),
            contains=() if contains is None else read_elements("contains", contains),
            exclude=() if exclude is None else read_elements("exclude", exclude, groups=True),
            num_elements=None if num_elements is None else read_range("num-elements", num_elements),
            max_atoms=None if max_atoms is None else _whole_number("max-atoms", max_atoms),
            anonymous_formula=None if anonymous_formula is None else read_anonymous(anonymous_formula),
            stoichiometry=None if stoichiometry is None else read_stoichiometry(stoichiometry),
            count=() if count is None else read_counts(count),
            valid=valid,
            rules=ValidityRules() if rules is None else rules,
        )

    def __post_init__(self) -> None:
        self._check_values()
        self._check_elements()
        self._check_numbers()

    def __bool__(self) -> bool:
        """True where anything is constrained."""
        return bool(self.given())

    def given(self) -> list[str]:
        """Names of the constraints that are in force (`rules` goes with `valid`)."""
        unset = {one.name: one.default for one in dataclasses.fields(self) if one.name != "rules"}
        return [name for name, default in unset.items() if getattr(self, name) != default]

    def without(self, name: str) -> Constraints:
        """The same constraints but for one."""
        default: Any = type(self).__dataclass_fields__[name].default
        return dataclasses.replace(self, **{name: default})

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Constraints:
        """Constraints from what `describe` wrote, into metadata of this version or of 0.2; raises as `from_options`."""
        return cls.from_options(**with_present_names(description))

    def describe(self) -> dict[str, Any]:
        """The constraints in force, JSON-clean, for metadata: `from_description` gives them back."""
        text: dict[str, Any] = {}
        for name in self.given():
            value = getattr(self, name)
            if name == "chemsys":
                value = "-".join(symbols_of(value))
            elif name in ("within", "contains", "exclude"):
                value = symbols_of(value)
            elif name == "num_elements":
                value = write_range(*value)
            elif name == "anonymous_formula":
                value = write_anonymous(value)
            elif name == "stoichiometry":
                value = write_stoichiometry(value)
            elif name == "count":
                value = [f"{SYMBOLS[z]}:{write_range(low, high)}" for z, low, high in value]
            text[name] = value
        if self.valid:
            text["rules"] = dataclasses.asdict(self.rules)
        return text

    def __str__(self) -> str:
        """One line: `chemsys Fe-Li-O-P, num-elements 3..5, valid`."""
        parts = []
        for name, value in self.describe().items():
            shown = "-".join(value[:8]) + (" ..." if len(value) > 8 else "") if isinstance(value, list) else value
            if name != "rules":
                parts.append(name if value is True else f"{name.replace('_', '-')} {shown}")
        return ", ".join(parts)

    @property
    def fixed(self) -> dict[int, int]:
        """Atoms of the elements that the stoichiometry fixes."""
        return {z: atoms for z, atoms in self.stoichiometry or () if z}

    @property
    def pattern(self) -> tuple[int, ...] | None:
        """Counts of the whole formula, ascending, where the stoichiometry or the anonymous formula gives them."""
        if self.stoichiometry is not None:
            return tuple(sorted(atoms for _, atoms in self.stoichiometry))
        return self.anonymous_formula

    def allowed_elements(self) -> np.ndarray:
        """Elements that may be present, bool `(119,)`."""
        allowed = np.ones(N_ELEMENTS + 1, dtype=bool)
        for only in (self.chemsys, self.within):
            if only is not None:
                allowed &= np.isin(np.arange(N_ELEMENTS + 1), only)
        allowed[[0, *self.exclude, *(z for z, _, high in self.count if high == 0)]] = False
        if self.stoichiometry is not None and all(z for z, _ in self.stoichiometry):
            allowed &= np.isin(np.arange(N_ELEMENTS + 1), list(self.fixed))
        return allowed

    def required_elements(self) -> np.ndarray:
        """Elements that must be present, bool `(119,)`."""
        required = np.zeros(N_ELEMENTS + 1, dtype=bool)
        at_least_one = [z for z, low, _ in self.count if low > 0]
        required[[*(self.chemsys or ()), *self.contains, *at_least_one, *self.fixed]] = True
        return required

    def fewest_atoms(self) -> int:
        """Atoms that a formula has at least, by the constraints on numbers alone."""
        if self.pattern is not None:
            return sum(self.pattern)
        counted = {z: low for z, low, _ in self.count if low > 0}
        fewest, _ = self.num_elements or (1, None)
        n_required = int(self.required_elements().sum())
        return max(n_required, fewest) + sum(counted.values()) - len(counted)

    def satisfied(self, batch: CompositionBatch) -> np.ndarray:
        """Which compositions satisfy every constraint, bool `(n,)`.

        Raises:
            DataError: `rules` names a table that cannot be read.
        """
        elements, counts = batch.elements, batch.counts.astype(np.int64)
        padding = elements == 0
        good = np.ones(len(batch), dtype=bool)
        for only in (self.chemsys, self.within):
            if only is not None:
                good &= (np.isin(elements, only) | padding).all(axis=1)
        for z in (*(self.chemsys or ()), *self.contains):
            good &= (elements == z).any(axis=1)
        if self.exclude:
            good &= ~np.isin(elements, self.exclude).any(axis=1)
        if self.num_elements is not None:
            good &= _inside(batch.n_elements, *self.num_elements)
        if self.max_atoms is not None:
            good &= batch.n_atoms <= self.max_atoms
        for z, low, high in (*self.count, *((z, atoms, atoms) for z, atoms in self.fixed.items())):
            good &= _inside(np.where(elements == z, counts, 0).sum(axis=1), low, high)
        for pattern in (self.anonymous_formula, None if self.stoichiometry is None else self.pattern):
            if pattern is not None:
                width = max(counts.shape[1], len(pattern))
                descending = -np.sort(-np.pad(counts, ((0, 0), (0, width - counts.shape[1]))), axis=1)
                good &= (descending == np.array([*pattern[::-1], *[0] * (width - len(pattern))])).all(axis=1)
        if self.valid and good.any():
            good[good] = check(batch[good], self.rules).electronegativity_balanced
        return good

    def _check_values(self) -> None:
        if self.max_atoms is not None and self.max_atoms < 1:
            raise OptionError(f"max-atoms is {self.max_atoms}, it must be at least 1")
        if self.num_elements is not None and self.num_elements[1] == 0:
            raise OptionError("num-elements is 0: a formula has at least one element")
        for name, pattern in (
            ("anonymous-formula", self.anonymous_formula),
            ("stoichiometry", self.stoichiometry and self.pattern),
        ):
            if pattern and (divisor := int(np.gcd.reduce(pattern))) > 1:
                given = self.describe()[name.replace("-", "_")]
                raise OptionError(
                    f"{name} {given!r} is not reduced: divide its counts by {divisor}, as formulas are written"
                )
        if self.valid and (self.rules.mixed_valence or self.rules.include_alloys):
            raise OptionError("valid means balanced, each element in one state: no mixed valence, no alloy rule")

    def _check_elements(self) -> None:
        """Contradictions between which elements may, must and must not be there."""
        required, allowed = self.required_elements(), self.allowed_elements()
        for z in np.flatnonzero(required & ~allowed).tolist():
            raise OptionError(f"{SYMBOLS[z]} must be present ({self._who_requires(z)}), but {self._who_forbids(z)}")
        if not allowed.any():
            raise OptionError(f"no element is left by {self}")
        for z, low, high in self.count:
            if z in self.fixed and not _inside(np.array(self.fixed[z]), low, high):
                raise OptionError(
                    f"count {SYMBOLS[z]}:{write_range(low, high)} contradicts stoichiometry "
                    f"{write_stoichiometry(self.stoichiometry or ())!r}"
                )

    def _who_requires(self, z: int) -> str:
        if z in self.contains:
            return "contains"
        if z in self.fixed:
            return "stoichiometry"
        return "chemsys" if self.chemsys is not None and z in self.chemsys else "count"

    def _who_forbids(self, z: int) -> str:
        if z in self.exclude:
            return "exclude leaves it out"
        if any(z == other and high == 0 for other, _, high in self.count):
            return f"count {SYMBOLS[z]}:0 leaves it out"
        for name, only in (("within", self.within), ("chemsys", self.chemsys)):
            if only is not None and z not in only:
                return f"it is not in {name} {'-'.join(symbols_of(only))}"
        return f"stoichiometry {write_stoichiometry(self.stoichiometry or ())!r} has no place for it"

    def _check_numbers(self) -> None:
        """Contradictions between numbers of elements and atoms."""
        low, high = self.num_elements or (1, None)
        n_required, n_allowed = int(self.required_elements().sum()), int(self.allowed_elements().sum())
        elements = f"num-elements {write_range(low, high)}"
        if high is not None and n_required > high:
            raise OptionError(f"{n_required} elements must be present, but {elements} allows {high}")
        if n_allowed < low:
            raise OptionError(f"{elements} needs {low} elements, but only {n_allowed} may be used")
        pattern = self.pattern
        if pattern is not None:
            name = "anonymous-formula" if self.stoichiometry is None else "stoichiometry"
            shown = f"{name} {self.describe()[name.replace('-', '_')]!r}"
            if self.anonymous_formula is not None and pattern != self.anonymous_formula:
                raise OptionError(f"{shown} contradicts anonymous-formula {write_anonymous(self.anonymous_formula)}")
            if not _inside(np.array(len(pattern)), low, high):
                raise OptionError(f"{shown} has {len(pattern)} elements, but {elements} is asked for")
            if n_required > len(pattern):
                raise OptionError(f"{shown} has {len(pattern)} elements, but {n_required} must be present")
            if n_allowed < len(pattern):
                raise OptionError(f"{shown} needs {len(pattern)} elements, but only {n_allowed} may be used")
        if self.max_atoms is not None and self.fewest_atoms() > self.max_atoms:
            raise OptionError(f"{self.fewest_atoms()} atoms are needed at least, but max-atoms is {self.max_atoms}")


def _inside(values: np.ndarray, low: int, high: int | None) -> np.ndarray:
    return (values >= low) & (values <= (np.iinfo(np.int64).max if high is None else high))


def _whole_number(option: str, value: str | int) -> int:
    text = str(value).strip()
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise OptionError(f"{option} {text!r} is not a whole number")
    return int(text)
