"""Rows of speed: sampling with and without constraints, and other steps, compared with the usual tools."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, fill
from matgen.models import MODELS

RENAMED = {"elements": "num_elements", "anonymous": "anonymous_formula"}
"""Current names of constraints that the results record under their names in 0.2."""


def named_constraints(row: Json) -> str:
    return ", ".join(_constraint(name, value) for name, value in row["constraints"].items() if name != "rules")


def _constraint(name: str, value: object) -> str:
    if isinstance(value, bool):
        return name
    if isinstance(value, list):
        value = ", ".join(map(str, value)) if len(value) < 13 else f"{len(value)} elements"
    return f"{RENAMED.get(name, name).replace('_', ' ')} {value}"


def sampled(content: Json) -> Iterator[Json]:
    """Models with the rates of the engine at 10,000 and at 100,000."""
    for row in content["models"].values():
        engine = sorted(row["engine"].items(), key=lambda item: int(item[0]))
        rows = [at["rows_per_formula"] for _, at in engine]
        rows += [row["rows_per_formula_of_a_million"]] if "rows_per_formula_of_a_million" in row else []
        yield {
            **row,
            "title": MODELS[row["architecture"]].title,
            "rows_computed": " / ".join(f"{n:.2f}" for n in rows),
            "few": row["engine"]["10000"]["bf16"],
            "many": row["engine"]["100000"]["bf16"],
            "p": sorted(row["chi_square_p_values"].values()),
        }


def whole_command(content: Json) -> str:
    whole = sorted((int(n), row) for n, row in content["whole_command"].items())
    return "; ".join(
        f"{n:,} " + fill("formulas in {seconds:,.1f} s with {peak_memory_mb:,} MB", row) for n, row in whole
    )


def gpu_training(content: Json) -> Iterator[Json]:
    """Batches measured with the recording of steps; parts that failed or were left out are not shown."""
    recipe = content["training_trainer"]["formulas_per_second"]
    for notation in ("counted", "expanded"):
        for key, row in content.get(f"training_{notation}", {}).items():
            if key.startswith("batch_") and not key.endswith("_not_recorded"):
                batch, ratio = int(key.split("_")[1]), row["formulas_per_second"] / recipe
                yield {**row, "notation": notation, "batch": batch, "ratio": ratio}


def gpu_drawing(content: Json) -> Iterator[Json]:
    """The faster precision beside the best of `generate`."""
    for part in (content.get(f"sampling_{name}", {}) for name in ("bundled", "gptj", "gpt2")):
        for n, row in part.get("engine", {}).items():
            best = max(part["generate"].values())
            rate = max(row[precision]["formulas_per_second"] for precision in ("fp32", "bf16"))
            title = MODELS[part["architecture"]].title
            yield {**part, "n": int(n), "title": title, "rate": rate, "best": best, "ratio": rate / best}
