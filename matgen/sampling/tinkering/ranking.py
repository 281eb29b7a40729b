"""Tinkering with a formula: what could stand in an element's place, and how probable a model finds each choice.

The model is given what stays, and says how probable each way of filling the blanks is. The idea and the word are those
of the blank language model for materials (Wei et al. 2022, arXiv:2204.11953).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.datasets.load import MAX_ATOMS
from matgen.errors import OptionError
from matgen.io.files import locked
from matgen.io.outputs import claim, write_with_metadata
from matgen.io.versions import versions
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import sequence_lengths
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.sampling.constraints.template import read_formula
from matgen.sampling.decoders.orders import EXACT_TOKENS
from matgen.sampling.known import known_compositions
from matgen.sampling.tinkering.infilling import completion_log_prob
from matgen.sampling.tinkering.request import TinkerRequest
from matgen.validity import ValidityRules, explain

if TYPE_CHECKING:
    from matgen.models.checkpoint import Checkpoint
    from matgen.sampling.engine import Sampler

LEAST_LISTED = 1e-6
"""Probability below which an element is not listed among those of a blank."""

_AT_ONCE = 65_536
"""Compositions scored together, which share what they begin with."""

_AT_ONCE_ANY_ORDER = 1024
"""The same for models that write in any order, which take long for each."""


@dataclass(frozen=True)
class Tinkered:
    """Variants of a formula, ranked.

    Attributes:
        frame: one row a variant, most probable first. `formula`; `probability`, a share of all variants; `log_prob`, in
            nats, of the canonical sequence, minus infinity where the model cannot write one of its length; `fill_1` ...
            the element of each blank (`deleted` where one is left out); under `dope` `undiluted`, the full replacement
            that has the probability, `in_domain`, False where the cell has more atoms than the model has learned
            from, and `host`, `site` and `dopant`, by which `matgen structure` makes supercells of the host; `original`,
            True for the compound itself; `charge_neutral`, `electronegativity_balanced`, `valid`, `oxidation_states`,
            `reason` and `novel` of `formula`, as in an evaluation.
        positions: of each blank symbol to probability over all variants, most probable first, from `LEAST_LISTED` on.
            Blanks of equal atoms are in order of electronegativity, the least electronegative element first.
        summary: what is written beside the table.
    """

    frame: pd.DataFrame
    positions: list[dict[str, float]]
    summary: dict[str, Any]


def tinker(
    sampler: Sampler, request: TinkerRequest | str, *, progress: ProgressFactory = silent, **options: Any
) -> Tinkered:
    """Rank the ways of changing a formula by their probability under a model.

    Args:
        sampler: the model.
        request: what to change; or a formula or template, with the fields of a `TinkerRequest` as options.
        progress: counts the compositions scored.
        options: fields of the request, for example `mask="Sr"`.

    Raises:
        DataError: a reference of `novel_to` cannot be read.
        FormulaError: a formula or template that cannot be read.
        OptionError: a request that makes no sense, or variants of a length that the model cannot write.
    """
    if isinstance(request, str):
        request = TinkerRequest(request, **options)
    elif options:
        request = dataclasses.replace(request, **options)
    variants, shown = request.variants, request.shown
    _refuse_too_long(sampler, request, variants.batch)
    known, references = known_compositions(request.novel_to)
    weights, log_prob = _scores(sampler, request, progress)
    probability = np.exp(weights - weights.max())
    probability /= probability.sum()

    columns: dict[str, Any] = {"formula": shown.formulas(), "probability": probability, "log_prob": log_prob}
    for i, fills in enumerate(variants.fills.T, 1):
        columns["deleted" if request.delete else f"fill_{i}"] = SYMBOLS[fills]
    if request.share is not None:
        columns["undiluted"] = variants.batch.formulas()
        columns["in_domain"] = (shown.n_atoms <= longest_learned(sampler.checkpoint)) & np.isfinite(log_prob)
        columns["host"] = str(read_formula(request.formula).formulas()[0])
        columns["site"] = str(SYMBOLS[request.replaced[0]])
        columns["dopant"] = SYMBOLS[variants.fills[:, 0]]
    columns["original"] = request.is_original(shown)
    columns |= _verdicts(shown)
    columns["novel"] = np.ones(len(shown), dtype=bool) if known is None else ~known.contains(shown.keys())
    frame = pd.DataFrame(columns).iloc[np.argsort(-weights, kind="stable")].reset_index(drop=True)
    positions = [_distribution(fills, probability) for fills in variants.fills.T]
    summary = _summary(sampler, request, frame, positions) | {"novel_to": references}
    return Tinkered(frame, positions, summary)


@locked("out")
def tinker_to_file(
    sampler: Sampler,
    request: TinkerRequest | str,
    out: Path | str,
    *,
    top: int | None = None,
    force: bool = False,
    progress: ProgressFactory = silent,
    **options: Any,
) -> Tinkered:
    """Rank the ways of changing a formula into a CSV or Parquet file, with its summary in `<out>.json`.

    Args:
        sampler: the model.
        request: as `tinker` takes it, with `options`.
        out: the file.
        top: rows that are written, by default all; probabilities are shares of all variants all the same.
        force: replace an earlier file.
        progress: counts the compositions scored.
        options: fields of the request.

    Raises:
        DataError: as `tinker`.
        FormulaError: as `tinker`.
        OptionError: as `tinker`; `top` is below 1, or `out` ends otherwise than in `.csv` or `.parquet`.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    if top is not None and top < 1:
        raise OptionError(f"top is {top}, it must be at least 1")
    out = Path(out)
    claim(out, force=force)
    tinkered = tinker(sampler, request, progress=progress, **options)
    frame = tinkered.frame if top is None else tinkered.frame.head(top)
    tinkered = Tinkered(frame, tinkered.positions, tinkered.summary | {"rows": len(frame)})
    write_with_metadata(out, frame, tinkered.summary)
    return tinkered


def longest_learned(checkpoint: Checkpoint) -> int:
    """Atoms of the longest formula that a model has learned from; where that is unknown, those of the published filter.

    It is unknown for counted tokens, whose number is not that of the atoms.
    """
    histogram = checkpoint.metadata.get("length_histogram")
    if checkpoint.notation != "expanded" or not histogram:
        return MAX_ATOMS
    return int(np.flatnonzero(histogram)[-1])


def _refuse_too_long(sampler: Sampler, request: TinkerRequest, batch: CompositionBatch) -> None:
    tokens = int(sequence_lengths(batch, sampler.notation).min())
    if tokens > MAX_POSITIONS - 2:
        raise OptionError(
            f"{request}: that takes {tokens:,} tokens in the notation {sampler.notation}, "
            f"the model reads at most {MAX_POSITIONS - 2}"
        )


def _scores(sampler: Sampler, request: TinkerRequest, progress: ProgressFactory) -> tuple[np.ndarray, np.ndarray]:
    """Ln weights of the variants, and ln probabilities of what is shown, float64 `(m,)` each."""
    template, variants, shown = request.template, request.variants, request.shown
    architecture, n = sampler.checkpoint.architecture, len(request.variants)
    # The weights of a causal model are its likelihoods; elements left out are compared by the likelihood in any model.
    likelihood_weighs = template is None or architecture.objective.left_to_right
    one_pass = likelihood_weighs and shown is variants.batch
    at_once = _AT_ONCE_ANY_ORDER if architecture.any_order else _AT_ONCE

    def in_parts(count: Progress, score: Callable[[slice], np.ndarray], size: int = at_once) -> np.ndarray:
        values = np.empty(n)
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            values[part] = score(part)
            count.update(part.stop - start)
        return values

    def likelihood(count: Progress, batch: CompositionBatch) -> np.ndarray:
        return in_parts(count, lambda part: sampler.likelihood.summed(batch[part], n_mc=request.n_mc))

    with progress(n if one_pass else 2 * n, "tinker", "formulas") as count:
        if template is None or likelihood_weighs:
            weights = likelihood(count, variants.batch)
        else:
            # A denoising model weighs completions against each other, so it takes all at once.
            size = at_once if architecture.any_order else n
            weights = in_parts(
                count, lambda part: completion_log_prob(sampler, template, variants[part], n_mc=request.n_mc), size
            )
        if not np.isfinite(weights).any():
            raise OptionError(
                f"{request}: {architecture.title} has learned no formula of that length, so none is probable"
            )
        log_prob = weights if one_pass else likelihood(count, shown)
    return weights, log_prob


def _verdicts(batch: CompositionBatch) -> dict[str, np.ndarray]:
    """Columns on validity, by the default rules."""
    explained = explain(batch)
    return {
        "charge_neutral": explained.validity.charge_neutral,
        "electronegativity_balanced": explained.validity.electronegativity_balanced,
        "valid": explained.validity.valid,
        "oxidation_states": explained.oxidation_states,
        "reason": explained.reason,
    }


def _distribution(fills: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Symbol to probability of the elements of one blank."""
    of_element = np.bincount(fills, weights=probability, minlength=N_ELEMENTS + 1)
    order = np.argsort(-of_element, kind="stable")
    listed = order[of_element[order] >= LEAST_LISTED]
    return {str(SYMBOLS[z]): float(f"{of_element[z]:.6g}") for z in listed}


def _summary(
    sampler: Sampler, request: TinkerRequest, frame: pd.DataFrame, positions: list[dict[str, float]]
) -> dict[str, Any]:
    checkpoint, architecture = sampler.checkpoint, sampler.checkpoint.architecture
    own = np.flatnonzero(frame["original"])
    joint = "nats, of the canonical sequence"
    if architecture.any_order:
        joint += f" (exact up to {EXACT_TOKENS} tokens, then estimated from {request.n_mc} random orders)"
    return {
        "model": checkpoint.folder.name,
        "architecture": architecture.key,
        "notation": checkpoint.notation,
        "dataset": checkpoint.metadata.get("dataset"),
        "task": str(request),
        "formula": None if request.written else str(read_formula(request.formula).formulas()[0]),
        "template": None if request.template is None else str(request.template),
        "distinct": request.template is not None and request.template.distinct,
        "dope": None if request.share is None else str(request.share),
        "within": request.within,
        "exclude": request.exclude,
        "probability": "whole sequences, normalized" if request.template is None else architecture.objective.completion,
        "log_prob": joint,
        "n_mc": request.n_mc if architecture.any_order else None,
        "completions": len(frame),
        "too_long": int((sequence_lengths(request.shown, sampler.notation) > MAX_POSITIONS - 2).sum()),
        "impossible": int((~np.isfinite(frame["log_prob"])).sum()),
        "in_domain": None if request.share is None else int((frame["in_domain"] & ~frame["original"]).sum()),
        "original_rank": int(own[0]) + 1 if len(own) else None,
        "original_probability": float(frame["probability"][own[0]]) if len(own) else None,
        "positions": positions,
        "rules": dataclasses.asdict(ValidityRules()),
        "versions": versions("torch", "transformers", "numpy"),
    }
