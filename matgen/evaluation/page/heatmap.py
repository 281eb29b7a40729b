"""Periodic-table heat maps as inline SVG.

Drawn here and not by pymatviz (0.18), whose tables are plotly figures alone: a page needs 4.8 MB of JavaScript for one,
or kaleido and a browser to make it a picture, and pymatviz eight more packages. The tables below weigh 35 kB each, need
no script, and show each element's numbers under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from matgen.composition.elements import N_ELEMENTS, SYMBOLS

_CELL = 40
_PERIODS = (1, 3, 11, 19, 37, 55, 87, 119)
"""Atomic numbers at which the periods begin."""

_SHARE_STOPS = ("#440154", "#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#fde725")
"""Viridis (matplotlib; S. van der Walt and N. Smith, 2015): ordered for any kind of color vision, lighter is more."""

_RATIO_STOPS = ("#7f3b08", "#b35806", "#f1a340", "#fee0b6", "#f7f7f7", "#d1e5f0", "#67a9cf", "#2166ac", "#053061")
"""Orange to white to blue, from ColorBrewer's PuOr and RdBu; distinct with any color blindness."""

_LEAST_SHARE = 3e-3
_MOST_RATIO = 4.0
_FEWEST = 5
"""Compositions, expected or found, below which a ratio is shown faint."""


@dataclass(frozen=True)
class _Cell:
    color: str | None
    value: str
    tooltip: str
    faint: bool = False


def share_map(title: str, shares: Mapping[str, float], of: str, most: float) -> str:
    """Share of compositions that hold each element, on a logarithmic color scale from 0.3 % up to `most`.

    Args:
        title: of the figure.
        shares: fraction by symbol; elements that are not there are left empty.
        of: what the fractions are a share of, for the tooltips.
        most: upper end of the scale; equal for maps that are to be compared.
    """
    top = max(most, 10 * _LEAST_SHARE)

    def place(share: float) -> float:
        return math.log(max(share, _LEAST_SHARE) / _LEAST_SHARE) / math.log(top / _LEAST_SHARE)

    def cell(symbol: str) -> _Cell:
        share = shares.get(symbol, 0.0)
        if not share:
            return _Cell(None, "", f"{symbol}: in none of {of}")
        tooltip = f"{symbol}: in {100 * share:.3g} % of {of}"
        return _Cell(_color(_SHARE_STOPS, place(share)), _short(100 * share), tooltip)

    ticks = [(place(v), f"{100 * v:g} %") for v in (0.003, 0.01, 0.03, 0.1, 0.3) if v < 0.7 * top]
    ticks = [(at, f"≤ {text}" if at == 0 else text) for at, text in ticks] + [(1.0, f"{100 * top:.0f} %")]
    return _table(title, f"share of {of} that hold the element", cell, _SHARE_STOPS, ticks)


def ratio_map(title: str, generated: Mapping[str, float], reference: Mapping[str, float], n: int) -> str:
    """How many times as often as in the reference each element occurs, on a diverging scale from 1/4 to 4 times.

    Args:
        title: of the figure.
        generated: fraction of distinct candidates that hold each symbol.
        reference: the same of the reference.
        n: distinct candidates; where fewer than five hold an element and fewer than five would be expected to, the
            ratio is mostly noise and is drawn faint.
    """
    span = math.log(_MOST_RATIO)

    def cell(symbol: str) -> _Cell:
        ours, theirs = generated.get(symbol, 0.0), reference.get(symbol, 0.0)
        if not ours and not theirs:
            return _Cell(None, "", f"{symbol}: in neither")
        faint = max(ours, theirs) * n < _FEWEST
        note = "; too few to tell" if faint else ""
        shares = f"generated {100 * ours:.3g} %, reference {100 * theirs:.3g} %{note}"
        if not theirs:
            return _Cell(_RATIO_STOPS[-1], "new", f"{symbol}: never in the reference; {shares}", faint)
        if not ours:
            return _Cell(_RATIO_STOPS[0], "none", f"{symbol}: never generated; {shares}", faint)
        ratio = ours / theirs
        place = 0.5 + 0.5 * max(-1.0, min(1.0, math.log(ratio) / span))
        return _Cell(_color(_RATIO_STOPS, place), _short(ratio), f"{symbol}: {ratio:.3g} times; {shares}", faint)

    ticks = [(0.0, "≤ ¼"), (0.25, "½"), (0.5, "1"), (0.75, "2"), (1.0, "≥ 4")]
    return _table(title, "generated share / reference share", cell, _RATIO_STOPS, ticks)


def _table(
    title: str,
    unit: str,
    cell_of: Callable[[str], _Cell],
    stops: Sequence[str],
    ticks: Sequence[tuple[float, str]],
) -> str:
    parts = []
    for z in range(1, N_ELEMENTS + 1):
        symbol = str(SYMBOLS[z])
        cell, (row, column) = cell_of(symbol), place(z)
        x, y = column * _CELL, row * _CELL
        fill = f'fill="{cell.color}"' if cell.color else 'class="empty"'
        if cell.faint:
            fill += ' fill-opacity="0.3"'
        # On a faint color the page shows through, and with it the page's own text stands out.
        ink = f' fill="{_ink(cell.color)}"' if cell.color and not cell.faint else ' class="absent"'
        parts.append(
            f"<g><title>{escape(cell.tooltip)}</title>"
            f'<rect x="{x + 1}" y="{y + 1}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3" {fill}/>'
            f'<text x="{x + _CELL / 2:g}" y="{y + (17 if cell.value else 25)}" font-size="14" font-weight="600"{ink}>'
            f"{symbol}</text>"
            + (
                f'<text x="{x + _CELL / 2:g}" y="{y + 32}" font-size="11.5"{ink}>{escape(cell.value)}</text>'
                if cell.value
                else ""
            )
            + "</g>"
        )
    # Where the lanthanides and actinides stand below.
    for row, text in ((5, "57-71"), (6, "89-103")):
        parts.append(f'<text x="{2.5 * _CELL:g}" y="{row * _CELL + 24}" font-size="10.5" class="absent">{text}</text>')
    return (
        f'<svg class="periodic" viewBox="0 0 {18 * _CELL} {9.4 * _CELL:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{_scale(unit, stops, ticks)}{''.join(parts)}</svg>"
    )


def _scale(unit: str, stops: Sequence[str], ticks: Sequence[tuple[float, str]]) -> str:
    """The color scale, in the free room above the transition metals."""
    left, top, width, height, n = 2.6 * _CELL, 0.85 * _CELL, 8.8 * _CELL, 14, 44
    parts = [f'<text x="{left:g}" y="{top - 10:g}" font-size="13" class="label start">{escape(unit)}</text>']
    for i in range(n):
        x = left + i * width / n
        # A little wider than its place: no seams.
        color = _color(stops, i / (n - 1))
        parts.append(f'<rect x="{x:.2f}" y="{top:g}" width="{width / n + 0.5:.2f}" height="{height}" fill="{color}"/>')
    for at, text in ticks:
        x = left + at * width
        parts.append(f'<line x1="{x:.2f}" x2="{x:.2f}" y1="{top + height:g}" y2="{top + height + 4:g}" class="tick"/>')
        parts.append(f'<text x="{x:.2f}" y="{top + height + 17:g}" font-size="12" class="label">{escape(text)}</text>')
    return "".join(parts)


def place(z: int) -> tuple[float, int]:
    """Row and column of an element, from 0; lanthanides and actinides in two rows below, with a gap."""
    period = sum(z >= start for start in _PERIODS) - 1
    offset = z - _PERIODS[period]
    length = _PERIODS[period + 1] - _PERIODS[period]
    if length == 32 and 2 <= offset < 17:
        return period + 2.4, offset + 1
    if offset < (1 if length == 2 else 2):
        return float(period), offset
    return float(period), 18 - length + offset


def _short(value: float) -> str:
    """At most three digits."""
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else (f"{value:.2f}" if value >= 0.005 else "<.01")


def _color(stops: Sequence[str], at: float) -> str:
    """The color at a place from 0 to 1 along the stops."""
    place = max(0.0, min(1.0, at)) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    pairs = zip(_rgb(stops[low]), _rgb(stops[low + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - low)):02x}" for a, b in pairs)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def _ink(color: str | None) -> str:
    """Black or white, whichever stands out more by the WCAG's relative luminance."""
    if color is None:
        return "#000000"
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in _rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"
