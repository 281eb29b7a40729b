"""Images moved by a pixel, which show the same: to learn from, and to average predictions over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import OptionError
from matgen.lift.images.sources import Images

if TYPE_CHECKING:
    from matgen.lift.images.encoding import Encoding

NEAR = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
"""Moves that predictions are averaged over: none, and one pixel to each side."""


def moved(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images `(n, height, width)` moved by whole pixels; what enters is blank, what leaves is lost."""
    out = np.zeros_like(pixels)
    height, width = pixels.shape[1:]
    down, right = max(-height, min(height, down)), max(-width, min(width, right))
    to = (slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right)))
    of = (slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right)))
    out[:, to[0], to[1]] = pixels[:, of[0], of[1]]
    return out


def with_copies(images: Images, copies: int, *, most: int = 1, mirror: bool = False, seed: int = 0) -> Images:
    """Images, and copies of each that are moved at random.

    Args:
        images: `n` of them.
        copies: of each.
        most: pixels that a copy is moved by in each direction, at most.
        mirror: half of the copies are mirror images.
        seed: of the moves.

    Returns:
        `n * (copies + 1)` images, the given ones first.

    Raises:
        OptionError: fewer than no copies, or a move of less than no pixel.
    """
    if copies < 0 or most < 0:
        raise OptionError(f"copies is {copies} and most {most}, they must be 0 or more")
    rng = np.random.default_rng(seed)
    made = [images.pixels]
    for _ in range(copies):
        by = rng.integers(-most, most + 1, (len(images), 2))
        flipped = rng.random(len(images)) < 0.5
        copy = np.empty_like(images.pixels)
        for down, right in np.unique(by, axis=0):
            rows = (by == (down, right)).all(axis=1)
            copy[rows] = moved(images.pixels[rows], int(down), int(right))
        if mirror:
            copy[flipped] = copy[flipped, :, ::-1]
        made.append(copy)
    return Images(np.concatenate(made), np.tile(images.labels, copies + 1))


def averaged_probabilities(model: Any, encoding: Encoding, pixels: np.ndarray, *, mirror: bool = False) -> np.ndarray:
    """Probabilities of labels, averaged over images and what they are when moved by a pixel, float64 `(n, labels)`.

    Args:
        model: a fitted `LiftClassifier` of the encoding's tables.
        encoding: of the images.
        pixels: uint8 `(n, side, side)`.
        mirror: average over mirror images too.
    """
    sides = (pixels, pixels[:, :, ::-1]) if mirror else (pixels,)
    seen = [moved(side, down, right) for side in sides for down, right in NEAR]
    return np.mean([model.predict_proba(encoding.table(one)) for one in seen], axis=0)
