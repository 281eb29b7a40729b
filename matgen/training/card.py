"""The model card (README.md) that is written into every checkpoint."""

from __future__ import annotations

from typing import Any

from matgen.models.objectives import FIGURES, OBJECTIVES
from matgen.models.registry import architecture


def model_card(metadata: dict[str, Any]) -> str:
    """Markdown with a Hub header, made from the content of `matgen.json`."""
    row, metrics = architecture(metadata["architecture"]), metadata["metrics"]
    formulas = metadata["formulas"]
    test = f"\n| held-out (test) nats a formula | {metrics['test_nats']:.3f} |" if "test_nats" in metrics else ""
    balance = metadata.get("balance")
    weighed = f"\n| balanced by {balance['by']} | exponent {balance['exponent']:g} |" if balance else ""
    needed = " alone" if row.stock else ", after `import matgen.models`"
    return f"""---
library_name: transformers
license: mit
tags: [materials-science, inorganic-compositions, matgen]
---

# {row.title} ({metadata["preset"]}) on {metadata["dataset"]}

A language model of inorganic compositions, trained by matgen. It writes reduced formulas in the notation
`{metadata["notation"]}`, atoms in ascending electronegativity.

| | |
|---|---|
| parameters | {metrics["parameters"]:,} |
| objective | {metadata["objective"]}: {OBJECTIVES[metadata["objective"]].summary} |
| formulas to train / validate / test | {formulas["train"]:,} / {formulas["valid"]:,} / {formulas["test"]:,} |
| dataset sha256 | `{metadata["dataset_sha256"]}` |
| epochs, seconds | {metrics["epochs"]}, {metrics["seconds"]:,.0f} |
| validation nats a formula | {metrics["valid_nats"]:.3f} ({FIGURES[metrics["figure"]]}) |{test}{weighed}
| seed | {metadata["seed"]} |

## Use

```
matgen sample -n 10000 --model <this folder> --out candidates.csv
```

With transformers{needed}: `{row.auto_class}.from_pretrained(<this folder>)`.

## Limits

It has seen formulas only: no structure, temperature, pressure or price. What it writes is a hypothesis. Formulas of
OQMD and the Materials Project, from which it learned, are CC-BY 4.0; their authors ask to be cited.
"""
