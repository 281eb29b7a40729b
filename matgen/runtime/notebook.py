"""What notebooks show of matgen's objects: small tables in HTML, without styles or scripts of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_COUNT = re.compile(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)")


def formula_html(formula: str) -> str:
    """A formula with subscripts; other text is escaped alike."""
    return _COUNT.sub(r"<sub>\1</sub>", escape(formula))


def cell_html(value: Any) -> str:
    """A cell of a table: numbers in four digits, truth in words, a missing value as nothing."""
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return escape(str(value))


def table_html(caption: str, head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; caption and head are text."""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    above = f"<thead><tr>{names}</tr></thead>" if names else ""
    return f"<table><caption>{escape(caption)}</caption>{above}<tbody>{body}</tbody></table>"


def facts_html(caption: str, facts: Iterable[tuple[str, Any]]) -> str:
    """A table of names and values, those that are None left out."""
    return table_html(caption, (), [(escape(name), cell_html(value)) for name, value in facts if value is not None])


def folded_html(summary: str, inner: str) -> str:
    """HTML that is folded away under a line of text until that is clicked; "" for nothing to fold."""
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>" if inner else ""
