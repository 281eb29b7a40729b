"""A periodic table of buttons that each turn from any to required to forbidden, or that show probabilities."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from nicegui import ui

from matgen.app.widgets import button
from matgen.composition.elements import SYMBOLS
from matgen.evaluation.page.heatmap import place

ANY, REQUIRED, FORBIDDEN = STATES = ("any", "required", "forbidden")
LAST = 103
"""The last element that is shown; the ones after it are in no data."""


def _cell(z: int, symbol: str, act: Callable[..., Any] | None, *, first: bool) -> ui.element:
    """A button at its place; all but the first are reached by arrows from there, see `static/page.js`."""
    row, column = place(z)
    made = button(symbol, act or (lambda: None)).classes(replace="element")
    made.style(f"grid-row:{int(row) + 1 + (row > 7)};grid-column:{column + 1}")
    made.props["tabindex"] = "0" if first else "-1"
    if act is None:
        made.props("disabled")
    return made


def _table(label: str) -> ui.element:
    return ui.element("div").classes("periodic").props(f'role="group" aria-label="{label}"')


class ElementChoice:
    """Elements to require or forbid, one button each; Enter or Space turn the focused one as a click does.

    Args:
        known: symbols that the model knows; the others cannot be chosen. None: all.
    """

    def __init__(self, known: Collection[str] | None = None) -> None:
        symbols = list(map(str, SYMBOLS[1 : LAST + 1]))
        self._states = {symbol: ANY for symbol in symbols if known is None or symbol in known}
        self._buttons: dict[str, ui.element] = {}
        first = next(iter(self._states), None)
        with _table("Elements"):
            for z, symbol in enumerate(symbols, 1):
                if symbol not in self._states:
                    one = _cell(z, symbol, None, first=False)
                    one.props["aria-label"] = one.props["title"] = f"{symbol}: unknown to the model"
                    continue
                one = _cell(z, symbol, lambda s=symbol: self._turn(s), first=symbol == first)
                self._buttons[symbol] = one
                self._show(symbol)

    def chosen(self, state: str) -> list[str]:
        """The elements in a state."""
        return [symbol for symbol, now in self._states.items() if now == state]

    def choose(self, required: Iterable[str] = (), forbidden: Iterable[str] = ()) -> list[str]:
        """Require some and forbid others; those that the model does not know are given back."""
        wanted = dict.fromkeys(required, REQUIRED) | dict.fromkeys(forbidden, FORBIDDEN)
        for symbol in self._states:
            self._states[symbol] = wanted.pop(symbol, ANY)
            self._show(symbol)
        return list(wanted)

    def _turn(self, symbol: str) -> None:
        self._states[symbol] = STATES[(STATES.index(self._states[symbol]) + 1) % len(STATES)]
        self._show(symbol)

    def _show(self, symbol: str) -> None:
        state = self._states[symbol]
        self._buttons[symbol].classes(replace=f"element {state}").props["aria-label"] = f"{symbol}: {state}"
        self._buttons[symbol].update()


def probabilities(shares: Mapping[str, float], choose: Callable[[str], Any]) -> None:
    """A heat map: the darker an element, the more probable; a click on it chooses it.

    Args:
        shares: symbol to probability; elements that are missing are blank.
        choose: called with the symbol.
    """
    most = max(shares.values(), default=1.0)
    first = next((symbol for symbol in map(str, SYMBOLS[1 : LAST + 1]) if shares.get(symbol)), None)
    with _table("Probabilities of elements"):
        for z, symbol in enumerate(map(str, SYMBOLS[1 : LAST + 1]), 1):
            share = shares.get(symbol, 0.0)
            shade = (share / most) ** 0.5
            # Over white whatever the theme. White text from where it has a contrast of 4.5 against the shade.
            colors = f"background:rgb({255 - 244 * shade:.0f},{255 - 172 * shade:.0f},{255 - 107 * shade:.0f})"
            act = (lambda s=symbol: choose(s)) if share else None
            one = _cell(z, symbol, act, first=symbol == first)
            one.style(f"{colors};color:{'#fff' if shade > 0.77 else '#000'}")
            one.props["title"], one.props["aria-label"] = f"{symbol} {share:.2%}", f"{symbol}: {share:.2%}"
