"""Names, labels and units of everything that an evaluation writes, defined once for tables, pages and figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """How a quantity is shown.

    Attributes:
        title: a few words for a table's head.
        unit: what it is measured in, or what a fraction is a share of.
        meaning: one sentence.
        short: one or two words for a narrow column, by default the title.
    """

    title: str
    unit: str
    meaning: str
    short: str = ""

    @property
    def head(self) -> str:
        """The short title where there is one."""
        return self.short or self.title


COLUMNS: dict[str, Label] = {
    "parsed": Label("parsed", "yes or no", "the text was read as a composition"),
    "reduced_formula": Label("reduced formula", "text", "the composition as pymatgen writes it"),
    "duplicate_of": Label("duplicate of", "row, from 0", "the first row with the same composition"),
    "all_metal": Label("all metal", "yes or no", "every element is in SMACT's list of metals"),
    "charge_neutral": Label("neutral", "yes or no", "some assignment of oxidation states sums to zero"),
    "electronegativity_balanced": Label("balanced", "yes or no", "such an assignment also passes the Pauling test"),
    "valid": Label("valid", "yes or no", "balanced, or an alloy where the alloy rule is on"),
    "novel": Label("novel", "yes or no", "the composition is not in the reference"),
    "judged": Label("judged", "yes or no", "validity was decided (not too many combinations of states)"),
    "reason": Label("reason", "text", "why a row was not read or not judged"),
}
"""Columns that `metrics.judge` adds to a candidate table, in this order."""

METRICS: dict[str, Label] = {
    "parsed": Label("Parsed", "of all rows", "rows whose formula can be read"),
    "unique": Label("Unique", "of parsed rows", "distinct compositions over parsed rows"),
    "novel": Label("Novel", "of distinct compositions", "distinct compositions that are not in the reference"),
    "charge_neutral": Label("Charge neutral", "of all rows", COLUMNS["charge_neutral"].meaning, "Neutral"),
    "electronegativity_balanced": Label(
        "Electronegativity balanced", "of all rows", COLUMNS["electronegativity_balanced"].meaning, "Balanced"
    ),
    "valid": Label("Valid", "of all rows", COLUMNS["valid"].meaning),
    "valid_unique_novel": Label(
        "Valid, unique and novel",
        "of all rows",
        "distinct compositions that are valid and not in the reference",
        "All three",
    ),
}
"""Fractions of a report, in the order in which they are shown."""

GROUPS: dict[str, Label] = {
    "ionic": Label("Not all metal", "rows", "compositions with at least one element that is not a metal"),
    "all_metal": Label("All metal", "rows", "compositions of metals alone"),
}
"""Groups reported apart. A group's fractions are over its own rows; every row in a group is parsed."""

BASELINES: dict[str, Label] = {
    "uniform": Label(
        "uniform",
        "random formulas",
        "2 to 8 elements of H to Lr and counts of 1 to 10, all uniform, at most 30 atoms",
    ),
    "stoichiometry_uniform": Label(
        "stoichiometry",
        "random formulas",
        "counts of a random reference row, elements drawn uniformly from those of the reference",
    ),
    "stoichiometry_frequency": Label(
        "stoichiometry + frequency",
        "random formulas",
        "counts of a random reference row, elements drawn by the share of reference formulas that hold them",
    ),
}
"""The random baselines of every report."""


def novelty_in_words(reference: str) -> str:
    """What `novel` means and what it does not, for every place where the number is shown."""
    return f"novel: not in these snapshots ({reference}); ICSD unchecked"
