"""Sentences of one table as token grids: every value has its place, every digit a token of its own.

The constant words of a template say nothing that the place of a value does not say, so the model that is trained from
nothing reads values alone. A number is read digit by digit, as the count of steps (of its last decimal) above the least
number of its column: digits then stand at fixed places and order by size, which makes ranges and quantiles of targets
exact (digits with their places as tokens: Nogueira, Jiang and Lin, "Investigating the limitations of transformers with
simple arithmetic tasks", 2021). Everything here is torch on whole batches, so rows can be written anew, with noise, at
every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError
from matgen.lift.alike import with_one_range
from matgen.lift.columns import Column
from matgen.lift.spelling import SYMBOLS_OF_TEXTS, spell, unspell

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd
    from torch import Tensor

PAD, MISSING, UNKNOWN, SEPARATOR, END, FIRST = range(6)
_WHOLE = 100
"""Distinct whole numbers up to which a number is one token."""
_SEPARATE = 4_000
"""Tokens up to which each column has digits of its own."""
_LONGEST_TEXT = 256
_LOG_STEP = 0.01
"""Of numbers in scientific notation: the step of their logarithm."""


@dataclass(frozen=True)
class Places:
    """Where a column stands in a row of tokens, and what its tokens mean.

    Attributes:
        column: what is written there.
        width: tokens of a value.
        base: first token of each place, int64 `(width,)`; of texts the first letter.
        low, step: of numbers, the least and the distance of neighbors, as `scaled` leaves them.
        levels: how many numbers, or how many categories.
        small: of scientific notation, the magnitude below which the scale is linear; 0 of others.
        seen: of categories that share tokens with other columns, the codes that this column had, int64; else None.
    """

    column: Column
    width: int
    base: np.ndarray
    low: float = 0.0
    step: float = 1.0
    levels: int = 0
    small: float = 0.0
    seen: np.ndarray | None = None

    @property
    def divisors(self) -> np.ndarray:
        """What a count of steps is divided by at each place, int64 `(width,)`."""
        return 10 ** np.arange(self.width - 1, -1, -1, dtype=np.int64)

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers on the scale of their digits: as they are, or logarithms of what spans orders of ten."""
        if not self.small:
            return numbers
        return np.sign(numbers) * np.log10(1 + np.abs(numbers) / self.small)

    def unscaled(self, scaled: np.ndarray) -> np.ndarray:
        """The numbers that `scaled` was made from, rounded as their column writes them."""
        numbers = scaled if not self.small else np.sign(scaled) * self.small * (10 ** np.abs(scaled) - 1)
        written = self.column.format
        assert written is not None
        return np.array([written.rounded(number) for number in numbers.ravel()]).reshape(numbers.shape)


@dataclass(frozen=True)
class EncodedRows:
    """Rows as tensors from which tokens are made: numbers float64 `(n, N)`, codes int64 `(n, C)`, letters `(n, W)`."""

    numbers: Tensor
    codes: Tensor
    letters: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Tensor) -> EncodedRows:
        return EncodedRows(self.numbers[rows], self.codes[rows], self.letters[rows])

    def to(self, device: torch.device) -> EncodedRows:
        """The same on another device."""
        return EncodedRows(self.numbers.to(device), self.codes.to(device), self.letters.to(device))


class Codec:
    """Tokens of the columns of one table.

    Args:
        columns: in the order of the sentence; the target last, where there is one.
        lengths: of text and formula columns by name, the longest that is to be read.
        formulas_as: `text`, `fractions` or `both`.
        alike: names of columns whose values mean the same in each of them, such as the pixels of an image. They share
            their tokens, so that a value seen in one of them is known in all.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        lengths: dict[str, int],
        formulas_as: str = "text",
        alike: Collection[str] = (),
    ) -> None:
        own_values = {column.name: set(column.values) for column in columns if column.name in alike}
        columns = with_one_range(columns, alike)
        self.columns, self.lengths, self.formulas_as = tuple(columns), lengths, formulas_as
        self.alike = frozenset(alike)
        self.places: list[Places] = []
        self.vocabulary = FIRST
        self.letters = torch.zeros(0, dtype=torch.long)
        if any(column.type in ("text", "formula") for column in columns):
            self._letters = self._take(SYMBOLS_OF_TEXTS)
            self.letters = torch.arange(self._letters, self.vocabulary)
        shared: np.ndarray | None = None
        if sum(self._number_tokens(column) for column in columns) > _SEPARATE:
            shared = np.arange(20) * 10 + self._take(200)
        for column in columns:
            same = next((places for places in self.places if self.alike >= {places.column.name, column.name}), None)
            places = replace(same, column=column) if same else self._placed(column, shared)
            if column.name in own_values:
                seen = [i for i, value in enumerate(column.values) if value in own_values[column.name]]
                places = replace(places, seen=np.array(seen, dtype=np.int64))
            self.places.append(places)
        self.width = sum(places.width for places in self.places)
        self._arrange()

    def _take(self, n: int) -> int:
        self.vocabulary += n
        return self.vocabulary - n

    def _number_tokens(self, column: Column) -> int:
        return _number_scale(column)[2] if column.type == "number" else 0

    def _placed(self, column: Column, shared: np.ndarray | None) -> Places:
        if column.type == "category":
            return Places(column, 1, np.array([self._take(len(column.values))]), levels=len(column.values))
        if column.type in ("text", "formula"):
            width = min(_LONGEST_TEXT, self.lengths[column.name])
            return Places(column, width, np.full(width, self._letters))
        low, step, _, levels, small = _number_scale(column)
        if levels <= _WHOLE and column.whole:
            return Places(column, 1, np.array([self._take(levels)]), low, step, levels, small)
        width = len(str(levels - 1))
        base = shared[:width] if shared is not None else np.array([self._take(10) for _ in range(width)])
        return Places(column, width, base, low, step, levels, small)

    def _arrange(self) -> None:
        """What `tokens` computes with: constants of all digits in one row, and the order of all tokens."""
        numeric = [places for places in self.places if places.column.type == "number"]
        which, divisor, modulus, base, first = [], [], [], [], []
        for i, places in enumerate(numeric):
            which += [i] * places.width
            divisor += places.divisors.tolist()
            modulus += [10 if places.width > 1 or places.levels > _WHOLE else places.levels] * places.width
            base += places.base.tolist()
            first += [True] + [False] * (places.width - 1)
        self._which, self._divisor = torch.tensor(which, dtype=torch.long), torch.tensor(divisor, dtype=torch.long)
        self._modulus, self._base = torch.tensor(modulus, dtype=torch.long), torch.tensor(base, dtype=torch.long)
        self._absent = torch.where(torch.tensor(first, dtype=torch.bool), MISSING, PAD)
        self._low = torch.tensor([places.low for places in numeric], dtype=torch.float64)
        self._step = torch.tensor([places.step for places in numeric], dtype=torch.float64)
        self._levels = torch.tensor([places.levels for places in numeric], dtype=torch.long)
        self.spread = torch.tensor([_spread(places) for places in numeric], dtype=torch.float64)
        digits, codes, letters = 0, len(which), len(which) + sum(p.column.type == "category" for p in self.places)
        order: list[int] = []
        for places in self.places:
            if places.column.type == "number":
                order += range(digits, digits := digits + places.width)
            elif places.column.type == "category":
                order += range(codes, codes := codes + 1)
            else:
                order += range(letters, letters := letters + places.width)
        self._order = torch.tensor(order, dtype=torch.long)

    def starts(self) -> list[int]:
        """The first token of each column in a row of tokens."""
        return np.cumsum([0, *(places.width for places in self.places)])[:-1].tolist()

    def encoded(self, frame: pd.DataFrame, *, cut: bool = True) -> EncodedRows:
        """The rows of a typed frame; columns that are not in it are missing. Longer texts than are read lose their end.

        Raises:
            DataError: `cut` is false and a text is longer than is read; the message names the row.
        """
        n = len(frame)
        numbers, codes, letters = [], [], []
        for places in self.places:
            name, column_type = places.column.name, places.column.type
            if column_type == "number":
                values = frame[name].to_numpy(np.float64) if name in frame.columns else np.full(n, np.nan)
                numbers.append(places.scaled(values))
            elif column_type == "category":
                index = {value: places.base[0] + i for i, value in enumerate(places.column.values)}
                codes.append([MISSING if cell is None else index.get(cell, UNKNOWN) for cell in _texts(frame, name)])
            else:
                letters.append(self._spelled(places, _texts(frame, name), cut))
        return EncodedRows(
            torch.from_numpy(np.stack(numbers, axis=1)) if numbers else torch.zeros((n, 0), dtype=torch.float64),
            torch.tensor(np.array(codes, dtype=np.int64).T) if codes else torch.zeros((n, 0), dtype=torch.long),
            torch.from_numpy(np.concatenate(letters, axis=1)) if letters else torch.zeros((n, 0), dtype=torch.long),
        )

    def _spelled(self, places: Places, cells: list[str | None], cut: bool) -> np.ndarray:
        out = np.full((len(cells), places.width), PAD, dtype=np.int64)
        for row, cell in enumerate(cells):
            if cell is None:
                out[row, 0] = MISSING
                continue
            ids = spell(cell, places.column.type, self.formulas_as)
            if len(ids) > places.width and not cut:
                raise DataError(
                    f"row {row + 1}: {places.column.name!r} takes {len(ids)} tokens, at most {places.width} are read"
                )
            ids = ids[: places.width]
            out[row, : len(ids)] = np.array(ids, dtype=np.int64) + self._letters
        return out

    def tokens(self, rows: EncodedRows) -> Tensor:
        """Tokens of rows, int64 `(n, width)`. Numbers outside a column's padded range are read as its ends."""
        numbers = rows.numbers
        missing = torch.isnan(numbers)
        device = numbers.device
        steps = torch.nan_to_num((numbers - self._low.to(device)) / self._step.to(device)).round().long()
        steps = torch.minimum(steps.clamp_min(0), self._levels.to(device) - 1)
        digits = steps[:, self._which] // self._divisor.to(device) % self._modulus.to(device) + self._base.to(device)
        digits = torch.where(missing[:, self._which], self._absent.to(device), digits)
        return torch.cat([digits, rows.codes, rows.letters], dim=1)[:, self._order]

    def values(self, places: Places, tokens: np.ndarray) -> list[Any]:
        """What the tokens of one column say: numbers (nan: missing), or texts (None: missing).

        Args:
            places: the column's.
            tokens: int64 `(n, width)`.
        """
        column_type = places.column.type
        if column_type == "number":
            steps = ((tokens - places.base) * places.divisors).sum(axis=1)
            numbers = places.unscaled(places.low + steps * places.step)
            return np.where(tokens[:, 0] == MISSING, math.nan, numbers).tolist()
        if column_type == "category":
            chosen = tokens[:, 0] - places.base[0]
            return [places.column.values[i] if 0 <= i < places.levels else None for i in chosen]
        return [None if row[0] == MISSING else unspell(row[row != PAD] - self._letters, column_type) for row in tokens]


def _texts(frame: pd.DataFrame, name: str) -> list[str | None]:
    """A column's texts, None where there is none."""
    return as_texts(frame[name]) if name in frame.columns else [None] * len(frame)


def _number_scale(column: Column) -> tuple[float, float, int, int, float]:
    """Least number, step, number of tokens, number of levels, and the magnitude where a logarithmic scale begins."""
    written = column.format
    assert written is not None
    low, high = column.padded_range()
    if written.scientific:
        small = max(abs(low), abs(high)) * 1e-6
        scale = Places(column, 1, np.zeros(1), small=small)
        low, high = scale.scaled(np.array([low, high])).tolist()
        step = _LOG_STEP
    else:
        small, step = 0.0, written.step
        if column.whole:
            step = max(1.0, step)
            # Whole numbers of a small range are tokens of their own: nothing lies between or beyond them.
            if column.high - column.low < _WHOLE:
                low, high = column.low, column.high
        low = round(low / step) * step
    levels = max(1, round((high - low) / step) + 1)
    width = len(str(levels - 1))
    return low, step, levels if column.whole and levels <= _WHOLE else 10 * width, levels, small


def _spread(places: Places) -> float:
    column = places.column
    if not places.small:
        return column.spread
    return float(np.ptp(places.scaled(np.array([column.low, column.high])))) / 4
