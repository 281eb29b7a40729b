from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest

from matgen.cli import main
from matgen.errors import CheckpointError, MissingDependencyError, OptionError, OutputError
from matgen.models.presets import find_preset
from matgen.models.registry import MODELS
from matgen.models.shapes import Range
from matgen.training import TrainingPlan, default_settings
from matgen.training.search import SearchPlan, search


@pytest.fixture
def plan(small_table: Path) -> SearchPlan:
    settings = default_settings("tiny", "gpt2", epochs=1, batch_size=64, precision="fp32", evaluations=4)
    return SearchPlan(TrainingPlan("gpt2", str(small_table), settings=settings), ("learning_rate", "width", "dropout"))


@pytest.mark.parametrize("key", MODELS)
def test_every_row_has_a_space_in_which_its_shapes_fit_together(key: str) -> None:
    space = SearchPlan(TrainingPlan(key)).space()
    assert {"learning_rate", "dropout", "layers", "width", "head_width"} <= set(space)
    widths, heads = space["width"], space["head_width"]
    assert all(width % head == 0 for width in widths for head in heads)
    rate = space["learning_rate"]
    assert isinstance(rate, Range)
    assert all(rate.low <= find_preset(name, key).settings["learning_rate"] <= rate.high for name in ("tiny", "paper"))


@pytest.mark.slow
def test_the_preset_is_tried_first_and_the_best_trial_is_written(plan: SearchPlan, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", []
    result = search(plan, out, trials=3, on_trial=lambda number, nats, preset: seen.append((number, nats, preset)))
    assert (result.ended, result.pruned, result.interrupted) == (3, 0, False)
    trials = pd.read_csv(out / "trials.csv")
    assert list(trials["state"]) == ["COMPLETE"] * 3
    first = find_preset("tiny", "gpt2")
    assert trials["params_learning_rate"][0] == pytest.approx(first.settings["learning_rate"])
    assert seen[0][2].shape == first.shape
    assert trials["params_learning_rate"].nunique() == 3
    best = find_preset(str(out / "preset.json"))
    row = trials.loc[trials["value"].idxmin()]
    assert best.settings["learning_rate"] == pytest.approx(row["params_learning_rate"])
    assert best.shape.width == row["params_width"]
    assert best.shape.layers == first.shape.layers  # not searched
    content = json.loads((out / "preset.json").read_text())
    assert content["valid_nats"] == pytest.approx(trials["value"].min())
    assert set(content["trial_budget"]) == {"max_minutes", "epochs"}
    assert not list((out / "trials").iterdir())  # models of trials are not kept


def test_it_goes_on_where_it_stood_with_other_trials(plan: SearchPlan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    search(plan, out, trials=1)
    with pytest.raises(OutputError, match="exists"):
        search(plan, out, trials=2)
    result = search(plan, out, trials=2, resume=True)
    assert result.ended == 2
    assert pd.read_csv(out / "trials.csv")["params_learning_rate"].nunique() == 2
    again = search(plan, out, trials=2, resume=True)  # nothing left to do
    assert again.ended == 2
    assert search(plan, out, trials=1, force=True).ended == 1


def test_conditions_and_balance_are_those_of_every_trial(small_table: Path, tmp_path: Path, capsys) -> None:
    quick = ["tune", "--model", "gpt2", "--dataset", str(small_table), "--epochs", "1", "--trials", "1"]
    out = tmp_path / "out"
    assert main([*quick, "--balance", "condition", "--out", str(out)]) == 2
    assert "needs properties to condition on" in capsys.readouterr().err
    assert not out.exists()
    balance = ["--balance", "anonymous_formula", "--balance-exponent", "1"]
    assert main([*quick, *balance, "--search", "dropout", "--out", str(out)]) == 0
    assert "balanced" in capsys.readouterr().err
    training = json.loads((out / "search.json").read_text())["training"]
    assert (training["balance"], training["balance_exponent"]) == ("anonymous_formula", 1)
    assert main([*quick, "--search", "dropout", "--out", str(tmp_path / "plain")]) == 0
    balanced, plain = (json.loads((folder / "preset.json").read_text()) for folder in (out, tmp_path / "plain"))
    assert balanced["valid_nats"] != pytest.approx(plain["valid_nats"], abs=1e-3)  # compared by what they learn for


@pytest.mark.slow
def test_two_processes_share_a_search(plan: SearchPlan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    search(plan, out, trials=1)
    command = [sys.executable, "-m", "matgen", "tune", "--resume", "--trials", "5", "--out", str(out)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    numbers = [int(line.split()[1]) for text in told for line in text.splitlines() if line.startswith("trial ")]
    assert len(numbers) == len(set(numbers)) >= 4
    assert all("trial " in text for text in told)  # both took part
    assert len(pd.read_csv(out / "trials.csv")) in (5, 6)


def test_trials_worse_than_half_of_the_others_are_stopped(
    plan: SearchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    search(plan, out, trials=1)
    worst = {"learning_rate": 5e-4, "width": 64, "dropout": 0.3}
    ask = optuna.Study.ask

    def ask_for_the_worst(study: optuna.Study) -> optuna.Trial:
        study.enqueue_trial(worst)
        return ask(study)

    monkeypatch.setattr(optuna.Study, "ask", ask_for_the_worst)
    seen = []
    result = search(plan, out, trials=2, resume=True, trials_before_pruning=1, on_trial=lambda *what: seen.append(what))
    assert result.pruned == 1
    assert seen[0][1] is None


def test_bad_requests(plan: SearchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    out = tmp_path / "out"
    with pytest.raises(OptionError, match="trials is 0"):
        search(plan, out, trials=0)
    with pytest.raises(OptionError, match="cannot search depth; known: learning_rate"):
        SearchPlan(plan.training, ("depth",))
    with pytest.raises(CheckpointError, match="no search to resume"):
        search(plan, out, trials=1, resume=True)
    assert main(["tune", "--model", "gpt9", "--out", str(out)]) == 2
    assert "unknown model 'gpt9'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match="pip install 'matgen\\[tune\\]'"):
        search(plan, out, trials=1)
    assert not out.exists()
