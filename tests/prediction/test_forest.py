"""Trees as arrays: LightGBM is the oracle."""

import numpy as np
import pytest

from matgen.prediction import forest as forest_module
from matgen.prediction.forest import Forest

lightgbm = pytest.importorskip("lightgbm")


def booster(objective: str, parameters: dict[str, object], rounds: int = 12) -> tuple[object, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3_000, 6)).round(1)  # ties with thresholds
    target = (features[:, 0] * features[:, 1] + rng.normal(size=3_000) > 0).astype(float)
    settings = {"objective": objective, "verbosity": -1, "use_missing": False} | parameters
    return lightgbm.train(settings, lightgbm.Dataset(features, target), rounds), features


@pytest.mark.parametrize("objective", ["binary", "regression", "l1"])
@pytest.mark.parametrize("leaves", [2, 31])
@pytest.mark.parametrize("compiled", [True, False])
def test_sums_are_lightgbms(objective: str, leaves: int, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(forest_module, "load_kernel", lambda name: None)
    fitted, features = booster(objective, {"num_leaves": leaves})
    expected = fitted.predict(features, raw_score=True)
    assert Forest.of_booster(fitted).sums(features) == pytest.approx(expected, abs=1e-6)


def test_a_tree_without_a_split() -> None:
    fitted, features = booster("regression", {"min_data_in_leaf": 5_000}, rounds=1)
    assert Forest.of_booster(fitted).sums(features) == pytest.approx(fitted.predict(features, raw_score=True), abs=1e-6)


def test_arrays_come_back() -> None:
    fitted, features = booster("binary", {})
    forest = Forest.of_booster(fitted)
    again = Forest.from_arrays("one", forest.arrays("one"))
    assert np.array_equal(again.sums(features), forest.sums(features))
    with pytest.raises(KeyError):
        Forest.from_arrays("another", forest.arrays("one"))


def test_no_rows() -> None:
    fitted, features = booster("binary", {})
    assert Forest.of_booster(fitted).sums(features[:0]).shape == (0,)


def test_missing_values_and_categories_are_refused() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 2))
    features[::3, 0] = np.nan
    target = np.nan_to_num(features[:, 0]) + rng.normal(size=500)
    fitted = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(features, target), 3)
    with pytest.raises(ValueError, match="missing values of type NaN"):
        Forest.of_booster(fitted)
