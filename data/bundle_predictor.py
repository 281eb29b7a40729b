"""Copy a fitted predictor of a bundled property into `data/predictors/`, calibrated and measured anew.

The bundled predictors were made by (one core each, resumable by `--resume`)::

    matgen fit --property formation_energy --source oqmd --ensemble-size 3 --max-minutes 105 \
        --out runs/formation_energy-oqmd
    matgen fit --property formation_energy --source mp --ensemble-size 1 --max-minutes 9 --out runs/formation_energy-mp
    matgen fit --property band_gap --source mp --ensemble-size 2 --max-minutes 16 --out runs/band_gap-mp
    matgen fit --property is_metal --source mp --ensemble-size 1 --width 64 --max-minutes 4 --out runs/is_metal-mp
    python data/bundle_predictor.py runs/formation_energy-oqmd
"""

from __future__ import annotations

import sys
from pathlib import Path

from matgen.prediction import Predictor, bundled_property, measured
from matgen.prediction.card import predictor_card
from matgen.prediction.fit import calibrate

OUT = Path(__file__).resolve().parent / "predictors"


def main(run: str) -> None:
    predictor = Predictor.load(run)
    data = bundled_property(predictor.name, predictor.metadata["source"])
    calibrate(predictor, data)
    metrics = predictor.metadata["metrics"] = measured(predictor, *data.of("test"))
    predictor.save(OUT / f"{data.name}-{data.source}", predictor_card(predictor.metadata))
    print({name: value for name, value in metrics.items() if name != "n"})


if __name__ == "__main__":
    main(*sys.argv[1:])
