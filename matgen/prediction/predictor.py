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
from matgen.prediction.classes import class_columns, class_probabilities
from matgen.prediction.cross_conformal import CrossCalibration
from matgen.prediction.features import Feature, FeaturedBatch, require_features, with_features
from matgen.prediction.locate import METADATA, find_predictor, require_predictor
from matgen.prediction.selection import SelectionCalibration
from matgen.prediction.stability_model import StabilityModel
from matgen.prediction.trees import TreesMember
from matgen.prediction.uncertainty import Calibration, combined
from matgen.runtime.notebook import facts_html

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

_STABILITY = "stability.safetensors"
FEWEST_OF_AN_ELEMENT = 10
"""Training compositions that hold an element, below which it counts as unknown."""

LARGEST_SHARE = 0.95
"""Share of a composition's atoms beyond which its most abundant element makes it unlike what was learned from, for
predictors that do not say it themselves. Of the 396,883 compounds of OQMD and the Materials Project 0.05 % have more,
nearly all of them OQMD's dilute cells of 149 magnesium atoms and one other."""


def largest_shares(batch: CompositionBatch) -> np.ndarray:
    """Share of the atoms that each composition's most abundant element has, float64 `(n,)`."""
    return np.asarray(batch.counts.max(axis=1) / batch.counts.sum(axis=1))


def _as_batch(batch: CompositionBatch | Any) -> CompositionBatch:
    """Compositions as they are; formulas as compositions."""
    from matgen.composition.batch import CompositionBatch

    return batch if isinstance(batch, CompositionBatch) else CompositionBatch.from_formulas(batch)


class Member(Protocol):
    """What every kind of member offers."""

    @property
    def parameters(self) -> int:
        """Numbers that it has learned."""

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean (or logarithm of the odds) and logarithm of the scale, float32 `(n,)` each, standardised.

        Of more than two classes the first is float32 `(n, classes)`.
        """

    def description(self) -> dict[str, Any]:
        """What is needed to open it, besides its files; JSON."""

    def save(self, stem: Path) -> None:
        """Write its files, whose names begin with `stem`."""


def _network(stem: Path, content: dict[str, Any]) -> Member:
    from matgen.prediction.featured_network import FeaturedNetwork
    from matgen.prediction.learned import TorchMember
    from matgen.prediction.network import CompositionNetwork

    network = FeaturedNetwork if "features" in content else CompositionNetwork
    return TorchMember.load(stem, network.from_description(content))


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
        stability: of formation energies of a bundled source, what their distance to the hull is worth on compositions
            of any origin; None where it was not fitted.
    """

    members: list[Member]
    metadata: dict[str, Any]
    calibration: Calibration
    folder: Path | None = None
    selection: SelectionCalibration | None = None
    stability: StabilityModel | None = None

    @property
    def name(self) -> str:
        """The property."""
        return str(self.metadata["property"])

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts() if value is not None)
        return f"Predictor({facts})"

    def _repr_html_(self) -> str:
        return facts_html("Predictor", self._facts())

    def _facts(self) -> list[tuple[str, Any]]:
        """What it predicts, and by what."""
        metadata = self.metadata
        return [
            ("property", self.name),
            ("unit", metadata["unit"] or None),
            ("source", metadata["source"]),
            ("task", metadata["task"]),
            ("kind", metadata["kind"]),
            ("members", len(self.members)),
            ("folder", None if self.folder is None else self.folder.name),
        ]

    @property
    def lowest(self) -> float:
        """What the property cannot be below; minus infinity where it can be anything."""
        lowest = self.metadata["lowest"]
        return -np.inf if lowest is None else float(lowest)

    @property
    def classifies(self) -> bool:
        """Whether the property is one that a composition has or has not, or one of several classes."""
        return self.metadata["task"] == "classification"

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, None where they are true and false."""
        classes = self.metadata.get("classes")
        return None if classes is None else tuple(classes)

    def with_features(self, batch: CompositionBatch, frame: pd.DataFrame) -> CompositionBatch:
        """Compositions with the columns that the predictor needs beside the formula, found by name.

        Args:
            batch: `n` compositions.
            frame: the `n` rows that they are of.

        Raises:
            DataError: columns are missing, or a cell of a column of numbers is text.
        """
        return with_features(batch, frame, [Feature.from_json(one) for one in self.metadata.get("features", ())])

    def predict(self, batch: CompositionBatch | Any) -> pd.DataFrame:
        """Predictions for `n` compositions.

        Args:
            batch: the compositions, or formulas as `CompositionBatch.from_formulas` takes them.

        Returns:
            Of a number: columns `<property>` and `<property>_std` (in the property's unit), `<property>_low` and
            `<property>_high` (a conformal interval of 95 %). Of what is or is not: `<property>`, bool, and
            `<property>_probability`. Of named classes: `<property>`, the most probable one, `<property>_probability`
            of it, and `<property>_probability_<class>` of each. Then `<property>_source`, and `in_domain` (see
            `in_domain`).

        Raises:
            OptionError: the predictor needs columns beside the formula, and the batch has none.
        """
        batch = _as_batch(batch)
        outputs = self.outputs(batch)
        mean, spread, disagreement = self._spread_of(*outputs)
        name = self.name
        if name == "formation_energy":
            # Formation energies refer to the elements, whose own is 0 by definition and not by any model.
            compound = batch.n_elements > 1
            mean, spread = np.where(compound, mean, 0.0), np.where(compound, spread, 0.0)
        if self.classes is not None:
            columns = class_columns(name, self.classes, self.probabilities(outputs[0]))
        elif self.classifies:
            columns = {name: mean > 0.5, f"{name}_probability": mean}
        else:
            low, high = self.intervals(*outputs, 0.95).T
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
        of the members' probabilities. Of more than two classes: those of the most probable one.
        """
        return self._spread_of(*self.outputs(batch))

    def _spread_of(self, means: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.classifies:
            probabilities = class_probabilities(self.calibration, means)
            if means.ndim == 2:
                probabilities = probabilities[..., 1]
            else:
                likeliest = probabilities.mean(axis=0).argmax(axis=-1)
                probabilities = np.take_along_axis(probabilities, likeliest[None, :, None], axis=-1)[..., 0]
            mean = probabilities.mean(axis=0)
            return mean, np.sqrt(mean * (1 - mean)), probabilities.std(axis=0)
        mean, spread, disagreement = combined(means, scales)
        return np.maximum(mean, self.lowest), spread, disagreement

    def probabilities(self, log_odds: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of each class, float64 `(n, classes)`, of what `outputs` says first."""
        return class_probabilities(self.calibration, log_odds).mean(axis=0)

    def intervals(self, means: np.ndarray, scales: np.ndarray, confidence: float) -> np.ndarray:
        """Conformal bounds of a number, float64 `(n, 2)`, of what `outputs` says; infinite where too few calibrate.

        They hold the mean too, and are not cut at the lowest value.
        """
        mean, spread, _ = self._spread_of(means, scales)
        if not isinstance(self.calibration, CrossCalibration):
            return self.calibration.intervals(mean, spread, confidence)
        low, high = self.calibration.intervals_of_members(means, scales, confidence).T
        return np.stack([np.minimum(low, mean), np.maximum(high, mean)], axis=1)

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale that each member says, float64 `(members, n)` each, in the property's unit.

        Of what is or is not: the logarithm of the odds, as it was learned; of more than two classes `(members, n,
        classes)`.
        """
        require_features(self.name, self.metadata.get("features", ()), batch)
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

        They are not where an element occurs in fewer than `FEWEST_OF_AN_ELEMENT` training compositions (of small tables
        in fewer than one in fifty), where there is one element only, where a column beside the formula has a text that
        was not learned from or a number far beyond the others, where one element has a larger share of the atoms than
        in all but one in a thousand training compositions (or `LARGEST_SHARE`), or where members disagree more than on
        all but one in a hundred held-out compositions.
        """
        fewest = self.metadata.get("fewest_of_an_element", FEWEST_OF_AN_ELEMENT)
        known = np.zeros(len(SYMBOLS), dtype=bool)
        known[0] = True
        for z, symbol in enumerate(SYMBOLS):
            known[z] |= self.metadata["elements"].get(symbol, 0) >= fewest
        largest = self.metadata["largest_usual_disagreement"]
        usual = disagreement <= (np.inf if largest is None else largest)
        balanced = largest_shares(batch) <= self.metadata.get("largest_usual_share", LARGEST_SHARE)
        strange = batch.strange if isinstance(batch, FeaturedBatch) else np.zeros(len(batch), dtype=bool)
        return known[batch.elements].all(axis=1) & (batch.n_elements > 1) & usual & balanced & ~strange

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
            if isinstance(self.calibration, CrossCalibration) and self.calibration.fold is not None:
                scores["fold"] = self.calibration.fold
            if self.selection is not None:
                scores["selection"] = self.selection.scores
            save_arrays(
                {name: values.astype(np.float32) for name, values in scores.items()},
                folder / "calibration.safetensors",
            )
            (folder / _STABILITY).unlink(missing_ok=True)
            if self.stability is not None:
                save_arrays(self.stability.arrays(), folder / _STABILITY)
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
        """Open a predictor.

        Args:
            folder: its folder, or the name of a bundled one: `band_gap-mp`, or a property, such as `band_gap`.

        Raises:
            CheckpointError: it is missing, damaged, or no predictor.
            MissingDependencyError: a library that it needs is not installed.
        """
        if isinstance(folder, str) and not Path(folder).exists() and Path(folder).name == folder:
            folder = find_predictor(folder)
        folder = Path(folder)
        require_predictor(folder)
        try:
            metadata = read_description(folder, METADATA)
            verify_files(folder, METADATA, metadata, "run `matgen fit` again")
            open_member = MEMBERS[metadata["kind"]]
            members = [
                open_member(folder / f"member-{i}", description) for i, description in enumerate(metadata["members"])
            ]
            arrays = load_arrays(folder / "calibration.safetensors")
            scores = {name: array.astype(np.float64) for name, array in arrays.items()}
            temperature = float(metadata["temperature"])
            calibration = Calibration(scores["scores"], temperature)
            if "fold" in scores:
                calibration = CrossCalibration(scores["scores"], temperature, scores["fold"].astype(np.int64))
            selection = SelectionCalibration(scores["selection"]) if "selection" in scores else None
            stability = None
            if (folder / _STABILITY).is_file():
                stability = StabilityModel.from_arrays(metadata["source"], load_arrays(folder / _STABILITY))
            return cls(members, metadata, calibration, folder, selection, stability)
        except (ImportError, MissingDependencyError):
            raise
        except DataError as error:
            raise CheckpointError(f"cannot open the predictor {folder}: {error}") from error
        except Exception as error:  # foreign names and shapes, or members that cannot be read
            raise CheckpointError(f"cannot open the predictor {folder}: {first_line(error)}") from error
