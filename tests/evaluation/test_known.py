"""What a reference may be."""

from __future__ import annotations

import pandas as pd
import pytest

from matgen.errors import DataError, MatgenWarning
from matgen.evaluation import evaluate
from matgen.evaluation.known import open_references


def test_a_table_in_memory() -> None:
    table = pd.DataFrame({"formula": ["NaCl", "MgO", "KCl", "CaO", "LiF", "Xx"]})
    with pytest.warns(MatgenWarning, match="1 of 6 rows of the reference table"):
        content = evaluate(["NaCl", "SiO2"], table, baselines=False).content
    assert content["novel"] == 0.5 and content["references"][0]["size"] == 5
    with pytest.raises(DataError, match="has no formula column"):
        open_references(pd.DataFrame({"x": [1]}))
    with pytest.raises(DataError, match="not int"):
        open_references([3])
