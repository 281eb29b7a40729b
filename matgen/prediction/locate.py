"""Finding the predictor that a request means."""

from __future__ import annotations

from pathlib import Path

from matgen.datasets import data_folder
from matgen.datasets.labels import SOURCES
from matgen.errors import CheckpointError
from matgen.prediction.predictor import METADATA


def bundled_predictors() -> dict[str, Path]:
    """Names (`formation_energy-oqmd`) and folders of the predictors that come with matgen."""
    folder = data_folder() / "predictors"
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{METADATA}"))}


def bundled_name(name: str, source: str | None = None) -> str:
    """The bundled predictor of a property and a source; without a source, of whichever is bundled, OQMD's first."""
    bundled = bundled_predictors()
    names = [f"{name}-{one}" for one in ([source] if source else SOURCES)]
    return next((one for one in names if one in bundled), names[0])


def find_predictor(name: str) -> Path:
    """The folder of a predictor.

    Args:
        name: a folder, or a bundled predictor: its property and source, as `band_gap-mp`.

    Raises:
        CheckpointError: there is none.
    """
    bundled = bundled_predictors()
    if Path(name).is_dir():
        return Path(name)
    if name in bundled:
        return bundled[name]
    known = f"bundled: {', '.join(bundled)}" if bundled else "none is bundled"
    raise CheckpointError(f"no predictor {name} ({known}): make one with `matgen fit`, and name its folder by --model")


def ranking_predictor(name: str | None) -> Path | None:
    """The predictor that candidates are ranked by: a folder or bundled name, by default of OQMD's formation energies.

    Returns:
        None where none is wanted (`none`), or none is named and none bundled.

    Raises:
        CheckpointError: there is none of that name.
    """
    if name == "none":
        return None
    return bundled_predictors().get("formation_energy-oqmd") if name is None else find_predictor(name)
