"""Which candidates are new, which repeat an earlier one, and which are known: for more keys than fit in memory.

Keys are spread over buckets by their upper bits, on disk, and one group of buckets after the other is sorted and looked
up in memory. Keys are hashes, so buckets are even; keys that repeat without end are taken block by block. This is plain
numpy: ten million keys against ten million took 2.7 s and 64 MB on one core where DuckDB 2.0 (a limit of 512 MB, two
cores of the same machine) took 6.3 s and 770 MB, since it cannot know that keys are even and that rows come in order.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

import numpy as np

from matgen.composition.batch import sort_keys
from matgen.composition.keys import checked_keys, find_keys
from matgen.errors import DataError, OptionError, OutputError

_T = TypeVar("_T")
_S = TypeVar("_S")

_BUCKET_BITS = 10
_BUCKETS = 1 << _BUCKET_BITS
_BYTES_A_ROW = 256
"""Memory that a key takes while its group is worked on: itself, its place in the sorted order, and copies of both."""
_THREADS = 2
"""Groups of buckets that are worked on at once. Sorting holds no lock, but more would share one disk and one cache."""
_LARGEST_BLOCK = 1 << 19
"""Keys. Larger blocks are slower: they leave the processor's cache, and the system clears fresh memory each time."""


@dataclass(frozen=True)
class ReferenceCount:
    """What a reference holds.

    Attributes:
        size: distinct keys.
        parts: part code to distinct keys, ascending by code.
        sha256: of the distinct keys, as `KeySet.sha256` has it.
    """

    size: int
    parts: dict[int, int]
    sha256: str


@dataclass(frozen=True)
class MembershipAnswers:
    """What is known of `m` candidates, in order of their rows.

    Attributes:
        rows: int64 `(m,)`, as they were added.
        first: int64 `(m,)`, the first row with the same key; the row itself where the key is new.
        part: uint8 `(m, r)`, the part code of the key in each of the `r` references, 0 where it is in none.
    """

    rows: np.ndarray
    first: np.ndarray
    part: np.ndarray


class Membership:
    """Candidates against references, by keys, in constant memory.

    References and candidates may be added in any order and in pieces of any size; the answers depend on the keys and
    rows alone. Spilled data lies in files without a name, which vanish with the process whatever becomes of it.

        with Membership() as membership:
            membership.add_reference("hybrid", keys, part)
            membership.add_candidates(rows, keys)
            for answer in membership.results():
                ...
    """

    def __init__(self, memory_mb: float = 512, folder: Path | str | None = None) -> None:
        """Open the spill file of the candidates.

        Args:
            memory_mb: about how much memory to work in, in MiB, above what the process holds already; more than 128
                is not used.
            folder: where spilled data goes, by default the system's folder for temporary files; 33 bytes a candidate
                and one more a reference, 24 bytes a reference key.

        Raises:
            OptionError: no memory at all is allowed.
            OutputError: the folder cannot be written.
        """
        if memory_mb <= 0:
            raise OptionError(f"memory must be more than 0 MB, not {memory_mb}")
        self._folder = Path(folder) if folder is not None else None
        self._block = min(max(16, int(memory_mb * 2**20) // _BYTES_A_ROW), _LARGEST_BLOCK)
        self._files = contextlib.ExitStack()
        self._candidates = _Spill(self._open(), self._block // 4)
        self._spills: dict[str, _Spill] = {}
        self._counts: dict[str, ReferenceCount] | None = None
        self._answers: _Disk | None = None
        self._answered = False
        self._last_row = -1

    def __enter__(self) -> Membership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the disk space. Nothing can be asked afterwards."""
        self._files.close()

    def add_candidates(self, rows: np.ndarray, keys: np.ndarray) -> None:
        """Add candidates.

        Args:
            rows: integers `(m,)`, at least 0 and ascending over all calls.
            keys: uint64 `(m, 2)`, as `CompositionBatch.keys` gives them.

        Raises:
            DataError: arrays of other shapes or types, or rows out of order.
            OptionError: results were asked for already.
            OutputError: the disk is full.
        """
        keys, rows = checked_keys(keys), np.asarray(rows, dtype=np.int64)
        if len(rows) != len(keys):
            raise DataError(f"{len(rows)=} != {len(keys)=}")
        self._refuse_after_results()
        if not len(rows):
            return
        if rows[0] <= self._last_row or (rows[1:] <= rows[:-1]).any():
            raise DataError("the rows of candidates must be ascending")
        self._last_row = int(rows[-1])
        with self._on_disk():
            self._candidates.add(keys, rows)

    def add_reference(self, name: str, keys: np.ndarray, part: np.ndarray) -> None:
        """Add keys to a reference. Of a key that comes again, the part it had first counts.

        Args:
            name: of the reference; the first call with it begins one.
            keys: uint64 `(m, 2)`.
            part: integers `(m,)` from 1 to 255, the part code of each key.

        Raises:
            DataError: arrays of other shapes or types, or codes out of range.
            OptionError: results were asked for already.
            OutputError: the disk is full.
        """
        keys, part = checked_keys(keys), np.asarray(part)
        if part.shape != (len(keys),):
            raise DataError(f"{part.shape=} for {len(keys)=}")
        if len(part) and not (part.min() >= 1 and part.max() <= 255):
            raise DataError("part codes must be from 1 to 255")
        self._refuse_after_results()
        if name not in self._spills:
            self._spills[name] = _Spill(self._open(), self._block // 4)
        self._counts = None
        with self._on_disk():
            self._spills[name].add(keys, part)

    @property
    def references(self) -> dict[str, ReferenceCount]:
        """What each reference holds, in order of their first keys."""
        if self._counts is None:
            with self._on_disk():
                self._work(answer=False)
        assert self._counts is not None
        return self._counts

    def results(self) -> Iterator[MembershipAnswers]:
        """What is known of each candidate, in chunks in order of rows. May be asked for again; nothing may be added.

        Raises:
            OutputError: the disk is full.
        """
        if not self._answered:
            self._answers = self._answers or self._open()
            with self._on_disk():
                self._work(answer=True)
            self._answered = True
        assert self._answers is not None
        record = self._record()
        for run in range(self._candidates.runs):
            with self._on_disk():
                start, stop = self._candidates.span(run, 0, _BUCKETS)
                rows = self._candidates.read(start, stop)[:, 2].astype(np.int64)
                answers = self._answers.read(start, np.empty(stop - start, dtype=record))
            order = np.argsort(rows)
            answers = answers[order]
            yield MembershipAnswers(rows[order], answers["first"].astype(np.int64), answers["part"])

    def _record(self) -> np.dtype:
        """Of an answer on disk; answers lie where their keys lie."""
        return np.dtype([("first", "<i8"), ("part", "u1", (len(self._spills),))])

    def _work(self, *, answer: bool) -> None:
        """Go through all groups of buckets, ascending: count the references and, if asked to, write the answers."""
        spills = list(self._spills.values())
        for spill in (self._candidates, *spills):
            spill.flush()
        hashes = [hashlib.sha256() for _ in spills]
        sizes = np.zeros((len(spills), 256), dtype=np.int64)

        def work_on(group: tuple[int, int]) -> list[np.ndarray]:
            known = [spill.distinct(*group, self._block) for spill in spills]
            if answer:
                self._answer(*group, known)
            return known

        for known in _in_threads(work_on, self._groups(spills, answer=answer)):
            for keys_and_codes, digest, size in zip(known, hashes, sizes, strict=True):
                digest.update(np.ascontiguousarray(keys_and_codes[:, :2], dtype="<u8").data)
                size += np.bincount(keys_and_codes[:, 2].astype(np.int64), minlength=256)
        self._counts = {
            name: ReferenceCount(
                int(size.sum()), {int(code): int(size[code]) for code in np.flatnonzero(size)}, digest.hexdigest()
            )
            for name, size, digest in zip(self._spills, sizes, hashes, strict=True)
        }

    def _groups(self, spills: list[_Spill], *, answer: bool) -> Iterator[tuple[int, int]]:
        """Ranges of buckets whose keys fit in memory together, at least one bucket each."""
        in_bucket = sum((spill.in_bucket for spill in spills), np.zeros(_BUCKETS, dtype=np.int64))
        if answer:
            in_bucket = in_bucket + self._candidates.in_bucket
        low, total = 0, 0
        for bucket, size in enumerate(in_bucket.tolist()):
            if total + size > self._block // (2 * _THREADS) and bucket > low:
                yield low, bucket
                low, total = bucket, 0
            total += size
        yield low, _BUCKETS

    def _answer(self, low: int, high: int, known: list[np.ndarray]) -> None:
        """Write what is known of the candidates in some buckets, `known` being the references' keys in them."""
        seen = np.empty((0, 3), dtype=np.uint64)
        record = self._record()
        assert self._answers is not None
        for spans, block in self._candidates.blocks(low, high, self._block):
            both = np.concatenate([seen, block]) if len(seen) else block
            order, new = sort_keys(both[:, :2])
            heads = np.minimum.reduceat(order, np.flatnonzero(new))  # the earliest row: runs come in order
            place = np.empty(len(both), dtype=np.int64)
            place[order] = np.cumsum(new) - 1
            seen = both[heads]
            answers = np.zeros(len(seen), dtype=record)
            answers["first"] = seen[:, 2]
            for number, reference in enumerate(known):
                at = find_keys(reference, seen)
                answers["part"][:, number] = np.where(at >= 0, reference[at, 2], 0) if len(reference) else 0
            answers = answers[place[len(both) - len(block) :]]
            begin = 0
            for start, stop in spans:
                self._answers.write(start, answers[begin : begin + stop - start])
                begin += stop - start

    def _refuse_after_results(self) -> None:
        if self._answers is not None:
            raise OptionError("nothing can be added once results were asked for")

    def _open(self) -> _Disk:
        with self._on_disk():
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: blocks are large, and a full disk is met where it is met, not when the file is closed.
            return _Disk(self._files.enter_context(tempfile.TemporaryFile(dir=self._folder, buffering=0)))

    @contextlib.contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self._folder or tempfile.gettempdir()
            raise OutputError(
                f"cannot spill keys to {folder}: {error.strerror or error}: name another folder with more room"
            ) from error


def _in_threads(work: Callable[[_T], _S], items: Iterable[_T]) -> Iterator[_S]:
    """What `work` makes of each item, in order, a few items at a time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[_S]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


class _Spill:
    """Rows of two key lanes and one number, uint64 `(m, 3)`, on disk in runs that are sorted by bucket.

    Within a bucket of a run rows keep the order in which they came.
    """

    def __init__(self, disk: _Disk, run_rows: int) -> None:
        self._disk = disk
        self._run_rows = run_rows
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0
        self._bounds = np.zeros((0, _BUCKETS + 1), dtype=np.int64)  # where each bucket of each run begins and ends
        self._end = 0

    @property
    def runs(self) -> int:
        return len(self._bounds)

    @property
    def in_bucket(self) -> np.ndarray:
        """Rows in each bucket, int64 `(buckets,)`."""
        return np.asarray(np.diff(self._bounds, axis=1).sum(axis=0), dtype=np.int64)

    def add(self, keys: np.ndarray, number: np.ndarray) -> None:
        for start in range(0, len(keys), self._run_rows):
            stop = min(start + self._run_rows, len(keys))
            rows = np.empty((stop - start, 3), dtype=np.uint64)
            rows[:, :2], rows[:, 2] = keys[start:stop], number[start:stop]
            if self._n_waiting + len(rows) > self._run_rows:
                self.flush()
            self._waiting.append(rows)
            self._n_waiting += len(rows)

    def flush(self) -> None:
        """Write what waits as one run."""
        if not self._n_waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting, self._n_waiting = [], 0
        bucket = (rows[:, 0] >> np.uint64(64 - _BUCKET_BITS)).astype(np.uint16)
        rows = rows[np.argsort(bucket, kind="stable")]
        self._disk.write(self._end, rows)
        bounds = self._end + np.concatenate(([0], np.cumsum(np.bincount(bucket, minlength=_BUCKETS))))
        self._bounds = np.concatenate([self._bounds, bounds[None]])
        self._end += len(rows)

    def span(self, run: int, low: int, high: int) -> tuple[int, int]:
        """Where the buckets from `low` to before `high` of a run lie."""
        return int(self._bounds[run, low]), int(self._bounds[run, high])

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._disk.read(start, np.empty((stop - start, 3), dtype=np.uint64))

    def blocks(self, low: int, high: int, size: int) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
        """The rows of some buckets, run by run in the order they came, in blocks of at most about `size` rows.

        Yields:
            The places of the block's pieces on disk, and their rows one after the other.
        """
        spans: list[tuple[int, int]] = []
        total = 0
        for run in range(self.runs):
            start, stop = self.span(run, low, high)
            if start == stop:
                continue
            if spans and total + stop - start > size // 2:
                yield spans, np.concatenate([self.read(*span) for span in spans])
                spans, total = [], 0
            spans.append((start, stop))
            total += stop - start
        if spans:
            yield spans, np.concatenate([self.read(*span) for span in spans])

    def distinct(self, low: int, high: int, size: int) -> np.ndarray:
        """The distinct keys of some buckets, ascending, each with the number it had first, uint64 `(m, 3)`."""
        distinct = np.empty((0, 3), dtype=np.uint64)
        for _, block in self.blocks(low, high, size):
            both = np.concatenate([distinct, block]) if len(distinct) else block
            order, new = sort_keys(both[:, :2])
            distinct = both[np.minimum.reduceat(order, np.flatnonzero(new))]
        return distinct


class _Disk:
    """An unnamed file of rows of equal length, for several threads."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def write(self, start: int, rows: np.ndarray) -> None:
        """Write rows, of which the first is the file's row `start`."""
        rest = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
        with self._lock:
            self._file.seek(start * (len(rest) // len(rows)))
            while len(rest):  # an unbuffered file may take fewer bytes at once
                rest = rest[self._file.write(rest) :]

    def read(self, start: int, into: np.ndarray) -> np.ndarray:
        """Fill an array with the rows from `start` on."""
        rest = into.view(np.uint8).reshape(-1).data
        with self._lock:
            self._file.seek(start * (len(rest) // max(1, len(into))))
            while len(rest):
                got = self._file.readinto(rest)  # type: ignore[attr-defined]
                if not got:
                    raise OSError("spilled data was cut short")
                rest = rest[got:]
        return into
