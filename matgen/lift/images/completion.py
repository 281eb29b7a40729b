"""Images completed from their upper half, and grids of images as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import OptionError
from matgen.io.files import atomic_write
from matgen.lift.images.tables import LABEL

if TYPE_CHECKING:
    from matgen.lift.generator import LiftGenerator
    from matgen.lift.images.encoding import Encoding


def completed(
    generator: LiftGenerator,
    encoding: Encoding,
    pixels: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    rows: float = 0.5,
    temperature: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """Draw the lower part of images from their upper one.

    Args:
        generator: of order `table`, fitted on `table_to_complete`.
        encoding: of its tables.
        pixels: images, uint8 `(n, side, side)`, of which the upper part is looked at.
        labels: of the images, `(n,)`, where they are given too.
        rows: share of the columns of the table that is given, whole rows of the image.
        temperature: below 1 draws what is more probable.
        seed: of the draws.

    Returns:
        Images as the encoding has them, float64 `(n, side, side)`, the given part among them.

    Raises:
        OptionError: a share that leaves nothing to give or to draw.
    """
    table = encoding.table(pixels)
    across = round(table.shape[1] ** 0.5)
    given = round(across * rows) * across
    if not 0 < given < table.shape[1]:
        raise OptionError(f"rows is {rows:g}, it must leave some rows of {across} to give and some to draw")
    known = table.iloc[:, :given].copy()
    known.insert(0, LABEL, [None] * len(known) if labels is None else [str(label) for label in labels])
    return encoding.images(generator.sample(given=known, temperature=temperature, seed=seed))


def draw_grid(rows: Sequence[tuple[str, np.ndarray]], path: Path | str, *, brightest: float = 255.0) -> Path:
    """Draw rows of images, each with its name, as PNG; pixels that are nan have a color of their own.

    Args:
        rows: name and images `(n, height, width)` of each.
        path: of the PNG.
        brightest: gray value that is drawn black.
    """
    from matplotlib.figure import Figure

    n = max(len(images) for _, images in rows)
    figure = Figure(figsize=(0.75 * n + 0.9, 0.75 * len(rows)), layout="constrained")
    for r, (name, images) in enumerate(rows):
        for i, image in enumerate(images):
            axes = figure.add_subplot(len(rows), n, r * n + i + 1)
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=brightest)
            axes.set(xticks=[], yticks=[])
            axes.set_facecolor("#dde6f0")
            if i == 0:
                axes.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=150)
    return Path(path)
