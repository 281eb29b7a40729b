"""Drawing the values of columns, place by place, under the grammar of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.lift.codec import MISSING, PAD, Codec, Places
from matgen.lift.key_value_cache import cache_argument

if TYPE_CHECKING:
    from torch import Tensor

_ROWS_AT_ONCE = 2_048


def draw_rows(
    model: Any,
    codec: Codec,
    start: Tensor | None,
    n: int,
    columns: list[int],
    names: int,
    may_be_missing: Mapping[int, bool],
    temperature: float,
    generator: torch.Generator,
    intervals: Mapping[int, Tensor] | None = None,
    guidance: float = 1.0,
) -> dict[int, list[Any]]:
    """Draw values of some columns after others, one after the other, `n` rows at once.

    Under guidance the model reads the rows twice, with what is given (or under a condition) and without it, and logits
    are the latter's plus so many times what the former adds to them (see `matgen.sampling.decoders.decoding`).

    Args:
        model: reads names and values.
        codec: of its values.
        start: tokens of what is given, int64 `(n, length)`, or None.
        n: rows.
        columns: to draw, in order, by their places in the codec.
        names: token of the first column's name; that of column c is `names + c`.
        may_be_missing: of each, whether a missing value may be drawn.
        temperature: that logits are divided by.
        generator: of the draws.
        intervals: of columns under a condition, the steps or codes that may be drawn, int64 `(k, 2)`.
        guidance: 1 draws from the model itself.

    Returns:
        Values of each column, numbers or texts, as `Codec.values` gives them.
    """
    parts = []
    for first in range(0, n, _ROWS_AT_ONCE):
        rows = slice(first, min(n, first + _ROWS_AT_ONCE))
        begun = None if start is None else start[rows]
        parts.append(
            _draw(
                model, codec, begun, rows.stop - first, columns, names, may_be_missing, temperature, generator,
                intervals or {}, guidance,
            )
        )  # fmt: skip
    return {c: [value for part in parts for value in codec.values(codec.places[c], part[c])] for c in columns}


def _draw(
    model: Any,
    codec: Codec,
    start: Tensor | None,
    n: int,
    columns: list[int],
    names: int,
    may_be_missing: Mapping[int, bool],
    temperature: float,
    generator: torch.Generator,
    intervals: Mapping[int, Tensor],
    guidance: float,
) -> dict[int, np.ndarray]:
    nothing = torch.zeros((n, 0), dtype=torch.long)
    rows, out = _Reader(model, nothing if start is None else start), {}
    free = _Reader(model, nothing) if guidance != 1 else None  # reads neither what is given nor what has a condition
    with torch.inference_mode():
        for c in columns:
            places, drawn = codec.places[c], nothing
            readers = [rows] if free is None or c in intervals else [rows, free]
            token = torch.full((n, 1), names + c)
            for _ in range(places.width):
                logits, *without = [reader.logits_after(token) for reader in readers]
                for one in without:
                    logits = torch.lerp(one, logits, guidance)
                allowed = allowed_tokens(places, drawn, codec, may_be_missing[c], intervals.get(c))
                logits = (logits / temperature).masked_fill(~allowed, -torch.inf)
                token = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)
                drawn = torch.cat([drawn, token], dim=1)
            for reader in readers:
                reader.add(token)
            out[c] = drawn.numpy()
    return out


class _Reader:
    """What a model has read of rows that are being drawn, and what it has not read yet.

    Args:
        model: of transformers.
        unread: tokens that the rows begin with, int64 `(n, length)`.
    """

    def __init__(self, model: Any, unread: Tensor) -> None:
        from transformers import DynamicCache

        self.model, self.cache, self.unread = model, DynamicCache(), unread

    def add(self, tokens: Tensor) -> None:
        """Take tokens `(n, 1)` that are read with those to come."""
        self.unread = torch.cat([self.unread, tokens], dim=1)

    def logits_after(self, tokens: Tensor) -> Tensor:
        """Logits of what follows after one more token `(n, 1)`, float64 `(n, vocabulary)`."""
        self.add(tokens)
        read = self.model.transformer(self.unread, use_cache=True, **cache_argument(self.cache))
        self.unread = self.unread[:, :0]
        return self.model.lm_head(read.last_hidden_state[:, -1]).double()


def allowed_tokens(
    places: Places, drawn: Tensor, codec: Codec, may_be_missing: bool, intervals: Tensor | None = None
) -> Tensor:
    """Which tokens may follow within a value, bool `(n, vocabulary with the names)`.

    Args:
        places: the column's.
        drawn: tokens of the value so far, int64 `(n, p)`.
        codec: of the table.
        may_be_missing: a missing value may begin here.
        intervals: of numbers and categories, the steps or codes that a condition allows, int64 `(k, 2)`.
    """
    n, place = drawn.shape
    allowed = torch.zeros((n, codec.vocabulary + len(codec.columns)), dtype=torch.bool)
    column_type = places.column.type
    ended = (drawn[:, -1] == PAD) | (drawn[:, -1] == MISSING) if place else torch.zeros(n, dtype=torch.bool)
    if column_type == "number":
        choices = places.levels if places.width == 1 else 10
        divisors = torch.from_numpy(places.divisors)
        so_far = ((drawn - torch.from_numpy(places.base[:place])) * divisors[:place]).sum(dim=1)
        first = so_far[:, None] + torch.arange(choices) * divisors[place]
        fits = first < places.levels
        if intervals is not None:  # some step from `first` on, with any digits to follow, lies in an interval
            fits &= _meet(first, first + divisors[place] - 1, intervals)
        base = int(places.base[place])
        allowed[:, base : base + choices] = fits
    elif column_type == "category":
        codes = torch.arange(places.levels)
        among = torch.ones(places.levels, dtype=torch.bool) if intervals is None else _meet(codes, codes, intervals)
        if places.seen is not None:
            known = among & torch.isin(codes, torch.from_numpy(places.seen))
            among = known if known.any() else among  # a condition may name what only others of its kind had
        allowed[:, int(places.base[0]) : int(places.base[0]) + places.levels] = among
    else:
        allowed[:, codec.letters] = True
        allowed[:, PAD] = place > 0
    if place == 0:
        allowed[:, MISSING] = may_be_missing
    allowed[ended] = False
    allowed[ended, PAD] = True
    return allowed


def _meet(first: Tensor, last: Tensor, intervals: Tensor) -> Tensor:
    """Whether the steps from `first` to `last` and one of the intervals have a step in common, bool of their shape."""
    return ((first[..., None] <= intervals[:, 1]) & (last[..., None] >= intervals[:, 0])).any(dim=-1)
