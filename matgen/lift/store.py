"""Fitted estimators as folders: columns, templates and options as JSON, weights as safetensors.

Nothing is unpickled. `lift.json` is written last, so a folder without it is an unfinished one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen import __version__
from matgen.errors import CheckpointError, DataError, OptionError
from matgen.io.files import atomic_write, refuse_to_overwrite
from matgen.io.folders import read_description, verify_files, write_description
from matgen.io.parquet import read_parquet, write_parquet
from matgen.lift.backends import load_backend
from matgen.lift.columns import Column
from matgen.lift.estimators.classifier import LiftClassifier
from matgen.lift.estimators.multi_target import LiftMultiTarget
from matgen.lift.estimators.regressor import LiftRegressor
from matgen.lift.estimators.targets import Targets
from matgen.lift.generator import LiftGenerator
from matgen.lift.sentences import Sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST, STORE = "lift.json", "store.parquet"
_ROW_MODEL = "generator.safetensors"
"""Weights of models of rows, of several targets too."""
Fitted = LiftClassifier | LiftRegressor | LiftMultiTarget | LiftGenerator
_ESTIMATORS: Mapping[str, type[Any]] = {
    estimator.__name__: estimator for estimator in (LiftClassifier, LiftRegressor, LiftMultiTarget, LiftGenerator)
}
_FORMER_OPTIONS = {"kinds": "column_types"}
"""Arguments of the estimators by their names in 0.2."""


def save(estimator: Fitted, folder: Path | str, *, force: bool = False) -> Path:
    """Write a fitted estimator into a folder.

    Raises:
        OutputError: the folder has something in it (without `force`) or cannot be written.
        OptionError: an option of the estimator is nothing that JSON can hold.
    """
    folder = Path(folder)
    if not force:
        refuse_to_overwrite(folder, force=False)
    content: dict[str, Any] = {
        "matgen": __version__,
        "estimator": type(estimator).__name__,
        "options": _plain(_present_options(estimator.get_params())),
        "n_parameters": estimator.n_parameters_,
    }
    if isinstance(estimator, LiftGenerator):
        _save_generator(estimator, folder, content)
    elif isinstance(estimator, LiftMultiTarget):
        _save_multi_target(estimator, folder, content)
    else:
        _save_predictor(estimator, folder, content)
    model = (path.relative_to(folder).as_posix() for path in sorted((folder / "model").rglob("*")))
    write_description(folder, MANIFEST, content, only=(*model, STORE))  # `--force` may leave files of users beside them
    return folder


def _save_predictor(estimator: LiftClassifier | LiftRegressor, folder: Path, content: dict[str, Any]) -> None:
    sentences = estimator.sentences_
    assert sentences.target is not None
    content["sentences"] = {
        "columns": [column.as_json() for column in sentences.columns],
        "target": sentences.target.as_json(),
        "template": sentences.template,
        "formulas_as": sentences.formulas_as,
        "seed": sentences.seed,
    }
    content["feature_names"] = estimator.feature_names_
    if isinstance(estimator, LiftClassifier):
        content["classes"] = estimator.classes_.tolist()
    else:
        content["calibration"] = estimator.calibration_.scores.tolist()
        content["rounding_floor"] = estimator.rounding_floor_
    if estimator.store_ is not None:
        with atomic_write(folder / STORE) as part:
            write_parquet(estimator.store_, part)
    content["store"] = estimator.store_ is not None
    estimator.backend_.save(folder / "model")


def _save_generator(estimator: LiftGenerator, folder: Path, content: dict[str, Any]) -> None:
    content["has_missing"] = estimator.has_missing_
    content["alike"] = sorted(estimator.row_model_.codec.alike)
    content["commonest"] = estimator.commonest_
    _save_row_model(estimator, folder, content)


def _save_multi_target(estimator: LiftMultiTarget, folder: Path, content: dict[str, Any]) -> None:
    targets = estimator.targets_
    content["targets"] = [column.as_json() for column in targets.columns]
    content["classes"] = {name: labels.tolist() for name, labels in targets.classes.items()}
    content["calibrations"] = {name: one.scores.tolist() for name, one in targets.calibrations.items()}
    content["feature_names"] = estimator.feature_names_
    _save_row_model(estimator, folder, content)


def _save_row_model(estimator: LiftMultiTarget | LiftGenerator, folder: Path, content: dict[str, Any]) -> None:
    from matgen.fitting.state import weights_of
    from matgen.io.weights import save_weights

    content["columns"] = [column.as_json() for column in estimator.columns_]
    content["lengths"] = estimator.row_model_.codec.lengths
    with atomic_write(folder / "model" / _ROW_MODEL) as part:
        save_weights(weights_of(estimator.row_model_.model), part)


def load(folder: Path | str) -> Fitted:
    """Read what `save` wrote.

    Raises:
        CheckpointError: there is no fitted estimator in the folder, or a file of it is damaged.
        MissingDependencyError: the model is pre-trained and the extra `lift` is not installed.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise CheckpointError(
            f"{folder} holds no fitted LIFT model ({MANIFEST} is not there): make one by matgen lift fit"
        )
    try:
        content = read_description(folder, MANIFEST)
        verify_files(folder, MANIFEST, content, "run `matgen lift fit` again")
        estimator = _ESTIMATORS[content["estimator"]](**_present_options(content["options"]))
        if isinstance(estimator, LiftGenerator):
            estimator.has_missing_ = dict(content["has_missing"])
            estimator.commonest_ = dict(content.get("commonest", {}))  # not in files of 0.2
            _load_row_model(estimator, folder, content, alike=content.get("alike", ()))  # none in models of 0.2
        elif isinstance(estimator, LiftMultiTarget):
            _load_multi_target(estimator, folder, content)
        else:
            _load_predictor(estimator, folder, content)
        estimator.n_parameters_ = content["n_parameters"]
    except (DataError, OptionError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / MANIFEST} is damaged or of another version: {error}") from error
    return estimator


def _load_predictor(estimator: Any, folder: Path, content: Mapping[str, Any]) -> None:
    written = content["sentences"]
    sentences = Sentences(
        tuple(Column.from_json(column) for column in written["columns"]),
        Column.from_json(written["target"]),
        written["template"],
        written["formulas_as"],
        written["seed"],
    )
    estimator.sentences_ = sentences
    estimator.feature_names_ = list(content["feature_names"])
    estimator.feature_names_in_ = np.array(estimator.feature_names_, dtype=object)
    estimator.n_features_in_ = len(estimator.feature_names_)
    if isinstance(estimator, LiftClassifier):
        estimator.classes_ = np.array(content["classes"])
    else:
        from matgen.prediction.uncertainty import Calibration

        estimator.calibration_ = Calibration(np.array(content["calibration"], dtype=np.float64))
        estimator.rounding_floor_ = content["rounding_floor"]
    estimator.store_ = _load_store(folder, sentences) if content["store"] else None
    estimator.backend_ = load_backend(estimator.backend, folder / "model", sentences, **estimator._backend_options())


def _load_store(folder: Path, sentences: Sentences) -> pd.DataFrame:
    try:
        frame = read_parquet(folder / STORE)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / STORE} is missing or damaged: fit again") from error
    assert sentences.target is not None
    for column in (*sentences.columns, sentences.target):
        if column.type != "number":
            cells = frame[column.name].astype(object)
            frame[column.name] = cells.where(cells.notna(), None)
    return frame


def _load_multi_target(estimator: LiftMultiTarget, folder: Path, content: Mapping[str, Any]) -> None:
    from matgen.prediction.uncertainty import Calibration

    estimator.targets_ = Targets(
        [Column.from_json(column) for column in content["targets"]],
        {name: np.array(labels) for name, labels in content["classes"].items()},
        {name: Calibration(np.array(own, dtype=np.float64)) for name, own in content["calibrations"].items()},
    )
    estimator.feature_names_ = list(content["feature_names"])
    estimator.n_features_in_ = len(estimator.feature_names_)
    _load_row_model(estimator, folder, content)


def _load_row_model(
    estimator: LiftMultiTarget | LiftGenerator, folder: Path, content: Mapping[str, Any], **how: Any
) -> None:
    from safetensors import SafetensorError

    from matgen.fitting.state import set_weights
    from matgen.io.weights import load_weights

    estimator.columns_ = [Column.from_json(column) for column in content["columns"]]
    estimator._build(dict(content["lengths"]), **how)
    path = folder / "model" / _ROW_MODEL
    try:
        set_weights(estimator.row_model_.model, load_weights(path))
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is missing or damaged: fit again") from error
    estimator.row_model_.model.eval()


def _present_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options under the names of today, whichever names they were given by."""
    present = {name: value for name, value in options.items() if name not in _FORMER_OPTIONS}
    former = {name: options[old] for old, name in _FORMER_OPTIONS.items() if options.get(old) is not None}
    return present | former


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON holds them.

    Raises:
        OptionError: one is neither a number, text or boolean, nor a mapping or list of such.
    """
    out = {}
    for name, value in options.items():
        if isinstance(value, np.generic):
            value = value.item()
        if value is not None and not isinstance(value, bool | int | float | str | dict | list | tuple):
            raise OptionError(f"{name} is {value!r}, which cannot be written: give numbers, texts or mappings")
        out[name] = value
    return out
