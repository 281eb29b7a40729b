"""The backend `api`: a model that a server answers for, from labeled rows in its prompts or fine-tuned by a job.

Labels are predicted by log-probabilities of tokens where the server gives them, calibrated by a prompt without content
(Zhao et al., "Calibrate Before Use: Improving Few-Shot Performance of Language Models", ICML 2021), else by how often
they are drawn; numbers by the quantiles of drawn answers. An answer that is no label or number counts as none, and
how many there were is told.
"""

from __future__ import annotations

import warnings
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.errors import CheckpointError, DataError, MatgenWarning, OptionError
from matgen.io.files import read_checksummed, write_checksummed
from matgen.lift.sentences import END_OF_COMPLETION
from matgen.lift.served.answers import Choice, choices_of, label_frequencies, label_probabilities
from matgen.lift.served.asking import Asker, Request, log
from matgen.lift.served.cache import AnswerCache
from matgen.lift.served.endpoint import Endpoint
from matgen.lift.served.options import ServedOptions, require_trust
from matgen.lift.served.probe import PATHS, Abilities, probe, request_body
from matgen.lift.served.prompts import Prompts, balanced_rows, row_without_content
from matgen.lift.served.tuning import training_lines, tuned_model
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from matgen.lift.interface import Queries, TrainingSet
    from matgen.lift.sentences import Sentences

_SETTINGS, _EXAMPLES = "served.json", "examples.parquet"
_WORDS = 80
"""Tokens of an explanation."""
_LEAST_BIAS = 0.01
"""Probability of a label after no content at least, so that one the server never lists does not win by that."""


class ServedBackend:
    """A language model behind an OpenAI-compatible server (see `ServedOptions`).

    Attributes:
        abilities: what the server can do, found out by `fit`.
        parse_rate: of the answers read last, the fraction that was a label or number; nan before the first.
        progress: counts the requests.
    """

    n_parameters = 0

    def __init__(self, **options: Any) -> None:
        self.options = ServedOptions(**options)
        self.progress: ProgressFactory = silent
        self.parse_rate = float("nan")
        self.abilities: Abilities
        self.sentences: Sentences
        self.store: pd.DataFrame | None = None
        self.model = str(self.options.model)
        self.seed = 0
        self._server: Endpoint | None = None
        self._asker: Asker | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The backend without its connections, which cannot be copied and are made anew."""
        return self.__dict__ | {"_server": None, "_asker": None, "progress": silent}

    # --- fitting -------------------------------------------------------------------------------------------------

    def fit(
        self, training_set: TrainingSet, *, seed: int, folder: Path | None, resume: bool, progress: ProgressFactory
    ) -> None:
        """See `Backend.fit`: finds out what the server can do, and begins a job where the model is to be tuned.

        Raises:
            DataError: the server cannot be reached, or refuses.
            OptionError: no server or model is named, pretext is asked for, a row is too long, or there are no jobs.
        """
        self.sentences, self.seed, self.progress = training_set.sentences, seed, progress
        self.options.require_server()
        if training_set.stages:
            raise OptionError("the backend api is not trained on synthetic tasks: leave out pretext (--pretext)")
        self._server = Endpoint(self.options)
        self.abilities = probe(self._server, self.options)
        log.info("%s", self.described())
        self._prompts.written(max(self._prompts.questions(training_set.train), key=len), [])  # raises where too long
        if self.options.tune:
            self._tune(training_set, seed, folder, resume)
        # A tuned model has learned the rows; one that has not reads them in its prompts.
        uses_own = self.options.examples and not self.options.tune and training_set.examples is None
        self.store = training_set.train if uses_own else None

    def described(self) -> str:
        """What the server can do, in one line."""
        able = self.abilities
        listed = f"log-probabilities of {able.listed} tokens" if able.listed else (
            f"no log-probabilities: {self.options.draws} answers are drawn of each row"
        )  # fmt: skip
        return f"{self.model} by {able.endpoint}, {able.context:,} tokens of context, {listed}"

    def _tune(self, training_set: TrainingSet, seed: int, folder: Path | None, resume: bool) -> None:
        assert self._server is not None
        train = training_set.train
        pairs = self._prompts.pairs(train)
        lines = self._lines(pairs, pairs, training_set.examples)
        held_out = None
        if training_set.valid is not None and len(training_set.valid):
            held_out = self._lines(self._prompts.pairs(training_set.valid), pairs, training_set.valid_examples)
        self.model = tuned_model(
            self._server, lines, held_out, seed=seed, folder=folder, resume=resume, progress=self.progress
        )

    def _lines(self, rows: list[tuple[str, str]], store: list[tuple[str, str]], examples: np.ndarray | None) -> str:
        chosen = np.zeros((len(rows), 0), dtype=np.int64) if examples is None else examples
        prompts = [
            self._prompts.written(question, [store[i] for i in near])
            for (question, _), near in zip(rows, chosen.tolist(), strict=True)
        ]
        return training_lines(prompts, [answer for _, answer in rows], END_OF_COMPLETION)

    # --- prompts -------------------------------------------------------------------------------------------------

    @property
    def _prompts(self) -> Prompts:
        return Prompts(self.sentences, self.abilities.endpoint, self.abilities.context)

    def _written(self, queries: Queries) -> list[Any]:
        """The prompt of each row."""
        prompts = self._prompts
        store, near = queries.store, queries.examples
        if near is None and self.store is not None:
            store, near = self.store, self._near(queries.frame, self.store)
        questions = prompts.questions(queries.frame)
        if near is None or store is None:
            return [prompts.written(question, []) for question in questions]
        pairs = prompts.pairs(store)
        return [
            prompts.written(question, [pairs[i] for i in rows])
            for question, rows in zip(questions, near.tolist(), strict=True)
        ]

    def _near(self, frame: pd.DataFrame, store: pd.DataFrame) -> np.ndarray:
        """Rows of the store for each prompt, most distant first: the nearest, or the same ones where only text is."""
        from matgen.lift.retrieval import RowDistance

        k = min(self.options.examples, len(store))
        if all(column.type == "text" for column in self.sentences.columns):
            return np.tile(balanced_rows(store, self.sentences, k, self.seed), (len(frame), 1))
        return RowDistance(self.sentences.columns, store).nearest(frame, store, k)

    def _request(self, prompt: Any, *, n: int = 1, draw: int = 0, **settings: Any) -> Request:
        listed = settings.pop("listed", 0)
        prompts = self._prompts
        settings = {"max_tokens": prompts.answer_tokens} | settings | ({"n": n} if n > 1 else {})
        if not prompts.chat:
            settings["stop"] = prompts.stop
        body = request_body(self.model, self.abilities.endpoint, prompt, listed, **settings)
        return Request(PATHS[self.abilities.endpoint], body, prompts.size(prompt), draw)

    def _ask(self, requests: list[Request]) -> list[list[Choice]]:
        if self._asker is None:
            from matgen.runtime.cache import cache_folder

            self._server = self._server or Endpoint(self.options)
            path = cache_folder() / "lift-answers.sqlite" if self.options.cache else None
            self._asker = Asker(self._server, AnswerCache(path))
        self._asker.progress = self.progress
        return [choices_of(answer) for answer in self._asker.ask(requests)]

    # --- predictions ---------------------------------------------------------------------------------------------

    def label_log_probabilities(self, queries: Queries) -> np.ndarray:
        """See `Backend.label_log_probabilities`.

        A row without a readable answer gets equal probabilities, and a `MatgenWarning` tells how many there are.
        """
        prompts, labels = self._written(queries), self._prompts.labels
        made: list[np.ndarray | None]
        if self.abilities.listed:
            listed: dict[str, Any] = {"listed": self.abilities.listed, "temperature": 0.0}
            first = [choices[0] for choices in self._ask([self._request(prompt, **listed) for prompt in prompts])]
            made = [label_probabilities(choice, labels) for choice in first]
            self._count([None if p is None else 1 for p in made])
            if self.options.calibrate:
                made = self._calibrated(made, queries, listed)
        else:
            values = self.sentences.target.values if self.sentences.target else ()
            made = [label_frequencies(drawn, values) for drawn in self._drawn(prompts, self.options.draws, self.seed)]
        equal = np.full(len(labels), 1 / len(labels))
        self._warn(sum(p is None for p in made), len(made), "equal probabilities")
        return np.log(np.array([equal if p is None else p for p in made]).reshape(len(made), len(labels)))

    def _calibrated(
        self, made: list[np.ndarray | None], queries: Queries, listed: dict[str, Any]
    ) -> list[np.ndarray | None]:
        """Probabilities divided by those after a prompt without content.

        Its examples are as many of each label: the retrieved ones of a row would be evidence, not bias.
        """
        prompts, store = self._prompts, self.store if queries.examples is None else queries.store
        pairs: list[tuple[str, str]] = []
        if store is not None:
            k = self.options.examples if queries.examples is None else queries.examples.shape[1]
            pairs = prompts.pairs(store.iloc[balanced_rows(store, self.sentences, k, self.seed)])
        (question,) = prompts.questions(pd.DataFrame([row_without_content(self.sentences)], dtype=object))
        ((choice, *_),) = self._ask([self._request(prompts.written(question, pairs), **listed)])
        bias = label_probabilities(choice, prompts.labels)
        if bias is None:
            return made
        divided = [None if p is None else p / np.maximum(bias, _LEAST_BIAS) for p in made]
        return [None if p is None else p / p.sum() for p in divided]

    def number_quantiles(self, queries: Queries, quantiles: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
        """See `Backend.number_quantiles`: those of the drawn answers that are numbers, clipped to the range.

        A row without one gets nan, and a `MatgenWarning` tells how many there are.
        """
        target = self.sentences.target
        assert target is not None
        drawn = self._drawn(self._written(queries), samples or self.options.draws, seed)
        numbers = [[value for value in row if value is not None] for row in drawn]
        self._warn(sum(not row for row in numbers), len(numbers), "no prediction")
        low, high = target.padded_range()
        nothing = np.full(len(quantiles), np.nan)
        made = [np.quantile(np.clip(row, low, high), quantiles) if row else nothing for row in numbers]
        return np.array(made).reshape(len(numbers), len(quantiles))

    def _drawn(self, prompts: list[Any], n: int, seed: int) -> list[list[Any]]:
        """What is read of `n` drawn answers of each prompt; None of an answer that is neither label nor number."""
        requests: list[Request] = []
        each = 1 if self.abilities.several else n
        for prompt in prompts:
            for draw in range(each):
                n_here = n if self.abilities.several else 1
                requests.append(self._request(prompt, n=n_here, draw=draw, temperature=1.0, seed=seed * 1_000 + draw))
        answers, read = self._ask(requests), self._prompts.read
        values = [[read(c.text, ended=c.ended) for c in choices] for choices in answers]
        self._count([value for row in values for value in row])
        return [list(chain.from_iterable(values[start : start + each])) for start in range(0, len(values), each)]

    def _count(self, values: list[Any]) -> None:
        self.parse_rate = float(np.mean([value is not None for value in values])) if values else float("nan")

    def _warn(self, unread: int, rows: int, get: str) -> None:
        rate = f"{self.parse_rate:.1%} of the answers can be read"
        if unread:
            warnings.warn(
                f"{unread:,} of {rows:,} rows have no readable answer and get {get} ({rate})", MatgenWarning, 3
            )
        else:
            log.info(rate)

    def complete(self, queries: Queries, *, seed: int) -> list[str]:
        """See `Backend.complete`: the first drawn answer of each row, on one line, spaces about it left out."""
        requests = [
            self._request(prompt, draw=0, temperature=1.0, seed=seed * 1_000) for prompt in self._written(queries)
        ]
        first = [choices[0] for choices in self._ask(requests)]
        return [self._prompts.completion(choice.text, ended=choice.ended) for choice in first]

    def write(self, instruction: str, *, most: int = _WORDS) -> str:
        """What the model writes in answer to an instruction."""
        chat = self.abilities.endpoint == "chat"
        prompt: Any = [{"role": "user", "content": instruction}] if chat else instruction + "\n"
        body = request_body(self.model, self.abilities.endpoint, prompt, 0, max_tokens=most, temperature=0.0)
        ((choice, *_),) = self._ask([Request(PATHS[self.abilities.endpoint], body, self._prompts.size(prompt))])
        return choice.text.strip()

    # --- files ---------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """See `Backend.save`: `served.json`, and `examples.parquet` where prompts hold rows of it; no key."""
        from matgen.io.files import atomic_write
        from matgen.io.parquet import write_parquet

        content = {"options": self.options.as_json(), "abilities": self.abilities.as_json(), "model": self.model}
        if self.store is not None:
            with atomic_write(folder / _EXAMPLES) as part:
                write_parquet(self.store, part)
        write_checksummed(folder / _SETTINGS, content | {"seed": self.seed, "examples": self.store is not None})

    def load(self, folder: Path, sentences: Sentences) -> None:
        """See `Backend.load`. Nothing is asked.

        Raises:
            CheckpointError: a file is missing or damaged, or names a server that the user's key is not for.
        """
        from matgen.io.parquet import read_parquet

        self.sentences = sentences
        try:
            content = read_checksummed(folder / _SETTINGS)
            self.options = ServedOptions(**content["options"])
            self.abilities = Abilities(**content["abilities"])
            self.model, self.seed = content["model"], content["seed"]
            store = read_parquet(folder / _EXAMPLES) if content["examples"] else None
        except (DataError, OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{folder / _SETTINGS} is missing or damaged: fit again") from error
        require_trust(self.options)
        self.store = None if store is None else self._plain(store)

    def _plain(self, store: pd.DataFrame) -> pd.DataFrame:
        """Rows with None for what is missing, as `typed` returns them."""
        assert self.sentences.target is not None
        for column in (*self.sentences.columns, self.sentences.target):
            if column.type != "number":
                cells = store[column.name].astype(object)
                store[column.name] = cells.where(cells.notna(), None)
        return store
