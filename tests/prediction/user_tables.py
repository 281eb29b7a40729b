"""A table as users have them: formulas that occur again, columns beside them, several targets."""

from __future__ import annotations

import numpy as np
import pandas as pd

ELECTRONEGATIVITY = {
    "Li": 0.98, "Na": 0.93, "K": 0.82, "Mg": 1.31, "Ca": 1.0, "Fe": 1.83, "Ti": 1.54, "O": 3.44, "S": 2.58, "F": 3.98,
    "Cl": 3.16,
}  # fmt: skip
SHIFT = {"hot": 0.8, "cold": -0.8, "spark": 0.0}


def hardness_table(rows: int = 160, seed: int = 0) -> pd.DataFrame:
    """`hardness` depends on the formula, on `temperature` and on `method`; `state` and `rank` are classes of it."""
    rng = np.random.default_rng(seed)
    cations, anions = list(ELECTRONEGATIVITY)[:7], list(ELECTRONEGATIVITY)[7:]
    made = []
    for i in range(rows):
        a, b, n, m = rng.choice(cations), rng.choice(anions), rng.integers(1, 4), rng.integers(1, 5)
        temperature, method = rng.choice([300.0, 400.0, 500.0, 600.0]), rng.choice(list(SHIFT))
        gap = (ELECTRONEGATIVITY[b] - ELECTRONEGATIVITY[a]) * m / (n + m)
        hardness = gap + (temperature - 450) / 100 + SHIFT[method] + rng.normal(0, 0.05)
        made.append((f"{a}{n}{b}{m}", temperature, method, f"paper {i // 8}", f"doi/{i}", round(hardness, 4)))
    frame = pd.DataFrame(made, columns=["formula", "temperature", "method", "paper", "doi", "hardness"])
    middle = frame["hardness"].median()
    frame["state"] = np.where(frame["hardness"] > middle, "metal", "insulator")
    frame["rank"] = pd.cut(frame["hardness"], [-99, middle - 0.7, middle + 0.7, 99], labels=["low", "mid", "top"])
    return frame
