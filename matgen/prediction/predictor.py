"""Predictors: an ensemble of members in a folder, safetensors and JSON, with their calibration and a card."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from safetensors import SafetensorError

from matgen.composition.elements import SYMBOLS
from matgen.errors import CheckpointError, DataError, MissingDependencyError, OutputError, first_line
from matgen.io.files import write_text
from matgen.io.folders import read_description, verify_files, write_description
from matgen.io.versions import versions
from matgen.io.weights import load_arrays, save_arrays
from matgen.prediction.selection import SelectionCalibration
from matgen.prediction.trees import TreesMember
from matgen.prediction.uncertainty import Calibration, combined

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

METADATA = "predictor.json"
FEWEST_OF_AN_ELEMENT = 10
"""Training compositions that hold an element, below which it counts as unknown."""

LARGEST_SHARE = 0.95
"""Share of a composition's atoms beyond which its most abundant element makes it unlike what was learned from, for
predictors that do not say it themselves. Of the 396,883 compounds of OQMD and the Materials Project 0.05 % have more,
nearly all of them OQMD's dilute cells of 149 magnesium atoms and one other."""


def largest_shares(batch: CompositionBatch) -> np.ndarray:
    """Share of the atoms that each composition's most abundant element has, float64 `(n,)`."""
    return np.asarray(batch.counts.max(axis=1) / batch.counts.sum(axis=1))


class Member(Protocol):
    """What every kind of member offers."""

    @property
    def parameters(self) -> int:
        """Numbers that it has learned."""

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean (or logarithm of the odds) and logarithm of the scale, float32 `(n,)` each, standardised."""

    def description(self) -> dict[str, Any]:
        """What is needed to open it, besides its files; JSON."""

    def save(self, stem: Path) -> None:
        """Write its files, whose names begin with `stem`."""


def _network(stem: Path, content: dict[str, Any]) -> Member:
    from matgen.prediction.learned import TorchMember
    from matgen.prediction.network import CompositionNetwork

    return TorchMember.load(stem, CompositionNetwork.from_description(content))


def _language_model(stem: Path, content: dict[str, Any]) -> Member:
    from matgen.prediction.language import LanguageNetwork
    from matgen.prediction.learned import TorchMember

    return TorchMember.load(stem, LanguageNetwork.from_description(content))


MEMBERS: dict[str, Callable[[Path, dict[str, Any]], Member]] = {
    "network": _network,
    "trees": TreesMember.load,
    "language_model": _language_model,
}
"""Kind of a predictor to what opens a member of it."""


@dataclass
class Predictor:
    """Members that predict one property.

    Attributes:
        members: all of one kind.
        metadata: content of `predictor.json`: `kind`, `property`, `task`, `source`, `unit`, `center`, `scale` ...
        calibration: of the spreads, or of the odds.
        folder: where it was read from; None for one that was not saved.
        selection: of distances to the hull, for what was chosen by them; None where it was not calibrated for that.
    """

    members: list[Member]
    metadata: dict[str, Any]
    calibration: Calibration
    folder: Path | None = None
    selection: SelectionCalibration | None = None

    @property
    def name(self) -> str:
        """The property."""
        return str(self.metadata["property"])

    @property
    def lowest(self) -> float:
        """What the property cannot be below; minus infinity where it can be anything."""
        lowest = self.metadata["lowest"]
        return -np.inf if lowest is None else float(lowest)

    @property
    def classifies(self) -> bool:
        """Whether the property is one that a composition has or has not."""
        return self.metadata["task"] == "classification"

    def predict(self, batch: CompositionBatch) -> pd.DataFrame:
        """Predictions for `n` compositions.

        Returns:
            Of a number: columns `<property>` and `<property>_std` (in the property's unit), `<property>_low` and
            `<property>_high` (a conformal interval of 95 %). Of what is or is not: `<property>`, bool, and
            `<property>_probability`. Then `<property>_source`, and `in_domain` (see `in_domain`).
        """
        mean, spread, disagreement = self.spread(batch)
        name = self.name
        if name == "formation_energy":
            # Formation energies refer to the elements, whose own is 0 by definition and not by any model.
            compound = batch.n_elements > 1
            mean, spread = np.where(compound, mean, 0.0), np.where(compound, spread, 0.0)
        if self.classifies:
            columns = {name: mean > 0.5, f"{name}_probability": mean}
        else:
            low, high = self.calibration.intervals(mean, spread, 0.95).T
            low, high = np.where(spread > 0, low, mean), np.where(spread > 0, high, mean)
            columns = {
                name: mean,
                f"{name}_std": spread,
                f"{name}_low": np.maximum(low, self.lowest),
                f"{name}_high": np.maximum(high, self.lowest),
            }
        provenance = {f"{name}_source": self.metadata["source"], "in_domain": self.in_domain(batch, disagreement)}
        return pd.DataFrame(columns | provenance)

    def spread(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, spread and disagreement of the members, float64 `(n,)` each, in the property's unit.

        Of what is or is not: the calibrated probability, the standard deviation that it implies, and the disagreement
        of the members' probabilities.
        """
        means, scales = self.outputs(batch)
        if self.classifies:
            probabilities = self.calibration.probability(means)
            mean = probabilities.mean(axis=0)
            return mean, np.sqrt(mean * (1 - mean)), probabilities.std(axis=0)
        mean, spread, disagreement = combined(means, scales)
        return np.maximum(mean, self.lowest), spread, disagreement

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale that each member says, float64 `(members, n)` each, in the property's unit.

        Of what is or is not: the logarithm of the odds, as it was learned.
        """
        networks = None
        if self.metadata["kind"] == "network":
            from matgen.prediction.ensemble import outputs_together, stackable

            networks = stackable(self.members)
        if networks is not None:
            means, log_scales = outputs_together(networks, batch)
        else:
            outputs = [member.outputs(batch) for member in self.members]
            means, log_scales = (np.stack(parts) for parts in zip(*outputs, strict=True))
        means, log_scales = means.astype(np.float64), log_scales.astype(np.float64)
        center, scale = self.metadata["center"], self.metadata["scale"]
        return center + scale * means, scale * np.exp(log_scales)

    def in_domain(self, batch: CompositionBatch, disagreement: np.ndarray) -> np.ndarray:
        """Whether compositions are of the kind that was learned from, bool `(n,)`.

        They are not where an element occurs in fewer than `FEWEST_OF_AN_ELEMENT` training compositions, where there is
        one element only, where one element has a larger share of the atoms than in all but one in a thousand training
        compositions (or `LARGEST_SHARE`), or where members disagree more than on all but one in a hundred held-out
        compositions.
        """
        known = np.zeros(len(SYMBOLS), dtype=bool)
        known[0] = True
        for z, symbol in enumerate(SYMBOLS):
            known[z] |= self.metadata["elements"].get(symbol, 0) >= FEWEST_OF_AN_ELEMENT
        largest = self.metadata["largest_usual_disagreement"]
        usual = disagreement <= (np.inf if largest is None else largest)
        balanced = largest_shares(batch) <= self.metadata.get("largest_usual_share", LARGEST_SHARE)
        return known[batch.elements].all(axis=1) & (batch.n_elements > 1) & usual & balanced

    def save(self, folder: Path | str, card: str = "") -> None:
        """Write the predictor, `predictor.json` last, so that a folder with it is complete.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / METADATA).unlink(missing_ok=True)
            for old in folder.glob("member-*.*"):
                old.unlink()
            for i, member in enumerate(self.members):
                member.save(folder / f"member-{i}")
            scores = {"scores": self.calibration.scores}
            if self.selection is not None:
                scores["selection"] = self.selection.scores
            save_arrays(
                {name: values.astype(np.float32) for name, values in scores.items()},
                folder / "calibration.safetensors",
            )
        except (OSError, SafetensorError) as error:
            raise OutputError(f"cannot write the predictor {folder}: {error}") from error
        if card:
            write_text(folder / "README.md", card)
        shutil.rmtree(folder / "training", ignore_errors=True)
        description = {
            "members": [member.description() for member in self.members],
            "temperature": self.calibration.temperature,
            "versions": versions("torch", "numpy", "crepes", "lightgbm"),
        }
        write_description(folder, METADATA, self.metadata | description, leave=("README.md",))

    @classmethod
    def load(cls, folder: Path | str) -> Predictor:
        """Open a predictor's folder.

        Raises:
            CheckpointError: it is missing, damaged, or no predictor.
            MissingDependencyError: a library that it needs is not installed.
        """
        folder = Path(folder)
        if not (folder / METADATA).is_file():
            raise CheckpointError(f"{folder} has no {METADATA}: make a predictor with `matgen fit --out {folder}`")
        try:
            metadata = read_description(folder, METADATA)
            verify_files(folder, METADATA, metadata, "run `matgen fit` again")
            open_member = MEMBERS[metadata["kind"]]
            members = [
                open_member(folder / f"member-{i}", description) for i, description in enumerate(metadata["members"])
            ]
            arrays = load_arrays(folder / "calibration.safetensors")
            scores = {name: array.astype(np.float64) for name, array in arrays.items()}
            calibration = Calibration(scores["scores"], float(metadata["temperature"]))
            selection = SelectionCalibration(scores["selection"]) if "selection" in scores else None
            return cls(members, metadata, calibration, folder, selection)
        except (ImportError, MissingDependencyError):
            raise
        except DataError as error:
            raise CheckpointError(f"cannot open the predictor {folder}: {error}") from error
        except Exception as error:  # foreign names and shapes, or members that cannot be read
            raise CheckpointError(f"cannot open the predictor {folder}: {first_line(error)}") from error
