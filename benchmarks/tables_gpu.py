"""The README's tables of what was measured on a GPU, for `benchmarks.tables`."""

from __future__ import annotations

from typing import Any

from benchmarks.tables_predict import percent
from matgen.models import MODELS


def gpu(content: dict[str, Any]) -> list[str]:
    """Rates on the GPU beside transformers' on the same one; parts that failed or were left out are not shown."""
    name, recipe = content["machine"]["gpu"], content["training_trainer"]["formulas_per_second"]
    lines = [f"| one {name} | matgen, formulas/s | transformers, same kind of machine | ratio |", "|---" * 4 + "|"]
    for notation in ("counted", "expanded"):
        for key, row in content.get(f"training_{notation}", {}).items():
            if not key.startswith("batch_") or key.endswith("_not_recorded"):
                continue
            own, size = row["formulas_per_second"], int(key.split("_")[1])
            lines.append(
                f"| training GPT-J `{content['preset']}`, {notation}, batches of {size:,} | {own:,.0f} | "
                f"`Trainer`, published recipe: {recipe:,.0f} | {own / recipe:.2f} x |"
            )
    for part in ("sampling_bundled", "sampling_gptj", "sampling_gpt2"):
        if "engine" in content.get(part, {}):
            lines += _drawing(content[part])
    more = content.get("sampling_ten_million", {})
    if "formulas_per_second" in more:
        lines.append(f"| drawing {more['n']:,}, the bundled model | {more['formulas_per_second']:,.0f} | | |")
    return lines


def _drawing(part: dict[str, Any]) -> list[str]:
    best = max(part["generate"].values())
    model = f"{MODELS[part['architecture']].title} `{part['preset']}`, {part['notation']}"
    lines = []
    for n, row in part["engine"].items():
        own = max(row[precision]["formulas_per_second"] for precision in ("fp32", "bf16"))
        lines.append(
            f"| drawing {int(n):,}, {model} | {own:,.0f} | `generate`, batches of "
            f"{part['generate_batch']['bf16']:,}: {best:,.0f} | {own / best:.2f} x |"
        )
    return lines


def leaderboard(content: dict[str, Any]) -> list[str]:
    """Architectures at one size and budget, those with the most probable test formulas first."""
    lines = [
        "| architecture | parameters | passes over the data | nats a test formula | valid | novel | "
        "valid, unique and novel |",
        "|---" * 7 + "|",
    ]
    for row in sorted(content["rows"].values(), key=lambda row: row["metrics"]["test_nats"]):
        known, drawn = row["metrics"], row["drawn"]
        bound = "at most " if known["figure"] == "bound" else ""
        lines.append(
            f"| {MODELS[row['model']].title} | {known['parameters'] / 1e6:.1f} M | {known['epochs']:.0f} | "
            f"{bound}{known['test_nats']:.2f} | {percent(drawn['valid'])} | {percent(drawn['novel'])} | "
            f"{percent(drawn['valid_unique_novel'])} |"
        )
    return lines
