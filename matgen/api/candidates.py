"""A table of candidates as the calls of `matgen` give it: one pandas frame, with ways to go on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from matgen.runtime.notebook import cell_html, folded_html, formula_html, table_html

if TYPE_CHECKING:
    from typing import Unpack

    import numpy as np
    import pandas as pd
    from pymatgen.core import Composition

    from matgen.api.options import EvaluateOptions, PredictOptions, ScreenOptions
    from matgen.composition.batch import CompositionBatch
    from matgen.evaluation import Report
    from matgen.evaluation.page.card import Crystal
    from matgen.validity import ValidityRules

_SHOWN = 10
"""Rows that a notebook shows."""

_CARDS = 3
"""Cards of candidates below them, folded away."""


class Candidates:
    """Compositions and what is known of them; rows are in order and keep the columns of the input.

    Attributes:
        frame: the table, a row for each composition.
        column: of formulas.
        summary: figures of the stage that made it, such as `formulas` predicted.
        bad: rows of the input that could not be read, each with its reason.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        column: str = "formula",
        summary: Mapping[str, Any] | None = None,
        bad: Sequence[Any] = (),
    ) -> None:
        self.frame, self.column, self.bad = frame, column, list(bad)
        self.summary = dict(summary or {})

    def to_frame(self) -> pd.DataFrame:
        """The table itself."""
        return self.frame

    @property
    def formulas(self) -> list[str]:
        """The formulas, as the input has them or as they were drawn."""
        return [str(text) for text in self.frame[self.column]]

    def batch(self) -> CompositionBatch:
        """The compositions as arrays.

        Raises:
            FormulaError: a formula cannot be read.
        """
        from matgen.composition.batch import CompositionBatch

        return CompositionBatch.from_formulas(self.formulas)

    def compositions(self) -> list[Composition]:
        """The compositions as objects of pymatgen, reduced.

        Raises:
            FormulaError: a formula cannot be read.
        """
        from pymatgen.core import Composition

        return [Composition(formula) for formula in self.batch().formulas()]

    def head(self, n: int = 5) -> Candidates:
        """The first rows."""
        return self[:n]

    def evaluate(self, reference: Any = None, **options: Unpack[EvaluateOptions]) -> Report:
        """See `matgen.evaluate`."""
        import matgen

        return matgen.evaluate(self, reference, **options)

    def predict(self, property: str | None = None, **options: Unpack[PredictOptions]) -> Candidates:
        """See `matgen.predict`."""
        import matgen

        return matgen.predict(self, property, **options)

    def screen(self, where: str | None = None, **options: Unpack[ScreenOptions]) -> Candidates:
        """See `matgen.screen`."""
        import matgen

        return matgen.screen(self, where, **options)

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[str]:
        return iter(self.formulas)

    @overload
    def __getitem__(self, rows: str) -> pd.Series: ...
    @overload
    def __getitem__(self, rows: slice | np.ndarray | pd.Series | Sequence[int]) -> Candidates: ...
    def __getitem__(self, rows: Any) -> pd.Series | Candidates:
        """A column by its name; or the rows picked by a slice, numbers or a boolean mask."""
        if isinstance(rows, str):
            return self.frame[rows]
        import numpy as np

        picked = self.frame.iloc[rows if isinstance(rows, slice) else np.asarray(rows)]  # by place, whatever the index
        return type(self)(picked.reset_index(drop=True), self.column)

    def __repr__(self) -> str:
        first = ", ".join(self.formulas[:3]) + (", ..." if len(self) > 3 else "")
        return f"{type(self).__name__}(n={len(self)}, {first}; columns: {', '.join(map(str, self.frame.columns))})"

    def _repr_html_(self) -> str:
        return self._table_html() + cards_html(self.frame, self.column)

    def _table_html(self) -> str:
        head = self.frame.head(_SHOWN)
        at = list(map(str, self.frame.columns)).index(self.column)
        rows = [
            [formula_html(str(cell)) if place == at else cell_html(cell) for place, cell in enumerate(row)]
            for row in head.astype(object).itertuples(index=False, name=None)
        ]
        more = f"<p>the first {len(head)} of {len(self):,}</p>" if len(self) > len(head) else ""
        table = table_html(f"{len(self):,} candidates", map(str, self.frame.columns), rows)
        return f'<div style="overflow-x: auto">{table}</div>{more}'  # tens of columns


def cards_html(
    frame: pd.DataFrame,
    column: str,
    crystals: Mapping[str, Crystal] | None = None,
    rules: ValidityRules | None = None,
) -> str:
    """Cards of the first formulas of a table that can be read, for a notebook, folded away; "" for none.

    Args:
        frame: any table.
        column: of formulas.
        crystals: structures by reduced formula.
        rules: how validity is judged.
    """
    from matgen.composition.batch import parse_formulas
    from matgen.evaluation.page.card import candidate_cards, card_page

    texts = frame[column].head(_SHOWN).astype(str)
    first = frame.iloc[parse_formulas(texts.tolist()).rows[:_CARDS]]
    if first.empty:
        return ""
    if column != "formula":
        first = first.drop(columns="formula", errors="ignore")  # another column of the name that cards look for
    cards = candidate_cards(first.rename(columns={column: "formula"}), crystals, rules=rules)
    return folded_html(f"Cards: {', '.join(card.formula for card in cards)}", str(card_page(cards)))


class Replacements(Candidates):
    """Ways of changing a formula, the most probable first: what `matgen.tinker` gives.

    Attributes:
        positions: of each blank symbol to probability over all ways, most probable first.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        column: str = "formula",
        summary: Mapping[str, Any] | None = None,
        bad: Sequence[Any] = (),
        positions: Sequence[dict[str, float]] = (),
    ) -> None:
        super().__init__(frame, column, summary, bad)
        self.positions = list(positions)

    def _repr_html_(self) -> str:
        return self.heat_map() + super()._repr_html_()

    def heat_map(self) -> str:
        """Periodic tables in HTML, one for each blank: the probability of each element, in percent."""
        from matgen.evaluation.page.heatmap import share_map
        from matgen.evaluation.page.notebook import in_notebook

        task = str(self.summary.get("task", "")) or "replacements"
        maps = [
            share_map(task, position, f"{task} (by probability)", max(position.values()))
            for position in self.positions
            if position
        ]
        return in_notebook(*maps)
