"""Pieces that several parts of the page are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from nicegui import ui


def button(text: str, act: Callable[..., Any], *, main: bool = False, label: str | None = None) -> ui.element:
    """A plain button of HTML, which the keyboard and screen readers know."""
    made = ui.element("button").classes("plain main" if main else "plain").props('type="button"').on("click", act)
    if label is not None:
        made.props(f'aria-label="{label}"')
    with made:
        ui.label(text)
    return made


def region(label: str) -> ui.element:
    """Room that scrolls sideways where the window is narrow, by keys too."""
    return ui.element("div").classes("scroll q-my-sm").props(f'tabindex="0" role="region" aria-label="{label}"')


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by names of columns."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def in_words(row: dict[str, Any]) -> str:
    """Oxidation states of a valid composition, or what stands in the way."""
    words = row["oxidation_states"] if row["valid"] else row["reason"]
    return words if isinstance(words, str) else ""
