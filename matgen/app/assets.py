"""Style sheets and scripts of the page, which the app itself serves: its own, and those of the cards."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from pathlib import Path

from nicegui import app, ui

from matgen.evaluation.page.card import CARD_SCRIPTS, CARD_STYLE


@functools.cache
def _served() -> tuple[str, ...]:
    """The addresses of the files, whose ends change with their content: a browser keeps none of an older version."""
    own, card = files("matgen.app").joinpath("static"), files("matgen.evaluation.page").joinpath("templates")
    found = [card / CARD_STYLE, own / "style.css", *(card / name for name in CARD_SCRIPTS), own / "page.js"]
    addresses = []
    for path in (Path(str(one)) for one in found):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        addresses.append(app.add_static_file(local_file=path, url_path=f"/assets/{digest}/{path.name}"))
    return tuple(addresses)


def add_assets() -> None:
    """Have the page that is being built load them."""
    for address in _served():
        if address.endswith(".css"):
            ui.add_head_html(f'<link rel="stylesheet" href="{address}">')
        else:
            ui.add_head_html(f'<script defer src="{address}"></script>')
