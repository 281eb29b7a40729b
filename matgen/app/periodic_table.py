"""A periodic table of buttons that each turn from any to required to forbidden, or that show probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nicegui import ui

from matgen.composition.elements import SYMBOLS
from matgen.evaluation.page.heatmap import place

ANY, REQUIRED, FORBIDDEN = STATES = ("any", "required", "forbidden")
LAST = 103
"""The last element that is shown; the ones after it are in no data."""


def _style(z: int) -> str:
    row, column = place(z)
    return f"grid-row:{int(row) + 1 + (row > 7)};grid-column:{column + 1}"


class ElementChoice:
    """Elements to require or forbid, one button each; Enter or Space turn the focused one as a click does."""

    def __init__(self) -> None:
        self._states = dict.fromkeys(map(str, SYMBOLS[1 : LAST + 1]), ANY)
        self._buttons: dict[str, ui.element] = {}
        with ui.element("div").classes("periodic").props('role="group" aria-label="Elements"'):
            for z, symbol in enumerate(self._states, 1):
                button = ui.element("button").style(_style(z)).on("click", lambda _, s=symbol: self._turn(s))
                with button:
                    ui.label(symbol)
                self._buttons[symbol] = button
                self._show(symbol)

    def chosen(self, state: str) -> list[str]:
        """The elements in a state."""
        return [symbol for symbol, now in self._states.items() if now == state]

    def clear(self) -> None:
        """Let all elements be in any state."""
        for symbol in [*self.chosen(REQUIRED), *self.chosen(FORBIDDEN)]:
            self._states[symbol] = ANY
            self._show(symbol)

    def _turn(self, symbol: str) -> None:
        self._states[symbol] = STATES[(STATES.index(self._states[symbol]) + 1) % len(STATES)]
        self._show(symbol)

    def _show(self, symbol: str) -> None:
        state = self._states[symbol]
        button = self._buttons[symbol]
        button.classes(replace=f"element {state}").props(f'type="button" aria-label="{symbol}: {state}"')


def probabilities(shares: Mapping[str, float], choose: Callable[[str], None]) -> None:
    """A heat map: the darker an element, the more probable; a click on it chooses it.

    Args:
        shares: symbol to probability; elements that are missing are blank.
        choose: called with the symbol.
    """
    most = max(shares.values(), default=1.0)
    with ui.element("div").classes("periodic").props('role="group" aria-label="Probabilities of elements"'):
        for z, symbol in enumerate(map(str, SYMBOLS[1 : LAST + 1]), 1):
            share = shares.get(symbol, 0.0)
            shade = (share / most) ** 0.5
            # White from where it has a contrast of 4.5 against the shade, as black has up to there.
            colors = f"background:rgba(11,83,148,{shade:.2f});color:{'#fff' if shade > 0.77 else '#000'}"
            button = ui.element("button").style(f"{_style(z)};{colors}").classes("element")
            button.props(f'type="button" title="{symbol} {share:.2%}" aria-label="{symbol}: {share:.2%}"')
            if share:
                button.on("click", lambda _, s=symbol: choose(s))
            else:
                button.props("disabled")
            with button:
                ui.label(symbol)
