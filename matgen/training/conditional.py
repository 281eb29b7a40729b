"""Training a model that is told of properties: what its examples begin with, and what it must forget now and then."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.fitting.examples import Batch, TokenTable
from matgen.models.conditions import ALL_FORGOTTEN, FORGOTTEN, Conditions
from matgen.models.tokenizer import vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from matgen.datasets import Dataset
    from matgen.models.objectives import Objective


def conditioned(
    names: tuple[str, ...],
    dataset: Dataset,
    rows: Mapping[str, np.ndarray],
    tables: dict[str, TokenTable],
    notation: str,
) -> Conditions:
    """Let the sequences of all parts begin with what is known of their properties.

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
    first = len(vocabulary(notation))
    for part, table in tables.items():
        known = conditions.combinations({name: values[rows[part]] for name, values in columns.items()})
        table.ids[:, 0] = torch.from_numpy(first + known)
    return conditions


def conditional(objective: Objective, conditions: Conditions, notation: str) -> Objective:
    """The objective, with properties left out of training examples at random."""
    forgetting = torch.from_numpy(conditions.forgetting())
    first, n = len(vocabulary(notation)), len(conditions.properties)

    def train(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        ids, lengths = batch
        drawn = torch.rand(len(ids), n + 1, generator=generator, device=ids.device)
        bits = (drawn[:, :n] < FORGOTTEN) | (drawn[:, n:] < ALL_FORGOTTEN)
        pattern = (bits.long() << torch.arange(n, device=ids.device)).sum(1)
        ids = ids.clone()
        ids[:, 0] = first + forgetting.to(ids.device)[pattern, ids[:, 0] - first]
        return objective.train(model, (ids, lengths), generator)

    return dataclasses.replace(objective, train=train)
