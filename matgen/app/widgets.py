"""Pieces that several parts of the page are made of."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd
from nicegui import ui


def button(
    text: str,
    act: Callable[..., Any] | None = None,
    *,
    main: bool = False,
    label: str | None = None,
    title: str = "",
) -> ui.html:
    """A plain button of HTML, which the keyboard and screen readers know; without `act` it submits its form."""
    made = ui.html(escape(text), sanitize=False, tag="button").classes("plain main" if main else "plain")
    made.props["type"] = "submit" if act is None else "button"
    if act is not None:
        made.on("click", act, args=[])
    if label is not None:
        made.props["aria-label"] = label
    if title:
        made.props["title"] = title
    return made


def heading(text: str, level: int = 2) -> ui.html:
    """A heading."""
    return ui.html(escape(text), sanitize=False, tag=f"h{level}")


def note(text: str) -> ui.label:
    """A line of explanation."""
    return ui.label(text).classes("note")


def region(label: str) -> ui.element:
    """Room that scrolls sideways where the window is narrow, by keys too."""
    return ui.element("div").classes("scroll").props(f'tabindex="0" role="region" aria-label="{label}"')


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by names of columns."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def in_words(row: dict[str, Any]) -> str:
    """Oxidation states of a valid composition, or what stands in the way."""
    words = row["oxidation_states"] if row["valid"] else row["reason"]
    return words if isinstance(words, str) else ""


def show(element: ui.element) -> None:
    """Scroll to an element unless its beginning is in sight; it need not be in what was clicked, which may be gone."""
    element.client.run_javascript(f"matgenShow(getHtmlElement({element.id}))")
