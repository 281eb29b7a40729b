"""Named groups of elements, for constraints: `--exclude actinides,toxic`.

Sources: the collective names of IUPAC (Nomenclature of Inorganic Chemistry, Recommendations 2005, IR-3.5) for alkali
and alkaline-earth metals, pnictogens, chalcogens, halogens, noble gases, lanthanides (La to Lu), actinides (Ac to Lr)
and rare earths (Sc, Y and the lanthanides). The others:

* `transition_metals`: Sc, Y and groups 4 to 12 (IUPAC's d-block; lanthanides and actinides are groups of their own).
* `post_transition_metals`: Al, Ga, In, Sn, Tl, Pb, Bi (as in pymatgen).
* `metalloids`: B, Si, Ge, As, Sb, Te (Vernon, J. Chem. Educ. 90 (2013) 1703).
* `metals`, `nonmetals`: in SMACT's list of metals, or not (`matgen.composition.elements.IS_METAL`).
* `precious_metals`: Ag, Au and the platinum group (Ru, Rh, Pd, Os, Ir, Pt).
* `radioactive`: no stable isotope, counting Bi as stable (half-life of Bi-209: 2e19 years): Tc, Pm, Po and beyond.
* `toxic`: Cd, Hg, Pb (restricted as elements by RoHS, Directive 2011/65/EU), As and Be (with Cd, elements that IARC
  classes as carcinogenic to humans, group 1, together with their inorganic compounds), and Tl (its compounds are
  "fatal if swallowed" as a class in Annex VI of the CLP Regulation (EC) 1272/2008). Elements whose toxicity hangs on
  the oxidation state or on radioactivity (Cr, Ni, Os, U ...) are not in it.
"""

from __future__ import annotations

from matgen.composition.elements import ATOMIC_NUMBER, IS_METAL, N_ELEMENTS, SYMBOLS


def _named(symbols: str) -> tuple[int, ...]:
    return tuple(sorted(ATOMIC_NUMBER[symbol] for symbol in symbols.split()))


_LANTHANIDES = tuple(range(57, 72))
_PLATINUM_GROUP = _named("Ru Rh Pd Os Ir Pt")

ELEMENT_GROUPS: dict[str, tuple[int, ...]] = {
    "actinides": tuple(range(89, 104)),
    "alkali_metals": _named("Li Na K Rb Cs Fr"),
    "alkaline_earth_metals": _named("Be Mg Ca Sr Ba Ra"),
    "chalcogens": _named("O S Se Te Po Lv"),
    "halogens": _named("F Cl Br I At Ts"),
    "lanthanides": _LANTHANIDES,
    "metalloids": _named("B Si Ge As Sb Te"),
    "metals": tuple(z for z in range(1, N_ELEMENTS + 1) if IS_METAL[z]),
    "noble_gases": _named("He Ne Ar Kr Xe Rn Og"),
    "nonmetals": tuple(z for z in range(1, N_ELEMENTS + 1) if not IS_METAL[z]),
    "platinum_group": _PLATINUM_GROUP,
    "pnictogens": _named("N P As Sb Bi Mc"),
    "post_transition_metals": _named("Al Ga In Sn Tl Pb Bi"),
    "precious_metals": tuple(sorted((*_PLATINUM_GROUP, *_named("Ag Au")))),
    "radioactive": (43, 61, *range(84, N_ELEMENTS + 1)),
    "rare_earths": (21, 39, *_LANTHANIDES),
    "toxic": _named("Be As Cd Hg Tl Pb"),
    "transition_metals": (*range(21, 31), *range(39, 49), *range(72, 81), *range(104, 113)),
}
"""Name of each group to its atomic numbers, ascending."""

ALIASES = {"lanthanoids": "lanthanides", "actinoids": "actinides"}
"""Other names of groups (IUPAC prefers -oids)."""


def group_named(name: str) -> tuple[int, ...] | None:
    """The atomic numbers of a group, whatever the case of its name, or None where there is no such group."""
    lower = name.lower()
    return ELEMENT_GROUPS.get(ALIASES.get(lower, lower))


def symbols_of(atomic_numbers: tuple[int, ...]) -> list[str]:
    """Symbols in alphabetical order, as chemical systems are written."""
    return sorted(str(SYMBOLS[z]) for z in atomic_numbers)
