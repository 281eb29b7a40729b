from __future__ import annotations

from pathlib import Path

import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.sampling.known import known_compositions


def test_keys_of_all_that_is_named(tmp_path: Path) -> None:
    assert known_compositions(()) == (None, [])
    path = tmp_path / "mine.csv"
    pd.DataFrame({"formula": ["Fr7At9", "NaCl"]}).to_csv(path, index=False)
    keys, references = known_compositions((str(path), "hybrid-strict"))
    assert keys is not None
    batch = CompositionBatch.from_formulas(["Fr7At9", "SrTiO3", "Fr7At8"])
    assert keys.contains(batch.keys()).tolist() == [True, True, False]
    assert [(one["name"], one["size"] > 1) for one in references] == [(str(path), True), ("hybrid-strict", True)]
    pd.DataFrame({"formula": ["Fr7At8", "NaCl"]}).to_csv(path, index=False)  # a file may change, a bundled table not
    keys, _ = known_compositions((str(path),))
    assert keys is not None
    assert keys.contains(batch.keys()).tolist() == [False, False, True]
    assert known_compositions(("hybrid-strict",))[0] is known_compositions(("hybrid-strict",))[0]
