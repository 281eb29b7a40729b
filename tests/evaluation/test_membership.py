"""Membership on disk, against Python dictionaries and sets."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matgen.evaluation.membership as module
from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.errors import DataError, OptionError, OutputError
from matgen.evaluation.membership import Membership

SPILL_ALWAYS = 0.01  # MB: blocks of 40 keys

# Few values a lane: lane-0 collisions, repeats within and across chunks, and buckets far larger than a block.
_LANE = st.sampled_from([0, 1, 2, 3, 2**53, 2**54, 2**63, 2**64 - 1])
_KEY = st.tuples(_LANE, _LANE)
_CHUNKS = st.lists(st.lists(_KEY, max_size=40), max_size=8)
_REFERENCE = st.lists(st.lists(st.tuples(_KEY, st.sampled_from([1, 2, 3, 255])), max_size=40), max_size=6)


def _array(keys: list[tuple[int, int]]) -> np.ndarray:
    return np.array(keys, dtype=np.uint64).reshape(-1, 2)


@settings(max_examples=150, deadline=None)
@given(_CHUNKS, st.lists(_REFERENCE, max_size=3), st.sampled_from([SPILL_ALWAYS, 1]), st.integers(1, 3), st.booleans())
def test_equals_a_python_loop(candidates, references, memory_mb, step, candidates_first) -> None:
    known: list[dict[tuple[int, int], int]] = [{} for _ in references]
    first: dict[tuple[int, int], int] = {}
    expected = []
    with Membership(memory_mb) as membership:

        def add_candidates() -> None:
            row = 5
            for chunk in candidates:
                rows = np.arange(row, row + step * len(chunk), step)
                membership.add_candidates(rows, _array(chunk))
                row = row + step * len(chunk)

        if candidates_first:
            add_candidates()
        # the references' chunks take turns
        for turn in range(max((len(chunks) for chunks in references), default=0)):
            for number, chunks in enumerate(references):
                if turn < len(chunks):
                    keys, part = [key for key, _ in chunks[turn]], [code for _, code in chunks[turn]]
                    membership.add_reference(f"r{number}", _array(keys), np.array(part, dtype=np.uint8))
                    for key, code in chunks[turn]:
                        known[number].setdefault(key, code)
        if not candidates_first:
            add_candidates()
        order = [int(name[1:]) for name in membership.references]
        assert sorted(order) == [number for number, chunks in enumerate(references) if chunks]
        row = 5
        for chunk in candidates:
            for key in chunk:
                expected.append((row, first.setdefault(key, row), [known[number].get(key, 0) for number in order]))
                row += step
        found = []
        for chunk in membership.results():
            assert (chunk.rows.dtype, chunk.first.dtype, chunk.part.dtype) == (np.int64, np.int64, np.uint8)
            assert chunk.part.shape == (len(chunk.rows), len(order))
            found += zip(chunk.rows.tolist(), chunk.first.tolist(), chunk.part.tolist(), strict=True)
        assert found == expected
        for number, count in zip(order, membership.references.values(), strict=True):
            assert count.size == len(known[number])
            codes = list(known[number].values())
            assert count.parts == {code: codes.count(code) for code in sorted(set(codes))}
            assert count.sha256 == KeySet(_array(list(known[number]))).sha256()


def _hashed(numbers: np.ndarray) -> np.ndarray:
    """Keys that look like honest hashes."""
    digests = [hashlib.blake2b(int(number).to_bytes(8, "little"), digest_size=16).digest() for number in numbers]
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).astype(np.uint64)


@pytest.mark.parametrize("memory_mb", [0.05, 0.5, 512])
def test_spread_keys_whatever_the_memory(memory_mb: float) -> None:
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 8000, 20_000)
    keys, reference = _hashed(numbers), np.arange(4000, 12_000)
    with Membership(memory_mb) as membership:
        for start in range(0, len(keys), 3001):
            membership.add_candidates(np.arange(start, min(start + 3001, len(keys))), keys[start : start + 3001])
        membership.add_reference("all", _hashed(reference), 1 + reference % 3)
        found = list(membership.results())
        again = list(membership.results())
    first = np.concatenate([chunk.first for chunk in found])
    _, begins, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(first, begins[inverse])
    np.testing.assert_array_equal(np.concatenate([chunk.rows for chunk in found]), np.arange(20_000))
    part = np.concatenate([chunk.part for chunk in found])[:, 0]
    np.testing.assert_array_equal(part, np.where(numbers >= 4000, 1 + numbers % 3, 0))
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.first, other.first)
        np.testing.assert_array_equal(one.part, other.part)


def test_compositions_by_meaning() -> None:
    train, test = CompositionBatch.from_formulas(["SrTiO3", "Fe2O3"]), CompositionBatch.from_formulas(["NaCl"])
    batch = CompositionBatch.from_formulas(["O3TiSr", "KCl", "Na2Cl2", "ClK", "Fe4O6"])
    with Membership() as membership:
        membership.add_reference("known", train.keys(), np.array([1, 1]))
        membership.add_reference("known", test.keys(), np.array([3]))
        membership.add_candidates(np.array([0, 2, 3, 7, 9]), batch.keys())
        (found,) = membership.results()
        count = membership.references["known"]
    assert found.rows.tolist() == [0, 2, 3, 7, 9]
    assert found.first.tolist() == [0, 2, 3, 2, 9]
    assert found.part[:, 0].tolist() == [1, 0, 3, 0, 1]
    assert (count.size, count.parts) == (3, {1: 2, 3: 1})
    assert count.sha256 == KeySet(CompositionBatch.concatenate([train, test]).keys()).sha256()


def test_nothing_at_all() -> None:
    nothing = np.empty((0, 2), dtype=np.uint64)
    with Membership() as membership:
        membership.add_candidates(np.empty(0, dtype=np.int64), nothing)
        membership.add_reference("empty", nothing, np.empty(0, dtype=np.uint8))
        assert list(membership.results()) == []
        assert membership.references["empty"].size == 0
        assert membership.references["empty"].sha256 == KeySet(nothing).sha256()


def test_what_is_refused() -> None:
    keys = _hashed(np.arange(3))
    with pytest.raises(OptionError, match="more than 0 MB"):
        Membership(0)
    with Membership() as membership:
        membership.add_candidates(np.array([3, 4, 9]), keys)
        for rows in ([9, 10, 11], [12, 12, 13], [14, 13, 15]):
            with pytest.raises(DataError, match="ascending"):
                membership.add_candidates(np.array(rows), keys)
        with pytest.raises(DataError, match=r"len\(rows\)=2 != len\(keys\)=3"):
            membership.add_candidates(np.array([20, 21]), keys)
        with pytest.raises(DataError, match="uint64 of shape"):
            membership.add_reference("a", keys.astype(np.int64), np.ones(3))
        with pytest.raises(DataError, match="from 1 to 255"):
            membership.add_reference("a", keys, np.array([1, 0, 1]))
        assert membership.references == {}
        list(membership.results())
        with pytest.raises(OptionError, match="nothing can be added"):
            membership.add_candidates(np.array([30, 31, 32]), keys)
        with pytest.raises(OptionError, match="nothing can be added"):
            membership.add_reference("a", keys, np.ones(3))


def test_references_may_be_counted_between_additions() -> None:
    keys = _hashed(np.arange(10))
    with Membership(SPILL_ALWAYS) as membership:
        membership.add_reference("a", keys[:4], np.ones(4))
        assert membership.references["a"].size == 4
        membership.add_reference("a", keys[2:], np.full(8, 2))
        membership.add_reference("b", keys[:1], np.ones(1))
        assert membership.references["a"].parts == {1: 4, 2: 6}
        membership.add_candidates(np.arange(10), keys)
        found = np.concatenate([chunk.part for chunk in membership.results()])
    assert found.tolist() == [[1 if i < 4 else 2, int(i == 0)] for i in range(10)]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")

    def always_full(dir: Path, buffering: int) -> IO[bytes]:
        return Path("/dev/full").open("wb", buffering=buffering)

    monkeypatch.setattr(module.tempfile, "TemporaryFile", always_full)
    with Membership(SPILL_ALWAYS, tmp_path) as membership:
        with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)) as caught:
            membership.add_candidates(np.arange(500), _hashed(np.arange(500)))
        assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot spill keys to"):
        Membership(folder=tmp_path / "file" / "inside")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Membership(SPILL_ALWAYS, tmp_path) as membership:
        membership.add_candidates(np.arange(5000), _hashed(np.arange(5000)))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


_MEASURE = """
import sys
import numpy as np
from matgen.evaluation.membership import Membership
def keys(seed, n):
    return np.random.default_rng(seed).integers(0, 2**64, (n, 2), dtype=np.uint64)
chunks, piece = int(sys.argv[1]), 100_000
with Membership(32) as membership:
    for i in range(chunks):
        membership.add_reference("r", keys(i, piece), np.ones(piece))
        membership.add_candidates(np.arange(i * piece, (i + 1) * piece), keys(i // 2 * 3, piece))
    known = sum(int((found.part > 0).sum()) for found in membership.results())
print(known, next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_does_not_grow() -> None:
    peaks = []
    for chunks in (10, 40):
        shown = subprocess.run(
            [sys.executable, "-c", _MEASURE, str(chunks)], capture_output=True, text=True, check=True
        )
        known, peak = map(int, shown.stdout.split())
        assert known == 100_000 * sum(i // 2 * 3 < chunks for i in range(chunks))
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 12 * 1024  # of 210 MB of keys
