"""What known compounds reach, against judging them directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matgen.datasets import load_dataset
from matgen.evaluation.known_rates import RATES, STABLE, known_rates
from matgen.validity import COMMON, INTERMETALLIC, RARE, ValidityRules, check, explain, metallicity_score


def test_rates_are_those_of_made_and_of_stable_compounds() -> None:
    found = known_rates(ValidityRules())
    frame = load_dataset("hybrid").frame
    distance = np.fmin(frame["hull_distance_oqmd"].to_numpy(), frame["hull_distance_mp"].to_numpy())
    stable = load_dataset("hybrid").batch[np.flatnonzero(distance <= np.float32(STABLE))]  # as the table stores it
    made = load_dataset("experimental")
    assert not made.frame["testing"].any()  # those are for testing alone
    for name, batch in (("made", made.batch), ("stable", stable)):
        rates, ionic = found[name], ~batch.all_metal
        assert rates["n"] == len(batch) and rates["groups"]["ionic"]["n"] == ionic.sum()
        valid, common = check(batch).valid, check(batch, COMMON).valid
        assert rates["valid"] == pytest.approx(valid.mean())
        assert rates["balanced_common"] == pytest.approx(common.mean())
        assert rates["groups"]["ionic"]["balanced_common"] == pytest.approx(common[ionic].mean())
        assert rates["intermetallic"] == pytest.approx((metallicity_score(batch) >= INTERMETALLIC).mean())
        rare = explain(batch).commonness.rarest_state_share < RARE
        assert rates["rare_state"] == pytest.approx(rare.sum() / valid.sum())
        assert set(rates) == {"n", "groups", *RATES}


def test_rates_follow_the_rules(tmp_path: Path) -> None:
    mixed = known_rates(ValidityRules(mixed_valence=True))["made"]
    assert mixed["valid"] > known_rates(ValidityRules())["made"]["valid"]
    table = tmp_path / "states.txt"
    table.write_text("Na 1\nCl -1\n")
    few = known_rates(ValidityRules(str(table)))["made"]["valid"]
    table.write_text("Na 1\nK 1\nCl -1\nBr -1\n")
    assert known_rates(ValidityRules(str(table)))["made"]["valid"] > few > 0
