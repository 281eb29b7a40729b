"""Sizes of models, by preset, and what a search may try for them.

The preset `paper` holds the released shapes of Materials Transformers (Fu et al. 2023, Mach. Learn.: Sci. Technol. 4
015001); `tiny` and `small` train on a laptop, `large` on GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

from matgen.errors import OptionError, require_above_zero

PRESETS = ("tiny", "small", "paper", "large")


@dataclass(frozen=True)
class Shape:
    """Size of a model: `layers` of `width` with `heads` attention heads and a feed-forward width of `feed_forward`.

    For an encoder-decoder, `layers` counts each side. `dropout` is a probability. `initializer` is the standard
    deviation of the first weights.
    """

    layers: int
    heads: int
    width: int
    feed_forward: int
    dropout: float = 0.0
    initializer: float = 0.02

    def __post_init__(self) -> None:
        require_above_zero(self, "layers", "heads", "width", "feed_forward", "initializer")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout is {self.dropout}, it must be from 0 to below 1")
        if self.width % self.heads:
            raise OptionError(f"width {self.width} is not a multiple of {self.heads} heads")


@dataclass(frozen=True)
class Range:
    """Numbers that a search may try: from `low` to `high`, evenly or (`log`) evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


Choices = Range | tuple[int, ...]
"""What a search may try for one quantity."""


# Narrow layers learn much faster from wider first weights, near 1 / sqrt(width): after 224 steps of 256 formulas a tiny
# GPT-J stood at 14.7 nats per formula instead of 16.3.
TINY = Shape(4, 4, 128, 512, initializer=0.08)
SMALL = Shape(6, 6, 192, 768, dropout=0.1, initializer=0.07)
LARGE = Shape(12, 12, 768, 3072, dropout=0.1)  # GPT-2's smallest size, some 85 million parameters: for GPUs
TWELVE_LAYERS = {"tiny": TINY, "small": SMALL, "paper": Shape(12, 6, 180, 720, dropout=0.1), "large": LARGE}
EIGHT_LAYERS = {"tiny": TINY, "small": SMALL, "paper": Shape(8, 4, 180, 720, dropout=0.1), "large": LARGE}
ENCODER_DECODER = {
    "tiny": Shape(2, 4, 128, 512, initializer=0.08),
    "small": Shape(3, 6, 192, 768, dropout=0.1, initializer=0.07),
    "paper": Shape(10, 4, 128, 256, dropout=0.1),
    "large": Shape(6, 12, 768, 3072, dropout=0.1),
}

SEARCH: dict[str, Choices] = {
    "learning_rate": Range(5e-4, 1e-2, log=True),
    "weight_decay": Range(1e-3, 0.3, log=True),
    "batch_size": (128, 256, 512),
    "dropout": Range(0.0, 0.3),
    "initializer": Range(0.02, 0.12, log=True),
    "layers": (2, 4, 6, 8),  # even: GPT-Neo's attention is global and local in turn
    "width": (64, 128, 192, 256),
    "head_width": (16, 32, 64),
}
SEARCH_ENCODER_DECODER = SEARCH | {"layers": (1, 2, 3, 4)}
SEARCH_SLOW = SEARCH | {"learning_rate": Range(2e-4, 5e-3, log=True)}

BLANK_SHAPES = {"tiny": TINY, "small": SMALL, "paper": Shape(6, 8, 512, 2048, dropout=0.3), "large": LARGE}
