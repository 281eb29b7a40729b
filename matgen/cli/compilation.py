"""matgen --compile: what numba would compile when it is first used, compiled beforehand, such as at an installation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def compile_kernels() -> int:
    """Compile every kernel by small work that needs it, and say how long each took; returns the exit status.

    numba keeps what it compiles beside the package or, where that cannot be written, in the cache. A machine without
    numba has nothing to compile: status 2 says so.
    """
    from matgen.runtime.compiled import load_kernel

    if load_kernel("validity.kernel") is None:
        print("matgen --compile: numba is not installed or does not work here: pip install numba", file=sys.stderr)
        return 2
    for name, work in _WORK.items():
        began = time.monotonic()
        work()
        print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    return 0


def _drawing() -> None:
    """The step of drawing; its code is loaded without numba from then on."""
    from matgen.sampling.decoders.fast_step import ATTEND, ATTEND_WHOLE, LOOK_UP

    for kernel in (ATTEND, ATTEND_WHOLE, LOOK_UP):
        kernel.load()


def _formulas() -> None:
    """Reading, hashing and writing of long columns."""
    import numpy as np
    import pyarrow as pa

    from matgen.composition.batch import parse_formulas
    from matgen.composition.kernels import _WORTH_LOADING
    from matgen.models.tokenizer import decode, encode

    batch = parse_formulas(pa.array(["NaCl", "SrTiO3"] * (_WORTH_LOADING // 2))).batch
    batch.keys()
    batch.formulas()
    for notation in ("expanded", "counted"):
        decode(np.asarray(encode(batch, notation)[0]), notation)


def _verdicts() -> None:
    """Validity of many formulas, and the oxidation states behind it."""
    from matgen.validity import ValidityRules, explain
    from matgen.validity.judging import FEW

    for mixed in (False, True):
        explain(["Fe3O4", "SrTiO3"] * (2 * FEW), ValidityRules(mixed_valence=mixed))  # of each more than a few


def _predictions() -> None:
    """Properties by the bundled predictors, and the distance to the hull."""
    import pandas as pd

    from matgen.prediction import Predictor
    from matgen.prediction.locate import property_predictor
    from matgen.prediction.predicting import predict_table

    predictor = Predictor.load(property_predictor("formation_energy", None))
    predict_table(predictor, pd.DataFrame({"formula": ["NaCl", "SrTiO3"]}), "formula")


_WORK: dict[str, Callable[[], None]] = {
    "drawing": _drawing,
    "reading formulas": _formulas,
    "judging validity": _verdicts,
    "predicting": _predictions,
}
