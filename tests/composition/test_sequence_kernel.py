"""The compiled reader of sequences and writer of formulas against the ways without."""

from __future__ import annotations

import numpy as np
import pytest

from matgen.composition import writing
from matgen.composition.batch import CompositionBatch
from matgen.models import tokenizer
from matgen.models.tokenizer import BOS, EOS, FIRST_ELEMENT, NOTATIONS, decode, encode, vocabulary


@pytest.fixture
def without(monkeypatch):
    """Call a function without compiled code."""

    def call(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(tokenizer, "kernel_for", lambda *_: None)
            patch.setattr(writing, "kernel_for", lambda *_: None)
            return function(*arguments)

    return call


@pytest.fixture(autouse=True)
def compiled(monkeypatch) -> None:
    kernel = pytest.importorskip("matgen.composition.sequence_kernel")
    monkeypatch.setattr(tokenizer, "kernel_for", lambda n, name: kernel)


def some_sequences(notation: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Sequences with few elements in any order, some in order, some of them broken."""
    ids = np.zeros((n, 16), dtype=np.int16)
    drawn = rng.integers(FIRST_ELEMENT, min(FIRST_ELEMENT + 60, len(vocabulary(notation))), size=(n, 12))
    for row, length in enumerate(rng.integers(0, 12, n)):
        tokens = np.sort(drawn[row, :length]) if row % 2 else drawn[row, :length]
        ids[row, : length + 2] = [BOS, *tokens, EOS]
    broken = rng.random(n)
    ids[broken < 0.05, 0] = EOS
    ids[(broken > 0.05) & (broken < 0.1), rng.integers(1, 6)] = 3
    endless = np.flatnonzero(broken > 0.95)
    ids[endless] = np.where(ids[endless] == EOS, FIRST_ELEMENT, ids[endless])
    return ids


@pytest.mark.parametrize("notation", NOTATIONS)
def test_sequences_are_read_alike(without, notation: str) -> None:
    rng = np.random.default_rng(0)
    written = encode(CompositionBatch.from_formulas(["SrTiO3", "Y3Al5O12", "Li1000O", "Fe"]), notation)[0]
    for ids in (some_sequences(notation, 3000, rng), written, some_sequences(notation, 0, rng)):
        found, expected = decode(ids, notation), without(decode, ids, notation)
        for name in ("rows", "canonical"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        for name in ("elements", "counts"):
            one, other = getattr(found.batch, name), getattr(expected.batch, name)
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    assert 0.02 < found.canonical.mean() < 0.98 if len(found.rows) else True


def test_formulas_are_written_alike(without, monkeypatch) -> None:
    kernel = pytest.importorskip("matgen.composition.sequence_kernel")
    rng = np.random.default_rng(1)
    elements = np.array([rng.choice(119, 7, replace=False) for _ in range(3000)])
    counts = rng.integers(0, 5, size=elements.shape) * 6 ** rng.integers(0, 3, size=elements.shape)
    counts[:, 0], elements[:, 0] = 1 + rng.integers(0, 3, 3000) * 10**8, rng.integers(1, 119, 3000)
    batch = CompositionBatch.from_arrays(elements, counts)
    known = CompositionBatch.from_formulas(["LiO", "O", "H2", "NaCl", "Ca3(PO4)2", "LiFe(PO4)4", "Al2(SO4)3", "HO"])
    for one in (batch, known):
        monkeypatch.setattr(writing, "kernel_for", lambda n, name="": kernel if name else None)
        monkeypatch.setattr(writing, "_WRITTEN_AT_ONCE", 1000)
        found = one.formulas()
        expected = without(one.formulas)
        assert found.tolist() == expected.tolist()
        assert found.dtype == expected.dtype
    assert known.formulas().tolist() == without(known.formulas).tolist()
