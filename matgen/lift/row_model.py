"""A small causal language model of whole rows, which reads the columns in any order.

Every value follows a token for its column's name, so a model that has seen rows in random orders of columns completes
any part of a row from any other (Borisov et al., "Language Models are Realistic Tabular Data Generators", ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from matgen.errors import OptionError
from matgen.fitting.loop import Fitter
from matgen.lift.codec import MISSING, PAD, Codec, EncodedRows
from matgen.lift.draw import draw_rows
from matgen.lift.scratch.model import LONGEST, ScratchOptions, build, fit_settings
from matgen.lift.scratch.rows import ScratchRows, perturbed
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.lift.columns import Column
    from matgen.lift.conditions import Permitted

_VALIDATION_ORDERS = 4
"""Random orders of columns that the validation loss is averaged over."""
_NOT_LEARNED = -100
"""Instead of tokens that no loss is computed of."""


class RowModel:
    """The model with the codec of its rows.

    Args:
        columns: of the table, in its order.
        lengths: of text and formula columns by name, the longest value in tokens.
        options: size and training.
        random_order: columns are read in a random order at every step; else always in the table's.
        seed: of initial weights, order and noise.
        answers: so many columns, the last ones, are what is learned, each given all columns before it; 0 learns all. An
            answer that is missing is not learned. Answers are numbers or categories.
        formulas_as: of formulas that are given: `text`, `fractions` or `both`.
        alike: names of columns that share their tokens, see `Codec`.

    Attributes:
        codec: tokens of the values.
        model: of transformers; column c is announced by the token `codec.vocabulary + c`.
        options: with numbers for what was left to the table.

    Raises:
        OptionError: a row is longer than the model reads.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        lengths: dict[str, int],
        options: ScratchOptions,
        *,
        random_order: bool,
        seed: int,
        answers: int = 0,
        formulas_as: str = "text",
        alike: Collection[str] = (),
    ) -> None:
        self.codec = Codec(columns, lengths, formulas_as, alike)
        self.random_order, self.seed, self.answers = random_order, seed, answers
        length = self.codec.width + len(columns)
        if length > LONGEST:
            raise OptionError(
                f"a row of {len(columns):,} columns takes {length:,} tokens, the model reads {LONGEST:,}: "
                "choose columns"
            )
        self.options = options.resolved(len(columns), length)
        self.model = build(self.options, self.codec, length, len(columns), seed=seed)

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.model.parameters())

    def train(
        self,
        train: pd.DataFrame,
        valid: pd.DataFrame | None,
        folder: Path,
        resume: bool,
        progress: ProgressFactory,
        weights: np.ndarray | None = None,
    ) -> None:
        """Train on rows.

        Args:
            train: as `typed` returns them.
            valid: rows to choose weights by, likewise; None keeps the last weights.
            folder: state of the training.
            resume: resume what is in `folder`.
            progress: counts the steps.
            weights: float64 `(n,)`, how often rows of `train` are drawn, relative to their mean; None for all alike.
        """
        rows = self.codec.encoded(train)
        held_out = None if valid is None else self.codec.encoded(valid)
        targets = self.codec.columns[len(self.codec.columns) - self.answers :]
        settings = fit_settings(self.options, len(rows), self.seed, validates=held_out is not None)

        def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
            own, _ = batch
            # One order for the whole batch: names and values then stand at the same places in all rows.
            order = self._order(generator)
            return self._nats(model, perturbed(own, self.codec, self.options, generator, targets), order).sum()

        def validate(model: Any) -> float:
            if held_out is None:
                return 0.0
            generator = torch.Generator().manual_seed(0)
            nats = [self._nats(model, held_out, self._order(generator)).mean() for _ in range(_VALIDATION_ORDERS)]
            return float(np.mean(nats))

        data = ScratchRows(rows, None)
        fitter = Fitter(self.model, data, loss, validate, folder, settings, progress, "lift", weights=weights)
        fitter.run_whole(resume=resume)
        self.model.eval()

    def _order(self, generator: torch.Generator) -> list[int]:
        if self.random_order:
            return torch.randperm(len(self.codec.columns), generator=generator).tolist()
        return list(range(len(self.codec.columns)))

    def _nats(self, model: Any, rows: EncodedRows, order: list[int]) -> Tensor:
        """Negative log-probability of the values of each row, float32 `(n,)`; the names are given, not predicted."""
        tokens, predicted = self.arranged(rows, order)
        if self.answers:
            predicted = predicted[-sum(places.width for places in self.codec.places[-self.answers :]) :]
        values = tokens[:, predicted]
        if self.answers:
            values = values.masked_fill((values == MISSING) | (values == PAD), _NOT_LEARNED)
        # The state before a token predicts it; the head is applied to these places alone: (n, values, vocabulary).
        logits = model.lm_head(model.transformer(tokens[:, :-1]).last_hidden_state[:, predicted - 1])
        return cross_entropy(logits.transpose(1, 2), values, reduction="none", ignore_index=_NOT_LEARNED).sum(dim=1)

    def arranged(self, rows: EncodedRows, order: list[int]) -> tuple[Tensor, Tensor]:
        """Names and values in an order of columns, int64 `(n, length)`, and the places of the values, `(values,)`."""
        tokens, starts = self.codec.tokens(rows), self.codec.starts()
        parts: list[Tensor] = []
        values: list[int] = []
        at = 0
        for c in order:
            width = self.codec.places[c].width
            parts.append(torch.full((len(tokens), 1), self.codec.vocabulary + c))
            parts.append(tokens[:, starts[c] : starts[c] + width])
            values += range(at + 1, at + 1 + width)
            at += 1 + width
        return torch.cat(parts, dim=1), torch.tensor(values)

    def log_probabilities(self, rows: pd.DataFrame) -> np.ndarray:
        """Natural logarithm of the probability of each row, columns in the table's order, float64 `(n,)`."""
        order = list(range(len(self.codec.columns)))
        with torch.inference_mode():
            return -self._nats(self.model, self.codec.encoded(rows), order).double().numpy()

    def draw(
        self,
        known: pd.DataFrame,
        may_be_missing: Mapping[str, bool],
        temperature: float,
        generator: torch.Generator,
        permitted: Mapping[str, Permitted] | None = None,
        guidance: float = 1.0,
    ) -> pd.DataFrame:
        """Draw the columns that are not given, after those that are.

        Args:
            known: `n` rows of the given columns, as `typed` returns them; the table's first ones where its order is
                kept.
            may_be_missing: of each column, whether a missing value may be drawn.
            temperature: that logits are divided by.
            generator: of the draws.
            permitted: by name, of columns under a condition. They are drawn first where the order is random: what is
                drawn later then agrees with them, and with one condition rows have their probabilities given it.
            guidance: how closely what is drawn follows what is given and the conditions; see `draw_rows`.

        Returns:
            `n` rows of all columns, in the table's order.
        """
        permitted = permitted or {}
        names = [column.name for column in self.codec.columns]
        given = [i for i, name in enumerate(names) if name in known.columns]
        rest = [i for i, name in enumerate(names) if name not in known.columns]
        if self.random_order:
            rest = [rest[i] for i in torch.randperm(len(rest), generator=generator).tolist()]
            rest.sort(key=lambda i: names[i] not in permitted)
        start = self.arranged(self.codec.encoded(known), given)[0] if given else None
        values = draw_rows(
            self.model,
            self.codec,
            start,
            len(known),
            rest,
            self.codec.vocabulary,
            {i: may_be_missing[names[i]] for i in rest},
            temperature,
            generator,
            {i: permitted[names[i]].intervals for i in rest if names[i] in permitted},
            guidance,
        )
        drawn = {names[i]: values[i] for i in rest} | {names[i]: known[names[i]].to_numpy() for i in given}
        return pd.DataFrame({name: drawn[name] for name in names})
