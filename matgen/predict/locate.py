"""Finding the predictor that a request means."""

from __future__ import annotations

from pathlib import Path

from matgen.datasets import data_folder
from matgen.errors import CheckpointError
from matgen.predict.predictor import METADATA


def bundled_predictors() -> dict[str, Path]:
    """Names (`formation_energy-oqmd`) and folders of the predictors that come with matgen."""
    folder = data_folder() / "predictors"
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{METADATA}"))}


def find_predictor(folder: str | None, name: str, source: str) -> Path:
    """The folder of a predictor.

    Args:
        folder: where it is, or the name of a bundled one; None for the bundled one of a property and source.
        name: of the property.
        source: whose labels it learned.

    Raises:
        CheckpointError: there is none.
    """
    bundled = bundled_predictors()
    wanted = folder or f"{name}-{source}"
    if folder and Path(folder).is_dir():
        return Path(folder)
    if wanted in bundled:
        return bundled[wanted]
    known = f"bundled: {', '.join(bundled)}" if bundled else "none is bundled"
    how = f"matgen fit --property {name} --source {source}" if not folder else "matgen fit"
    raise CheckpointError(f"no predictor {wanted} ({known}): make one with `{how}`, and name its folder by --model")
