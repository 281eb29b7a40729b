from __future__ import annotations

import networkx
import numpy as np
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OptionError
from matgen.prediction.splitting import families_held_out, folds_of, parts_of, units_of


def draw(rng: np.random.Generator, rows: int, kinds: int) -> CompositionBatch:
    return CompositionBatch.from_formulas([f"Na{i + 1}Cl{i + 2}" for i in rng.integers(0, kinds, rows)])


def test_units_are_what_compositions_and_groups_link(rng: np.random.Generator) -> None:
    batch = draw(rng, 60, 120)
    groups = [None if i % 5 == 0 else f"g{i}" for i in rng.integers(0, 120, 60)]
    units, remark = units_of(batch, "split", groups)
    graph = networkx.Graph()
    for row, (formula, group) in enumerate(zip(batch.formulas(), groups, strict=True)):
        graph.add_edge(row, f"f {formula}")
        if group is not None:
            graph.add_edge(row, f"g {group}")
    expected = {
        frozenset(node for node in part if isinstance(node, int)) for part in networkx.connected_components(graph)
    }
    assert remark == ""
    assert {frozenset(np.flatnonzero(units == unit).tolist()) for unit in set(units)} == expected


def test_groups_alone_count_where_compositions_link_everything(rng: np.random.Generator) -> None:
    batch, groups = draw(rng, 200, 10), [f"g{i // 10}" for i in range(200)]
    units, remark = units_of(batch, "split", groups)
    assert [len(set(units[i : i + 10])) for i in range(0, 200, 10)] == [1] * 20 and len(set(units)) == 20
    assert remark == "10 compositions occur in several groups, and may be on both sides of the split"


def test_systems_stay_together_in_small_tables(rng: np.random.Generator) -> None:
    names = [
        f"{a}{n}{b}" for a in ("Li", "Na", "K", "Rb", "Cs", "Mg") for b in ("O", "S", "F", "Cl") for n in range(1, 8)
    ]
    batch = CompositionBatch.from_formulas(names)
    units, _ = units_of(batch, "split_chemsys")
    part = parts_of(batch, units, "split_chemsys", grouped=False, test_only=False)
    systems = batch.chemical_systems()
    assert {len(set(part[systems == one])) for one in set(systems)} == {1}
    assert 0.05 < (part == "test").mean() < 0.25 and 0.05 < (part == "valid").mean() < 0.25


@pytest.mark.parametrize("test_only", [False, True])
@pytest.mark.parametrize("sizes", [[1] * 150, [100] + [2] * 30, [50, 60, 70], [149, 1, 1]])
def test_every_part_has_rows(sizes: list[int], test_only: bool) -> None:
    units = np.repeat(np.arange(len(sizes)), sizes)
    batch = draw(np.random.default_rng(1), len(units), 3)
    part = parts_of(batch, units, "split", grouped=True, test_only=test_only)
    assert set(part) == ({"train", "test"} if test_only else {"train", "valid", "test"})
    assert {len(set(part[units == unit])) for unit in set(units)} == {1}
    assert (part == "train").mean() > 0.3


def test_folds_are_even_and_keep_units(rng: np.random.Generator) -> None:
    units = rng.integers(0, 50, 300)
    fold = folds_of(units, 10)
    assert {len(set(fold[units == unit])) for unit in set(units)} == {1}
    assert np.ptp(np.bincount(fold)) <= np.bincount(units).max()
    assert folds_of(np.arange(5), 10).max() == 4
    with pytest.raises(OptionError, match="folds is 2"):
        folds_of(units, 2)
    with pytest.raises(OptionError, match="only 2 groups of rows"):
        folds_of(np.array([0, 0, 1]), 10)
    with pytest.raises(DataError, match="only 2 groups of rows"):
        parts_of(draw(rng, 3, 3), np.array([0, 0, 1]), "split", grouped=True, test_only=False)


def test_families_are_held_out(tmp_path) -> None:
    from matgen.prediction.training_tables import table_property

    pairs = [(a, b) for a in ("Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Al", "Ga", "Y") for b in ("O", "S", "F", "Cl")]
    names = [f"{a}{i}{b}{j}" for a, b in pairs for i, j in ((1, 1), (1, 2), (2, 1), (1, 3), (2, 3), (3, 1), (3, 2))]
    batch = CompositionBatch.from_formulas(names)
    part = families_held_out(batch, "split_without_S")
    assert {name for name, where in zip(names, part, strict=True) if where == "test"} == {
        name for name in names if "S" in name.replace("Sr", "")
    }
    with pytest.raises(DataError, match=r"leaves too few rows of this table in a part \(.* test\)"):
        families_held_out(batch, "split_without_Xe")
    (tmp_path / "t.csv").write_text("formula,y\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    data = table_property(tmp_path / "t.csv", "y", split="split_without_S")
    assert data.fold is None and set(data.part) == {"train", "valid", "test"}
    with pytest.raises(OptionError, match="goes neither with --folds nor with --group"):
        table_property(tmp_path / "t.csv", "y", split="split_without_S", folds=5)
