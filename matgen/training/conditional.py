"""Training a conditional model: what its examples begin with, and condition dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.models.conditions import ALL_CONDITIONS_DROPOUT, CONDITION_DROPOUT, Conditions
from matgen.models.tokenizer import vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from matgen.datasets import Dataset
    from matgen.fitting.examples import Batch, Loss, TokenTable


def condition_examples(
    names: tuple[str, ...],
    dataset: Dataset,
    rows: Mapping[str, np.ndarray],
    tables: dict[str, TokenTable],
    notation: str,
) -> Conditions:
    """Let the sequences of all parts begin with the combination of their known properties, in place of `<bos>`.

    Args:
        names: of the properties, columns of the dataset.
        dataset: with their values.
        rows: of the dataset, by part.
        tables: sequences of those rows; changed in place.
        notation: of the sequences.

    Returns:
        The conditions; their bins are of the training part alone.

    Raises:
        OptionError: no such column, or too many of them.
        DataError: a property with fewer than two different values.
    """
    columns = {name: dataset.numbers(name) for name in names}
    conditions, _ = Conditions.of({name: values[rows["train"]] for name, values in columns.items()})
    first = len(vocabulary(notation))  # ids of combinations follow those of tokens
    for part, table in tables.items():
        combinations = conditions.combinations({name: values[rows[part]] for name, values in columns.items()})
        table.ids[:, 0] = torch.from_numpy(first + combinations)
    return conditions


def with_condition_dropout(loss: Loss, conditions: Conditions, notation: str) -> Loss:
    """A training loss with properties dropped from the examples at random.

    Each property is dropped with probability `CONDITION_DROPOUT`, all of them with `ALL_CONDITIONS_DROPOUT`.
    """
    after_dropout = torch.from_numpy(conditions.after_dropout())  # (2^properties, combinations)
    first, n = len(vocabulary(notation)), len(conditions.properties)

    def train(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        ids, lengths = batch
        drawn = torch.rand(len(ids), n + 1, generator=generator, device=ids.device)
        dropped = (drawn[:, :n] < CONDITION_DROPOUT) | (drawn[:, n:] < ALL_CONDITIONS_DROPOUT)  # (B, properties)
        pattern = (dropped.long() << torch.arange(n, device=ids.device)).sum(1)  # one bit per property
        ids = ids.clone()  # the table keeps all conditions
        ids[:, 0] = first + after_dropout.to(ids.device)[pattern, ids[:, 0] - first]
        return loss(model, (ids, lengths), generator)

    return train
