"""The most probable compositions, by enumeration instead of drawing.

A prefix is at least as probable as anything that begins with it. So the tree of prefixes is gone through best first;
once the best open prefix is less probable than the last composition on the list, no more probable sequence is missing.
Sequences that mean the same composition (another order, an unreduced multiple) are added up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.io.files import locked
from matgen.io.outputs import claim, write_with_metadata
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import BOS, EOS, PAD, decode, suppressed_ids, vocabulary
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from matgen.models.checkpoint import Checkpoint
    from matgen.sampling.constraints.definition import Constraints

MOST_OPEN = 500_000
"""Prefixes kept open; the least probable ones beyond are given up, which the result reports."""

MOST_COMPUTED = 5_000_000
"""Prefixes computed before the search is ended."""

_TILE = 512


@dataclass(frozen=True)
class MostProbable:
    """The most probable compositions.

    Attributes:
        frame: columns `formula`, `log_prob` (of the canonical sequence; NaN where it was not met), `log_prob_merged`
            (of all sequences met that mean it, in nats), `sequences` (how many these are); best first by
            `log_prob_merged`.
        mass_listed: probability of the compositions in the frame, as far as their sequences were met.
        mass_not_listed: bound on the probability of everything else: 1 less what is listed.
        complete_above: ln probability above which no single sequence is missing; None where none is missing at all.
        prefixes: distinct prefixes computed.
    """

    frame: pd.DataFrame
    mass_listed: float
    mass_not_listed: float
    complete_above: float | None
    prefixes: int


def most_probable(
    checkpoint: Checkpoint,
    n: int,
    *,
    accept: Callable[[CompositionBatch], np.ndarray] | None = None,
    tokens: np.ndarray | None = None,
    progress: ProgressFactory = silent,
) -> MostProbable:
    """List the `n` most probable compositions of a causal model.

    Args:
        checkpoint: of a causal architecture.
        n: how many.
        accept: compositions to list, from a batch of `b` to bool `(b,)`; the others are passed over.
        tokens: ids that may be used at all, int64 `(m,)`, by default all.
        progress: counts the compositions listed.

    Raises:
        OptionError: `n` below 1, or a model that does not write from left to right.
    """
    if n < 1:
        raise OptionError(f"top is {n}, it must be at least 1")
    if not checkpoint.architecture.objective.left_to_right:
        raise OptionError(
            f"{checkpoint.architecture.title} does not write from left to right: --top needs a causal model"
        )
    search = _Search(checkpoint, n, accept, tokens)
    with progress(n, "list", "formulas") as count:
        listed = 0
        while search.step():
            count.update(min(search.n_listed, n) - listed)
            listed = min(search.n_listed, n)
    return search.result()


@locked("out")
def list_to_file(
    checkpoint: Checkpoint,
    n: int,
    out: Path | str,
    *,
    constraints: Constraints | None = None,
    force: bool = False,
    progress: ProgressFactory = silent,
) -> MostProbable:
    """List the most probable compositions into a CSV or Parquet file, with what bounds the rest in `<out>.json`.

    Raises:
        OptionError: as `most_probable`, or constraints that nothing satisfies.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    out = Path(out)
    claim(out, force=force)
    tokens, accept = None, None
    if constraints is not None:
        from matgen.sampling.constraints.reachability import DecodingMask

        DecodingMask(constraints, checkpoint.notation, known=checkpoint.known_elements())  # refuses what cannot be
        elements = vocabulary(checkpoint.notation).atomic_number
        tokens = np.flatnonzero(constraints.allowed_elements()[elements] & (elements > 0))
        accept = constraints.satisfied
    listed = most_probable(checkpoint, n, accept=accept, tokens=tokens, progress=progress)
    bounds = {name: value for name, value in vars(listed).items() if name != "frame"}
    described = None if constraints is None else constraints.describe()
    metadata = {"model": checkpoint.folder.name, "top": n, "constraints": described, **bounds}
    write_with_metadata(out, listed.frame, metadata)
    return listed


class _Search:
    """The state of the enumeration: open prefixes and the compositions of finished ones."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        n: int,
        accept: Callable[[CompositionBatch], np.ndarray] | None,
        tokens: np.ndarray | None,
    ) -> None:
        self.model, self.notation = checkpoint.network, checkpoint.notation
        self.device = next(self.model.parameters()).device
        self.n, self.accept = n, accept
        forbidden = np.zeros(self.model.config.vocab_size, dtype=bool)
        forbidden[suppressed_ids(self.notation)] = True
        if tokens is not None:
            only = np.ones(len(forbidden), dtype=bool)
            only[tokens] = only[EOS] = False
            forbidden |= only
        self.forbidden = torch.from_numpy(forbidden).to(self.device)
        self.suppressed = torch.tensor(suppressed_ids(self.notation), device=self.device)
        self.open_ids = np.full((1, MAX_POSITIONS), PAD, dtype=np.int16)
        self.open_ids[0, 0] = BOS
        self.open_log_prob, self.open_length = np.zeros(1), np.ones(1, dtype=np.int64)
        self.compositions: dict[tuple[int, int], list] = {}
        self.given_up, self.prefixes = -np.inf, 0

    @property
    def n_listed(self) -> int:
        return len(self.compositions)

    def worst_listed(self) -> float:
        """Ln probability of the last composition on the list, minus infinity while it is not full."""
        if len(self.compositions) < self.n:
            return -np.inf
        entries = self.compositions.values()
        merged = np.fromiter((entry[1] for entry in entries), dtype=np.float64, count=len(entries))
        return float(np.partition(merged, len(merged) - self.n)[len(merged) - self.n])

    def step(self) -> bool:
        """Compute the best open prefixes; False when nothing is left that could be listed."""
        worst = self.worst_listed()
        alive = self.open_log_prob >= worst
        if not alive.any() or self.prefixes >= MOST_COMPUTED:
            if alive.any():
                self.given_up = max(self.given_up, float(self.open_log_prob.max()))
            return False
        self._keep(alive)
        k = min(_TILE, len(self.open_log_prob))
        best = np.argpartition(-self.open_log_prob, k - 1)[:k]
        ids, log_prob, length = self.open_ids[best], self.open_log_prob[best], self.open_length[best]
        rest = np.ones(len(self.open_log_prob), dtype=bool)
        rest[best] = False
        self._keep(rest)
        self._extend(ids, log_prob, length, worst)
        if len(self.open_log_prob) > MOST_OPEN:
            order = np.argsort(-self.open_log_prob, kind="stable")
            self.given_up = max(self.given_up, float(self.open_log_prob[order[MOST_OPEN]]))
            self._keep(np.sort(order[:MOST_OPEN]))
        return True

    def _keep(self, rows: np.ndarray) -> None:
        self.open_ids, self.open_log_prob = self.open_ids[rows], self.open_log_prob[rows]
        self.open_length = self.open_length[rows]

    @torch.inference_mode()
    def _extend(self, ids: np.ndarray, log_prob: np.ndarray, length: np.ndarray, worst: float) -> None:
        width = int(length.max())
        # What follows a prefix is not looked at; written as padding it would make transformers warn.
        context = torch.from_numpy(np.where(ids[:, :width] == PAD, EOS, ids[:, :width])).long().to(self.device)
        at = torch.from_numpy(length - 1).to(self.device)
        logits = self.model(input_ids=context).logits[torch.arange(len(ids), device=self.device), at].float()
        self.prefixes += len(ids)
        logits[:, self.suppressed] = -torch.inf
        empty = at == 0
        logits[empty, EOS] = -torch.inf
        following = logits.log_softmax(1).masked_fill(self.forbidden, -torch.inf).double().cpu().numpy()
        total = log_prob[:, None] + following
        parent, token = np.nonzero((total >= worst) & np.isfinite(total))
        value = total[parent, token]
        fresh = ids[parent]
        fresh[np.arange(len(parent)), length[parent]] = token
        ended = token == EOS
        self._list(fresh[ended], value[ended])
        going_on = ~ended & (length[parent] + 1 < MAX_POSITIONS)
        self.open_ids = np.concatenate([self.open_ids, fresh[going_on]])
        self.open_log_prob = np.concatenate([self.open_log_prob, value[going_on]])
        self.open_length = np.concatenate([self.open_length, length[parent[going_on]] + 1])

    def _list(self, ids: np.ndarray, value: np.ndarray) -> None:
        """Add finished sequences to their compositions."""
        read = decode(ids, self.notation)
        keep = np.ones(len(read.rows), dtype=bool) if self.accept is None else self.accept(read.batch)
        batch = read.batch[keep]
        keys = map(tuple, batch.keys().tolist())
        rows = zip(keys, batch.formulas(), value[read.rows[keep]], read.canonical[keep], strict=True)
        for key, formula, log_prob, canonical in rows:
            entry = self.compositions.setdefault(key, [formula, -np.inf, np.nan, 0])
            entry[1] = float(np.logaddexp(entry[1], log_prob))
            entry[2] = float(log_prob) if canonical else entry[2]
            entry[3] += 1

    def result(self) -> MostProbable:
        """The list, best first."""
        columns = ["formula", "log_prob_merged", "log_prob", "sequences"]
        frame = pd.DataFrame(list(self.compositions.values()), columns=columns)
        frame = frame.sort_values(["log_prob_merged", "formula"], ascending=[False, True], kind="stable").head(self.n)
        listed = float(np.exp(frame["log_prob_merged"].to_numpy(np.float64)).sum())
        open_now = float(self.open_log_prob.max()) if len(self.open_log_prob) else -np.inf
        bound = max(open_now, self.given_up, self.worst_listed())
        return MostProbable(
            frame[["formula", "log_prob", "log_prob_merged", "sequences"]].reset_index(drop=True),
            listed,
            max(0.0, 1.0 - listed),
            bound if np.isfinite(bound) else None,
            self.prefixes,
        )
