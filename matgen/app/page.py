"""The page: conditions on one side, what was drawn and one formula in detail on the other, the basket."""

from __future__ import annotations

import pandas as pd
from nicegui import app, ui

from matgen.app.assets import add_assets
from matgen.app.basket import Basket
from matgen.app.conditions import Conditions
from matgen.app.formula_view import FormulaView
from matgen.app.results import Results
from matgen.app.session import Drawn, Session
from matgen.app.status import Status, StatusLine
from matgen.app.widgets import button, heading, show
from matgen.errors import MatgenError
from matgen.models.checkpoint import read_metadata

THEMES = {"system": None, "dark": True, "light": False}
"""Whether the page is dark; None: as the visitor's system has it."""

_KEPT = "matgen"


class Page:
    """One visitor's view of a session. Its address has the conditions, its tab of the browser keeps what came."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.status = Status()
        self._frame, self._summary, self._theme, self._restored = pd.DataFrame(), "", "system", False
        client = ui.context.client
        written = dict(client.request.query_params)
        add_assets()
        self._dark = ui.dark_mode(None)
        ui.colors(primary="#0b5394")
        with ui.element("div").classes("matgen"):  # NiceGUI has a <main> around it
            self._header()
            with ui.element("div").classes("side"):
                with ui.element("section").props('aria-label="Conditions"'):
                    heading("Conditions")
                    self.conditions = Conditions(_known_elements(session), written, self.generate)
                    self.line = StatusLine(self.status, "Progress of generating")
                    self.line.say(self.conditions.remark, error=True)
                with ui.element("section").classes("basket").props('aria-label="Basket"'):
                    self.basket = Basket(session, self.status, self._basket_changed)
            with ui.element("div").classes("side"):
                self._section = ui.element("section").props('aria-label="Results"')
                detail = ui.element("section").props('aria-label="Candidate"')
        self.detail = FormulaView(detail, session, self.status, self.basket.add, self._save_inputs, self._opened)
        with self._section:
            self.results = Results(self.detail.open, self.basket.turn, lambda: self.basket.rows)
        self.status.disable_while_busy(self.conditions.button)
        client.on_connect(self._restore)

    def _header(self) -> None:
        with ui.element("header"):
            heading("matgen", 1)
            ui.label("New inorganic compositions from a generative model, judged and ranked")
            self._theme_button = button("Theme: system", self._turn_theme, title="System, dark or light").classes(
                "right"
            )

    def _turn_theme(self) -> None:
        names = list(THEMES)
        self._set_theme(names[(names.index(self._theme) + 1) % len(names)])
        self._keep()

    def _set_theme(self, name: str) -> None:
        self._theme = name
        self._dark.set_value(THEMES[name])
        self._theme_button.set_content(f"Theme: {name}")
        ui.run_javascript("setTimeout(() => window.matgenCards?.recolor(), 50)")

    async def generate(self) -> None:
        """Draw and judge, and show what came."""
        try:
            request, screen = self.conditions.request(), self.conditions.screen()
        except MatgenError as error:
            self.line.say(str(error), error=True)
            return
        query = self.conditions.query()
        ui.navigate.history.replace(f"?{query}")
        drawn = await self.line.do(lambda progress: self.session.generate(request, progress, screen))
        if drawn is None:
            return
        self._frame, self._summary = drawn.frame, _summary(drawn)
        self.results.show(self._frame, self._summary)
        show(self._section)
        self._keep(query=query)

    def _opened(self, formula: str) -> None:
        self.results.mark(formula)
        self._keep()

    async def _save_inputs(self, formula: str, line: StatusLine) -> None:
        await self.basket.save_inputs([formula], self.session.dft_format, line)

    def _basket_changed(self) -> None:
        self.results.mark()
        self._keep()

    def _keep(self, query: str | None = None) -> None:
        """Remember what is shown while the tab of the browser is open."""
        with self._section:  # what was clicked may be gone, and with it its page's storage
            tab = app.storage.tab
        kept = tab.get(_KEPT, {})
        tab[_KEPT] = {
            "query": kept.get("query", "") if query is None else query,
            "frame": self._frame,
            "summary": self._summary,
            "basket": list(self.basket.rows.values()),
            "row": self.detail.row,
            "theme": self._theme,
        }

    async def _restore(self) -> None:
        """Show what was there before the page was loaded again; results only if they are of the same conditions."""
        kept = app.storage.tab.get(_KEPT)
        if kept is None or self._restored:  # a connection that broke off comes back to a page that is as it was
            return
        self._restored = True
        self._set_theme(kept["theme"])
        self.basket.fill({row["reduced_formula"]: dict(row) for row in kept["basket"]})
        if kept["query"] == self.conditions.query() and kept["summary"]:
            self._frame, self._summary = kept["frame"], kept["summary"]
            self.results.show(self._frame, self._summary)
            if kept["row"]:
                await self.detail.open(dict(kept["row"]), scroll=False)


def _known_elements(session: Session) -> list[str] | None:
    return read_metadata(session.checkpoint).get("elements")


def _summary(drawn: Drawn) -> str:
    if drawn.frame.empty:
        return f"None of {drawn.draws:,} draws meets the conditions on properties."
    good = int((drawn.frame["valid"] & drawn.frame["novel"]).sum())
    why = {"budget": f"; stopped after {drawn.draws:,} draws", "exhausted": "; no others meet the conditions"}
    summary = f"{len(drawn.frame):,} distinct compositions, {good:,} of them valid and novel"
    return summary + why.get(drawn.stopped, "")
