"""Members of a predictor that are boosted trees on Magpie features, by LightGBM: the baseline that anyone trusts.

Columns beside the formula are further features, texts as categories that LightGBM parts itself (Fisher, JASA 53, 789,
1958); missing cells go to whichever side fits. One booster says the mean (or the logarithm of the odds). A second says
the logarithm of the error expected, learned from compositions that the first has not seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import MissingDependencyError
from matgen.io.files import write_text
from matgen.prediction.features import FeaturedBatch
from matgen.prediction.magpie import feature_names, magpie_features

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

_ROUNDS, _PATIENCE = 4_000, 100
_ENOUGH = 200
"""Unseen compositions from which a booster of errors can learn; with fewer the error expected is the same for all."""


@dataclass
class TreesMember:
    """Boosted trees as a member.

    Attributes:
        mean: LightGBM `Booster` of the mean or of the logarithm of the odds.
        log_scale: that of the logarithm of the scale, or the same number for all.
    """

    mean: Any
    log_scale: Any

    @property
    def parameters(self) -> int:
        """Leaves of its trees."""
        return sum(tree["num_leaves"] for tree in self.mean.dump_model()["tree_info"])

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean (or logarithm of the odds) and logarithm of the scale, float32 `(n,)` each, standardised.

        Of more than two classes the first is float32 `(n, classes)`.
        """
        classes = self.mean.num_model_per_iteration()
        if not len(batch):
            return np.zeros((0, classes)[: min(classes, 2)], np.float32), np.zeros(0, np.float32)
        features = tree_features(batch)
        mean = self.mean.predict(features, raw_score=True)
        if isinstance(self.log_scale, float):
            log_scale = np.full(len(batch), self.log_scale)
        else:
            log_scale = self.log_scale.predict(features)
        return mean.astype(np.float32), log_scale.astype(np.float32)

    def description(self) -> dict[str, Any]:
        """What `load` needs besides the files."""
        return {"log_scale": self.log_scale if isinstance(self.log_scale, float) else None}

    def save(self, stem: Path) -> None:
        """Write the trees as LightGBM's text to `<stem>.txt` and `<stem>-scale.txt`."""
        write_text(f"{stem}.txt", self.mean.model_to_string())
        if not isinstance(self.log_scale, float):
            write_text(f"{stem}-scale.txt", self.log_scale.model_to_string())

    @classmethod
    def load(cls, stem: Path, content: dict[str, Any]) -> TreesMember:
        """The member that `save` wrote.

        Raises:
            MissingDependencyError: lightgbm is not installed.
            OSError, lightgbm.basic.LightGBMError: a file is missing or damaged.
        """
        lightgbm = load_lightgbm()
        constant = content["log_scale"]
        mean = lightgbm.Booster(model_str=Path(f"{stem}.txt").read_text(encoding="utf-8"))
        if constant is not None:
            return cls(mean, float(constant))
        return cls(mean, lightgbm.Booster(model_str=Path(f"{stem}-scale.txt").read_text(encoding="utf-8")))


def tree_features(batch: CompositionBatch) -> np.ndarray:
    """What trees learn from: Magpie features, and behind them the columns beside the formula, float `(n, 132 + f)`."""
    features = magpie_features(batch)
    return np.hstack([features, batch.features]) if isinstance(batch, FeaturedBatch) else features


def fit_trees(
    train: tuple[CompositionBatch, np.ndarray],
    unseen: tuple[CompositionBatch, np.ndarray],
    *,
    classify: bool,
    seed: int,
    classes: int = 2,
    options: Mapping[str, Any] | None = None,
    rounds: int = _ROUNDS,
) -> TreesMember:
    """Fit a member.

    Args:
        train: `n` compositions and standardised targets.
        unseen: others, which say when to stop and what errors to expect.
        classify: whether targets are places of classes, 0 and 1 or more.
        seed: of the rows and features that each tree sees.
        classes: how many there are.
        options: LightGBM's parameters in place of the usual ones.
        rounds: trees at most, of each class.

    Raises:
        MissingDependencyError: lightgbm is not installed.
    """
    lightgbm = load_lightgbm()
    parameters = _parameters(len(train[0]), classify, classes) | dict(options or {}) | {"seed": seed}
    features = tree_features(unseen[0])
    data = _dataset(lightgbm, tree_features(train[0]), train)
    check = lightgbm.Dataset(features, unseen[1], reference=data)
    with warnings.catch_warnings():  # that options name the number of trees: it is meant so
        warnings.simplefilter("ignore", UserWarning)
        mean = lightgbm.train(
            parameters, data, rounds, valid_sets=[check], callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)]
        )
    if classify:
        return TreesMember(mean, 0.0)
    error = np.abs(mean.predict(features) - unseen[1])
    floor = 1e-3 * max(float(error.mean()), 1e-12)
    log_error = np.log(error + floor)
    if len(error) < _ENOUGH:
        return TreesMember(mean, float(np.log(error.mean() + floor)))
    usual = _parameters(len(train[0]), False, 2) | {"seed": seed}
    scale_parameters = usual | {"objective": "regression", "metric": "l2", "num_leaves": 15, "learning_rate": 0.05}
    scale = lightgbm.train(scale_parameters, _dataset(lightgbm, features, (unseen[0], log_error)), 150)
    return TreesMember(mean, scale)


def _parameters(rows: int, classify: bool, classes: int) -> dict[str, Any]:
    """LightGBM's parameters for so many rows to learn from."""
    several = {"objective": "multiclass", "metric": "multi_logloss", "num_class": classes}
    two = {"objective": "binary", "metric": "binary_logloss"}
    of_task = {"objective": "regression", "metric": "l1"} if not classify else two if classes == 2 else several
    fixed = {"bagging_freq": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    return of_task | fixed | usual_parameters(rows)


def usual_parameters(rows: int) -> dict[str, Any]:
    """LightGBM's parameters for so many rows to learn from, without those of the task."""
    small = rows < 5_000
    return {
        "learning_rate": 0.03 if small else 0.06,
        "num_leaves": 31 if small else 255,
        "min_data_in_leaf": 5 if small else 20,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        # Of categories; the usual 100 rows of each would part none of a small table's.
        "min_data_per_group": 5 if small else 100,
        "cat_smooth": 2.0 if small else 10.0,
    }


def _dataset(lightgbm: Any, features: np.ndarray, rows: tuple[CompositionBatch, np.ndarray]) -> Any:
    """Features and targets as LightGBM takes them."""
    batch, target = rows
    names = feature_names()
    schema = batch.schema if isinstance(batch, FeaturedBatch) else ()
    categories = [len(names) + j for j, one in enumerate(schema) if one.type == "category"]
    # LightGBM takes no quotes and brackets in names.
    names += [f"column {j + 1}" for j in range(len(schema))]
    return lightgbm.Dataset(features, target, feature_name=names, categorical_feature=categories or "auto")


def load_lightgbm() -> Any:
    """LightGBM.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: its OpenMP library is missing
        raise MissingDependencyError(f"trees need lightgbm: pip install 'matgen[trees]' ({error})") from error
    return lightgbm
