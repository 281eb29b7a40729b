"""Named protocols: rules under which figures can be set beside published ones."""

from __future__ import annotations

from dataclasses import dataclass

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
            "neither its SMACT version nor its alloy rule. smact14 was SMACT's default table then; with alloys tested "
            "and counts of 1 to 30 it gives 10.1 % neutral and 6.4 % balanced random formulas (published: 10.13 and "
            "5.91 %). With alloys waved through every table gives at least 1.7 times too many neutral ones"
        ),
        most_atoms_of_one=30,
    ),
}
"""Protocols by name. The evidence for `published` is `benchmarks/published_protocol.py`."""


def protocol_of(rules: ValidityRules) -> tuple[str, Protocol]:
    """The name and the protocol that have these rules; others are called `custom`."""
    named = ((name, protocol) for name, protocol in PROTOCOLS.items() if protocol.rules == rules)
    return next(named, ("custom", Protocol(rules)))
