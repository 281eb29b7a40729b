"""A small reference with the interface of a dataset, for tests that need no bundled data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet

# fmt: off
FORMULAS = [
    "SrTiO3", "CaTiO3", "BaTiO3", "NaCl", "KCl", "LiFePO4", "Fe2O3", "Fe3O4", "MgO", "Al2O3", "SiO2", "TiO2",
    "LiCoO2", "ZnS", "CdTe", "GaAs", "YBa2Cu3O7", "Na2SO4", "CaCO3", "CuZn", "Ni3Al", "FeCo", "TiAl", "AuCu3",
    "MgCu2", "NbSn3", "LaNi5", "Cs2AgBiBr6", "CsPbI3", "BiFeO3", "KNbO3", "LiNbO3", "MnO2", "V2O5", "ZrO2",
    "HfO2", "CeO2", "La2CuO4", "SmCo5", "Nd2Fe14B", "MgB2", "WC", "TiN", "Si3N4", "BN", "AlN", "GaN", "InP",
    "PbTe", "Bi2Te3", "Sb2Se3", "SnSe", "GeTe", "MoS2", "WSe2",
]
# fmt: on


@dataclass
class Reference:
    """What `evaluate` reads of a dataset; every third row is held out as `test`."""

    formulas: list[str] = field(default_factory=lambda: list(FORMULAS))
    name: str = "stand-in"

    def __post_init__(self) -> None:
        self.batch = CompositionBatch.from_formulas(self.formulas)
        self.split = np.array(["train", "train", "test"], dtype=object)[np.arange(len(self.batch)) % 3]
        self.sha256 = self.keyset().sha256()

    def keyset(self) -> KeySet:
        return KeySet(self.batch.keys())

    def part(self, name: str) -> CompositionBatch:
        return self.batch[self.split == name]
