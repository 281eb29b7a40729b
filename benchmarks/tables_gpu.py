"""The README's table of training and drawing on a GPU, for `benchmarks.tables`."""

from __future__ import annotations

from typing import Any


def gpu(content: dict[str, Any]) -> list[str]:
    """Rates on the GPU beside transformers' on the same one."""
    name, training = content["machine"]["gpu"], content["training"]
    lines = [f"| one {name} | matgen, formulas/s | transformers, same run | ratio |", "|---" * 4 + "|"]
    for key, row in training.items():
        if not isinstance(row, dict) or "ratio_to_trainer" not in row:
            continue
        notation, _, size = key.split("_")
        lines.append(
            f"| training GPT-J `{content['preset']}`, {notation}, batches of {int(size):,} | "
            f"{row['formulas_per_second']:,.0f} | `Trainer`, published recipe: {training['trainer']:,.0f} | "
            f"{row['ratio_to_trainer']:.2f} x |"
        )
    for part in ("sampling_bundled", "sampling_trained"):
        if part in content:
            lines += _drawing(content[part])
    took = content["time_to_loss"]
    own, recipe = took["matgen"]["counted_1.0"], took["recipe"]
    return [
        *lines,
        "",
        f"In {took['minutes']:g} minutes the recipe (learning rate {recipe['learning_rate']:g}) comes to "
        f"{recipe['valid_nats']:.2f} nats a validation formula, matgen to {own['valid_nats']:.2f}, and in a tenth of "
        f"the time to {took['matgen']['counted_0.1']['valid_nats']:.2f}.",
    ]


def _drawing(part: dict[str, Any]) -> list[str]:
    best = max(part["generate"].values())
    lines = []
    for n, row in part["engine"].items():
        own = max(row[precision]["formulas_per_second"] for precision in ("fp32", "bf16"))
        lines.append(
            f"| drawing {int(n):,}, GPT-J `{part['preset']}`, {part['notation']} | {own:,.0f} | `generate`, batches of "
            f"{part['generate_batch']['bf16']:,}: {best:,.0f} | {own / best:.2f} x |"
        )
    return lines
