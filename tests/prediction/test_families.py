"""Numbers of compounds beside a composition: a loop over all is the oracle."""

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.hull import CompetingPhases
from matgen.prediction.families import Families, anonymous_keys

KNOWN = ["SrTiO3", "BaTiO3", "Sr2TiO4", "TiO2", "NaCl", "KCl", "LiFePO4", "Ti3O", "SrTi2O3"]


def others_by_loop(known: list[str], asked: list[str]) -> list[list[int]]:
    def kinds(formulas: list[str]) -> list[tuple[str, str, str]]:
        batch = CompositionBatch.from_formulas(formulas)
        return list(zip(batch.formulas(), batch.anonymous_formulas(), batch.chemical_systems(), strict=True))

    return [
        [sum(one[1] == anonymous and one[0] != formula for one in kinds(known)),
         sum(one[2] == system and one[0] != formula for one in kinds(known))]
        for formula, anonymous, system in kinds(asked)
    ]  # fmt: skip


def test_others_are_counted_without_the_composition_itself() -> None:
    batch = CompositionBatch.from_formulas(KNOWN)
    families = Families(CompetingPhases(batch, np.full(len(batch), -1.0), "labels"))
    asked = ["SrTiO3", "CaTiO3", "SrTiO2", "LiCl", "MgSiO3", "Na2Cl3", "LiFePO4"]
    assert families.others(CompositionBatch.from_formulas(asked)).tolist() == others_by_loop(KNOWN, asked)


def test_none_is_known() -> None:
    empty = CompetingPhases(CompositionBatch.from_formulas([]), np.zeros(0), "labels")
    assert Families(empty).others(CompositionBatch.from_formulas(["NaCl"])).tolist() == [[0, 0]]


def test_anonymous_keys_are_equal_where_anonymous_formulas_are() -> None:
    batch = CompositionBatch.from_formulas([*KNOWN, "Fe2O3", "As2S3", "Al3Ni2"])
    names = batch.anonymous_formulas()
    keys = anonymous_keys(batch)
    assert [[a == b for b in names] for a in names] == [[bool(a == b) for b in keys] for a in keys]
