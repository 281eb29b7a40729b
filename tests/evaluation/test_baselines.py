"""The random baselines: repeatable, and of the distribution that they say."""

from __future__ import annotations

import numpy as np
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OptionError
from matgen.evaluation import baselines
from matgen.evaluation.labels import BASELINES, METRICS

from .standin import Reference


@pytest.mark.parametrize("name", BASELINES)
def test_seed_decides(name: str) -> None:
    reference = Reference().batch
    one, same, other = (baselines.draw(name, reference, 500, seed).formulas() for seed in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


def test_uniform_distribution() -> None:
    batch = baselines.draw("uniform", Reference().batch, 20_000, 0)
    assert len(batch) == 20_000
    assert batch.n_elements.min() == 2 and batch.n_elements.max() == 8
    assert batch.n_atoms.max() <= 30
    assert batch.elements.max() == 103
    pairs = batch[batch.n_elements == 2]
    # Without the limit of atoms a seventh would be pairs; it falls on the formulas of many elements only.
    assert 0.18 < len(pairs) / len(batch) < 0.32
    shares = baselines.element_shares(pairs)[1:104]
    assert shares.sum() == pytest.approx(2.0)
    spread = np.sqrt(2 / 103 / len(pairs))
    assert np.abs(shares - 2 / 103).max() < 5 * spread


@pytest.mark.parametrize("name", ["stoichiometry_uniform", "stoichiometry_frequency"])
def test_stoichiometries_and_elements_are_the_references(name: str) -> None:
    reference = Reference().batch
    batch = baselines.draw(name, reference, 3_000, 0)
    known = reference.anonymous_formulas()
    drawn, times = np.unique(batch.anonymous_formulas().astype(str), return_counts=True)
    assert set(drawn) == set(known)
    for formula, count in zip(drawn, times, strict=True):
        share = float((known == formula).mean())
        assert abs(count / 3_000 - share) < 5 * np.sqrt(share / 3_000)
    assert set(np.unique(batch.elements)) <= set(np.unique(reference.elements))


def test_frequencies_follow_the_reference() -> None:
    """With one slot a formula, draws without replacement are plain draws by weight."""
    formulas = ["O2"] * 60 + ["Fe"] * 30 + ["Na"] * 10
    reference = CompositionBatch.from_formulas(formulas)
    batch = baselines.draw("stoichiometry_frequency", reference, 20_000, 5)
    shares = baselines.element_shares(batch)
    assert shares[[8, 26, 11]] == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    even = baselines.element_shares(baselines.draw("stoichiometry_uniform", reference, 20_000, 5))
    assert even[[8, 26, 11]] == pytest.approx([1 / 3] * 3, abs=0.02)


def test_frequent_elements_take_no_particular_count() -> None:
    reference = CompositionBatch.from_formulas(["FeO3"] * 50 + ["NaO3"] * 5 + ["KO3"] * 5)
    batch = baselines.draw("stoichiometry_frequency", reference, 8_000, 0)
    with_oxygen = batch[(batch.elements == 8).any(axis=1)]
    atoms = with_oxygen.counts[with_oxygen.elements == 8]
    assert (atoms == 3).mean() == pytest.approx(0.5, abs=0.03)


def test_strongest_and_enrichment() -> None:
    reference = Reference()
    judged = baselines.judge_baselines(reference.batch, reference.keyset(), 300, 0)
    assert list(judged) == list(BASELINES)
    assert all(set(values) == {"n", *METRICS} for values in judged.values())
    assert all(values["parsed"] == 1.0 for values in judged.values())
    top = baselines.strongest(judged)
    assert list(top) == list(baselines.COMPARED)
    assert top["valid"] == max(values["valid"] for values in judged.values())
    ratio = baselines.enrichment(dict.fromkeys(METRICS, 0.9), top)
    assert ratio["valid"] == pytest.approx(0.9 / top["valid"])
    assert baselines.enrichment({"valid": 0.5}, {"valid": 0.0}) == {"valid": None}
    assert baselines.strongest({}) == {}


def test_bad_input() -> None:
    reference = Reference().batch
    with pytest.raises(OptionError, match="seed -1"):
        baselines.draw("uniform", reference, 10, -1)
    with pytest.raises(DataError, match="no formulas"):
        baselines.draw("stoichiometry_uniform", reference[:0], 10, 0)
