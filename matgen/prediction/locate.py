"""Finding the predictor that a request means."""

from __future__ import annotations

from pathlib import Path

from matgen.datasets.catalog import SOURCES
from matgen.errors import CheckpointError, did_you_mean, unknown_name
from matgen.io.places import bundled_folders

METADATA = "predictor.json"
"""The file that makes a folder a predictor's."""


def bundled_predictors() -> dict[str, Path]:
    """Names (`formation_energy-oqmd`) and folders of the predictors that come with matgen."""
    return bundled_folders("predictors", METADATA)


def bundled_name(name: str, source: str | None = None) -> str:
    """The bundled predictor of a property and a source; without a source, of whichever is bundled, OQMD's first.

    What is the name of a bundled predictor already, such as `band_gap-mp`, stays as it is.
    """
    bundled = bundled_predictors()
    if source is None and name in bundled:
        return name
    names = [f"{name}-{one}" for one in ([source] if source else SOURCES)]
    return next((one for one in names if one in bundled), names[0])


def find_predictor(name: str) -> Path:
    """The folder of a predictor.

    Args:
        name: a folder, or a bundled predictor: its property and source, as `band_gap-mp`, or the property alone.

    Raises:
        CheckpointError: there is none.
    """
    bundled = bundled_predictors()
    if Path(name).is_dir():
        return Path(name)
    if (of_property := bundled_name(name)) in bundled:
        return bundled[of_property]
    known = f"bundled: {', '.join(bundled)}" if bundled else "none is bundled"
    near = did_you_mean(name, bundled)
    raise CheckpointError(
        f"no predictor {name}{near} ({known}): make one with `matgen fit`, and name its folder by --model"
    )


def require_predictor(folder: Path) -> None:
    """Do nothing where a folder holds a predictor.

    Raises:
        CheckpointError: it does not, or it holds those of several targets, one of which has to be named.
    """
    if (folder / METADATA).is_file():
        return
    if several := sorted(path.parent for path in folder.glob(f"*/{METADATA}")):
        names = ", ".join(map(str, several))
        raise CheckpointError(f"{folder} holds predictors of several targets: name one of {names}")
    raise CheckpointError(f"{folder} has no {METADATA}: make a predictor with `matgen fit --out {folder}`")


def property_predictor(name: str, source: str | None = None) -> Path:
    """The folder of the bundled predictor of a property.

    Args:
        name: the property, or a bundled predictor's name.
        source: whose labels it learned, `oqmd` or `mp`.

    Raises:
        OptionError: there is no predictor of such a property.
        CheckpointError: there is none of that source.
    """
    bundled = bundled_predictors()
    properties = list(dict.fromkeys(one.rpartition("-")[0] for one in bundled))
    if bundled and name not in properties and name not in bundled:
        raise unknown_name("property", name, properties)
    return find_predictor(bundled_name(name, source))


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
