"""The backend that is trained from nothing: a small causal language model over the tokens of one table.

All weights learn; the loss is that of the completion alone. It knows nothing but the table, so the meaning of names is
lost on it. Rows are written anew at every step, with noise on their numbers, so that a table of a hundred rows does not
look the same twice.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from matgen.errors import CheckpointError, OptionError
from matgen.fitting.loop import Fitter
from matgen.io.files import read_checksummed, write_checksummed
from matgen.lift.codec import ASK, END, Codec, EncodedRows, Places
from matgen.lift.scratch.model import LONGEST, ScratchOptions, build, fit_settings, longest_texts, next_logits
from matgen.lift.scratch.rows import ScratchRows, disturbed, shifted
from matgen.lift.sentences import END_OF_COMPLETION
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from matgen.lift.interface import Queries, TrainingSet
    from matgen.lift.sentences import Sentences


class ScratchBackend:
    """A small causal language model, trained from nothing on one table (see `ScratchOptions`)."""

    def __init__(self, **options: Any) -> None:
        self.options = ScratchOptions(**options)
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
        self._set_codec(self._longest(training_set))
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
                    self._learn(model, frame, None, None, None, torch_seed, where / f"stage-{stage}", resume, progress)
                self._learn(
                    model, training_set.train, training_set.examples,
                    training_set.valid, training_set.valid_examples, torch_seed,
                    where / "table", resume, progress,
                )  # fmt: skip
            self.models.append(model.eval())

    def _longest(self, training_set: TrainingSet) -> dict[str, int]:
        sentences = training_set.sentences
        return longest_texts(sentences.columns, training_set.train, sentences.formulas_as)

    @property
    def tokens_a_sentence(self) -> int:
        """Tokens of a prompt with its answer."""
        return (self.k + 1) * (self.codec.width + 2)

    def _set_codec(self, lengths: dict[str, int]) -> None:
        assert self.sentences.target is not None
        used = [column for _, column in self.sentences.pieces if column is not None]
        self.codec = Codec([*used, self.sentences.target], lengths, self.sentences.formulas_as)

    def _new_model(self, seed: int) -> Any:
        return build(self.options, self.codec, self.tokens_a_sentence, seed=seed)

    def _learn(
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
        options, answer = self.options, self.codec.places[-1].column
        rows = self.codec.encoded(train)
        held_out = None if valid is None else self.codec.encoded(valid)
        before = None if valid_examples is None else rows[torch.from_numpy(valid_examples).reshape(-1)]

        def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
            own, previous = batch
            seen = disturbed(own, self.codec, options, generator, answer)
            if previous is not None and options.shift and answer.type == "number":
                spread = options.shift * float(self.codec.spread[-1])
                seen, previous = shifted(seen, previous, spread, generator)
            return self._nats(model, seen, previous, options.smoothing).sum()

        def validate(model: Any) -> float:
            if held_out is None:
                return 0.0
            return float(self._nats(model, held_out, before, 0.0).mean())

        data = ScratchRows(rows, None if examples is None else torch.from_numpy(examples))
        settings = fit_settings(options, len(rows), seed, validates=held_out is not None)
        begun = resume and (folder / "training").exists()
        Fitter(model, data, loss, validate, folder, settings, progress, "lift").run(resume=begun)

    def _sentences(self, rows: EncodedRows, previous: EncodedRows | None) -> Tensor:
        """Tokens of whole sentences, int64 `(n, tokens_a_sentence)`: examples, then the row, with their answers."""
        answer = self.codec.places[-1].width
        tokens = self.codec.tokens(rows)
        mark = torch.full((len(tokens), 1), ASK, device=tokens.device)
        end = torch.full((len(tokens), 1), END, device=tokens.device)
        sentence = torch.cat([tokens[:, :-answer], mark, tokens[:, -answer:], end], dim=1)
        if previous is None:
            return sentence
        before = self._sentences(previous, None).reshape(len(sentence), -1)
        return torch.cat([before, sentence], dim=1)

    def _nats(self, model: Any, rows: EncodedRows, previous: EncodedRows | None, smoothing: float) -> Tensor:
        """Of each answer with its end, float32 `(n,)`; rows without an answer count nothing."""
        sentences = self._sentences(rows, previous)
        asked = self.codec.places[-1].width + 1
        hidden = model.transformer(sentences[:, :-1]).last_hidden_state[:, -asked:]
        logits = model.lm_head(hidden)
        places = self.codec.places[-1]
        if smoothing and places.column.type == "category":
            return _smoothed_nats(logits[:, 0], sentences[:, -asked], places, smoothing)
        return cross_entropy(logits.transpose(1, 2), sentences[:, -asked:], reduction="none").sum(dim=1)

    # --- answers -------------------------------------------------------------------------------------------------

    def _prompts(self, queries: Queries, views: int, seed: int) -> list[Tensor]:
        """Tokens of the prompts up to the answer, int64 `(n, tokens)`, of every view."""
        rows = self.codec.encoded(queries.frame)
        previous = None
        if queries.examples is not None:
            assert queries.store is not None
            previous = self.codec.encoded(queries.store)[torch.from_numpy(queries.examples).reshape(-1)]
        generator = torch.Generator().manual_seed(seed)
        noise_alone = dataclasses.replace(self.options, missing=0.0, mixup=0.0, answer_noise=0.0)
        answer = self.codec.places[-1].column
        made = []
        for view in range(views):
            seen = rows
            if view:
                seen = disturbed(rows, self.codec, noise_alone, generator, answer)
            made.append(self._sentences(seen, previous)[:, : -self.codec.places[-1].width - 1])
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

    def number_quantiles(self, queries: Queries, shares: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """See `Backend.number_quantiles`: exact by descending the digits, most significant first."""
        shares = np.asarray(shares, dtype=np.float64)
        if not samples:
            return self._at_shares(queries, np.tile(shares, (len(queries), 1)))
        # A number at a uniformly drawn share is a number drawn from the model.
        drawn = np.random.default_rng(seed).random((len(queries), samples))
        return np.quantile(self._at_shares(queries, drawn), shares, axis=1).T

    def _at_shares(self, queries: Queries, shares: np.ndarray) -> np.ndarray:
        """The numbers below which the model puts given shares of its probability, float64 `(n, q)`."""
        places = self.codec.places[-1]
        n, q = shares.shape
        views = [(model, prompt) for model in self.models for prompt in self._prompts(queries, self._views, seed=0)]
        weights = torch.full((len(views), n * q), 1 / len(views), dtype=torch.float64)
        left = torch.from_numpy(shares.reshape(-1).copy())
        tokens = torch.zeros((n * q, 0), dtype=torch.long)
        steps = torch.zeros(n * q, dtype=torch.long)
        single = places.width == 1
        for place, divisor in enumerate(places.divisors.tolist()):
            choices = places.levels if single else 10
            below = steps[:, None] + torch.arange(choices) * divisor
            allowed = below < places.levels
            base = int(places.base[place])
            said = []
            for model, prompt in views:
                if place == 0:
                    logits = next_logits(model, prompt)[:, base : base + choices].repeat_interleave(q, dim=0)
                else:
                    whole = torch.cat([prompt.repeat_interleave(q, dim=0), tokens], dim=1)
                    logits = next_logits(model, whole)[:, base : base + choices]
                said.append(torch.softmax(logits.double().masked_fill(~allowed, -torch.inf), dim=1))
            each = torch.stack(said)  # (views, n q, choices)
            mixed = (weights[:, :, None] * each).sum(dim=0) / weights.sum(dim=0)[:, None]
            upto = mixed.cumsum(dim=1)
            digit = (upto < left[:, None] - 1e-12).sum(dim=1).clamp_max(choices - 1)
            digit = torch.minimum(digit, allowed.sum(dim=1) - 1)
            chosen = mixed.gather(1, digit[:, None])[:, 0]
            left = ((left - (upto.gather(1, digit[:, None])[:, 0] - chosen)) / chosen.clamp_min(1e-300)).clamp(0, 1)
            weights = weights * each.gather(2, digit[None, :, None].expand(len(views), -1, 1))[:, :, 0]
            steps = steps + digit * divisor
            tokens = torch.cat([tokens, (digit + base)[:, None]], dim=1)
        numbers = places.unscaled(places.low + steps.numpy() * places.step)
        return numbers.reshape(n, q)

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """See `Backend.complete`."""
        (prompt,) = self._prompts(queries, 1, seed)
        generator = torch.Generator().manual_seed(seed)
        places, model = self.codec.places[-1], self.models[0]
        tokens = prompt
        for _ in range(places.width + 1):
            chances = torch.softmax(next_logits(model, tokens), dim=1)
            tokens = torch.cat([tokens, torch.multinomial(chances, 1, generator=generator)], dim=1)
        assert self.sentences.target is not None
        out = []
        for row in tokens[:, prompt.shape[1] :].numpy():
            answer = row[: places.width]
            if row[-1] != END or not self._is_answer(places, answer):
                out.append("".join(f"<{token}>" for token in row))
                continue
            (value,) = self.codec.values(places, answer[None])
            out.append(self.sentences.written(self.sentences.target, value, END_OF_COMPLETION) + END_OF_COMPLETION)
        return out

    def _is_answer(self, places: Places, tokens: np.ndarray) -> bool:
        if places.column.type == "category":
            return bool(0 <= tokens[0] - places.base[0] < places.levels)
        digits = tokens - places.base
        limit = places.levels if places.width == 1 else 10
        return bool(((digits >= 0) & (digits < limit)).all() and (digits * places.divisors).sum() < places.levels)

    # --- keeping -------------------------------------------------------------------------------------------------

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
            {"options": dataclasses.asdict(self.options), "lengths": self.codec.lengths, "examples": self.k},
        )

    def load(self, folder: Path, sentences: Sentences) -> None:
        """See `Backend.load`.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        from safetensors import SafetensorError

        from matgen.fitting.state import set_weights
        from matgen.io.weights import load_weights

        kept = read_checksummed(folder / "scratch.json")
        self.options = ScratchOptions(**kept["options"])
        self.sentences, self.k = sentences, kept["examples"]
        self._set_codec(kept["lengths"])
        self.models = []
        for member in range(self.options.members):
            path = folder / f"member-{member}.safetensors"
            model = self._new_model(0)
            try:
                set_weights(model, load_weights(path))
            except (OSError, SafetensorError, KeyError, RuntimeError) as error:
                raise CheckpointError(f"{path} is missing or damaged: fit again") from error
            self.models.append(model.eval())


def _smoothed_nats(logits: Tensor, answers: Tensor, places: Places, smoothing: float) -> Tensor:
    """Cross entropy over the labels with a share of the target spread over all of them."""
    base = int(places.base[0])
    return cross_entropy(
        logits[:, base : base + places.levels], answers - base, reduction="none", label_smoothing=smoothing
    )
