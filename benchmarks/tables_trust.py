"""The README's table of what matgen withstands, for `benchmarks.tables`."""

from __future__ import annotations

from typing import Any

_PLACES = {
    "disk_full": "a disk with 0 to 4 MiB left, with and without an earlier result there",
    "read_only": "an output that cannot be written",
    "vanished_input": "the input taken away before or during the run",
    "clock_back": "the clock going back an hour each second",
    "two_at_once": "two runs into one output at once; then one whose owner was killed",
    "no_network": "no route to any network",
}


def trust(content: dict[str, Any]) -> list[str]:
    """One row for each kind of trouble; parts that were not run are not shown."""
    lines = ["| trouble | tried | found |", "|---" * 3 + "|"]
    kills = [(name, row) for name, row in content.get("kills", {}).items() if isinstance(row, dict) and "trials" in row]
    for name, row in kills:
        title = name.replace("_", " ").replace("dft", "DFT")
        lines.append(
            f"| {title}, killed at random moments and gone on with | {row['trials']} | {row['equal']} ended as the run "
            "that nothing disturbed, to the last bit |"
        )
    for key, title in _PLACES.items():
        if key in content.get("places", {}):
            lines.append(_place(title, content["places"][key]))
    if row := content.get("formulas"):
        lines.append(
            f"| formulas, by a grammar and by changed bytes, beside pymatgen | {row['formulas']:,} | "
            f"{row['read']:,} read, {row['other_composition_than_pymatgen']} otherwise than by pymatgen; "
            f"{row['refused']:,} refused, of which pymatgen reads {row['refused_though_pymatgen_reads']:,} "
            f"(too many atoms, negative amounts ...); {len(row['crashes'])} crashes |"
        )
    if row := content.get("files"):
        refused = sum(kind.get("refused", 0) for kind in row["kinds"].values())
        lines.append(
            f"| mutated files: {', '.join(row['kinds'])} | {row['inputs']:,} | {refused:,} refused in one line, the "
            f"others read as they were or as another reader reads them, but for {row['faults'] or 'none'}; "
            f"{row['seconds_each_at_most']:.0f} s each at most |"
        )
    for size in content.get("load", {}).get("sizes", []):
        minutes = (size["sample"]["seconds"] + size["evaluate"]["seconds"]) / 60
        lines.append(
            f"| sample, evaluate, rank | {size['candidates']:,} | {minutes:.0f} minutes; at most "
            f"{size['sample']['peak_memory_mb']:,} MB drawing and {size['evaluate']['peak_memory_mb']:,} MB judging |"
        )
    if row := content.get("soak"):
        memory = row["memory_mb"]
        lines.append(
            f"| drawing, judging, predicting again and again | {row['minutes']:.0f} minutes, {row['rounds']:,} rounds "
            f"| {memory['first']:,.0f} MB in the second quarter, {memory['last']:,.0f} MB in the last |"
        )
    lines += _packages(content)
    return lines


def _place(title: str, row: dict[str, Any]) -> str:
    said = (
        f"{row['refused']} refused in one line, {row['runs'] - row['refused']} went well, {len(row['faults'])} faults"
    )
    return f"| {title} | {row['runs']} runs of {row['commands']} commands | {row.get('left_out', said)} |"


def _packages(content: dict[str, Any]) -> list[str]:
    lines = []
    for name, row in content.get("versions", {}).items():
        if isinstance(row, dict):
            title = {"lowest-direct": "oldest", "highest": "newest"}[name]
            shown = ", ".join(
                f"{package} {row['versions'][package]}" for package in ("numpy", "pandas", "transformers")
            )
            lines.append(
                f"| the {title} allowed dependencies ({shown} ...), torch pinned | {row.get('passed', 0)} tests | "
                f"{row.get('failed', 0) + row.get('error', 0)} failed |"
            )
    if row := content.get("supply"):
        index = row["index"]
        lines.append(
            f"| known vulnerabilities of the pinned packages | {row['pins']} | {len(index['vulnerabilities'])} in the "
            f"{index['newest_version_is_pinned']} whose newest version is pinned; of the "
            f"{len(index['older_version_is_pinned'])} others the index says nothing, and pip-audit got an answer for "
            f"{row['pip_audit'].get('audited', 0)} |"
        )
    return lines
