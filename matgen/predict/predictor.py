"""Predictors: an ensemble of networks in a folder, safetensors and JSON, with their calibration and a card."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from matgen.chemistry import SYMBOLS
from matgen.errors import CheckpointError, OutputError, first_line
from matgen.files import read_json, write_json, write_text
from matgen.predict.network import CompositionNetwork, network_inputs, size_of
from matgen.predict.uncertainty import Calibration, combined
from matgen.versions import versions

if TYPE_CHECKING:
    from matgen.composition import CompositionBatch

METADATA = "predictor.json"
_BLOCK = 4_096
FEWEST_OF_AN_ELEMENT = 10
"""Training compositions that hold an element, below which it counts as unknown."""


@dataclass
class Predictor:
    """Networks that predict one property.

    Attributes:
        members: the networks, in evaluation mode.
        metadata: content of `predictor.json`: `property`, `source`, `unit`, `center`, `scale`, `elements` ...
        calibration: of the spreads.
        folder: where it was read from; None for one that was not saved.
    """

    members: list[CompositionNetwork]
    metadata: dict[str, Any]
    calibration: Calibration
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The property."""
        return str(self.metadata["property"])

    def predict(self, batch: CompositionBatch) -> pd.DataFrame:
        """Predictions for `n` compositions.

        Returns:
            Columns `<property>` and `<property>_std` (in the property's unit), `<property>_low` and `<property>_high`
            (a conformal interval of 95 %), `<property>_source`, and `in_domain` (see `in_domain`).
        """
        mean, spread, disagreement = self.spread(batch)
        low, high = self.calibration.intervals(mean, spread, 0.95).T
        name = self.name
        return pd.DataFrame(
            {
                name: mean,
                f"{name}_std": spread,
                f"{name}_low": low,
                f"{name}_high": high,
                f"{name}_source": self.metadata["source"],
                "in_domain": self.in_domain(batch, disagreement),
            }
        )

    def spread(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, spread and disagreement of the members, float64 `(n,)` each, in the property's unit."""
        return combined(*self.outputs(batch))

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale that each member says, float64 `(members, n)` each, in the property's unit."""
        found = [network_outputs(member, batch) for member in self.members]
        means, log_scales = (np.stack(parts).astype(np.float64) for parts in zip(*found, strict=True))
        center, scale = self.metadata["center"], self.metadata["scale"]
        return center + scale * means, scale * np.exp(log_scales)

    def in_domain(self, batch: CompositionBatch, disagreement: np.ndarray) -> np.ndarray:
        """Whether compositions are of the kind that was learned from, bool `(n,)`.

        They are not where an element occurs in fewer than `FEWEST_OF_AN_ELEMENT` training compositions, where there is
        one element only, or where members disagree more than on all but one in a hundred held-out compositions.
        """
        known = np.zeros(len(SYMBOLS), dtype=bool)
        known[0] = True
        for z, symbol in enumerate(SYMBOLS):
            known[z] |= self.metadata["elements"].get(symbol, 0) >= FEWEST_OF_AN_ELEMENT
        usual = disagreement <= self.metadata["largest_usual_disagreement"]
        return known[batch.elements].all(axis=1) & (batch.n_elements > 1) & usual

    def save(self, folder: Path | str, card: str = "") -> None:
        """Write the predictor, `predictor.json` last, so that a folder with it is complete.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / METADATA).unlink(missing_ok=True)
            for old in folder.glob("member-*.safetensors"):
                old.unlink()
            for i, member in enumerate(self.members):
                tensors = {name: p.detach().to(torch.bfloat16).contiguous() for name, p in member.named_parameters()}
                save_file(tensors, folder / f"member-{i}.safetensors")
            scores = torch.from_numpy(self.calibration.scores.astype(np.float32))
            save_file({"scores": scores}, folder / "calibration.safetensors")
        except (OSError, SafetensorError) as error:
            raise OutputError(f"cannot write the predictor {folder}: {error}") from error
        if card:
            write_text(folder / "README.md", card)
        shutil.rmtree(folder / "training", ignore_errors=True)
        sizes = dataclasses.asdict(self.members[0].size)
        write_json(
            folder / METADATA,
            self.metadata
            | {"size": sizes, "members": len(self.members), "versions": versions("torch", "numpy", "crepes")},
        )

    @classmethod
    def load(cls, folder: Path | str) -> Predictor:
        """Open a predictor's folder.

        Raises:
            CheckpointError: it is missing, damaged, or no predictor.
        """
        folder = Path(folder)
        if not (folder / METADATA).is_file():
            raise CheckpointError(f"{folder} has no {METADATA}: make a predictor with `matgen fit --out {folder}`")
        metadata = read_json(folder / METADATA)
        try:
            members = []
            for i in range(metadata["members"]):
                member = CompositionNetwork(size_of(metadata["size"]))
                tensors = load_file(folder / f"member-{i}.safetensors")
                member.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
                members.append(member.eval())
            scores = load_file(folder / "calibration.safetensors")["scores"].double().numpy()
        except Exception as error:  # missing or damaged files, foreign names and shapes
            raise CheckpointError(f"cannot open the predictor {folder}: {first_line(error)}") from error
        return cls(members, metadata, Calibration(scores), folder)


def network_outputs(network: CompositionNetwork, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
    """Mean and logarithm of the scale of the first target, float32 `(n,)` each, in standardised units."""
    elements, fractions = network_inputs(batch)
    rows = np.argsort(batch.n_elements, kind="stable")
    mean, log_scale = (np.zeros(len(batch), dtype=np.float32) for _ in range(2))
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            width = int(batch.n_elements[block[-1]])
            found = network(
                torch.from_numpy(elements[block, :width].astype(np.int64)), torch.from_numpy(fractions[block, :width])
            )
            mean[block], log_scale[block] = (part[:, 0].numpy() for part in found)
    return mean, log_scale
