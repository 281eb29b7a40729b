"""Write `relaxed_draws.parquet`: compositions that the bundled model drew and no database holds, relaxed by CHGNet.

They teach the bundled predictors what a prediction is worth for a candidate (`matgen/prediction/stability_fit.py`).
No other potential has a part in them: what judges candidates must not have taught their ranking. The folder is made
by::

    matgen sample -n 800 --novel-to hybrid --seed 1 --out runs/draws.csv
    matgen structure runs/draws.csv --top 93 --per-formula 3 --max-atoms 20 --max-steps 150 --max-force 0.1 \
        --finish none --out runs/draws
    python data/build_relaxed_draws.py runs/draws
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.datasets.storage import CHECKSUMS, checksum_entry, read_table, write_table
from matgen.io.files import read_json, write_json
from matgen.structures.folder import CANDIDATES
from matgen.structures.judge import IMPLAUSIBLE

TARGET = Path(__file__).resolve().parent / "relaxed_draws.parquet"
ENERGY, ABOVE = "formation_energy_chgnet", "energy_above_hull_chgnet"


def draws_of(folder: Path) -> pd.DataFrame:
    """Formulas with the energies of their lowest structures, sorted; without those that have none or a broken one."""
    rows = pd.read_parquet(folder / CANDIDATES)
    usable = np.isfinite(rows[ABOVE].to_numpy(np.float64)) & (rows[ABOVE] >= IMPLAUSIBLE)
    frame = rows.loc[usable, ["formula", ENERGY, ABOVE]].sort_values("formula").reset_index(drop=True)
    return frame.assign(**{name: frame[name].astype(np.float32) for name in (ENERGY, ABOVE)})


def main() -> None:
    """Write the table and its checksum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `matgen structure`")
    frame = draws_of(parser.parse_args().folder)
    write_table(frame, TARGET, {"matgen.table": "relaxed_draws"})
    checksums = read_json(TARGET.parent / CHECKSUMS)
    checksums["files"][TARGET.name] = checksum_entry(read_table(TARGET))
    write_json(TARGET.parent / CHECKSUMS, checksums)
    print(f"{len(frame)} compositions, {(frame[ABOVE] <= 0.1).mean():.0%} within 0.1 eV/atom of the hull")


if __name__ == "__main__":
    main()
