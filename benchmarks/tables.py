"""The README's tables, made from the JSON under `benchmarks/results/`: rewrites what is between the markers.

python -m benchmarks.tables           (writes README.md)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from matgen.files import read_json, write_text

README = Path(__file__).resolve().parent.parent / "README.md"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def architectures(content: dict[str, Any]) -> list[str]:
    lines = [
        "| model | size | nats a held-out formula | neutral | balanced | unique | novel | all three | recovered |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in content["models"].values():
        training = row["training"]
        sign = "≤ " if training["figure"] == "bound" else ""
        cells = [
            row["title"],
            f"{training['parameters'] / 1e6:.2f} M",
            f"{sign}{training['test_nats']:.2f}",
            *(percent(row[name]) for name in ("charge_neutral", "electronegativity_balanced", "unique", "novel")),
            percent(row["valid_unique_novel"]),
            percent(row["recovery"]["test"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main_job(content: dict[str, Any]) -> list[str]:
    stages, metrics = content["stages"], content["metrics"]
    rows = [
        ("`matgen --help`", f"{content['help_seconds']:.2f} s"),
        ("`matgen discover`, all of it", f"{content['discover_seconds'] / 60:.1f} min"),
        (
            "of which training, drawing, judging",
            " / ".join(f"{stages[s]:.0f} s" for s in ("train", "sample", "evaluate")),
        ),
        ("charge neutral (best random baseline)", _beside(metrics, "charge_neutral")),
        ("electronegativity balanced (best random baseline)", _beside(metrics, "electronegativity_balanced")),
        ("balanced, of compositions not all metal", percent(metrics["groups"]["ionic"]["electronegativity_balanced"])),
        ("balanced, of all-metal compositions", percent(metrics["groups"]["all_metal"]["electronegativity_balanced"])),
        ("unique / novel", f"{percent(metrics['unique'])} / {percent(metrics['novel'])}"),
        ("valid, unique and novel", f"{content['ranked']:,} of {metrics['n']:,}"),
    ]
    return ["| `matgen discover` as typed | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]


def _beside(metrics: dict[str, Any], name: str) -> str:
    return f"{percent(metrics[name])} ({percent(metrics['baseline'][name])})"


def speed(parsing: dict[str, Any], training: dict[str, Any]) -> list[str]:
    per_second, peer = "formulas/s", training["trainer_formulas_per_second"]
    rows = [
        (
            f"parsing {parsing['formulas']:,} formulas",
            f"{parsing['matgen_seconds']:.2f} s",
            f"pymatgen `Composition`: {parsing['pymatgen_seconds']:.1f} s",
            f"{parsing['ratio']:.0f} x",
        )
    ]
    for notation in ("expanded", "counted"):
        rows.append(
            (
                f"training paper-size GPT-J, {notation}, {training['precision']}",
                f"{training[f'{notation}_formulas_per_second']:,.0f} {per_second}",
                f"transformers `Trainer`, published recipe: {peer:,.0f} {per_second}",
                f"{training[f'{notation}_ratio']:.1f} x",
            )
        )
    head = ["| what | matgen | peer, same run | ratio |", "|---|---|---|---|"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


def bundled(metadata: dict[str, Any], result: dict[str, Any]) -> list[str]:
    training, row = metadata["metrics"], result["models"][metadata["architecture"]]
    return [
        f"It is a {row['title']} (`{metadata['preset']}`, {training['parameters']:,} parameters) trained for "
        f"{training['seconds'] / 60:.0f} minutes on two cores (the one of the table, its weights in bfloat16): "
        f"{training['test_nats']:.2f} nats a held-out formula; of 10,000 draws "
        f"{percent(row['electronegativity_balanced'])} are balanced, {percent(row['unique'])} unique, "
        f"{percent(row['novel'])} of the distinct ones novel, and {percent(row['recovery']['test'])} of the held-out "
        "formulas of `hybrid-pure` are recovered."
    ]


def blocks() -> dict[str, list[str]]:
    """Name of each marker in the README to its lines."""
    from matgen.models.checkpoint import read_metadata
    from matgen.models.locate import find_checkpoint

    results = {path.stem: read_json(path) for path in RESULTS.glob("*.json")}
    return {
        "architectures": architectures(results["architectures"]),
        "main_job": main_job(results["main_job"]),
        "speed": speed(results["parsing"], results["training"]),
        "bundled": bundled(read_metadata(find_checkpoint(None)), results["architectures"]),
    }


def filled(text: str) -> str:
    """The README with every block between `<!-- NAME -->` and `<!-- /NAME -->` made anew."""
    for name, lines in blocks().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no block {name}")
        block = "\n".join(lines)
        text = pattern.sub(lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    write_text(README, filled(README.read_text(encoding="utf-8")))
