"""Figures of the page where there is no page: in a notebook, in the colors that the style sheet has for daylight."""

from __future__ import annotations

import re

from matgen.evaluation.page.assets import asset


def in_notebook(*drawings: str) -> str:
    """SVGs that take their colors from the page, with what the style sheet says of them; "" for none."""
    if not drawings:
        return ""
    css = asset("page.css")
    colors = re.search(r":root\s*\{([^}]*)\}", css)
    assert colors is not None
    rules = "".join(line.strip() for line in css.splitlines() if line.startswith(".periodic"))
    light = "color-scheme: light; background: var(--card); color: var(--ink); max-width: 46rem;"
    style = f"{' '.join(colors[1].split())} {light}"
    return f'<style>{rules}</style><div style="{style}">{"".join(drawings)}</div>'
