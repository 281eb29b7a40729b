"""Plots: the decision boundary of a classifier over a plane, and images completed from their upper half."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.errors import OptionError
from matgen.io.files import atomic_write
from matgen.lift.images.completion import draw_grid

if TYPE_CHECKING:
    from matgen.lift.generator import LiftGenerator

_GRID = 80
"""Points along each side of a plane."""


def decision_boundary(estimator: Any, X: pd.DataFrame, y: Any, path: Path | str, *, title: str = "") -> Path:
    """Draw which label a classifier gives over the plane of its two columns, with rows on it, as PNG.

    Args:
        estimator: fitted on exactly two columns of numbers.
        X, y: rows to draw on the plane, and their labels.
        path: of the PNG.
        title: above the plot.

    Raises:
        OptionError: the estimator is no classifier of two columns of numbers.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    columns = estimator.sentences_.columns
    if not hasattr(estimator, "classes_") or [column.type for column in columns] != ["number", "number"]:
        raise OptionError("a boundary can be drawn of a classifier of two columns of numbers")
    across, up = columns
    xs, ys = (_points(column) for column in columns)
    plane = pd.DataFrame({across.name: np.tile(xs, _GRID), up.name: np.repeat(ys, _GRID)})
    chances = estimator.predict_proba(plane)
    colors = colormaps["tab10"](np.arange(len(estimator.classes_)))[:, :3]
    # White where the model does not know, full where it is sure.
    sure = (chances.max(axis=1) - 1 / chances.shape[1]) / (1 - 1 / chances.shape[1])
    shade = 1 - (1 - colors[chances.argmax(axis=1)]) * (0.55 * sure[:, None])
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        shade.reshape(_GRID, _GRID, 3), origin="lower", extent=(xs[0], xs[-1], ys[0], ys[-1]), aspect="auto",
        interpolation="bilinear",
    )  # fmt: skip
    labels = np.asarray(y)
    for label, color in zip(estimator.classes_, colors, strict=True):
        rows = labels == label
        axes.scatter(X[across.name][rows], X[up.name][rows], s=8, color=[color * 0.75], label=str(label))
    axes.set(xlabel=_named(across), ylabel=_named(up), title=title)
    axes.legend(loc="upper right", fontsize=7, framealpha=0.85)
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=150)
    return Path(path)


def _points(column: Any) -> np.ndarray:
    low, high = column.padded_range()
    return np.linspace(low, high, _GRID)


def _named(column: Any) -> str:
    return f"{column.name} ({column.unit})" if column.unit else column.name


def completed_images(
    generator: LiftGenerator, images: np.ndarray, path: Path | str, *, draws: int = 3, seed: int = 0
) -> np.ndarray:
    """Complete images from their upper half, and show both with the truth, as PNG.

    Args:
        generator: of order `table`, fitted on images of `h * w` pixels a row.
        images: `(n, h, w)`, of which the upper half is given.
        path: of the PNG.
        draws: completions of each image.
        seed: of the draws.

    Returns:
        The completions, `(n, draws, h, w)`.
    """
    n, height, width = images.shape
    given = height // 2 * width
    names = [column.name for column in generator.columns_]
    upper = pd.DataFrame(images.reshape(n, -1)[:, :given], columns=names[:given])
    made = generator.sample(draws, upper, seed=seed).to_numpy(np.float64).reshape(n, draws, height, width)
    rows = [("given", np.where(np.arange(height)[:, None] < height // 2, images, np.nan)), ("truth", images)]
    rows += [(f"drawn {i + 1}", made[:, i]) for i in range(draws)]
    draw_grid(rows, path, brightest=float(images.max()))
    return made
