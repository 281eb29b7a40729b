from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from matgen.cli import main
from matgen.errors import CheckpointError, OptionError, OutputError
from matgen.prediction import FitPlan, Predictor, table_property, tuning
from matgen.prediction.tuning import tune_plan
from tests.prediction.user_tables import hardness_table

QUICK = FitPlan("trees", trees={"num_iterations": 15})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    hardness_table(80).to_csv(path, index=False)
    return path


def test_a_killed_search_goes_on(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = table_property(table, "hardness", folds=3)
    out, seen = tmp_path / "p", []

    def stop_at_the_third(number: int, error: float, chosen: dict) -> None:
        seen.append((number, error))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune_plan(data, QUICK, out, trials=5, minutes=5, on_trial=stop_at_the_third)
    with pytest.raises(OutputError, match="exists"):
        tune_plan(data, QUICK, out, trials=5, minutes=5)
    with pytest.raises(CheckpointError, match="of another table or kind"):
        changed = dataclasses.replace(data, target=data.target + np.arange(len(data.target)))
        tune_plan(changed, QUICK, out, trials=5, minutes=5, resume=True)
    found = tune_plan(data, QUICK, out, trials=5, minutes=5, resume=True, on_trial=lambda *one: seen.append(one[:2]))
    assert [number for number, _ in seen] == [0, 1, 2, 3, 4] and found.trials == 5
    assert found.first == seen[0][1] and found.error == min(error for _, error in seen)
    assert set(found.best) == set(tuning._OF_TREES) and found.plan.trees == {**QUICK.trees, **found.best}
    # The first trial is of the usual settings, and what it says is what members of them do.
    usual = tune_plan(data, QUICK, tmp_path / "again", trials=1, minutes=5)
    assert usual.error == pytest.approx(found.first)


def test_searches_that_make_no_sense(table: Path, tmp_path: Path) -> None:
    data = table_property(table, "hardness")
    with pytest.raises(OptionError, match="both must be above 0"):
        tune_plan(data, QUICK, tmp_path / "p", trials=0, minutes=1)
    with pytest.raises(OptionError, match="not of language models"):
        tune_plan(data, FitPlan("language_model"), tmp_path / "p", trials=1, minutes=1)
    assert not (tmp_path / "p").exists()


def test_settings_of_networks() -> None:
    chosen = {"learning_rate": 1e-3, "weight_decay": 0.1, "dropout": 0.2, "layers": 2, "width": 64}
    plan = tuning.with_settings(FitPlan(), chosen)
    assert (plan.size.layers, plan.size.width, plan.size.feed_forward, plan.size.dropout) == (2, 64, 256, 0.2)
    assert (plan.settings.learning_rate, plan.settings.weight_decay) == (1e-3, 0.1)


def test_the_command_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matgen.prediction.trees._ROUNDS", 15)
    out = tmp_path / "p"
    fit = ["fit", "--table", str(table), "--target", "hardness", "--kind", "trees", "--folds", "3", "--out", str(out)]
    assert main([*fit, "--tune", "--trials", "2"]) == 0
    told = capsys.readouterr().err
    assert "tune: up to 2 trials, none begun after 10 minutes" in told
    assert "best of 2 trials: " in told and "(the usual settings: " in told
    tuned = Predictor.load(out).metadata["tuning"]
    assert tuned["trials"] == 2 and tuned["error"] <= tuned["error_of_the_usual"]
    card = (out / "README.md").read_text()
    assert "settings, the best of 2 trials" in card and "Settings were chosen by the same rows" in card
    assert not (out / "training").exists()
    assert main([*fit, "--tune"]) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*fit[:-1], str(tmp_path / "q"), "--trials", "3"]) == 0
    assert "note: --trials is not used by trees without --tune" in capsys.readouterr().err
