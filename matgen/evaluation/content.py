"""What `report.json` holds, from what the passes found."""

from __future__ import annotations

from typing import Any

from matgen.datasets.catalog import CATALOG
from matgen.datasets.places import table_path
from matgen.datasets.storage import read_metadata
from matgen.evaluation import baselines as random_baselines
from matgen.evaluation import metrics
from matgen.evaluation.distributions import compare
from matgen.evaluation.known_rates import known_rates
from matgen.evaluation.labels import novelty_in_words
from matgen.evaluation.memorization import memorization
from matgen.evaluation.metrics import ratio
from matgen.evaluation.passes import Findings
from matgen.evaluation.protocol import Protocol
from matgen.io.versions import versions
from matgen.runtime.unreadable import Unreadable
from matgen.validity import state_table

_MOST_TEXT = 200


def report_content(
    findings: Findings,
    names: list[str],
    named: tuple[str, Protocol],
    split: str,
    seed: int,
    source: str,
) -> dict[str, Any]:
    """The content of a report: fractions are 0 to 1, and what cannot be computed is None.

    Args:
        findings: what the passes found.
        names: of the references, in order.
        named: the protocol's name, and the protocol.
        split: of the references.
        seed: of all that was drawn.
        source: what the candidates are called.
    """
    tally, first = findings.tally, findings.references[names[0]]
    count = tally.count()
    fractions = metrics.fractions(count)
    recovery = tally.recovery(0, first.parts)
    recovery_valid = tally.recovery(0, first.parts, valid=True)
    strongest = random_baselines.strongest(findings.baselines)
    assert tally.census is not None
    return {
        "n": tally.n_rows,
        **fractions,
        "recovery": _fractions(recovery),
        "recovery_valid": _fractions(recovery_valid),
        "baseline": strongest,
        "enrichment": random_baselines.enrichment(fractions, strongest),
        "baselines": findings.baselines,
        "known_rates": known_rates(named[1].rules),
        "groups": tally.groups(),
        "by_n_elements": tally.by_n_elements(first.parts),
        "curves": tally.curves(recovery),
        "chemical_systems": findings.systems,
        "near_duplicates": tally.near_duplicates(),
        "memorization": memorization(recovery["train"], recovery["test"], findings.longest_run, names[0]),
        "distributions": compare(tally.census, findings.reference_census, findings.floor_census),
        "references": _references(findings, names),
        "intervals": metrics.intervals(count),
        "counts": {**count, "bad": tally.bad, "recovery": recovery, "recovery_valid": recovery_valid},
        "remarks": findings.remarks,
        "bad": [
            {"row": bad.row, "formula": bad.formula[:_MOST_TEXT], "reason": bad.reason[:_MOST_TEXT]}
            for bad in tally.bad_listed
        ],
        "protocol": _protocol(findings, names, named, split, seed, source),
    }


def add_unreadable(content: dict[str, Any], unreadable: list[Unreadable | None]) -> None:
    """Say in a report's content, wherever it says what novel means, which rows of the references could not be read."""
    for entry, one in zip(content["references"], unreadable, strict=True):
        entry["unreadable"] = one.n if one else 0
        if one:
            content["protocol"]["novel_means"] += f"; {one}"


def _protocol(
    findings: Findings, names: list[str], named: tuple[str, Protocol], split: str, seed: int, source: str
) -> dict[str, Any]:
    """What the figures depend on, in the order in which the page shows it."""
    name, protocol = named
    rules, first = protocol.rules, findings.references[names[0]]
    return {
        "name": name,
        "note": protocol.note,
        "n": findings.tally.n_rows,
        "oxidation_states": rules.oxidation_states,
        "oxidation_states_sha256": state_table(rules).sha256,
        "consensus": rules.consensus,
        "commonality": rules.commonality,
        "include_zero": rules.include_zero,
        "include_alloys": rules.include_alloys,
        "mixed_valence": rules.mixed_valence,
        "reference": names[0],
        "reference_sha256": first.sha256,
        "split": split,
        "reference_size": first.size,
        "distributions_of": f"{findings.reference_census.n:,} of {first.size:,} reference compositions",
        "deduplication": "reduced composition (128-bit key)",
        "novel_means": novelty_in_words(names, bundled_sources(names)),
        "seed": seed,
        "source": source,
        "versions": versions("smact", "pymatgen-core", "numpy"),
    }


def bundled_sources(names: list[str]) -> str:
    """The wheels that the bundled table was built from, as its metadata says; empty where no reference is of it."""
    rows = [CATALOG[name] for name in names if name in CATALOG and CATALOG[name].bundled]
    if not rows:
        return ""
    entries = read_metadata(table_path(rows[0])).get("matgen.sources", "").split("; ")
    return " and ".join(entry.split(" ")[0].replace("==", " ") for entry in entries if entry)


def _references(findings: Findings, names: list[str]) -> list[dict[str, Any]]:
    distinct = findings.tally.count()["distinct"]
    return [
        {
            "name": name,
            "sha256": findings.references[name].sha256,
            "size": findings.references[name].size,
            "novel": ratio(int(findings.tally.not_in[number]), distinct),
            "recovery": _fractions(findings.tally.recovery(number, findings.references[name].parts)),
        }
        for number, name in enumerate(names)
    ]


def _fractions(recovery: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    return {part: entry["fraction"] for part, entry in recovery.items()}
