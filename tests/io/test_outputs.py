from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.errors import OptionError, OutputError
from matgen.io.files import read_json
from matgen.io.outputs import claim, write_with_metadata


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "KBr"], "tiny": [1.23456789e-12, 2.0]})
    out = tmp_path / f"a{suffix}"
    write_with_metadata(out, frame, {"n": 2})
    back = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert read_json(Path(f"{out}.json")) == {"n": 2}
    with pytest.raises(OutputError, match="exists"):
        claim(out, force=False)
    claim(out, force=True)


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must end in \.csv or \.parquet"):
        claim(tmp_path / "a.xlsx", force=True)
