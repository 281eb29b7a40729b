"""Charges of dopants by oxidation states: donors, acceptors, and the vacancies that make up for them.

A dopant's charge is that of its ion less that of the ion it replaces, as in the notation of Kroger and Vink: La on Sr
in SrTiO3 has +1 and makes the crystal n-type, unless something else in it takes up the electron.
"""

from __future__ import annotations

from fractions import Fraction

from matgen.composition.batch import CompositionBatch
from matgen.structures.assignment import ions_of
from matgen.validity import ValidityRules, state_table

_COMMON = ValidityRules(commonality="medium")
"""States that a dopant may take: those of a tenth of its element's reports in the ICSD or more."""


def host_states(host: str) -> dict[str, float]:
    """Mean oxidation state of each element of a host, empty of metals and where no assignment is neutral.

    Args:
        host: its formula.

    Raises:
        FormulaError: it cannot be read.
    """
    if CompositionBatch.from_formulas([host]).all_metal[0]:
        return {}
    ions = ions_of([host])[0]
    return {symbol: ion.state for symbol, ion in ions.items() if ion.state is not None}


def dopant_state(dopant: str, site_state: float) -> int | None:
    """The oxidation state that a dopant takes on a site, None where its element has no common state.

    Of its common states of the same sign (of any sign where there is none) the nearest to the site's; of equally near
    ones the higher.

    Args:
        dopant: symbol of its element.
        site_state: oxidation state of the element that it replaces.
    """
    states = state_table(_COMMON).of(dopant)
    alike = [state for state in states if state * site_state > 0] or states
    return min(alike, key=lambda state: (abs(state - site_state), -state)) if alike else None


def dopant_charge(host: str, site: str, dopant: str) -> float | None:
    """The charge that a dopant brings to a site, in elementary charges; None where states are not known.

    In an element, such as silicon, it is the difference in valence electrons of main-group elements.

    Args:
        host: formula of the host.
        site: symbol of the element that is replaced.
        dopant: symbol of the element that takes its place.
    """
    states = host_states(host)
    if len(states) == 1:
        before, after = _valence_electrons(site), _valence_electrons(dopant)
        return None if before is None or after is None else float(after - before)
    if site not in states:
        return None
    state = dopant_state(dopant, states[site])
    return None if state is None else round(state - states[site], 6)


def doping_kind(charge: float | None) -> str:
    """`n-type`, `p-type` or `isovalent`; empty where the charge is not known."""
    if charge is None:
        return ""
    return "isovalent" if charge == 0 else "n-type" if charge > 0 else "p-type"


def vacancies_per_dopant(host: str, charge: float) -> list[tuple[str, Fraction]]:
    """Vacancies of the host that make up for a dopant's charge, by element, those of the smallest charge first.

    Donors are compensated by cations that are missing, acceptors by anions.

    Args:
        host: its formula.
        charge: of a dopant, other than 0.
    """
    fitting = [(abs(state), symbol) for symbol, state in host_states(host).items()
               if state * charge > 0 and float(state).is_integer()]  # fmt: skip
    dopant = Fraction(abs(charge)).limit_denominator(1000)
    return [(symbol, dopant / int(state)) for state, symbol in sorted(fitting)]


def _valence_electrons(symbol: str) -> int | None:
    """Of a main-group element; None of others."""
    from pymatgen.core import Element

    group = int(Element(symbol).group)
    return group if group <= 2 else group - 10 if group >= 13 else None
