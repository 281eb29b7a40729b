"""Conditions on properties: bins of values, and how they enter a model.

Conditions are encoded in the embedding that a sequence begins with: that of `<bos>` plus, for each property whose bin
is given, those of the reserved tokens `<condition_i>` of this bin and of all below it, so that neighboring bins get
nearly equal embeddings. A property that is not given adds nothing, so with none given the model is an unconditional
one, and everything that takes a checkpoint takes a conditional one too. Training drops properties at random
(`CONDITION_DROPOUT`), so that the model learns both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import DataError, OptionError
from matgen.models.tokenizer import FIRST_CONDITION, N_CONDITIONS

if TYPE_CHECKING:
    import torch

MOST_PROPERTIES = 3
CONDITION_DROPOUT, ALL_CONDITIONS_DROPOUT = 0.15, 0.1
"""Probabilities that a property is dropped from a training example, and that all of them are."""


@dataclass(frozen=True)
class PropertyBins:
    """A property and its bins.

    Attributes:
        name: of the property.
        edges: `b + 1` ascending values; a bin holds its lower edge, the last one both.
    """

    name: str
    edges: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.edges) - 1

    @classmethod
    def of(cls, name: str, values: np.ndarray, most: int) -> PropertyBins:
        """At most so many bins with about as many values each; a lowest value that fills one has a bin to itself.

        Args:
            name: of the property.
            values: float64 `(n,)`; NaN where it is not known.
            most: bins.

        Raises:
            DataError: fewer than two different values.
        """
        known = np.sort(values[np.isfinite(values)])
        if len(known) == 0 or known[0] == known[-1]:
            raise DataError(f"{name} has fewer than two different values: there is nothing to condition on")
        lowest = float(known[0])
        if (known == lowest).mean() > 1 / most:  # metals have no band gap: zero is a bin to itself
            above = np.quantile(known[known > lowest], np.linspace(0, 1, most)[1:])
            return cls(name, (lowest, *np.unique([np.nextafter(lowest, np.inf), *above]).tolist()))
        return cls(name, tuple(np.unique(np.quantile(known, np.linspace(0, 1, most + 1))).tolist()))

    def bin_of(self, values: np.ndarray) -> np.ndarray:
        """Bin of each value, int64 `(n,)`; -1 where it is NaN; what lies outside belongs to the nearest bin."""
        place = np.searchsorted(np.array(self.edges), values, side="right") - 1
        return np.where(np.isfinite(values), np.clip(place, 0, len(self) - 1), -1)

    def shares(self, low: float, high: float) -> np.ndarray:
        """The share of each bin that a range covers, float64 `(b,)`; of a single value its bin alone."""
        edges = np.array(self.edges)
        if low == high:
            return (np.arange(len(self)) == self.bin_of(np.array([low]))[0]).astype(np.float64)
        width = np.diff(edges)
        covered = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
        narrow = width < 1e-9  # a bin of one value
        inside = (edges[:-1] >= low) & (edges[:-1] <= high)
        return np.where(narrow, inside, np.clip(covered / np.where(narrow, 1, width), 0, 1))

    def in_words(self, place: int) -> str:
        """A bin as text: `band_gap=1.2..1.9`."""
        low, high = self.edges[place], self.edges[place + 1]
        return f"{self.name}={low:.4g}" if high - low < 1e-9 else f"{self.name}={low:.4g}..{high:.4g}"


@dataclass(frozen=True)
class Conditions:
    """The properties that a model is conditioned on, and how often their bins occurred together in training.

    Combinations of bins are numbered; 0 is that of nothing given.

    Attributes:
        properties: with their bins.
        counts: int64 `(combinations,)`, training compositions with exactly this known of them.
    """

    properties: tuple[PropertyBins, ...]
    counts: np.ndarray

    @classmethod
    def of(cls, values: dict[str, np.ndarray]) -> tuple[Conditions, np.ndarray]:
        """Bins from the values of training compositions, and the combination of each, int64 `(n,)`.

        Args:
            values: properties to float64 `(n,)`, NaN where it is not known.

        Raises:
            OptionError: no property, or more than `MOST_PROPERTIES`.
            DataError: one has fewer than two different values.
        """
        if not 0 < len(values) <= MOST_PROPERTIES:
            raise OptionError(f"{len(values)} properties to condition on, 1 to {MOST_PROPERTIES} are possible")
        most = N_CONDITIONS // len(values)
        bins = tuple(PropertyBins.of(name, column, most) for name, column in values.items())
        empty = cls(bins, np.zeros(0, dtype=np.int64))
        combination = empty.combinations(values)
        return cls(bins, np.bincount(combination, minlength=empty.size)), combination

    @property
    def size(self) -> int:
        """Number of combinations."""
        return int(np.prod([len(one) + 1 for one in self.properties]))

    def combinations(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """The combination of each of `n` compositions with these values, int64 `(n,)`."""
        return self.number([one.bin_of(np.asarray(values[one.name], dtype=np.float64)) for one in self.properties])

    def number(self, bins: Sequence[np.ndarray]) -> np.ndarray:
        """The combination with these bins `(n,)` of each property, -1 for one that is not given."""
        combination = np.zeros_like(bins[0])
        for one, place in zip(self.properties, bins, strict=True):
            combination = combination * (len(one) + 1) + place + 1
        return combination

    def bins(self) -> np.ndarray:
        """The bins of each combination, int64 `(combinations, properties)`, -1 for a property that is not given."""
        return np.array(list(itertools.product(*(range(-1, len(one)) for one in self.properties))))

    def tokens(self) -> np.ndarray:
        """Which reserved tokens encode each combination, bool `(combinations, N_CONDITIONS)`."""
        bins, tokens = self.bins(), np.zeros((self.size, N_CONDITIONS), dtype=bool)
        first = 0
        for column, one in zip(bins.T, self.properties, strict=True):
            tokens[:, first : first + len(one)] = np.arange(len(one)) <= column[:, None]
            first += len(one)
        return tokens

    def after_dropout(self) -> np.ndarray:
        """The combination that is left of each where properties are dropped, int64 `(2^properties, combinations)`.

        Row `m` drops the properties whose bit is set in `m`.
        """
        bins = self.bins()
        rows = []
        for pattern in range(1 << len(self.properties)):
            dropped = np.array([pattern >> i & 1 for i in range(len(self.properties))], dtype=bool)
            rows.append(self.number(list(np.where(dropped, -1, bins).T)))
        return np.stack(rows)

    def requested(self, texts: Sequence[str]) -> np.ndarray:
        """How probable each combination is under a request, float64 `(combinations,)`, sum 1.

        As in training, given that the properties named lie in their ranges; a bin that a range covers in part counts in
        part. Where no training compound has all of them, properties are taken to be independent.

        Args:
            texts: `band_gap=2..3`, `formation_energy=..-1`, `band_gap=2.5` ...

        Raises:
            OptionError: a text that cannot be read, a property that the model is not conditioned on, or named twice, a
                range that no training compound lies in.
        """
        wanted = self._read(texts)
        bins = self.bins()
        given = np.array([one.name in wanted for one in self.properties])
        fits = ((bins >= 0) == given).all(axis=1)
        covered = fits.astype(np.float64)
        alone = fits.astype(np.float64)
        for i, one in enumerate(self.properties):
            if one.name in wanted:
                share = one.shares(*wanted[one.name])
                covered *= np.append(share, 0)[bins[:, i]]
                marginal = np.bincount(np.maximum(bins[:, i], 0), self.counts * (bins[:, i] >= 0), len(one))
                alone *= np.append(share * marginal, 0)[bins[:, i]]
        weight = covered * self._counted_as(given)
        if not weight.sum():
            weight = alone
        return weight / weight.sum()

    def in_words(self, weight: np.ndarray) -> dict[str, float]:
        """The combinations `(combinations,)` that are drawn at all, as text, with their probabilities."""
        probability = {}
        for i in np.flatnonzero(weight):
            given = [one.in_words(b) for one, b in zip(self.properties, self.bins()[i], strict=True) if b >= 0]
            probability[" ".join(given)] = float(weight[i])
        return probability

    def _counted_as(self, given: np.ndarray) -> np.ndarray:
        """Training compositions of each combination, the properties that are not given left out."""
        pattern = int(((~given) << np.arange(len(given))).sum())
        bins = self.bins()
        complete = (bins[:, given] >= 0).all(axis=1)
        return np.bincount(self.after_dropout()[pattern], self.counts * complete, self.size)

    def _read(self, texts: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of each property that is named."""
        wanted: dict[str, tuple[float, float]] = {}
        known = {one.name: one for one in self.properties}
        for text in texts:
            name, _, value = (part.strip() for part in text.partition("="))
            if name not in known:
                raise OptionError(
                    f"the model is not conditioned on {name}; conditions are possible on {', '.join(known)}"
                )
            if name in wanted:
                raise OptionError(f"{name} is named twice: write one range")
            edges = known[name].edges
            lower, is_range, upper = value.partition("..")
            try:
                low = float(lower) if lower.strip() or not is_range else edges[0]
                high = low if not is_range else float(upper) if upper.strip() else edges[-1]
            except ValueError:
                raise OptionError(
                    f"cannot read the condition {text!r}: write {name}=2..3, =2.., =..3 or =2.5"
                ) from None
            trained = f"it was trained on {edges[0]:.4g} to {edges[-1]:.4g}"
            if not low <= high:  # nan is neither
                raise OptionError(f"condition {text}: {low:g} is more than {high:g} ({trained})")
            if not known[name].shares(low, high).any() or high < edges[0] or low > edges[-1]:
                raise OptionError(f"condition {text} is outside of what the model knows: {trained}")
            wanted[name] = (low, high)
        return wanted

    def describe(self) -> dict[str, Any]:
        """JSON that `from_description` reads."""
        return {
            "properties": [{"name": one.name, "edges": list(one.edges)} for one in self.properties],
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_description(cls, content: dict[str, Any]) -> Conditions:
        """The conditions that were described."""
        bins = tuple(PropertyBins(one["name"], tuple(one["edges"])) for one in content["properties"])
        return cls(bins, np.array(content["counts"], dtype=np.int64))


def attach_conditions(model: Any, conditions: Conditions) -> None:
    """Let sequences of a model begin with token `vocabulary + combination` in place of `<bos>`."""
    import torch

    model.start_tokens = torch.from_numpy(conditions.tokens()).float()


def has_conditions(model: Any) -> bool:
    """Whether conditions are attached to a model."""
    return hasattr(model, "start_tokens")


def clear_condition_tokens(model: Any) -> None:
    """Before training: zero the embeddings of the reserved tokens, so that every combination begins as `<bos>`."""
    import torch

    with torch.no_grad():
        model.get_input_embeddings().weight[FIRST_CONDITION : FIRST_CONDITION + N_CONDITIONS] = 0.0


def start_embeddings(model: Any, embedding: torch.Tensor, bos: int) -> torch.Tensor | None:
    """Embeddings that sequences of each combination begin with, `(combinations, width)`; None for unconditional models.

    Args:
        model: of transformers.
        embedding: of its tokens, `(vocabulary, width)`.
        bos: id of `<bos>`.
    """
    tokens = getattr(model, "start_tokens", None)  # (combinations, N_CONDITIONS), of zeros and ones
    if tokens is None:
        return None
    of_conditions = embedding[FIRST_CONDITION : FIRST_CONDITION + N_CONDITIONS]  # (N_CONDITIONS, width)
    return embedding[bos] + tokens.to(embedding) @ of_conditions
