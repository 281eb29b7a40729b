"""Verdicts on compositions, with the reasons for them when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from matgen.api.candidates import cards_html
from matgen.runtime.notebook import cell_html, formula_html, table_html
from matgen.validity import Explanation, Validity, ValidityRules, explain

if TYPE_CHECKING:
    import pandas as pd

    from matgen.composition.batch import CompositionBatch

_IN_WORDS = 3
_SHOWN = 10


@dataclass(frozen=True, repr=False)
class Checked(Validity):
    """What `matgen.check` says of `n` compositions: the arrays of `Validity`, and why.

    Attributes:
        batch: the compositions.
        rules: how they were judged.
    """

    batch: CompositionBatch
    rules: ValidityRules

    @classmethod
    def of(cls, batch: CompositionBatch, rules: ValidityRules, verdicts: Validity) -> Checked:
        """The verdicts on a batch."""
        return cls(**{one.name: getattr(verdicts, one.name) for one in fields(Validity)}, batch=batch, rules=rules)

    @cached_property
    def explanation(self) -> Explanation:
        """The oxidation states that work, or what stands in the way; see `matgen.explain`."""
        return explain(self.batch, self.rules)

    def to_frame(self) -> pd.DataFrame:
        """A row for each composition: formula, verdicts, oxidation states or the reason why not."""
        import pandas as pd

        return pd.DataFrame(
            {
                "formula": self.batch.formulas(),
                "charge_neutral": self.charge_neutral,
                "electronegativity_balanced": self.electronegativity_balanced,
                "valid": self.valid,
                "oxidation_states": self.explanation.oxidation_states,
                "reason": self.explanation.reason,
            }
        )

    def __len__(self) -> int:
        return len(self.batch)

    def __bool__(self) -> bool:
        """True where every composition is valid."""
        return bool(self.valid.all())

    def __repr__(self) -> str:
        """What `matgen check` prints of a few compositions, numbers of more."""
        if 0 < len(self) <= _IN_WORDS:
            from matgen.evaluation.page.explanation import check_in_words

            return "\n\n".join(check_in_words(self.batch.formulas().tolist(), self.rules))
        neutral, balanced = int(self.charge_neutral.sum()), int(self.electronegativity_balanced.sum())
        return f"Checked(n={len(self)}: {neutral} charge neutral, {balanced} balanced, {int(self.valid.sum())} valid)"

    def _repr_html_(self) -> str:
        frame = (self if len(self) <= _SHOWN else self[:_SHOWN]).to_frame()
        rows = [
            [formula_html(row[0]), *map(cell_html, row[1:])]
            for row in frame.astype(object).itertuples(index=False, name=None)
        ]
        more = f"<p>the first {len(frame)} of {len(self):,}</p>" if len(self) > len(frame) else ""
        caption = f"{int(self.valid.sum()):,} of {len(self):,} compositions are valid"
        cards = cards_html(frame[["formula"]], "formula", rules=self.rules)
        return table_html(caption, frame.columns, rows) + more + cards

    def __getitem__(self, rows: slice) -> Checked:
        """The verdicts on some of the compositions."""
        arrays = {one.name: getattr(self, one.name)[rows] for one in fields(Validity)}
        return Checked(**arrays, batch=self.batch[rows], rules=self.rules)
