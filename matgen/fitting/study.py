"""Searches by Optuna, whose trials are kept in a journal: a file of JSON lines that goes on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import MissingDependencyError

if TYPE_CHECKING:
    import optuna

JOURNAL = "journal.jsonl"
"""The file in a search's folder; several processes may share it."""
_RANDOM_FIRST = 8
"""Trials before the sampler proposes by what the others were like."""


def journal_study(folder: Path, *, seed: int, pruner: Any = None) -> optuna.Study:
    """The study of a folder, begun or gone on with, that minimizes by the tree-structured Parzen estimator.

    Bergstra et al., NeurIPS 2011. Every process and every resumption proposes other trials.

    Args:
        folder: exists.
        seed: of the proposals.
        pruner: makes Optuna's pruner from its module; None for none.

    Raises:
        MissingDependencyError: optuna is not installed.
    """
    optuna = require_optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        study_name="matgen",
        pruner=optuna.pruners.NopPruner() if pruner is None else pruner(optuna.pruners),
        load_if_exists=True,
    )
    study.sampler = optuna.samplers.TPESampler(
        seed=seed + 1_000 * len(study.trials), multivariate=True, n_startup_trials=_RANDOM_FIRST
    )
    return study


def require_optuna() -> Any:
    """The module optuna.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("searching needs optuna: pip install 'matgen[tune]'") from error
    return optuna
