"""What `benchmarks.shift` asks: splits that hold families out, and compositions that a source alone holds.

Every split learns from formation energies of one source and is judged by true distances to a hull. Competing phases are
all *other* phases of the source that is learned from, held out or not: what is asked is a composition's own energy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.datasets import Dataset, load_dataset
from matgen.datasets.labels import SOURCES, without_outliers
from matgen.datasets.splits import WITHOUT, near_hull_parts, shifted_parts, source_parts
from matgen.errors import DataError
from matgen.io.files import read_json
from matgen.prediction import PropertyData
from matgen.structures.judge import IMPLAUSIBLE

NEAR = 0.1
"""Distance to the hull, eV/atom, up to which a composition is near it."""
LEFT_OUT_ELEMENTS = ("Na", "Mn", "Nd", "Sn", "N", "Se")
"""An alkali metal, a transition metal, a lanthanide, a metal of the p block, a pnictogen and a chalcogen."""


@dataclass(frozen=True)
class Asked:
    """Compositions with a known truth.

    Attributes:
        batch: `n` compositions.
        energy: float64 `(n,)`, true formation energies, eV/atom; NaN where there is none.
        distance: float64 `(n,)`, true distances to the hull, eV/atom.
        source: whose hull a model places them on.
        by_others: further truths of the distance by name, float64 `(n,)` each.
    """

    batch: CompositionBatch
    energy: np.ndarray
    distance: np.ndarray
    source: str
    by_others: dict[str, np.ndarray]

    def at_most(self, n: int | None) -> Asked:
        """A random part of at most `n`, the same in every run."""
        if n is None or len(self.batch) <= n:
            return self
        rows = np.sort(np.random.default_rng(0).permutation(len(self.batch))[:n])
        others = {name: values[rows] for name, values in self.by_others.items()}
        return Asked(self.batch[rows], self.energy[rows], self.distance[rows], self.source, others)


@dataclass(frozen=True)
class Shift:
    """A split.

    Attributes:
        title: in words.
        parts: from the bundled table and whether what validates is held out as what tests, to the part of each row.
        learns: the source whose labels are learned, and whose phases compete.
        tested_by: the source whose labels are the truth.
    """

    title: str
    parts: Callable[[Dataset, bool], np.ndarray]
    learns: str = "oqmd"
    tested_by: str = "oqmd"


def _energies(dataset: Dataset, source: str) -> np.ndarray:
    """Formation energies of a source, float64 `(n,)`, eV/atom; NaN where there is none or it failed."""
    return without_outliers(dataset.frame[SOURCES[source]].to_numpy(np.float64))


def _distances(dataset: Dataset, source: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True distances to a source's hull: of MP its own, beside the one that its bundled labels make."""
    computed = dataset.frame[f"hull_distance_{source}"].to_numpy(np.float64)
    if source == "mp":
        return dataset.frame["energy_above_hull_mp"].to_numpy(np.float64), {"hull_distance_mp": computed}
    return computed, {}


def _held_out(dataset: Dataset, alike: bool, split: str, seed: int = 0) -> np.ndarray:
    return shifted_parts(dataset.batch, split, seed=seed, valid_alike=alike)


def _near_hull(dataset: Dataset, alike: bool) -> np.ndarray:
    return near_hull_parts(dataset.batch, dataset.frame["hull_distance_oqmd"].to_numpy(np.float64), near=NEAR)


def _across(dataset: Dataset, alike: bool, learns: str, tested_by: str) -> np.ndarray:
    learned = np.isfinite(_energies(dataset, learns))
    return source_parts(dataset.batch, learned, of_one_source(dataset, tested_by))


def of_one_source(dataset: Dataset, source: str) -> np.ndarray:
    """Which compositions one source alone holds, with a distance to its hull, bool `(n,)`."""
    here, elsewhere = (
        dataset.frame[f"in_{name}"].to_numpy(bool) for name in (source, "mp" if source == "oqmd" else "oqmd")
    )
    return here & ~elsewhere & np.isfinite(_distances(dataset, source)[0])


SHIFTS: dict[str, Shift] = {
    "random": Shift("random compositions", partial(_held_out, split="split")),
    "systems": Shift("whole chemical systems", partial(_held_out, split="split_chemsys")),
    "pairs": Shift("whole pairs of elements", partial(_held_out, split="split_pair")),
    "anonymous": Shift("whole anonymous formulas", partial(_held_out, split="split_anonymous")),
    "anonymous-1": Shift("other anonymous formulas", partial(_held_out, split="split_anonymous", seed=1)),
    **{
        f"without-{symbol}": Shift(f"compositions with {symbol}", partial(_held_out, split=f"{WITHOUT}{symbol}"))
        for symbol in LEFT_OUT_ELEMENTS
    },
    "near-hull": Shift(f"the random ones, nothing within {NEAR} eV/atom of the hull learned", _near_hull),
    "oqmd-to-mp": Shift(
        "only in the Materials Project, learned from OQMD",
        partial(_across, learns="oqmd", tested_by="mp"),
        "oqmd",
        "mp",
    ),
    "mp-to-oqmd": Shift(
        "only in OQMD, learned from the Materials Project",
        partial(_across, learns="mp", tested_by="oqmd"),
        "mp",
        "oqmd",
    ),
}
"""Splits by name. The families of the anonymous ones are many or few by chance, hence two draws of them."""


def task(shift: Shift, *, valid_alike: bool, rows: int | None, most: int | None) -> tuple[PropertyData, Asked]:
    """What a split learns from (no test row is in it) and what it asks.

    Args:
        shift: the split.
        valid_alike: hold out families to validate by as well.
        rows: learn from a random part of so many rows.
        most: ask a random part of so many.
    """
    dataset = load_dataset("hybrid")
    part = shift.parts(dataset, valid_alike)
    learned, truth = _energies(dataset, shift.learns), _energies(dataset, shift.tested_by)
    distance, others = _distances(dataset, shift.tested_by)
    chosen = np.flatnonzero(np.isin(part, ("train", "valid")) & np.isfinite(learned))
    if rows is not None and len(chosen) > rows:
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:rows])
    data = PropertyData(
        "formation_energy", shift.learns, "eV/atom", dataset.batch[chosen], learned[chosen], part[chosen], {}
    )
    tested = np.flatnonzero((part == "test") & np.isfinite(distance))
    return data, _asked(dataset, tested, truth, distance, others, shift.learns).at_most(most)


def _asked(dataset: Dataset, rows: np.ndarray, energy: np.ndarray, distance: np.ndarray, others: dict[str, np.ndarray],
           source: str) -> Asked:  # fmt: skip
    return Asked(dataset.batch[rows], energy[rows], distance[rows], source, {k: v[rows] for k, v in others.items()})


def asked_of_bundled(name: str) -> Asked:
    """Compositions that no bundled predictor of the source on whose hull they are placed has learned from.

    Args:
        name: `oqmd-test` (the official test part), `mp-only` or `oqmd-only`.
    """
    dataset = load_dataset("hybrid")
    tested_by = "mp" if name == "mp-only" else "oqmd"
    distance, others = _distances(dataset, tested_by)
    if name == "oqmd-test":
        tested = dataset.frame["split_oqmd"].to_numpy(object) == "test"
        return _asked(
            dataset,
            np.flatnonzero(tested & np.isfinite(distance)),
            _energies(dataset, "oqmd"),
            distance,
            others,
            "oqmd",
        )
    rows = np.flatnonzero(of_one_source(dataset, tested_by))
    placed_on = "oqmd" if tested_by == "mp" else "mp"
    return _asked(dataset, rows, _energies(dataset, tested_by), distance, others, placed_on)


def made() -> CompositionBatch:
    """Compounds that have been made and that no bundled table of energies holds; nothing was learned from them."""
    return load_dataset("experimental-test").batch


def drawn(n: int, path: Path, checkpoint: str | None = None) -> CompositionBatch:
    """Valid draws of a checkpoint that no bundled table holds; drawn once and kept in `path`.

    Args:
        n: novel draws, of which the valid ones are kept.
        path: a CSV.
        checkpoint: folder or name, by default the bundled one.
    """
    from matgen.models.locate import find_checkpoint
    from matgen.sampling import Sampler, SampleRequest
    from matgen.validity import ValidityRules, check

    if not path.is_file():
        request = SampleRequest(n, unique=True, novel_to=("hybrid", "experimental", "experimental-test"))
        blocks = Sampler(find_checkpoint(checkpoint)).sample(request)
        batch = CompositionBatch.from_formulas(np.concatenate([block.formulas for block in blocks]))
        batch = batch[np.flatnonzero(check(batch, ValidityRules()).valid)]
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"formula": batch.formulas()}).to_csv(path, index=False)
    return load_dataset(path, column="formula").batch


ABOVE = "energy_above_hull_"
"""What columns of relaxed draws begin with, before the potential that relaxed them."""


def relaxed(path: Path) -> pd.DataFrame:
    """Novel draws with energies above the hull by potentials: columns `formula`, `energy_above_hull_<potential>` and,
    where several models drew them, `model`.

    Args:
        path: a CSV, or the JSON of `benchmarks.sun`, whose distances to the hull of labels are taken.

    Returns:
        A row for each formula, index from 0. Energies of failed relaxations (`IMPLAUSIBLE`) are NaN.

    Raises:
        DataError: there are no such columns.
    """
    if path.suffix == ".json":
        rows = pd.DataFrame(read_json(path).get("novel_by_potential", {}).get("rows", []))
        named = {
            name: ABOVE + name.removeprefix("labels_").replace("-", "_") for name in rows if name.startswith("labels_")
        }
        frame = rows.rename(columns=named)
    else:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])  # NaN is sodium nitride
    columns = [name for name in frame if str(name).startswith(ABOVE)]
    if "formula" not in frame or not columns:
        raise DataError(f"{path} has no columns formula and {ABOVE}POTENTIAL")
    values = frame[columns].astype(np.float64)
    kept = [name for name in ("formula", "model") if name in frame]
    return pd.concat([frame[kept], values.where(values >= IMPLAUSIBLE)], axis=1)
