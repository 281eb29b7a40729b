"""The oxidation states of one composition, each with how common it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from matgen.composition.elements import SYMBOLS
from matgen.validity import RARE, Explanation, state_shares
from matgen.validity.commonness import share_text
from matgen.validity.rules import COMMONALITY

COMMON = COMMONALITY["medium"] / 100
"""Share of its element's reports from which a state is common, as SMACT's commonality `medium` has it."""


@dataclass(frozen=True)
class Ion:
    """Atoms of one element in one state.

    Attributes:
        symbol: of the element.
        state: oxidation state.
        count: atoms in the reduced formula.
        share: of the reports of its element in the ICSD that have this state, 0 to 1; NaN for an element without any.
    """

    symbol: str
    state: int
    count: int
    share: float

    @property
    def level(self) -> str:
        """`common`, `uncommon`, `rare` or `unreported`."""
        if not self.share > 0:
            return "unreported"
        return "rare" if self.share < RARE else "uncommon" if self.share < COMMON else "common"

    @property
    def title(self) -> Markup:
        """Such as 2 Fe³⁺, as HTML."""
        size = "" if abs(self.state) == 1 else str(abs(self.state))
        charge = f"{size}{'+' if self.state > 0 else '-'}" if self.state else "0"
        return Markup("{}{}<sup>{}</sup>").format(f"{self.count} " if self.count > 1 else "", self.symbol, charge)

    @property
    def words(self) -> str:
        """How common it is, such as `common, 97 %`."""
        return self.level if self.level == "unreported" else f"{self.level}, {share_text(self.share)}"


def ions_of(explanation: Explanation, mixed: Explanation, i: int) -> tuple[list[Ion], str]:
    """The ions of one composition's best assignment, and what is to be said of them.

    Args:
        explanation: by the rules that count.
        mixed: of the same batch with mixed valence, which is taken where nothing else balances.
        i: the composition.

    Returns:
        No ions for an element and where nothing is neutral; the sentence is "" where all is plain.
    """
    if explanation.batch.n_elements[i] == 1:
        return [], ""
    balanced = bool(explanation.validity.electronegativity_balanced[i])
    by_mixing = not balanced and bool(mixed.validity.electronegativity_balanced[i])
    chosen = mixed if by_mixing else explanation
    if not chosen.validity.charge_neutral[i]:
        return [], str(explanation.reason[i] or "no assignment of oxidation states is neutral")
    note = "with mixed valence" if by_mixing else "" if balanced else str(explanation.reason[i] or "")
    rows = np.flatnonzero(chosen.ions.row == i)
    elements, states = chosen.ions.element[rows], chosen.ions.state[rows]
    shares = state_shares(elements.astype(np.int64), states)
    return [
        Ion(str(SYMBOLS[element]), int(state), int(count), float(share))
        for element, state, count, share in zip(elements, states, chosen.ions.count[rows], shares, strict=True)
    ], note
