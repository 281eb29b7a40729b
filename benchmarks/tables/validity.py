"""Rows of the agreement with SMACT."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json

OXIDATION_STATES = {"icsd24": "ICSD 2024", "icsd16": "ICSD 2016", "smact14": "SMACT 2014"}


def compared(content: Json) -> Iterator[Json]:
    """Comparisons with SMACT, whose titles begin with its name, and with every assignment tried."""
    found = content["validity_agreement"]
    random, mixed = found["random"], found["mixed_valence"]
    rows = [(_with_smact(part["rules"]), part) for part in found["bundled"]] + [
        ("SMACT, random, 2 to 8 elements, counts to 40", random["smact"]),
        ("exhaustive enumeration, random, the larger formulas", random["brute_force"]),
        ("SMACT, mixed valence, below its limit", mixed["bundled_smact"]),
        ("exhaustive enumeration, mixed valence", mixed["bundled_brute_force"]),
        ("the same with zero states (wiki)", mixed["wiki_brute_force"]),
    ]
    for title, part in rows:
        left_out = f" ({part['left_out']:,} left out)" if part["left_out"] else ""
        yield {**part, "title": title, "n": f"{part['formulas']:,}{left_out}"}


def _with_smact(rules: Json) -> str:
    states = OXIDATION_STATES.get(rules["oxidation_states"], rules["oxidation_states"])
    extra = ", with zero states" * rules["include_zero"]
    return f"SMACT, all bundled, {states}{extra}" + f", {rules['commonality']}" * (rules["commonality"] != "low")
