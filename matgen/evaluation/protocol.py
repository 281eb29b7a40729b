"""Named protocols: rules under which figures can be set beside published ones."""

from __future__ import annotations

from dataclasses import dataclass

from matgen.errors import OptionError, unknown_name
from matgen.validity import ValidityRules


@dataclass(frozen=True)
class Protocol:
    """Rules with a name.

    Attributes:
        rules: how validity is judged.
        note: what a reader must know of them; empty where there is nothing.
        most_atoms_of_one: largest count of an element in the uniform random baseline.
    """

    rules: ValidityRules
    note: str = ""
    most_atoms_of_one: int = 10


PROTOCOLS: dict[str, Protocol] = {
    "default": Protocol(ValidityRules()),
    "published": Protocol(
        ValidityRules("smact14"),
        note=(
            "published protocol (Fu et al., Mach. Learn.: Sci. Technol. 4 (2023) 015001), inferred: the paper states "
            "neither its SMACT version nor its alloy rule, nor how random formulas are drawn. smact14 was SMACT's "
            "default table then; with alloys tested, counts of 1 to 30 and at most 30 atoms it gives 10.1 % neutral "
            "and 6.4 % balanced ones (published: 10.13 and 5.91 %). icsd16 fits as well where atoms are not limited "
            "(10.4 and 5.6 %). With alloys accepted without a test every table gives at least 1.7 times too many "
            "neutral ones"
        ),
        most_atoms_of_one=30,
    ),
}
"""Protocols by name. The evidence for `published` is `benchmarks/published_protocol.py`."""


def protocol_of(rules: ValidityRules | None, name: str | None) -> tuple[str, Protocol]:
    """A protocol by its name; without one, `default` for the default rules, and `custom` for others.

    Raises:
        OptionError: an unknown name, or a name and rules of one's own.
    """
    if name is not None:
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, PROTOCOLS)
        if rules is not None and rules != PROTOCOLS[name].rules:
            raise OptionError(f"the protocol {name} sets the rules: give the one or the other")
        return name, PROTOCOLS[name]
    rules = rules or ValidityRules()
    return ("default" if rules == ValidityRules() else "custom"), Protocol(rules)
