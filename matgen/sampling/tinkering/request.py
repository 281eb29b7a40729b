"""What to change in a formula: which places are open, what may fill them, and what that is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.errors import FormulaError, OptionError
from matgen.sampling.constraints.definition import Constraints
from matgen.sampling.constraints.template import (
    BLANK,
    Completions,
    Sites,
    Template,
    completions,
    mask,
    masked_elements,
    read_formula,
    read_template,
    with_insertion,
    without_each,
)
from matgen.sampling.likelihood import N_MC, check_n_mc
from matgen.sampling.tinkering.dilution import diluted, read_share


@dataclass(frozen=True)
class TinkerRequest:
    """What to change, and what may take its place: by one of a template, `mask`, `insert` and `delete`.

    Attributes:
        formula: a formula, or a template as `read_template` reads it.
        mask: elements of the formula to replace, or their places; see `template.mask`.
        insert: put in so many atoms of one more element.
        delete: leave out each element in turn.
        dope: replace only this share of the one masked site: 0.125 or `1/8`. Ranks stay those of the full
            replacement.
        within: elements (and groups) that may fill a blank, by default all.
        exclude: elements (and groups) that may not.
        n_mc: random orders, for models that write in any order and formulas too long to go through all orders.
        novel_to: datasets or files that `novel` refers to.

    Raises:
        FormulaError: the formula or template cannot be read.
        OptionError: a value makes no sense, or two contradict each other.
    """

    formula: str
    mask: Sites = ()
    insert: int | None = None
    delete: bool = False
    dope: str | float | Fraction | None = None
    within: str | Sequence[str] | None = None
    exclude: str | Sequence[str] | None = None
    n_mc: int = N_MC
    novel_to: tuple[str, ...] = ("hybrid",)

    def __post_init__(self) -> None:
        self._check_change()
        check_n_mc(self.n_mc)
        if self.delete and (self.within is not None or self.exclude is not None):
            raise OptionError("within and exclude say what may come in: delete has no use for them")
        if self.dope is not None and len(self.replaced) != 1:
            masked = f", not of {len(self.replaced)}" if self.replaced else ""
            raise OptionError(f"dope replaces a share of one site{masked}: name one by mask")
        _ = self.template, self.share, self.allowed  # read now, so that bad input is refused before any work

    def _check_change(self) -> None:
        """Refuse a request of no change, or of several."""
        if "?" in self.formula:  # as the option stoichiometry has it
            raise FormulaError(f"formula {self.formula[:60]!r}: a blank is written {BLANK}, such as '_ Ti O3'")
        empty = isinstance(self.mask, Sequence) and len(self.mask) == 0
        given = {"mask": not empty, "insert": self.insert is not None, "delete": self.delete}
        changes = [name for name, is_given in given.items() if is_given]
        if self.written and changes:
            raise OptionError(f"{self.formula[:60]!r} has blanks of its own: leave out {' and '.join(changes)}")
        if len(changes) > 1:
            raise OptionError(f"{' and '.join(changes)} are asked for at once: take one of them")
        if not self.written and not changes:
            name = read_formula(self.formula).formulas()[0]
            raise OptionError(
                f"what is to change in {name}? Take mask, insert or delete, or write blanks, such as '_ Ti O3'"
            )

    @property
    def written(self) -> bool:
        """True where the blanks are written in the formula."""
        return BLANK in self.formula

    @cached_property
    def template(self) -> Template | None:
        """What is to be filled, None where elements are left out."""
        if self.written:
            return read_template(self.formula)
        if self.delete:
            return None
        return with_insertion(self.formula, self.insert) if self.insert is not None else mask(self.formula, self.mask)

    @cached_property
    def replaced(self) -> tuple[int, ...]:
        """Atomic numbers of the masked elements, in the order of the blanks."""
        if self.template is None or not self.template.distinct:
            return ()
        return masked_elements(self.formula, self.template)

    @cached_property
    def share(self) -> Fraction | None:
        """The share of the site that is replaced, None for all of it."""
        return None if self.dope is None else read_share(self.dope)

    @cached_property
    def allowed(self) -> np.ndarray:
        """Elements that may fill a blank, bool `(119,)`."""
        return Constraints.from_options(within=self.within, exclude=self.exclude).allowed_elements()

    @cached_property
    def variants(self) -> Completions:
        """The compositions to be compared.

        Raises:
            OptionError: there are none, or too many to go through.
        """
        return without_each(self.formula) if self.template is None else completions(self.template, self.allowed)

    @cached_property
    def shown(self) -> CompositionBatch:
        """The compositions that are judged and listed, one a variant: under `dope` the diluted ones."""
        if self.share is None:
            return self.variants.batch
        return diluted(self.formula, self.replaced[0], self.variants.fills[:, 0], self.share)

    def is_original(self, batch: CompositionBatch) -> np.ndarray:
        """Which compositions are the formula itself, bool `(m,)`; none is a template that was written."""
        if self.written:
            return np.zeros(len(batch), dtype=bool)
        return np.asarray((batch.keys() == read_formula(self.formula).keys()).all(axis=1))

    def __str__(self) -> str:
        """In words: `SrTiO3 with another element in place of Sr`."""
        if self.written:
            return str(self.template)
        formula = str(read_formula(self.formula).formulas()[0])
        if self.delete:
            return f"{formula} without each of its elements"
        if self.insert is not None:
            return f"{formula} with {self.insert} more atom{'s' if self.insert > 1 else ''} of one element"
        share = "" if self.share is None else f"{self.share} of "
        other = "another element" if len(self.replaced) == 1 else "other elements"
        return f"{formula} with {other} in place of {share}{' and '.join(SYMBOLS[list(self.replaced)])}"
