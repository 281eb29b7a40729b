"""Formulas with blanks, and every way of filling the blanks.

A template is some elements with their atoms and some blanks with theirs. Its completions are compositions: fillings
that give the same one (blanks of equal atoms can be swapped) count once, and those whose counts share a factor are left
out, since they are multiples of a smaller formula.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matgen.composition.batch import CompositionBatch, first_occurrence, parse_formulas
from matgen.composition.elements import ATOMIC_NUMBER, ORDER_RANK, SYMBOLS
from matgen.errors import FormulaError, OptionError

BLANK = "_"
"""How a blank is written."""

MOST_COMPLETIONS = 300_000
"""Completions that are gone through; three blanks of one atom each have 280,840."""

Sites = str | int | Sequence[str | int]
"""Elements of a formula, or their 1-based places in matgen's order; a text may name several."""

_WORD = re.compile(r"(_|[A-Z][a-z]?)([0-9]{0,6})(?![0-9])[\s,]*")


@dataclass(frozen=True)
class Template:
    """A formula with blanks.

    Attributes:
        fixed: atomic number and atoms of each element that stays, in matgen's order, each once; counts unreduced.
        blanks: atoms of each blank; a blank is filled by one element.
        distinct: elements that fill blanks differ from each other and from those that stay.

    Raises:
        FormulaError: there is no blank, or one without atoms.
    """

    fixed: tuple[tuple[int, int], ...]
    blanks: tuple[int, ...]
    distinct: bool = False

    def __post_init__(self) -> None:
        if not self.blanks:
            raise FormulaError(f"template {_quoted(self)} has no blank: write one as {BLANK}, such as '_ Ti O3'")
        if min(self.blanks) < 1:
            raise FormulaError(f"template {_quoted(self)} has a blank without atoms")

    @property
    def n_atoms(self) -> int:
        """Atoms of every completion."""
        return sum(self.blanks) + sum(atoms for _, atoms in self.fixed)

    def __str__(self) -> str:
        """As `read_template` reads it, blanks first: `_ Ti O3`."""
        words = [(BLANK, atoms) for atoms in self.blanks] + [(str(SYMBOLS[z]), atoms) for z, atoms in self.fixed]
        return " ".join(word + (str(atoms) if atoms != 1 else "") for word, atoms in words)


@dataclass(frozen=True)
class Completions:
    """Compositions that a template stands for, each once.

    Attributes:
        batch: the `m` compositions.
        fills: uint8 `(m, b)`, the element of each blank; within blanks of equal atoms in matgen's order.
    """

    batch: CompositionBatch
    fills: np.ndarray

    def __len__(self) -> int:
        return len(self.fills)

    def __getitem__(self, rows: slice | np.ndarray) -> Completions:
        """The completions picked by a slice, an index array or a boolean mask."""
        return Completions(self.batch[rows], self.fills[rows])


def read_template(text: str) -> Template:
    """Read symbols and blanks with their atoms: `_ Ti O O O`, `_ Ti O3`, `_3 Al2 O12`.

    `_` is one atom, `_3` three atoms of one element, `_ _ _` three atoms of any elements. The counts are taken as they
    are written; an element may come several times.

    Raises:
        FormulaError: the text is something else, names an unknown element, or has no blank.
    """
    shown = _quoted(text)
    fixed: dict[int, int] = {}
    blanks: list[int] = []
    rest = text.strip()
    while rest:
        match = _WORD.match(rest)
        if match is None:
            raise FormulaError(
                f"template {shown} cannot be read at {rest[:10]!r}: write symbols, blanks and counts, such as '_ Ti O3'"
            )
        word, atoms = match[1], int(match[2] or 1)
        if word != BLANK and word not in ATOMIC_NUMBER:
            raise FormulaError(f"template {shown}: no element {word!r}")
        if atoms < 1:
            raise FormulaError(f"template {shown}: {'a blank' if word == BLANK else word} with 0 atoms")
        if word == BLANK:
            blanks.append(atoms)
        else:
            fixed[ATOMIC_NUMBER[word]] = fixed.get(ATOMIC_NUMBER[word], 0) + atoms
        rest = rest[match.end() :]
    if not blanks:
        raise FormulaError(f"template {shown} has no blank: write one as {BLANK}, such as '_ Ti O3'")
    return Template(tuple(sorted(fixed.items(), key=lambda item: ORDER_RANK[item[0]])), tuple(blanks))


def read_formula(text: str) -> CompositionBatch:
    """The reduced composition of one formula, as a batch of one.

    Raises:
        FormulaError: it cannot be read.
    """
    parsed = parse_formulas([text])
    if parsed.bad:
        raise FormulaError(f"formula {parsed.bad[0].formula[:60]!r}: {parsed.bad[0].reason}")
    return parsed.batch


def mask(formula: str, sites: Sites) -> Template:
    """The reduced formula with a blank in place of some elements, to be filled by others.

    Args:
        formula: such as `SrTiO3`.
        sites: elements, or their 1-based places in matgen's order (that of the tokens: ascending electronegativity);
            text with several is parted at commas and blanks.

    Raises:
        FormulaError: the formula cannot be read.
        OptionError: a site that the formula does not have, or none.
    """
    one = read_formula(formula)
    present = one.elements[0].tolist()
    masked = {_site(word, present, str(one.formulas()[0])) for word in _words(sites)}
    if not masked:
        raise OptionError("mask names no site (it is written like mask Sr, or mask 1)")
    pairs = list(zip(present, one.counts[0].tolist(), strict=True))
    blanks = tuple(atoms for z, atoms in pairs if z in masked)
    return Template(tuple((z, atoms) for z, atoms in pairs if z not in masked), blanks, distinct=True)


def masked_elements(formula: str, template: Template) -> tuple[int, ...]:
    """The elements of a formula that a `mask` took out, in the order of the blanks."""
    staying = {z for z, _ in template.fixed}
    return tuple(z for z in read_formula(formula).elements[0].tolist() if z not in staying)


def with_insertion(formula: str, atoms: int = 1) -> Template:
    """The reduced formula with some more atoms of one element, which may be one that it has.

    Raises:
        FormulaError: the formula cannot be read.
        OptionError: less than one atom.
    """
    if atoms < 1:
        raise OptionError(f"insert is {atoms}, it must be at least 1")
    one = read_formula(formula)
    return Template(tuple(zip(one.elements[0].tolist(), one.counts[0].tolist(), strict=True)), (atoms,))


def without_each(formula: str) -> Completions:
    """The formula with each of its elements left out, reduced; `fills` holds the element that is left out.

    Raises:
        FormulaError: the formula cannot be read.
        OptionError: it has one element only.
    """
    one = read_formula(formula)
    n = one.elements.shape[1]
    if n < 2:
        raise OptionError(f"{one.formulas()[0]} has one element only: nothing is left without it")
    counts = np.repeat(one.counts, n, axis=0)
    np.fill_diagonal(counts, 0)
    return Completions(CompositionBatch.from_arrays(np.repeat(one.elements, n, axis=0), counts), one.elements.T.copy())


def completions(template: Template, allowed: np.ndarray) -> Completions:
    """Every composition that fills the blanks, fillings in matgen's order.

    Args:
        template: what is to be filled.
        allowed: bool `(119,)`, elements that may fill a blank.

    Raises:
        OptionError: there are none, or more than `MOST_COMPLETIONS`.
    """
    elements = np.flatnonzero(allowed[1:]) + 1
    if template.distinct:
        elements = np.setdiff1d(elements, [z for z, _ in template.fixed])
    elements = elements[np.argsort(ORDER_RANK[elements])].astype(np.uint8)
    groups = [np.flatnonzero(np.array(template.blanks) == atoms) for atoms in dict.fromkeys(template.blanks)]
    n = _number_of_fillings([len(places) for places in groups], len(elements), distinct=template.distinct)
    if n > MOST_COMPLETIONS:
        ways = f"{n:,}" if n < 10**12 else "over a trillion"
        raise OptionError(
            f"the blanks of {_quoted(template)} can be filled in {ways} ways, at most {MOST_COMPLETIONS:,} are gone "
            "through: leave fewer blanks, or allow fewer elements (within, exclude)"
        )
    if not n:
        raise OptionError(f"too few elements are left to fill {_quoted(template)}: allow more (within, exclude)")
    fills = _fillings(groups, elements, distinct=template.distinct)
    batch = _composed(template, fills)
    kept = batch.n_atoms == template.n_atoms  # the others were reduced: they are multiples
    if not template.distinct:
        kept &= first_occurrence(batch.keys()) == np.arange(len(batch))
    if not kept.any():
        raise OptionError(
            f"every way to fill {_quoted(template)} gives a multiple of a smaller formula: write smaller counts"
        )
    return Completions(batch[kept], fills[kept])


def _quoted(text: str | Template) -> str:
    """As messages show it."""
    text = str(text)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _words(sites: Sites) -> list[str]:
    texts = [str(sites)] if isinstance(sites, str | int) else [str(site) for site in sites]
    return [word for text in texts for word in re.split(r"[\s,]+", text) if word]


def _site(word: str, present: list[int], formula: str) -> int:
    """The element that a word of `mask` means."""
    symbols = [str(SYMBOLS[z]) for z in present]
    if re.fullmatch("[0-9]{1,9}", word):
        if not 1 <= int(word) <= len(present):
            places = ", ".join(f"{i} {symbol}" for i, symbol in enumerate(symbols, 1))
            raise OptionError(f"mask {word}: {formula} has the places {places}")
        return present[int(word) - 1]
    if word not in ATOMIC_NUMBER:
        raise OptionError(f"mask {word[:20]!r} is no element and no place (it is written like mask Sr, or mask 1)")
    if ATOMIC_NUMBER[word] not in present:
        raise OptionError(f"mask {word}: {formula} has no {word}, only {', '.join(symbols)}")
    return ATOMIC_NUMBER[word]


def _number_of_fillings(sizes: list[int], n_elements: int, *, distinct: bool) -> int:
    """Ways to fill groups of interchangeable blanks."""
    total, left = 1, n_elements
    for size in sizes:
        total *= math.comb(left, size) if distinct else math.comb(left + size - 1, size)
        left = max(left - size, 0) if distinct else left
    return total


def _fillings(groups: list[np.ndarray], elements: np.ndarray, *, distinct: bool) -> np.ndarray:
    """Elements of each blank, uint8 `(n, b)`; within a group of interchangeable blanks they ascend."""
    choose = itertools.combinations if distinct else itertools.combinations_with_replacement
    fills = np.zeros((1, sum(len(places) for places in groups)), dtype=np.uint8)
    left = elements[None, :]  # what each filling may still take
    for places in groups:
        size = len(places)
        chosen = choose(range(left.shape[1]), size)
        picks = np.fromiter(itertools.chain.from_iterable(chosen), dtype=np.int64).reshape(-1, size)  # (c, size)
        n = len(fills) * len(picks)
        fills = np.repeat(fills, len(picks), axis=0)
        fills[:, places] = left[:, picks].reshape(n, size)
        if distinct:
            others = np.ones((len(picks), left.shape[1]), dtype=bool)
            np.put_along_axis(others, picks, False, axis=1)
            others_at = np.nonzero(others)[1].reshape(len(picks), left.shape[1] - size)
            left = left[:, others_at].reshape(n, left.shape[1] - size)
        else:
            left = np.repeat(left, len(picks), axis=0)
    return fills


def _composed(template: Template, fills: np.ndarray) -> CompositionBatch:
    """The compositions of fillings."""
    m = len(fills)
    fixed = np.array(template.fixed, dtype=np.int64).reshape(-1, 2)
    elements = np.concatenate([np.tile(fixed[:, 0], (m, 1)), fills], axis=1)
    counts = np.tile(np.concatenate([fixed[:, 1], np.array(template.blanks, dtype=np.int64)]), (m, 1))
    return CompositionBatch.from_arrays(elements, counts)
