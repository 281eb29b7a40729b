"""Fine-tuning of the top layers alone, by the decisions that a completion is: minutes where all layers take hours.

Low-rank adapters (LoRA: Hu et al., ICLR 2022) in the top layers act on the question and the answer; what the model
makes of the rest of a row is computed once, see `matgen.lift.pretrained.question`. The loss is over the allowed tokens
alone, see `matgen.lift.pretrained.decisions`. Labels have a readout beside the model's own logits, see
`matgen.lift.pretrained.readout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.fitting.loop import Fitter
from matgen.lift.key_value_cache import cache_argument
from matgen.lift.pretrained.decisions import NONE, Answer, Decisions, logits_only_at
from matgen.lift.pretrained.examples import padded_left, positions_of
from matgen.lift.pretrained.generation import prefilled
from matgen.lift.pretrained.options import fit_settings
from matgen.lift.pretrained.question import LowerLayers, QuestionBatch, QuestionTable
from matgen.lift.pretrained.readout import READOUT, Readout, readout_of
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.lift.pretrained.language_model import LanguageModel

_PATIENCE = 10
"""Validations without improvement after which training stops. At first the loss stays at chance for many steps."""
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Rows:
    """Token ids of prompts, and the answers to them."""

    prompts: list[list[int]]
    answers: list[Answer]


def fit_top_layers(
    language: LanguageModel,
    train: Rows,
    valid: Rows | None,
    decisions: Decisions,
    question: int,
    folder: Path,
    options: dict[str, Any],
    seed: int,
    resume: bool,
    progress: ProgressFactory,
) -> None:
    """Train the adapters of a model whose top layers have them; it holds the best weights afterwards.

    Args:
        language: the model.
        train: rows to learn from.
        valid: rows to stop by and to choose weights by; None trains to the end of the schedule.
        decisions: sets of tokens that answers choose from.
        question: tokens at the end of each prompt that adapters act on.
        folder: of the state that an interrupted training goes on from.
        options: `layers`, `learning_rate`, `epochs`, `batch_size`.
        seed: of the order of rows.
        resume: go on from `folder`, where there is a state.
        progress: counts the rows that are read, then the steps.

    Raises:
        KeyboardInterrupt: training was interrupted; the state is in the folder.
    """
    lower = LowerLayers(language, language.n_layers - min(options["layers"], language.n_layers))
    language.model.eval()
    tables: list[QuestionTable | None] = []
    with progress(len(train.prompts) + (len(valid.prompts) if valid else 0), "lift, reading", "rows") as count:
        for rows in (train, valid):
            read = None if rows is None else lower.read(rows.prompts, rows.answers, question, count.update)
            tables.append(None if read is None else QuestionTable(read, question))
    table, held_out = tables
    assert table is not None
    settings = fit_settings(options, len(table), seed, validates=bool(held_out), patience=_PATIENCE, bf16=language.bf16)

    def nats(model: Any, batch: QuestionBatch) -> Tensor:
        logits, states = lower.logits(model, batch)
        readout = readout_of(language.model)
        more = None if readout is None else readout(states, batch.sets.clamp_min(0))
        return decisions.nats(logits, batch.sets, batch.chosen, more)

    def loss(model: Any, batch: QuestionBatch, generator: torch.Generator) -> Tensor:
        return nats(model, batch).sum()

    def validate(model: Any) -> float:
        if held_out is None:
            return 0.0
        return float(torch.cat([nats(model, batch) for batch in _batches(held_out, language)]).mean())

    if decisions.paths:
        add_readout(language, decisions)
        with torch.no_grad(), language.autocast():
            passes = [(lower.logits(language.model, batch)[1], batch.sets) for batch in _batches(table, language)]
        states = [found[sets != NONE].float() for found, sets in passes]
        language.model.get_submodule(READOUT).standardize(torch.cat(states))
    begun = resume and (folder / "training").exists()
    Fitter(language.model, table, loss, validate, folder, settings, progress, "lift").run_whole(resume=begun)
    language.model.eval()


def add_readout(language: LanguageModel, decisions: Decisions) -> None:
    """Give a model a readout of the decisions between labels."""
    sets, most = decisions.allowed.shape
    setattr(language.model, READOUT, Readout(sets, most, language.model.config.hidden_size).to(language.device))


def _batches(table: QuestionTable, language: LanguageModel) -> Iterator[QuestionBatch]:
    own = table.to(language.device)
    parts = np.array_split(np.arange(len(own)), -(-len(own) // _ROWS_AT_ONCE))
    return (own.batch(part) for part in parts)


def label_log_probabilities(
    language: LanguageModel, prompts: list[list[int]], decisions: Decisions, answers: list[Answer], question: int
) -> np.ndarray:
    """Log-probabilities of labels, float64 `(n, labels)`, whose exponentials sum to one in each row.

    Args:
        language: the model.
        prompts: token ids of each of `n`.
        decisions, answers: as `label_decisions` returns them.
        question: tokens at the end of each prompt that adapters act on.
    """
    ends = [path for path in decisions.paths if not any(_continues(other, path) for other in decisions.paths)]
    at_once = max(1, _ROWS_AT_ONCE // max(1, len(ends)))
    parts = [
        _label_log_probabilities(language, prompts[start : start + at_once], decisions, answers, question, ends)
        for start in range(0, len(prompts), at_once)
    ]
    scores = torch.cat(parts) if parts else torch.zeros((0, len(answers)), dtype=torch.float64)
    return scores.log_softmax(dim=1).numpy()  # of labels that are written alike, too


def _continues(path: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _label_log_probabilities(
    language: LanguageModel,
    prompts: list[list[int]],
    decisions: Decisions,
    answers: list[Answer],
    question: int,
    ends: list[tuple[int, ...]],
) -> Tensor:
    """Of few rows; the keys and values before the question are computed once for all `ends` of paths."""
    model, n = language.model, len(prompts)
    ids, mask = (tensor.to(language.device) for tensor in padded_left([prompt[:-question] for prompt in prompts]))
    longest = max(map(len, ends), default=0)
    # Rows are ordered by prompt, then by end of a path; paths are padded on the right.
    read = torch.tensor(
        [[*prompt[-question:], *end, *[0] * (longest - len(end))] for prompt in prompts for end in ends],
        device=language.device,
    )
    on_way = [[row for row, path in enumerate(decisions.paths) if end[: len(path)] == path] for end in ends]
    most = max(map(len, on_way), default=0)
    sets = torch.tensor([rows + rows[-1:] * (most - len(rows)) for rows in on_way])
    places = torch.tensor([[question - 1 + len(decisions.paths[row]) for row in rows] for rows in sets.tolist()])
    with torch.inference_mode(), language.autocast():
        with language.without_adapters():
            cache = prefilled(model, ids, mask, len(ends))
        seen = torch.cat([mask.repeat_interleave(len(ends), dim=0), torch.ones_like(read)], dim=1)
        with logits_only_at(model, places.repeat(n, 1).to(language.device)) as states:
            out = model(
                input_ids=read, attention_mask=seen, position_ids=positions_of(seen)[:, -read.shape[1] :],
                use_cache=True, **cache_argument(cache),
            )  # fmt: skip
        readout = readout_of(model)
        more = None if readout is None else readout(states[0], sets.repeat(n, 1).to(language.device)).cpu()
    found = decisions.log_probabilities(out.logits.float().cpu(), sets.repeat(n, 1), more).double()
    by_set = torch.zeros((n, len(decisions.paths), found.shape[-1]), dtype=torch.float64)
    for end, rows in enumerate(sets.tolist()):
        by_set[:, rows] = found.reshape(n, len(ends), most, -1)[:, end]
    return torch.stack([by_set[:, answer.sets, answer.chosen].sum(dim=1) for answer in answers], dim=1)
