"""The backend that is trained from scratch: a small causal language model over the tokens of one table.

All weights are trained; the loss is that of the completion alone. The model knows only the table, so column names mean
nothing to it. Rows are augmented anew at every step, with noise on their numbers, so that a table of a hundred rows
does not look the same twice.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from matgen.errors import CheckpointError, OptionError
from matgen.fitting.loop import Fitter
from matgen.io.files import read_checksummed, write_checksummed
from matgen.lift.alike import alike_columns
from matgen.lift.codec import END, SEPARATOR, Codec, EncodedRows, Places
from matgen.lift.scratch.formulas import FormulaColumns
from matgen.lift.scratch.model import LONGEST, ScratchOptions, build, fit_settings, longest_texts, next_logits
from matgen.lift.scratch.quantiles import exact_quantiles
from matgen.lift.scratch.rows import ScratchRows, perturbed, shifted
from matgen.lift.sentences import END_OF_COMPLETION
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from matgen.lift.columns import Column
    from matgen.lift.interface import Queries, TrainingSet
    from matgen.lift.sentences import Sentences


class ScratchBackend:
    """A small causal language model, trained from scratch on one table (see `ScratchOptions`)."""

    def __init__(self, **options: Any) -> None:
        self.options = ScratchOptions.named(options)
        self.models: list[Any] = []

    @property
    def n_parameters(self) -> int:
        """Weights of all members."""
        return sum(p.numel() for model in self.models for p in model.parameters())

    def fit(
        self, training_set: TrainingSet, *, seed: int, folder: Path | None, resume: bool, progress: ProgressFactory
    ) -> None:
        """See `Backend.fit`."""
        self.sentences = training_set.sentences
        self.k = 0 if training_set.examples is None else training_set.examples.shape[1]
        self.formulas = self._formula_columns(training_set)
        self._set_codec(self._longest(training_set), alike_columns(training_set.sentences.columns))
        if self.tokens_a_sentence > LONGEST:
            raise OptionError(
                f"a row of {len(self.codec.columns) - 1:,} columns takes {self.tokens_a_sentence:,} tokens, the model "
                f"reads {LONGEST:,}: choose columns (--columns), or fewer examples in a prompt"
            )
        self.options = self.options.resolved(len(self.codec.columns) - 1, self.tokens_a_sentence)
        self.models = []
        for member in range(self.options.members):
            torch_seed = seed * 1_000 + member
            model = self._new_model(torch_seed)
            with tempfile.TemporaryDirectory() as scratch:
                where = Path(scratch) if folder is None else Path(folder) / f"member-{member}"
                for stage, frame in enumerate(training_set.stages):
                    self._train(model, frame, None, None, None, torch_seed, where / f"stage-{stage}", resume, progress)
                self._train(
                    model, training_set.train, training_set.examples,
                    training_set.valid, training_set.valid_examples, torch_seed,
                    where / "table", resume, progress,
                )  # fmt: skip
            self.models.append(model.eval())

    def _formula_columns(self, training_set: TrainingSet) -> FormulaColumns:
        """Columns of numbers that stand for formulas, where fractions are asked for."""
        if training_set.sentences.formulas_as != "fractions":
            return FormulaColumns({}, {})
        return FormulaColumns.of(self._used(), training_set.train)

    def _used(self) -> list[Column]:
        """Columns that the sentences are written with, the target left out."""
        return [column for _, column in self.sentences.pieces if column is not None]

    def _encoded(self, rows: pd.DataFrame) -> EncodedRows:
        return self.codec.encoded(self.formulas.expanded(rows))

    def _longest(self, training_set: TrainingSet) -> dict[str, int]:
        sentences = training_set.sentences
        return longest_texts(sentences.columns, training_set.train, sentences.formulas_as)

    @property
    def tokens_a_sentence(self) -> int:
        """Tokens of a prompt with its target."""
        return (self.k + 1) * (self.codec.width + 2)

    def _set_codec(self, lengths: dict[str, int], alike: Collection[str]) -> None:
        assert self.sentences.target is not None
        columns = [*self.formulas.instead_of(self._used()), self.sentences.target]
        self.codec = Codec(columns, lengths, self.sentences.formulas_as, alike)

    def _new_model(self, seed: int) -> Any:
        return build(self.options, self.codec, self.tokens_a_sentence, seed=seed)

    def _train(
        self,
        model: Any,
        train: pd.DataFrame,
        examples: np.ndarray | None,
        valid: pd.DataFrame | None,
        valid_examples: np.ndarray | None,
        seed: int,
        folder: Path,
        resume: bool,
        progress: ProgressFactory,
    ) -> None:
        options, target = self.options, self.codec.places[-1].column
        rows = self._encoded(train)
        held_out = None if valid is None else self._encoded(valid)
        before = None if valid_examples is None else rows[torch.from_numpy(valid_examples).reshape(-1)]

        def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
            own, examples = batch
            seen = perturbed(own, self.codec, options, generator, (target,))
            if examples is not None and options.shift and target.type == "number":
                spread = options.shift * float(self.codec.spread[-1])
                seen, examples = shifted(seen, examples, spread, generator)
            return self._nats(model, seen, examples, options.smoothing).sum()

        def validate(model: Any) -> float:
            if held_out is None:
                return 0.0
            return float(self._nats(model, held_out, before, 0.0).mean())

        data = ScratchRows(rows, None if examples is None else torch.from_numpy(examples))
        settings = fit_settings(options, len(rows), seed, validates=held_out is not None)
        begun = resume and (folder / "training").exists()
        Fitter(model, data, loss, validate, folder, settings, progress, "lift").run_whole(resume=begun)

    def _sentences(self, rows: EncodedRows, examples: EncodedRows | None) -> Tensor:
        """Tokens of sentences with their targets, int64 `(n, tokens_a_sentence)`: the examples, then the row itself.

        A sentence is: features, `SEPARATOR`, target, `END`. The `n * k` examples are ordered by row.
        """
        width = self.codec.places[-1].width
        tokens = self.codec.tokens(rows)  # (n, codec.width), the target last
        separator = torch.full((len(tokens), 1), SEPARATOR, device=tokens.device)
        end = torch.full((len(tokens), 1), END, device=tokens.device)
        sentence = torch.cat([tokens[:, :-width], separator, tokens[:, -width:], end], dim=1)
        if examples is None:
            return sentence
        before = self._sentences(examples, None).reshape(len(sentence), -1)  # (n, k * codec.width + 2 k)
        return torch.cat([before, sentence], dim=1)

    def _nats(self, model: Any, rows: EncodedRows, examples: EncodedRows | None, smoothing: float) -> Tensor:
        """Negative log-probability of each target with its end, float32 `(n,)`."""
        sentences = self._sentences(rows, examples)
        places = self.codec.places[-1]
        width = places.width + 1  # the target's tokens and END
        # The state before a token predicts it. Only the last states go through the head: (n, width, vocabulary).
        hidden = model.transformer(sentences[:, :-1]).last_hidden_state[:, -width:]
        logits = model.lm_head(hidden)
        if smoothing and places.column.type == "category":
            return _smoothed_nats(logits[:, 0], sentences[:, -width], places, smoothing)
        return cross_entropy(logits.transpose(1, 2), sentences[:, -width:], reduction="none").sum(dim=1)

    # --- predictions -------------------------------------------------------------------------------------------------

    def _prompts(self, queries: Queries, views: int, seed: int) -> list[Tensor]:
        """Tokens of the prompts, up to the target, int64 `(n, tokens)` of each view; the first view has no noise."""
        rows = self._encoded(queries.frame)
        examples = None
        if queries.examples is not None:
            assert queries.store is not None
            examples = self._encoded(queries.store)[torch.from_numpy(queries.examples).reshape(-1)]
        generator = torch.Generator().manual_seed(seed)
        noise_alone = dataclasses.replace(self.options, missing=0.0, mixup=0.0, answer_noise=0.0)
        target = self.codec.places[-1]
        made = []
        for view in range(views):
            seen = perturbed(rows, self.codec, noise_alone, generator, (target.column,)) if view else rows
            made.append(self._sentences(seen, examples)[:, : -target.width - 1])  # without the target and END
        return made

    @property
    def _views(self) -> int:
        return self.options.views if self.options.noise and self.codec.spread.numel() else 1

    def label_log_probabilities(self, queries: Queries) -> np.ndarray:
        """See `Backend.label_log_probabilities`; the probabilities of members and views are averaged."""
        places = self.codec.places[-1]
        labels = torch.arange(places.levels) + int(places.base[0])
        total = torch.zeros((len(queries), places.levels), dtype=torch.float64)
        prompts = self._prompts(queries, self._views, seed=0)
        for model in self.models:
            for prompt in prompts:
                total += torch.softmax(next_logits(model, prompt)[:, labels].double(), dim=1)
        return torch.log(total / (len(prompts) * len(self.models))).numpy()

    def number_quantiles(self, queries: Queries, quantiles: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """See `Backend.number_quantiles`: exact, see `matgen.lift.scratch.quantiles`."""
        quantiles = np.asarray(quantiles, dtype=np.float64)
        views = [(model, prompt) for model in self.models for prompt in self._prompts(queries, self._views, seed=0)]
        if not samples:
            return exact_quantiles(views, self.codec.places[-1], np.tile(quantiles, (len(queries), 1)))
        # Inverse transform sampling: the quantile at a uniformly drawn fraction is a number drawn from the model.
        drawn = np.random.default_rng(seed).random((len(queries), samples))
        return np.quantile(exact_quantiles(views, self.codec.places[-1], drawn), quantiles, axis=1).T

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """See `Backend.complete`."""
        (prompt,) = self._prompts(queries, 1, seed)
        generator = torch.Generator().manual_seed(seed)
        model, tokens = self.models[0], prompt
        for _ in range(self.codec.places[-1].width + 1):  # the target's tokens and END
            probabilities = torch.softmax(next_logits(model, tokens), dim=1)  # (n, vocabulary)
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1, generator=generator)], dim=1)
        return [self._text(row) for row in tokens[:, prompt.shape[1] :].numpy()]

    def _text(self, tokens: np.ndarray) -> str:
        """The completion that tokens int64 `(width + 1,)` stand for; what is no value is shown token by token."""
        places, target = self.codec.places[-1], self.sentences.target
        assert target is not None
        if tokens[-1] != END or not self._is_value(places, tokens[:-1]):
            return "".join(f"<{token}>" for token in tokens)
        (value,) = self.codec.values(places, tokens[None, :-1])
        return self.sentences.written(target, value, END_OF_COMPLETION) + END_OF_COMPLETION

    def _is_value(self, places: Places, tokens: np.ndarray) -> bool:
        """Whether tokens int64 `(width,)` are a known label or the digits of a number within the range."""
        if places.column.type == "category":
            return bool(0 <= tokens[0] - places.base[0] < places.levels)
        digits = tokens - places.base
        limit = places.levels if places.width == 1 else 10
        return bool(((digits >= 0) & (digits < limit)).all() and (digits * places.divisors).sum() < places.levels)

    # --- files -------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """See `Backend.save`: one `member-N.safetensors` each, and `scratch.json`."""
        from matgen.fitting.state import weights_of
        from matgen.io.files import atomic_write
        from matgen.io.weights import save_weights

        for i, model in enumerate(self.models):
            with atomic_write(folder / f"member-{i}.safetensors") as part:
                save_weights(weights_of(model), part)
        write_checksummed(
            folder / "scratch.json",
            {
                "options": dataclasses.asdict(self.options),
                "lengths": self.codec.lengths,
                "examples": self.k,
                "alike": sorted(self.codec.alike),
                "formulas": self.formulas.as_json(),
            },
        )

    def load(self, folder: Path, sentences: Sentences) -> None:
        """See `Backend.load`.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        from safetensors import SafetensorError

        from matgen.fitting.state import set_weights
        from matgen.io.weights import load_weights

        content = read_checksummed(folder / "scratch.json")
        self.options = ScratchOptions(**content["options"])
        self.sentences, self.k = sentences, content["examples"]
        self.formulas = FormulaColumns.from_json(content.get("formulas", {}))  # those of 0.2 are all letters
        self._set_codec(content["lengths"], content.get("alike", ()))  # likewise none
        self.models = []
        for member in range(self.options.members):
            path = folder / f"member-{member}.safetensors"
            model = self._new_model(0)
            try:
                set_weights(model, load_weights(path))
            except (OSError, SafetensorError, KeyError, RuntimeError) as error:
                raise CheckpointError(f"{path} is missing or damaged: fit again") from error
            self.models.append(model.eval())


def _smoothed_nats(logits: Tensor, targets: Tensor, places: Places, smoothing: float) -> Tensor:
    """Cross entropy over the labels alone, with a fraction of the target spread over all of them, float32 `(n,)`.

    Args:
        logits: of the label's token, float32 `(n, vocabulary)`.
        targets: tokens of the labels, int64 `(n,)`.
        places: of the target.
        smoothing: the fraction.
    """
    base = int(places.base[0])
    return cross_entropy(
        logits[:, base : base + places.levels], targets - base, reduction="none", label_smoothing=smoothing
    )
