from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.datasets.labels import labeled_phases
from matgen.hull import CompetingPhases
from matgen.hull import kernel as compiled
from matgen.hull import phases as hull_phases


def random_batch(generator: np.random.Generator, n: int, elements: list[str], most: int) -> CompositionBatch:
    """Compositions of up to `most` of some elements, small counts: many lie on tie lines of others."""
    formulas = []
    for _ in range(n):
        chosen = generator.choice(elements, generator.integers(1, most + 1), replace=False)
        formulas.append("".join(f"{symbol}{generator.integers(1, 5)}" for symbol in chosen))
    return CompositionBatch.from_formulas(formulas)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(2, 8), ties=st.booleans())
def test_same_energies_as_scipy_and_mixtures_that_add_up(seed: int, most: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    elements = [str(symbol) for symbol in SYMBOLS[generator.choice(np.arange(1, 90), 8, replace=False)]]
    batch = random_batch(generator, 200, elements, most)
    energy = generator.normal(-0.5, 0.7, len(batch))
    if ties:  # many mixtures of one energy: every step of the simplex is degenerate
        energy = np.round(energy)
    phases = CompetingPhases(batch, energy, "invented")
    asked = random_batch(generator, 40, elements, most)
    found = phases.decompose(asked)
    assert np.isfinite(found.energy).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hull_phases, "load_kernel", lambda name: None)
        slow = CompetingPhases(batch, energy, "invented").decompose(asked)
    assert found.energy == pytest.approx(slow.energy, abs=1e-9)
    names, wanted = phases.batch.formulas(), asked.formulas()
    for one in (found, slow):
        for i in range(len(asked)):
            atoms, total = np.zeros(119), 0.0
            for product, share in zip(one.product[one.owner == i], one.fraction[one.owner == i], strict=True):
                z, n = (
                    ([-product], [1]) if product < 0 else (phases.batch.elements[product], phases.batch.counts[product])
                )
                np.add.at(atoms, z, share * np.array(n) / np.sum(n))
                total += 0.0 if product < 0 else share * phases.energy[product]
                assert product < 0 or names[product] != wanted[i]
            expected = np.zeros(119)
            np.add.at(expected, asked.elements[i], asked.counts[i] / asked.counts[i].sum())
            atoms[0] = 0
            assert atoms == pytest.approx(expected, abs=1e-8)
            assert total == pytest.approx(one.energy[i], abs=1e-8)


def test_bundled_labels_against_one_dense_program_each() -> None:
    """Written out here without systems, keys or threads: all phases of the elements, by scipy."""
    phases = labeled_phases("mp")
    batch = phases.batch[np.random.default_rng(1).choice(len(phases), 60, replace=False)]
    found = phases.decompose(batch)
    shares = phases.batch.counts / phases.batch.counts.sum(axis=1, keepdims=True)
    names = phases.batch.formulas()
    for i, formula in enumerate(batch.formulas()):
        elements = batch.elements[i][batch.elements[i] > 0]
        inside = np.isin(phases.batch.elements, [0, *elements]).all(axis=1) & (names != formula)
        rows = np.flatnonzero(inside)
        columns = np.array([np.where(phases.batch.elements[rows] == z, shares[rows], 0).sum(axis=1) for z in elements])
        columns = np.hstack([columns.reshape(len(elements), -1), np.eye(len(elements))])
        x = batch.counts[i][: len(elements)] / batch.counts[i].sum()
        cost = np.concatenate([phases.energy[rows], np.zeros(len(elements))])
        expected = linprog(cost, A_eq=columns, b_eq=x, method="highs").fun
        assert found.energy[i] == pytest.approx(expected, abs=1e-9), formula


def test_a_hundred_elements_at_once_end() -> None:
    phases = labeled_phases("oqmd")
    known = [str(SYMBOLS[z]) for z in range(1, 95) if phases.knows[z]]
    batch = CompositionBatch.from_formulas(["".join(known), "NaCl"])
    began = time.monotonic()
    found = phases.decompose(batch)
    assert time.monotonic() - began < 60
    mine = found.owner == 0
    assert found.fraction[mine].sum() == pytest.approx(1)
    assert found.energy[0] < -0.3
    # Not above what any other mixture of the same atoms gives: the compounds of its own pairs.
    pairs = CompositionBatch.from_formulas([f"{a}{b}" for a, b in zip(known[::2], known[1::2], strict=False)])
    alone = phases.decompose(pairs).energy
    assert found.energy[0] <= np.minimum(alone, 0).sum() * 2 / len(known) + 1e-9


def test_systems_are_found_by_their_elements() -> None:
    generator = np.random.default_rng(0)
    sets = np.unique(generator.integers(0, 2**63, (5000, 2), dtype=np.uint64), axis=0)
    table = np.full(16384, -1, dtype=np.int64)
    compiled.fill_table(sets, table)
    assert sorted(table[table >= 0]) == list(range(len(sets)))
    for place in (0, 17, 4999):
        assert compiled._find(sets[place, 0], sets[place, 1], sets, table) == place
    assert compiled._find(np.uint64(1), np.uint64(2), sets, table) == -1


def test_many_rows_by_many_threads_equal_one_at_a_time() -> None:
    phases = labeled_phases("mp")
    batch = phases.batch[np.arange(0, len(phases), 7)]
    together = phases.decompose(batch)
    some = np.random.default_rng(0).choice(len(batch), 50, replace=False)
    for i in some:
        alone = phases.decompose(batch[[i]])
        assert alone.energy[0] == together.energy[i]
        assert alone.product.tolist() == together.product[together.owner == i].tolist()
