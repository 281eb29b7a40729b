"""What a model of rows says of several targets: of each given those before it, and of each alone.

The joint probability of the targets of a row is a product, p(a, b | x) = p(a | x) p(b | x, a), so a target alone has
p(b | x) = sum of p(a | x) p(b | x, a) over a: a mixture over what is drawn for the targets before it. The draws are
stratified (McKay, Beckman and Conover, "A Comparison of Three Methods for Selecting Values of Input Variables",
Technometrics 1979), and each contributes its whole distribution of the next target, not one value of it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from matgen.lift.scratch.model import next_logits
from matgen.lift.scratch.quantiles import exact_quantiles
from matgen.lift.scratch.rows import perturbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from matgen.lift.codec import Places
    from matgen.lift.row_model import RowModel


class TargetChain:
    """The targets of rows, answered one after the other.

    Args:
        model: of rows, with targets as its answers.
        rows: `n`, as `typed` returns them; targets that are known among their columns.
        draws: of the targets before one, for each row.
        seed: of the draws, and of the noise of all views but the first.
    """

    def __init__(self, model: RowModel, rows: pd.DataFrame, *, draws: int, seed: int) -> None:
        self.model, self.rows, self.draws = model, rows, draws
        self.rng = np.random.default_rng(seed)
        self.prompts = self._given(seed)

    def _given(self, seed: int) -> list[Tensor]:
        """Tokens of what is given, int64 `(n, tokens)` of each view."""
        codec, options = self.model.codec, self.model.options
        first = len(codec.columns) - self.model.answers
        features, targets = codec.columns[:first], codec.columns[first:]
        encoded = codec.encoded(self.rows[[column.name for column in features]])
        noise_alone = dataclasses.replace(options, missing=0.0, mixup=0.0, answer_noise=0.0)
        generator = torch.Generator().manual_seed(seed)
        views = options.views if options.noise and any(column.type == "number" for column in features) else 1
        seen = [
            perturbed(encoded, codec, noise_alone, generator, targets) if view else encoded for view in range(views)
        ]
        return [self.model.arranged(one, list(range(first)))[0] for one in seen]

    @property
    def _targets(self) -> list[int]:
        """Places of the targets in the codec."""
        n = len(self.model.codec.columns)
        return list(range(n - self.model.answers, n))

    def alone(self, quantiles: Sequence[float], known: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """What is said of each target that is not known.

        Args:
            quantiles: `q` fractions from 0 to 1.
            known: names of targets whose values are those of the rows, where they have one; the first ones.

        Returns:
            By name, probabilities of labels in the order of the column's values, float64 `(n, labels)`, and quantiles
            of numbers, float64 `(n, q)`.
        """
        answers: dict[str, np.ndarray] = {}
        for c in self._targets:
            self._ask(c)
            name = self.model.codec.columns[c].name
            if name not in known:
                answers[name] = self._mixture(c, np.asarray(quantiles, dtype=np.float64))
            if c < self._targets[-1]:
                if name not in known or self.rows[name].isna().any():
                    self._spread()
                self._answer(c, self._values(c, self._strata(), known))
        return answers

    def together(self, known: Sequence[str] = ()) -> pd.DataFrame:
        """Targets drawn together, `n` rows of all of them as `typed` has them; each row is drawn from one view."""
        which = self.rng.integers(len(self.prompts), size=len(self.rows))
        self.prompts = [torch.stack([self.prompts[view][row] for row, view in enumerate(which)])]
        drawn: dict[str, Any] = {}
        for c in self._targets:
            self._ask(c)
            (values,) = self._values(c, self.rng.random((1, len(self.rows))), known)
            self._answer(c, [values])
            drawn[self.model.codec.columns[c].name] = values
        return pd.DataFrame(drawn)

    def _ask(self, c: int) -> None:
        """Put the name of a target behind every prompt."""
        name = torch.full((len(self.rows), 1), self.model.codec.vocabulary + c)
        self.prompts = [torch.cat([prompt, name], dim=1) for prompt in self.prompts]

    def _spread(self) -> None:
        """As many prompts as there are draws, each of a view; views stand in turn."""
        n = max(self.draws, len(self.prompts))
        self.prompts = [self.prompts[i % len(self.prompts)] for i in range(n)]

    def _strata(self) -> np.ndarray:
        """Fractions from 0 to 1, one for each prompt and row, each in another stratum, float64 `(prompts, n)`."""
        shape = len(self.prompts), len(self.rows)
        order = np.argsort(self.rng.random(shape), axis=0)
        return (order + self.rng.random(shape)) / shape[0]

    def _mixture(self, c: int, quantiles: np.ndarray) -> np.ndarray:
        places = self.model.codec.places[c]
        if places.column.type == "category":
            return np.mean([self._probabilities(places, prompt) for prompt in self.prompts], axis=0)
        views = [(self.model.model, prompt) for prompt in self.prompts]
        return exact_quantiles(views, places, np.tile(quantiles, (len(self.rows), 1)))

    def _probabilities(self, places: Places, prompt: Tensor) -> np.ndarray:
        """Of labels after a prompt, float64 `(n, labels)`."""
        first = int(places.base[0])
        logits = next_logits(self.model.model, prompt)[:, first : first + places.levels]
        return torch.softmax(logits.double(), dim=1).numpy()

    def _values(self, c: int, fractions: np.ndarray, known: Sequence[str]) -> list[np.ndarray]:
        """Values of a target, `(n,)` for each prompt: those at fractions of its distribution, or the known ones.

        Args:
            c: place of the target in the codec.
            fractions: float64 `(prompts, n)`.
            known: names of targets that are known.
        """
        places = self.model.codec.places[c]
        name, prompt = places.column.name, torch.cat(self.prompts)
        drawn: np.ndarray
        if places.column.type == "category":
            cumulative = self._probabilities(places, prompt).cumsum(axis=1)
            codes = (cumulative < fractions.reshape(-1, 1)).sum(axis=1).clip(max=places.levels - 1)
            drawn = np.array(places.column.values, dtype=object)[codes]
        else:
            drawn = exact_quantiles([(self.model.model, prompt)], places, fractions.reshape(-1, 1))[:, 0]
        values = drawn.reshape(fractions.shape)
        if name in known:
            cells = self.rows[name]
            values = np.where(cells.notna().to_numpy(), cells.to_numpy(), values)
        return list(values)

    def _answer(self, c: int, values: Sequence[np.ndarray]) -> None:
        """Put values of a target behind the prompts, `(n,)` for each."""
        codec = self.model.codec
        start, width = codec.starts()[c], codec.places[c].width
        name = codec.columns[c].name
        rows = codec.tokens(codec.encoded(pd.DataFrame({name: np.concatenate(values)})))[:, start : start + width]
        each = rows.split(len(self.rows))
        self.prompts = [torch.cat([prompt, own], dim=1) for prompt, own in zip(self.prompts, each, strict=True)]
