"""Progress on the terminal: a bar with rate and ETA where there is one, a line an evaluation elsewhere, or silence."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """A progress bar on standard error.

    Args:
        label: what is being done.
        unit: of the counted things.
        quiet: print nothing at all.
        loss_unit: of the losses of a training.
        examples: what a training learns from, of which there are so many a second.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        *,
        quiet: bool = False,
        loss_unit: str = "nats/formula",
        examples: str = "formulas",
    ) -> None:
        self.label, self.unit, self.quiet, self.loss_unit, self.examples = label, unit, quiet, loss_unit, examples
        self._bar: Any = None

    def start(self, total: int | None, done: int = 0) -> None:
        """Begin counting to `total` (None where it is not known) from `done`."""
        if self.quiet:
            return
        from tqdm import tqdm

        self._bar = tqdm(
            total=total,
            initial=done,
            desc=self.label,
            unit=f" {self.unit}",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            unit_scale=self.unit in ("B", "formulas"),
        )

    def advance(self, amount: int = 1, formulas_per_second: float | None = None) -> None:
        """Count `amount` more things, and show a rate of formulas where one is given."""
        if self._bar is None:
            return
        if formulas_per_second is not None:
            self._bar.set_postfix_str(f"{formulas_per_second:,.0f} {self.examples}/s", refresh=False)
        self._bar.update(amount)

    def note(self, figures: dict[str, float]) -> None:
        """Print a line of training figures above the bar."""
        if self.quiet:
            return
        from tqdm import tqdm

        rate = f"{figures['formulas_per_second']:7,.0f} {self.examples}/s"
        tqdm.write(
            f"step {figures['step']:>7,.0f}  epoch {figures['epoch']:6.2f}  train {figures['train_loss']:7.3f}  "
            f"valid {figures['valid_loss']:7.3f} {self.loss_unit}  {rate}",
            file=sys.stderr,
        )

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
