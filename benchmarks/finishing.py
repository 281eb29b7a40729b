"""What a second potential adds to the time of `matgen discover`'s structures, and where it disagrees with the first.

The first compositions that `matgen discover -n 2000` ranks get structures as it makes them, in one process of one
thread: by CHGNet alone, and with the first 5 and with all finished by SevenNet-l3i5. Seconds are of CPU, the loading
of the weights included.

python -m benchmarks.finishing [-n 8]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.record import write_result
from matgen.discovery import DiscoveryPlan, discover
from matgen.models.locate import find_checkpoint
from matgen.prediction.locate import ranking_predictor
from matgen.structures.finish import Finish
from matgen.structures.make import make_structures
from matgen.structures.plan import StructurePlan


def first_compositions(n: int, folder: Path) -> pd.DataFrame:
    plan = DiscoveryPlan(checkpoint=find_checkpoint(None), predictor=ranking_predictor(None), n=2000)
    return discover(plan, folder).ranked.head(n)[["formula"]]


def described(row: dict[str, Any]) -> dict[str, Any]:
    names = ("formation_energy_chgnet", "formation_energy_7net_l3i5", "energy_above_hull_chgnet",
             "energy_above_hull_7net_l3i5", "potential_spread")  # fmt: skip
    return {"formula": row["formula"]} | {
        name: None if pd.isna(row[name]) else round(float(row[name]), 4) for name in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=8)
    arguments = parser.parse_args()
    seconds, made = {}, None
    with tempfile.TemporaryDirectory() as temporary:
        first = first_compositions(arguments.n, Path(temporary) / "discovery")
        for name, finish in (("chgnet", None), ("first 5 finished", Finish(top=5)), ("all finished", Finish())):
            began = time.process_time()
            made = make_structures(first, "formula", Path(temporary) / name, StructurePlan.quick(0, 1, finish))
            seconds[name] = round(time.process_time() - began, 1)
            print(name, seconds[name], flush=True)
    assert made is not None
    rows = [described(row) for row in made.candidates.to_dict("records")]
    content = {
        "compositions": arguments.n,
        "cpu_seconds": seconds,
        "ratio_first_5": round(seconds["first 5 finished"] / seconds["chgnet"], 2),
        "ratio_all": round(seconds["all finished"] / seconds["chgnet"], 2),
        "disagree": int(made.candidates["potentials_disagree"].sum()),
        "each": rows,
    }
    print(write_result("finishing", content), content)


if __name__ == "__main__":
    main()
