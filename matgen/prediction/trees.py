"""Members of a predictor that are boosted trees on Magpie features, by LightGBM: the baseline that anyone trusts.

One booster says the mean (or the logarithm of the odds). A second says the logarithm of the error expected, learned
from compositions that the first has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import MissingDependencyError
from matgen.io.files import write_text
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
        """Mean (or logarithm of the odds) and logarithm of the scale, float32 `(n,)` each, standardised."""
        if not len(batch):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        features = magpie_features(batch)
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


def fit_trees(
    train: tuple[CompositionBatch, np.ndarray],
    unseen: tuple[CompositionBatch, np.ndarray],
    *,
    classify: bool,
    seed: int,
    rounds: int = _ROUNDS,
) -> TreesMember:
    """Fit a member.

    Args:
        train: `n` compositions and standardised targets.
        unseen: others, which say when to stop and what errors to expect.
        classify: whether targets are 0 and 1.
        seed: of the rows and features that each tree sees.
        rounds: trees at most.

    Raises:
        MissingDependencyError: lightgbm is not installed.
    """
    lightgbm = load_lightgbm()
    names = feature_names()
    small = len(train[0]) < 5_000
    parameters = {
        "objective": "binary" if classify else "regression",
        "metric": "binary_logloss" if classify else "l1",
        "learning_rate": 0.03 if small else 0.06,
        "num_leaves": 31 if small else 255,
        "min_data_in_leaf": 5 if small else 20,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(magpie_features(train[0]), train[1], feature_name=names)
    features = magpie_features(unseen[0])
    check = lightgbm.Dataset(features, unseen[1], reference=data)
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
    scale_parameters = parameters | {"objective": "regression", "metric": "l2", "num_leaves": 15, "learning_rate": 0.05}
    scale = lightgbm.train(scale_parameters, lightgbm.Dataset(features, log_error, feature_name=names), 150)
    return TreesMember(mean, scale)


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
