"""Rows as the training loop draws them, perturbed anew at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from matgen.errors import OptionError
from matgen.lift.codec import MISSING, Codec, EncodedRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from matgen.lift.columns import Column
    from matgen.lift.scratch.model import ScratchOptions


class ScratchRows:
    """What the training loop draws batches from (`matgen.fitting.examples.Examples`): rows, and those in their prompts.

    Args:
        rows: `n` of them.
        examples: int64 `(n, k)`, rows in the prompt of each, or None.
    """

    def __init__(self, rows: EncodedRows, examples: Tensor | None) -> None:
        self.rows, self.examples = rows, examples

    @property
    def lengths(self) -> Tensor:
        """All sentences of a table have one length, int64 `(n,)`."""
        return torch.ones(len(self.rows), dtype=torch.long)

    def __len__(self) -> int:
        return len(self.rows)

    def share(self, rank: int, count: int) -> ScratchRows:
        """All rows: there is one process.

        Raises:
            OptionError: there are several.
        """
        if count > 1:
            raise OptionError("models from scratch are too small for several processes: start one")
        return self

    def to(self, device: torch.device) -> ScratchRows:
        """The same on another device."""
        return ScratchRows(self.rows.to(device), None if self.examples is None else self.examples.to(device))

    def batch(self, rows: np.ndarray) -> tuple[EncodedRows, EncodedRows | None]:
        """The rows named, and the rows before them, flat."""
        index = torch.from_numpy(rows).to(self.rows.numbers.device)
        before = None if self.examples is None else self.rows[self.examples[index].reshape(-1)]
        return self.rows[index], before


def perturbed(
    rows: EncodedRows,
    codec: Codec,
    options: ScratchOptions,
    generator: torch.Generator,
    targets: Sequence[Column] = (),
) -> EncodedRows:
    """Rows mixed with others, with noise on their numbers, some values left out.

    Args:
        rows: `n` of them.
        codec: how their numbers spread.
        options: `noise`, `answer_noise`, `mixup` and `missing`.
        generator: of all that is drawn, on the CPU.
        targets: columns of the targets, the last of their types: they are never left out, and labels stay as they are.
    """
    numbers, codes = rows.numbers, rows.codes
    n_numbers = numbers.shape[1] - sum(target.type == "number" for target in targets)
    n_codes = codes.shape[1] - sum(target.type == "category" for target in targets)
    if options.mixup and numbers.shape[1]:
        labels = codes[:, n_codes:]
        label = torch.unique(labels, dim=0, return_inverse=True)[1] if labels.shape[1] else torch.zeros(len(codes))
        partner = _partners(label, generator)
        share = (torch.rand(len(numbers), generator=generator, dtype=torch.float64) * options.mixup)[:, None]
        mixed = (1 - share) * numbers + share * numbers[partner]
        numbers = torch.where(torch.isnan(mixed), numbers, mixed)
    if options.noise or options.answer_noise:
        scale = codec.spread.clone()
        scale[:n_numbers] *= options.noise or 0.0
        scale[n_numbers:] *= options.answer_noise
        noise = torch.randn(numbers.shape, generator=generator, dtype=torch.float64)
        numbers = numbers + (noise * scale).to(numbers.device)
    if options.missing:
        gone = torch.rand((len(numbers), n_numbers + n_codes), generator=generator) < options.missing
        numbers, codes = numbers.clone(), codes.clone()
        numbers[:, :n_numbers][gone[:, :n_numbers]] = torch.nan
        codes[:, :n_codes][gone[:, n_numbers:]] = MISSING
    return EncodedRows(numbers, codes, rows.letters)


def shifted(
    rows: EncodedRows, examples: EncodedRows, spread: float, generator: torch.Generator
) -> tuple[EncodedRows, EncodedRows]:
    """Rows and the examples in their prompts with their numeric targets, last, moved together by a random amount.

    Args:
        rows: `n` of them.
        examples: `n * k`, flat.
        spread: standard deviation of the amount, in the scale of the targets.
        generator: of what is drawn.
    """
    n = len(rows)
    amount = torch.randn(n, generator=generator, dtype=torch.float64) * spread
    own, before = rows.numbers.clone(), examples.numbers.clone()
    own[:, -1] += amount.to(own.device)
    before[:, -1] += amount.repeat_interleave(len(examples) // n).to(own.device)
    return (
        EncodedRows(own, rows.codes, rows.letters),
        EncodedRows(before, examples.codes, examples.letters),
    )


def _partners(label: Tensor, generator: torch.Generator) -> Tensor:
    """For each row another (or the same) row of its labels, int64 `(n,)`."""
    order = torch.argsort(label.double() + 0.5 * torch.rand(len(label), generator=generator, dtype=torch.float64))
    sorted_labels = label[order]
    following = torch.roll(order, -1)
    same = sorted_labels == label[following]
    partner = torch.empty_like(order)
    partner[order] = torch.where(same, following, order)
    return partner
