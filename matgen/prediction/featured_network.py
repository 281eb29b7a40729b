"""The network of compositions with columns beside the formula: every element's token also gets what the columns say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from matgen.prediction.features import Feature, FeaturedBatch
from matgen.prediction.network import CompositionNetwork, NetworkSize

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.composition.batch import CompositionBatch

_FARTHEST = 8.0
"""Standard deviations beyond which a number counts as so far."""


class FeaturedNetwork(CompositionNetwork):
    """Elements, fractions and features to a mean and a scale.

    Args:
        size: of the network.
        schema: the columns beside the formula.
    """

    def __init__(self, size: NetworkSize, schema: Sequence[Feature]) -> None:
        super().__init__(size)
        self.schema = tuple(schema)
        # A category's values and its absence are words; a number is itself and whether it is missing.
        words = [len(one.values) + 1 if one.type == "category" else 0 for one in self.schema]
        self.feature_words = nn.ModuleList(nn.Embedding(n, size.width) for n in words if n)
        self.feature_numbers = nn.Linear(2 * words.count(0) or 1, size.width)
        self.feature_out = nn.Sequential(nn.GELU(), nn.Linear(size.width, size.width))

    def inputs(self, batch: CompositionBatch) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Inputs of `CompositionNetwork`, and the features float32 `(n, 1, f)`, numbers standardised.

        The axis of 1 stands where others have their elements, so that it is not cut to the longest formula.
        """
        assert isinstance(batch, FeaturedBatch)
        arrays, lengths = super().inputs(batch)
        features = batch.features.copy()
        for j, one in enumerate(self.schema):
            if one.type == "number":
                features[:, j] = np.clip((features[:, j] - one.mean) / (one.spread or 1.0), -_FARTHEST, _FARTHEST)
        return (*arrays, features.astype(np.float32)[:, None, :]), lengths

    def description(self) -> dict[str, Any]:
        """What `from_description` makes the network of, without its weights."""
        return dataclasses.asdict(self.size) | {"features": [one.as_json() for one in self.schema]}

    @classmethod
    def from_description(cls, content: dict[str, Any]) -> FeaturedNetwork:
        """The network that was described."""
        size = {name: value for name, value in content.items() if name != "features"}
        return cls(NetworkSize(**size), [Feature.from_json(one) for one in content["features"]])

    def forward(self, elements: Tensor, fractions: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Predict.

        Args:
            elements: int64 `(B, K)`, atomic numbers, 0 for none.
            fractions: float32 `(B, K)`, atomic fractions that sum to 1, 0 for none.
            features: float32 `(B, 1, f)`, NaN where missing.

        Returns:
            Mean and logarithm of the scale, float32 `(B,)` each, in standardised units.
        """
        return super().forward(elements, fractions, self._told(features[:, 0]))

    def _told(self, features: Tensor) -> Tensor:
        """What the columns say, `(B, W)`."""
        missing = features.isnan()
        filled = features.nan_to_num(0.0)
        numbers, said = [], []
        words = iter(self.feature_words)
        for j, one in enumerate(self.schema):
            if one.type == "number":
                numbers += [filled[:, j], missing[:, j].float()]
            else:
                place = torch.where(missing[:, j], len(one.values), filled[:, j].long())
                said.append(next(words)(place))
        together = torch.stack(numbers, -1) if numbers else torch.zeros_like(filled[:, :1])
        return self.feature_out(sum(said, self.feature_numbers(together)))


def network_for(size: NetworkSize, batch: CompositionBatch) -> CompositionNetwork:
    """A new network that reads such a batch."""
    return FeaturedNetwork(size, batch.schema) if isinstance(batch, FeaturedBatch) else CompositionNetwork(size)


def begin_with(network: CompositionNetwork, earlier: CompositionNetwork) -> None:
    """Take over what another network has learned of compositions; its output and its own columns stay out."""
    learned = {
        name: value for name, value in earlier.state_dict().items() if not name.startswith(("feature_", "out.2."))
    }
    network.load_state_dict(learned, strict=False)
