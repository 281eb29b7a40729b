"""How probable a model finds each way of filling the blanks of a template, for every kind of model.

* A causal model has no way to look ahead: the completions are scored whole, in the order in which the notation writes
  them, and compared.
* A blank language model and a masked model write in any order: what counts is the probability of the orders that write
  what is given first and fill the blanks then. So the blanks are filled with all the rest in sight, and where in the
  formula they belong (which depends on the element) is weighed by how probable the rest is around that place.
* A denoising model is given the formula with its blanks masked and rewrites it. A source gives away the places of its
  masks, so sources with the masks at different places cannot be compared by it; these share the probability that its
  completions have when written from nothing.

Where a filling is of an element that the rest holds too, its atoms are alike: the last ones of the run are taken,
and in `counted` the whole token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.models.canvas import collapse_runs
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import MASK, encode, sequence_lengths, vocabulary
from matgen.sampling.likelihood import N_MC

if TYPE_CHECKING:
    from matgen.sampling.constraints.template import Completions, Template
    from matgen.sampling.engine import Sampler

_AT_ONCE = 1024


def completion_log_prob(
    sampler: Sampler, template: Template, completions: Completions, *, n_mc: int = N_MC
) -> np.ndarray:
    """Ln weights of the completions of a template, float64 `(m,)`, in nats; a softmax over them gives probabilities.

    Args:
        sampler: the model.
        template: what is filled.
        completions: its completions.
        n_mc: random orders, for models that write in any order and formulas of more than `EXACT_TOKENS` tokens.

    Returns:
        Minus infinity where a completion is longer than the model.
    """
    likelihood, notation = sampler.likelihood, sampler.notation
    objective = sampler.checkpoint.architecture.objective
    if objective.left_to_right:
        return likelihood.summed(completions.batch)
    result = np.full(len(completions), -np.inf)
    fits = np.flatnonzero(sequence_lengths(completions.batch, notation) <= MAX_POSITIONS - 2)
    ids, lengths = encode(completions.batch[fits], notation)
    last = filled_places(ids, completions.fills[fits], template.blanks, notation)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        of_length = [torch.from_numpy(x[rows, :length]).to(sampler.device) for x in (ids.astype(np.int64), last)]
        if objective.reads_source:
            values = _rewritten(sampler, *of_length)
        else:
            parts = zip(*(x.split(_AT_ONCE) for x in of_length), strict=True)
            values = torch.cat([likelihood.over_orders(part, n_mc=n_mc, last=where) for part, where in parts])
            if objective.steps is not None and objective.steps.order_is_chosen:
                values = values + _ways(of_length[1])
        result[fits[rows]] = values.cpu().numpy()
    return result


def _ways(last: torch.Tensor) -> torch.Tensor:
    """Ln of how many sets of places could have been filled last, float64 `(m,)`.

    A blank language model splits the probability of a formula over all its orders. Completions with another number of
    tokens (`counted`, where a filling merges with what is there) leave another share of it to the orders counted here.
    """
    n, filled = torch.tensor(float(last.shape[1] - 1), dtype=torch.float64), last.sum(1).double()
    return torch.lgamma(n) - torch.lgamma(filled + 1) - torch.lgamma(n - filled)


def filled_places(ids: np.ndarray, fills: np.ndarray, blanks: tuple[int, ...], notation: str) -> np.ndarray:
    """The tokens of completions that fill a blank, bool `(m, length)`.

    In the notation `counted`, where an element that was there already comes in, its whole token counts as filled.

    Args:
        ids: integers `(m, length)`, canonical sequences.
        fills: uint8 `(m, b)`, the element of each blank.
        blanks: atoms of each blank.
        notation: of the ids.
    """
    z = vocabulary(notation).atomic_number[ids]
    coming = np.zeros(ids.shape, dtype=np.int64)
    for place, count in enumerate(blanks):
        coming += count * ((z == fills[:, place, None]) & (z > 0))
    if notation == "counted":
        return coming > 0
    # Tokens of an element stand together: the last ones of its run are those that came in.
    from_end = np.zeros(ids.shape, dtype=np.int64)
    for column in range(ids.shape[1] - 2, 0, -1):
        same = z[:, column] == z[:, column + 1]
        from_end[:, column] = np.where(same, from_end[:, column + 1], 0) + 1
    return (z > 0) & (from_end <= coming)


def _rewritten(sampler: Sampler, ids: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Ln weights under a denoising model, float64 `(m,)`."""
    source, _ = collapse_runs(ids, last, MASK)
    from_nothing, from_source = [], []
    with torch.inference_mode():
        for part, given in zip(ids.split(_AT_ONCE), source.split(_AT_ONCE), strict=True):
            from_nothing.append(sampler.likelihood.exact(part).double())
            from_source.append(sampler.likelihood.exact(part, source=given).double())
    written, rewritten = torch.cat(from_nothing), torch.cat(from_source)
    number = torch.unique(source, dim=0, return_inverse=True)[1]
    value = torch.empty_like(written)
    for one in number.unique():
        rows = number == one
        value[rows] = rewritten[rows].log_softmax(0) + written[rows].logsumexp(0)
    return value
