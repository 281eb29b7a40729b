"""What becomes of the draws of a model, judged alike by every benchmark that trains or opens one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from matgen.evaluation import evaluate
from matgen.sampling import Sampler, SampleRequest, sample_to_file
from matgen.sampling.scoring import DRAWS, expected_recovery

METRICS = ("charge_neutral", "electronegativity_balanced", "unique", "novel", "valid_unique_novel")


def shares(table: Any, seed: int = 0) -> dict[str, Any]:
    """The report on a table of formulas, novelty against all that is known."""
    return evaluate(table, "hybrid", seed=seed, baselines=False).content


def recovered(table: Any, dataset: str, split: str = "split", seed: int = 0) -> dict[str, Any]:
    """The report on a table of formulas beside one dataset, whose held-out formulas it may hold."""
    return evaluate(table, dataset, split=split, seed=seed, baselines=False).content


def drawn(sampler: Sampler, request: SampleRequest, dataset: str | None = None) -> dict[str, Any]:
    """`METRICS` of draws, and as `recovered` the share of a dataset's test formulas among them."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "draws.parquet"
        sample_to_file(sampler, request, path)
        known = shares(path)
        own = {} if dataset is None else {"recovered": recovered(path, dataset)["recovery"]["test"]}
    return {"valid": known["valid"], **{name: known[name] for name in METRICS}, **own}


def recovery_expected(log_prob: np.ndarray) -> dict[str, float]:
    """The share of formulas with these log-probabilities expected among 10,000 and among 1,000,000 draws."""
    return {str(n): expected_recovery(log_prob, n) for n in DRAWS}
