"""The files of `templates/`, as text and as Jinja templates in which every text is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import jinja2


@cache
def asset(name: str) -> str:
    """A file of `templates/`."""
    return files("matgen.evaluation.page").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def environment() -> jinja2.Environment:
    """Opens the templates; a name that a template does not get is an error."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
