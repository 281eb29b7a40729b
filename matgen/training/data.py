"""What a run learns from: the parts of a dataset as token tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matgen.composition.elements import SYMBOLS
from matgen.datasets import Dataset, load_dataset
from matgen.datasets.load import find_row
from matgen.errors import DataError, OptionError
from matgen.fitting.examples import TokenTable
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import encode, sequence_lengths, vocabulary
from matgen.training.balance import Balance, advice
from matgen.training.conditional import condition_examples

if TYPE_CHECKING:
    from matgen.models.conditions import Conditions
    from matgen.training.plan import TrainingPlan

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class TrainingData:
    """A dataset cut into parts and encoded.

    Attributes:
        dataset: all of it.
        rows: of the dataset, int64, by part; formulas that are longer than the model are in none.
        tables: token sequences of the parts that are not empty.
        conditions: bins of the properties that sequences begin with; None for an unconditional model.
        balance: weights of the training and validation rows; None where all weigh the same.
    """

    dataset: Dataset
    rows: dict[str, np.ndarray]
    tables: dict[str, TokenTable]
    conditions: Conditions | None
    balance: Balance | None = None

    def elements(self) -> list[str]:
        """Symbols of the elements that occur in training, by atomic number."""
        elements = self.dataset.batch[self.rows["train"]].elements
        return [str(symbol) for symbol in SYMBOLS[np.unique(elements[elements > 0])]]

    def advice(self, plan: TrainingPlan) -> list[str]:
        """Remarks on how the plan learns from these rows."""
        if self.conditions is None or plan.balance == "condition":
            return []
        combinations = self.tables["train"].ids[:, 0].long().numpy() - len(vocabulary(plan.notation))
        remark = advice(self.conditions, combinations)
        return [] if remark is None else [remark]


def training_data(plan: TrainingPlan) -> TrainingData:
    """Load, split and encode the dataset of a plan.

    Raises:
        DataError: the dataset has no usable formula for training or validation, or a property to condition on has fewer
            than two different values.
        OptionError: no such dataset, column or balance, or a dataset that is for testing only.
    """
    row = find_row(plan.dataset)
    if row is not None and row.testing:
        raise OptionError(f"{row.name} is for testing only: models trained on it could not be judged by it")
    dataset = load_dataset(
        plan.dataset,
        column=plan.column,
        published_filter=plan.published_filter,
        where=plan.where,
        split=plan.split,
    )
    fits = sequence_lengths(dataset.batch, plan.notation) <= MAX_POSITIONS - 2  # without <bos> and <eos>
    rows = {part: np.flatnonzero(dataset.part_mask(part) & fits) for part in PARTS}
    for part in ("train", "valid"):
        if not len(rows[part]):
            raise DataError(f"dataset {plan.dataset} has no formulas for {part}: it holds {len(dataset.batch)} in all")
    tables = {
        part: TokenTable.from_numpy(*encode(dataset.batch[chosen], plan.notation))
        for part, chosen in rows.items()
        if len(chosen)
    }
    conditions = None
    if plan.condition:
        conditions = condition_examples(plan.condition, dataset, rows, tables, plan.notation)
    return TrainingData(dataset, rows, tables, conditions, _balance(plan, dataset, rows, tables))


def _balance(
    plan: TrainingPlan, dataset: Dataset, rows: dict[str, np.ndarray], tables: dict[str, TokenTable]
) -> Balance | None:
    """Weights of the training and validation rows, as a plan asks for."""
    if plan.balance is None:
        return None
    if plan.balance == "condition":  # sequences begin with their combination of bins
        keys = {part: tables[part].ids[:, :1].numpy() for part in ("train", "valid")}
        return Balance.of_keys(plan.balance, plan.balance_exponent, keys["train"], keys["valid"])
    train, valid = (dataset.batch[rows[part]] for part in ("train", "valid"))
    return Balance.of(plan.balance, plan.balance_exponent, train, valid)
