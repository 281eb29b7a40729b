"""Names, labels and units of everything that an evaluation writes, defined once for tables, pages and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matgen.datasets.catalog import CATALOG


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
    "electronegativity_balanced": Label(
        "balanced", "yes or no", "a neutral assignment in which every cation is less electronegative than every anion"
    ),
    "valid": Label("valid", "yes or no", "balanced, or an alloy where the alloy rule is on"),
    "balanced_common": Label(
        "common states",
        "yes or no",
        "balanced by states with at least 10 % of their element's reports in the ICSD (SMACT's commonality medium)",
    ),
    "novel": Label("novel", "yes or no", "the composition is in none of the references"),
    "near_duplicate_of": Label(
        "near duplicate of",
        "text",
        "a reference composition that differs from a novel one by one element swapped for its neighbor in its group",
    ),
    "judged": Label("judged", "yes or no", "validity was decided (the charges were not too large to add up)"),
    "oxidation_states": Label(
        "oxidation states", "text", "an assignment that is neutral, and balanced where there is one"
    ),
    "oxidation_state_score": Label(
        "state score",
        "0 to 1",
        "how common the states of the best balanced assignment are: geometric mean over the elements of the reports of "
        "a state in the ICSD over those of the element's commonest state",
    ),
    "rarest_state": Label(
        "rarest state", "text", "the state of that assignment with the smallest share of its element's reports"
    ),
    "rarest_state_share": Label("its share", "of the element's reports", "that share, of the reports in the ICSD"),
    "metallicity_score": Label(
        "metallicity",
        "0 to 1",
        "SMACT's metallicity score; from 0.7 on an intermetallic, of which oxidation states say little",
    ),
    "reason": Label("reason", "text", "why a row was not read, not judged or not balanced"),
}
"""Columns that an evaluation adds to a candidate table, in this order."""

NEWER = {"balanced_common", "oxidation_state_score", "rarest_state", "rarest_state_share", "metallicity_score"}
"""Those that tables evaluated by matgen 0.2 lack."""

METRICS: dict[str, Label] = {
    "parsed": Label("Parsed", "of all rows", "rows whose formula can be read"),
    "unique": Label("Unique", "of parsed rows", "distinct compositions over parsed rows"),
    "novel": Label("Novel", "of distinct compositions", "distinct compositions that are in none of the references"),
    "charge_neutral": Label("Charge neutral", "of all rows", COLUMNS["charge_neutral"].meaning, "Neutral"),
    "electronegativity_balanced": Label(
        "Electronegativity balanced", "of all rows", COLUMNS["electronegativity_balanced"].meaning, "Balanced"
    ),
    "valid": Label("Valid", "of all rows", COLUMNS["valid"].meaning),
    "balanced_common": Label("Balanced by common states", "of all rows", COLUMNS["balanced_common"].meaning, "Common"),
    "rare_state": Label(
        "Needs a rare state",
        "of balanced rows",
        "the best balanced assignment has a state with less than 1 % of its element's reports in the ICSD",
        "Rare state",
    ),
    "intermetallic": Label(
        "Intermetallic",
        "of all rows",
        "SMACT's metallicity score is at least 0.7: oxidation states say little of it, whatever valid says",
        "Metallic",
    ),
    "valid_unique_novel": Label(
        "Valid, unique and novel",
        "of all rows",
        "distinct compositions that are valid and in none of the references",
        "All three",
    ),
}
"""Fractions of a report, in the order in which they are shown."""

GROUPS: dict[str, Label] = {
    "ionic": Label("Not all metal", "rows", "compositions with at least one element that is not a metal"),
    "all_metal": Label("All metal", "rows", "compositions of metals alone"),
}
"""Groups reported apart. A group's fractions are over its own rows; every row in a group is parsed."""

KNOWN_RATES: dict[str, Label] = {
    "made": Label("Made compounds", "rows", "compositions that have been made (the bundled dataset `experimental`)"),
    "stable": Label(
        "Stable compounds",
        "rows",
        "compositions of `hybrid` at most 0.05 eV/atom above the hull, in OQMD or the Materials Project",
    ),
}
"""Known compounds that are judged by the same rules, to compare candidates with."""

BASELINES: dict[str, Label] = {
    "uniform": Label(
        "uniform",
        "random formulas",
        "2 to 8 elements of H to Lr and counts of 1 to 10 (published protocol: 30), all uniform, at most 30 atoms",
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


DISTRIBUTIONS: dict[str, Label] = {
    "elements": Label("Elements", "share of distinct compositions", "distinct compositions that hold an element"),
    "n_elements": Label(
        "Number of elements", "share of distinct compositions", "distinct compositions by their number of elements"
    ),
    "n_atoms": Label(
        "Number of atoms", "share of distinct compositions", "distinct compositions by the atoms in the reduced formula"
    ),
    "anonymous_formulas": Label(
        "Anonymous formulas", "share of distinct compositions", "distinct compositions by their stoichiometry (ABC3)"
    ),
    "oxidation_states": Label(
        "Oxidation states", "share of ions", "ions (element and state) of the assignments of distinct compositions"
    ),
}
"""Distributions that are compared with the first reference's."""

_OF_MATBENCH = "Materials Project as in Matbench v0.1, retrieved 2 April 2019"
_OF_OQMD = "OQMD as in the CrabNet benchmark, date not stated there"

SNAPSHOTS: dict[str, str] = {
    "hybrid": f"{_OF_OQMD}; {_OF_MATBENCH}, and as in mp_e_hull, CritExam (2020) and mp_transport (2017)",
    "mp": f"{_OF_MATBENCH}, and as in mp_e_hull, CritExam (2020) and mp_transport (2017)",
    "oqmd": _OF_OQMD,
}
"""Snapshots behind the bundled table, by the first word of a dataset's name; `data/README.md` cites them. The date is
the one that Matbench's dataset descriptions state (A. Dunn et al., npj Comput. Mater. 6, 138 (2020))."""


def novelty_in_words(references: Sequence[str], table_sources: str = "") -> str:
    """What `novel` means and what it does not, for every place where the number is shown.

    Args:
        references: names as `open_reference` gives them.
        table_sources: the wheels that the bundled table was built from, where a reference is of that table.
    """
    named = []
    for name in references:
        snapshot = SNAPSHOTS.get(name.partition("-")[0]) if name in CATALOG and CATALOG[name].bundled else None
        wheels = f", from {table_sources}" if table_sources else ""
        named.append(f"{name}: {snapshot}{wheels}" if snapshot else name)
    return f"novel: not in these snapshots ({'; '.join(named)}); ICSD unchecked"
