"""Curves and bars as inline SVG, drawn by matplotlib without its global state.

matplotlib writes fixed colors. Here each color is one of a few stand-ins that no figure would use by itself and that
become CSS variables in the SVG, so that the page's light and dark themes color the figures too. Text stays text
(searchable, small). Equal data give equal bytes: no date, and ids salted by the figure's name.

matplotlib takes half a second to import, so it is imported where a figure is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _MUTED, _LINE, _CARD = "#000001", "#000002", "#000003", "#000004"
SERIES = tuple(f"#0000{number:02d}" for number in range(11, 19))
"""Stand-ins of the eight series colors, `--series-1` to `--series-8` in the style sheet."""

_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _CARD: "--card"} | {
    stand_in: f"--series-{number}" for number, stand_in in enumerate(SERIES, 1)
}
_MARKERS = "osD^vPX*"
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
_HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "//")
"""Lines only: matplotlib writes a hatch of dots as 200 kB of circles."""

_FONT = "DejaVu Sans"
"""Comes with matplotlib, and is wider than the readers' own fonts: what fits in it fits in theirs."""

_SETTINGS = {
    "svg.fonttype": "none",
    "font.family": _FONT,
    "font.size": 9,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.color": _MUTED,
    "ytick.labelcolor": _INK,
    "text.color": _INK,
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Series:
    """One line or one set of bars.

    Attributes:
        name: in the legend.
        values: y, as long as the figure's x; NaN or None leaves a gap.
    """

    name: str
    values: Sequence[float | None]


def curves(
    title: str,
    x: Sequence[Sequence[float]],
    series: Sequence[Series],
    y_label: str,
    *,
    log_y: bool = False,
    from_zero: bool = True,
) -> str:
    """Lines with markers over the number of rows on a logarithmic axis.

    Args:
        title: of the figure.
        x: of each series, numbers of rows.
        series: at most eight; color, marker and dash differ, so that no reader depends on color.
        y_label: with its unit.
        log_y: logarithmic y; values of 0 are left out.
        from_zero: let y begin at 0, so that heights compare; else it spans the values, so that small differences show.
    """

    def draw(axes: Axes) -> None:
        for number, (line, at) in enumerate(zip(series, x, strict=True)):
            axes.plot(
                list(at),
                [float("nan") if v is None or (log_y and v <= 0) else v for v in line.values],
                color=SERIES[number],
                marker=_MARKERS[number],
                linestyle=_STYLES[number],
                markersize=3.4,
                linewidth=1.6,
                label=line.name,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_number)
        if log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(_number)
        elif from_zero:
            axes.set_ylim(bottom=0)
        axes.set_xlabel("candidates so far, in the order of the file (log scale)")
        axes.set_ylabel(y_label)
        axes.minorticks_off()
        _legend_above(axes, len(series))

    return _svg(title, draw)


def scatter(
    title: str, x: Sequence[float], y: Sequence[float], names: Sequence[str], x_label: str, y_label: str
) -> str:
    """Points, with a line at y = 0; the first ones get their names. The highest hundredth may lie outside."""

    def draw(axes: Axes) -> None:
        n = len(names)
        axes.axhline(0.0, color=_MUTED, linewidth=0.8)
        axes.plot(x[n:], y[n:], linestyle="", marker=_MARKERS[0], markersize=2.2, alpha=0.6, color=SERIES[0])
        axes.plot(x[:n], y[:n], linestyle="", marker=_MARKERS[1], markersize=5, color=SERIES[1])
        ascending = sorted(y)
        low, high = min(ascending[0], 0.0), max(ascending[int(0.99 * (len(y) - 1))], *y[:n], 0.0)
        low, high = low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3
        axes.set_ylim(low, high)
        # Names in a column of their own at the right, where there are no points, in order of height.
        left, right = min(x), max(x)
        axes.set_xlim(left - 0.03 * (right - left) - 1e-3, right + 0.03 * (right - left) + 1e-3)
        for i, place in zip(*_spread_out(y[:n], low, high, (high - low) / 21), strict=True):
            axes.annotate(
                names[i],
                (x[i], y[i]),
                (1.02, place),
                textcoords=axes.get_yaxis_transform(),
                fontsize=8,
                va="center",
                arrowprops={"arrowstyle": "-", "color": SERIES[1], "linewidth": 0.5, "alpha": 0.6},
                annotation_clip=False,
            )
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)

    return _svg(title, draw)


def _spread_out(heights: Sequence[float], low: float, high: float, gap: float) -> tuple[list[int], list[float]]:
    """Numbers in ascending order and places near their heights, at least a gap apart, inside while there is room."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    places: list[float] = []
    for i in order:
        places.append(max(heights[i], low + gap / 2, *(place + gap for place in places[-1:])))
    ceiling = high - gap / 2
    for k in range(len(places) - 1, -1, -1):  # what stands over the top pushes those below it down
        places[k] = min(places[k], ceiling)
        ceiling = places[k] - gap
    return order, places


def parity(title: str, x: Sequence[float], series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Values of several methods over those of one that is compared with, and the line on which they would be equal.

    Args:
        title: of the figure.
        x: of the method that is compared with.
        series: y of each other method, as long as `x`.
        x_label: with its unit.
        y_label: with its unit.
    """

    def draw(axes: Axes) -> None:
        values = [*x, *(value for one in series for value in one.values if value is not None)]
        margin = 0.05 * (max(values) - min(values)) + 0.02
        ends = [min(values) - margin, max(values) + margin]
        axes.plot(ends, ends, color=_MUTED, linewidth=0.8)
        for number, one in enumerate(series):
            heights = [float("nan") if value is None else value for value in one.values]
            axes.plot(x, heights, color=SERIES[number], marker=_MARKERS[number], linestyle="", markersize=4.5,
                      alpha=0.8, label=one.name)  # fmt: skip
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _legend_above(axes, len(series))

    return _svg(title, draw, height=4.2)


def bars(
    title: str,
    categories: Sequence[str],
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    sideways: bool = False,
) -> str:
    """Bars side by side, one color and hatch a series; `sideways` lists the categories from top to bottom."""

    def draw(axes: Axes) -> None:
        width = 0.8 / len(series)
        for number, one in enumerate(series):
            places = [place + (number - (len(series) - 1) / 2) * width for place in range(len(categories))]
            heights = [value or 0.0 for value in one.values]
            style: Any = {
                "color": SERIES[number],
                "hatch": _HATCHES[number],
                "edgecolor": _CARD,
                "linewidth": 0.0,
                "label": one.name,
            }
            if sideways:
                axes.barh(places, heights, height=width, **style)
            else:
                axes.bar(places, heights, width=width, **style)
        if sideways:
            axes.set_yticks(range(len(categories)), categories)
            axes.set_ylim(len(categories) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
        else:
            axes.set_xticks(range(len(categories)), categories)
            axes.grid(visible=False, axis="x")
        axes.tick_params(axis="y" if sideways else "x", length=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _legend_above(axes, len(series))

    return _svg(title, draw, height=3.1 if not sideways else 1.1 + len(categories) * (0.1 + 0.05 * len(series)))


def dots(
    title: str,
    categories: Sequence[str],
    series: Sequence[Series],
    bounds: Sequence[Sequence[tuple[float, float] | None]],
    x_label: str,
) -> str:
    """Values with intervals, categories from top to bottom.

    Args:
        title: of the figure.
        categories: names of the rows.
        series: one mark a category each.
        bounds: of each series and category, the interval's ends or None.
        x_label: with its unit.
    """

    def draw(axes: Axes) -> None:
        for number, (one, ends) in enumerate(zip(series, bounds, strict=True)):
            shift = 0.7 * ((number + 0.5) / len(series) - 0.5)
            for place, pair in enumerate(ends):
                if pair is not None:
                    axes.plot(pair, [place + shift] * 2, color=SERIES[number], linewidth=2.2, solid_capstyle="butt")
            places = [place + shift for place in range(len(categories))]
            axes.plot(
                [float("nan") if value is None else value for value in one.values],
                places,
                color=SERIES[number],
                marker=_MARKERS[number],
                linestyle="",
                markersize=4.2,
                label=one.name,
            )
        axes.set_yticks(range(len(categories)), categories)
        axes.set_ylim(len(categories) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(x_label)
        _legend_above(axes, len(series))

    return _svg(title, draw, height=1.2 + len(categories) * (0.2 + 0.1 * len(series)))


def steps(title: str, x: Sequence[int], series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Shares of consecutive whole numbers as outlines, the first one filled."""

    def draw(axes: Axes) -> None:
        edges = [x[0] - 0.5, *(value + 0.5 for value in x)]
        for number, one in enumerate(series):
            heights = [value or 0.0 for value in one.values]
            if number == 0:
                axes.stairs(heights, edges, fill=True, color=SERIES[number], alpha=0.35)
            axes.stairs(heights, edges, color=SERIES[number], linewidth=1.5, linestyle=_STYLES[number], label=one.name)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _legend_above(axes, len(series))

    return _svg(title, draw)


def _number(value: float, _: object = None) -> str:
    """A tick's number in full, millions as `2 M`."""
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value:,.6g}"


def _legend_above(axes: Axes, n: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2 if n == 4 else 3, borderaxespad=0.2, columnspacing=1.2
    )


def _svg(title: str, draw: Callable[[Axes], None], *, height: float = 3.1) -> str:
    """A figure as an `<svg>` element of 5.2 x `height` inches that takes its colors from the page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": title}):
        figure: Figure = Figure(figsize=(5.2, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_the_page(title, buffer.getvalue())


def _for_the_page(title: str, svg: str) -> str:
    """What may stand inside HTML: no prolog, no metadata, no style for the whole page, no ids that occur twice."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    size = re.search(r'viewBox="([^"]*)"', svg)
    assert size is not None
    svg = re.sub(
        r"<svg[^>]*>",
        f'<svg viewBox="{size[1]}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>',
        svg,
        count=1,
    )
    svg = svg.replace(f"'{_FONT}'", "system-ui, sans-serif")
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var({variable})")
    return re.sub(r"\n\s*", "\n", svg)
