"""Fine-tuning of all layers by low-rank adapters on whole completions (LoRA: Hu et al., ICLR 2022)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.fitting.loop import Fitter
from matgen.lift.pretrained.options import fit_settings
from matgen.lift.pretrained.scoring import completion_nats
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.lift.pretrained.examples import PromptTable
    from matgen.lift.pretrained.language_model import LanguageModel


def fit_adapters(
    language: LanguageModel,
    train: PromptTable,
    valid: PromptTable | None,
    folder: Path,
    options: dict[str, Any],
    seed: int,
    resume: bool,
    progress: ProgressFactory,
) -> None:
    """Train the adapters of a model; it holds the weights of the best of as many validations as epochs afterwards.

    Args:
        language: the model.
        train: rows to learn from.
        valid: rows to choose weights by; None keeps those at the end.
        folder: of the state that an interrupted training goes on from.
        options: `learning_rate`, `epochs`, `batch_size`.
        seed: of the order of rows.
        resume: go on from `folder`, where there is a state.
        progress: counts the steps.

    Raises:
        KeyboardInterrupt: training was interrupted; the state is in the folder.
    """
    never = math.ceil(options["epochs"]) + 1  # more than there are validations
    settings = fit_settings(options, len(train), seed, validates=valid is not None, patience=never, bf16=language.bf16)

    def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
        return completion_nats(model, batch).sum()

    def validate(model: Any) -> float:
        if valid is None:
            return 0.0
        table, parts = valid.to(language.device), np.array_split(np.arange(len(valid)), -(-len(valid) // 32))
        return float(torch.cat([completion_nats(model, table.batch(part)) for part in parts]).mean())

    begun = resume and (folder / "training").exists()
    Fitter(language.model, train, loss, validate, folder, settings, progress, "lift").run_whole(resume=begun)
