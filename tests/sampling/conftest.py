"""Fixtures: models of eight binary formulas, whose distribution can be enumerated."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from matgen.composition.batch import CompositionBatch
from matgen.fitting.examples import TokenTable
from matgen.fitting.loop import Fitter
from matgen.fitting.settings import FitSettings
from matgen.models import MODELS, build_model, save_checkpoint
from matgen.models.tokenizer import encode
from matgen.training.learner import learner_for
from matgen.training.validation import length_histogram

FEW = ["NaCl", "KCl", "NaBr", "KBr", "LiF", "NaF", "KF", "LiCl"]


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from an architecture to the checkpoint of a model that has learned `FEW`."""
    folder = tmp_path_factory.mktemp("few")

    def model(key: str) -> Path:
        out = folder / key
        if not out.exists():
            table = TokenTable.from_numpy(*encode(CompositionBatch.from_formulas(FEW * 8), "expanded"))
            objective = MODELS[key].objective
            settings = FitSettings(batch_size=32, epochs=60, precision="fp32", learning_rate=1e-3)
            network = build_model(key, "tiny", "expanded", seed=0)
            better = itertools.count(0, -1)  # ever better, so that the last weights are kept
            Fitter(
                learner_for(objective, network),
                table,
                objective.train,
                lambda model: float(next(better)),
                out,
                settings,
            ).run()
            histogram = length_histogram(table.lengths.numpy())
            save_checkpoint(out, network, {"architecture": key, "notation": "expanded", "length_histogram": histogram})
        return out

    return model
