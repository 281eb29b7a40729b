"""Fixtures: a small table of real formulas, and one small trained checkpoint an architecture."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import pytest

pytest_plugins = ["tests.quick_predictor", "tests.relaxed_folder"]

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Workers and the programs they start share the cores: more threads than cores make each other wait (ten times slower).
os.environ["OMP_NUM_THREADS"] = "1"

TWO_PROCESSES = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
"""On a machine without a GPU these are two processes on the CPU; `--cpu` would start them by MPI, or just one."""


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CSV of 600 formulas of at most 8 atoms from `hybrid-pure`, spread over it."""
    from matgen.datasets import load_dataset

    dataset = load_dataset("hybrid-pure")
    small = dataset.frame["formula"][dataset.batch.n_atoms <= 8]
    path = tmp_path_factory.mktemp("table") / "small.csv"
    small.iloc[:: len(small) // 600][:600].to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def train_small(small_table: Path):
    """A function that trains an architecture briefly on the small table (or another) and returns its folder."""
    from matgen.training import TrainingPlan, default_settings, train_model

    def train(key: str, out: Path, *, table: Path = small_table, notation: str = "expanded", **changes) -> Path:
        settings = default_settings("tiny", key, **({"epochs": 3, "batch_size": 64, "precision": "fp32"} | changes))
        train_model(
            TrainingPlan(model=key, dataset=str(table), notation=notation, preset="tiny", settings=settings), out
        )
        return out

    return train


@pytest.fixture(scope="session")
def checkpoints(train_small, tmp_path_factory: pytest.TempPathFactory):
    """A function from an architecture (and notation) to a small trained checkpoint, trained once a session."""
    made: dict[tuple[str, str], Path] = {}

    def checkpoint(key: str, notation: str = "expanded") -> Path:
        if (key, notation) not in made:
            out = tmp_path_factory.mktemp("checkpoints") / f"{key}-{notation}"
            made[key, notation] = train_small(key, out, notation=notation)
        return made[key, notation]

    return checkpoint


@pytest.fixture
def formulas_csv(tmp_path: Path):
    """A function that writes a CSV with a formula column and returns its path."""

    def write(formulas: list[str], name: str = "formulas.csv") -> Path:
        path = tmp_path / name
        pd.DataFrame({"formula": formulas}).to_csv(path, index=False)
        return path

    return write
