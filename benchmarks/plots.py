"""Plots of results, drawn alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matgen.io.files import atomic_write


@contextlib.contextmanager
def drawing(path: Path, x: str, y: str) -> Iterator[Any]:
    """Axes to draw into; saved as PNG when the block ends."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    yield axes
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
