from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.errors import CheckpointError, OptionError, OutputError
from matgen.io.files import read_json
from matgen.io.weights import load_weights
from matgen.models.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from matgen.models.conditions import Conditions
from matgen.models.locate import find_checkpoint
from matgen.models.registry import build_model
from matgen.models.shapes import Shape
from matgen.reinforcement import ReinforcementPlan, reinforce
from tests.progress import Recorder, StopAfter

TINY = "hybrid-mix-gptj-tiny"


def plan(**changes) -> ReinforcementPlan:
    given = {"reward": "contains(O) * max(valid, 0.2)", "steps": 7, "batch_size": 128, "learning_rate": 3e-3}
    return ReinforcementPlan(TINY, **(given | changes))


@pytest.fixture(scope="module")
def rewarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from beginning to end."""
    out = tmp_path_factory.mktemp("reinforced") / "run"
    recorder = Recorder()
    result = reinforce(plan(), out, progress=recorder)
    assert not result.interrupted
    assert recorder.notes == result.history
    return out


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def test_the_reward_rises_and_the_folder_is_a_checkpoint(rewarded: Path, tmp_path: Path) -> None:
    steps = history(rewarded)
    assert [entry["step"] for entry in steps] == list(range(1, 8))
    assert steps[-1]["reward"] > 1.5 * steps[0]["reward"] > 0
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-6) and steps[-1]["kl"] > 0
    assert steps[0]["shared"] <= steps[0]["reward"]
    assert not (rewarded / "training").exists()
    said = read_json(rewarded / "matgen.json")
    assert said["init"] == said["reinforcement"]["start"] == TINY
    assert said["reinforcement"]["reward"] == plan().reward
    assert said["reinforcement"]["before"]["reward"] == steps[0]["reward"]
    assert "valid_nats" not in said["metrics"] and said["metrics"]["kl"] > 0
    assert plan().reward in (rewarded / "README.md").read_text()
    drawn, scored = tmp_path / "drawn.csv", tmp_path / "scored.csv"
    assert main(["sample", "-n", "300", "--model", str(rewarded), "--out", str(drawn), "--quiet"]) == 0
    assert main(["score", str(drawn), "--model", str(rewarded), "--out", str(scored), "--quiet"]) == 0
    assert np.isfinite(pd.read_csv(scored, keep_default_na=False)["log_prob"]).all()
    tinkered = ["tinker", "SrTiO3", "--mask", "Sr", "--model", str(rewarded), "--out", str(tmp_path / "t.csv")]
    assert main([*tinkered, "--quiet"]) == 0


@pytest.mark.parametrize("updates", [1, 4])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    rewarded: Path, tmp_path: Path, updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matgen.reinforcement.run.SAVED_EVERY", 2)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        reinforce(plan(), out, progress=StopAfter(updates))
    with pytest.raises(CheckpointError, match="`matgen reinforce --resume` goes on"):
        read_metadata(out)
    assert not reinforce(plan(reward="cost"), out, resume=True).interrupted  # its own plan holds
    ours, theirs = (load_weights(folder / "model.safetensors") for folder in (out, rewarded))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    without = [{k: v for k, v in one.items() if k != "seconds"} for one in history(out)]
    assert without == [{k: v for k, v in one.items() if k != "seconds"} for one in history(rewarded)]
    with pytest.raises(CheckpointError, match="has ended"):
        reinforce(plan(), out, resume=True)


def test_a_run_ends_by_its_minutes_and_a_result_is_not_overwritten(rewarded: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = reinforce(plan(max_minutes=1e-6, kl=0.5, diversity=0.0), out)
    assert len(result.history) == 1 and not result.interrupted
    with pytest.raises(OutputError, match="exists"):
        reinforce(plan(), out)
    with pytest.raises(CheckpointError, match="nothing to resume"):
        reinforce(plan(), tmp_path / "none", resume=True)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("valid * 0 + 1", "is constant: 1 for all of"),
        ("2", "names no column"),
        ("log(-cost)", "has no value"),
        ("-cost", "is negative for 100%"),
        ("contains(Og) * exp(-cost)", "is constant: 0"),
        ("novle", "did you mean novel"),
        ("cost +", "cannot read the reward"),
    ],
)
def test_bad_rewards_are_one_line_and_nothing_is_written(
    reward: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["reinforce", "--model", TINY, f"--reward={reward}", "--batch-size", "128", "--out", str(out), "--quiet"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (out / "matgen.json").exists() and not (out / "training").exists()


@pytest.mark.parametrize("name", ["steps", "learning_rate", "batch_size", "kl", "diversity", "max_minutes", "seed"])
def test_numbers_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        plan(**{name: -1})


@pytest.mark.parametrize("key", ["blmm", "bart", "roberta"])
def test_those_that_can_be_reinforced_are_named(key: str, tmp_path: Path) -> None:
    model = build_model(key, Shape(1, 2, 16, 32), "counted", seed=0)
    save_checkpoint(tmp_path / key, model, {"architecture": key, "notation": "counted", "metrics": {}})
    with pytest.raises(CheckpointError, match="cannot be reinforced: take a checkpoint of gpt, gpt2, gptneo, gptj"):
        reinforce(ReinforcementPlan(str(tmp_path / key), "cost"), tmp_path / "out")


def test_the_average_lies_between_the_start_and_the_end(rewarded: Path, tmp_path: Path) -> None:
    out = tmp_path / "averaged"
    reinforce(plan(average=0.25), out)
    assert [entry["kl"] for entry in history(out)] == [entry["kl"] for entry in history(rewarded)]
    start, end, between = (
        load_weights(folder / "model.safetensors") for folder in (find_checkpoint(TINY), rewarded, out)
    )
    for name, tensor in between.items():
        expected = 0.75 * start[name].double() + 0.25 * end[name].double()
        np.testing.assert_allclose(tensor.double().numpy(), expected.numpy(), rtol=0, atol=1e-6)
    assert read_metadata(out)["reinforcement"]["average"] == 0.25
    assert "0.25 of those at its end" in (out / "README.md").read_text()


@pytest.mark.parametrize("average", [0.0, 1.5, float("nan")])
def test_a_share_outside_its_range_is_refused(average: float) -> None:
    with pytest.raises(OptionError, match="average is"):
        plan(average=average)


def test_a_conditional_model_draws_under_its_condition(tmp_path: Path) -> None:
    conditions, _ = Conditions.of({"band_gap": np.linspace(0, 5, 100)})
    model = build_model("gptj", Shape(1, 2, 16, 32), "counted", seed=0)
    said = {"architecture": "gptj", "notation": "counted", "metrics": {}, "conditions": conditions.describe()}
    save_checkpoint(tmp_path / "start", model, said)
    how = ReinforcementPlan(
        str(tmp_path / "start"),
        "num_elements",
        steps=2,
        batch_size=32,
        learning_rate=1e-2,
        conditions=("band_gap=2..3",),
    )
    steps = reinforce(how, tmp_path / "out").history
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-5) and steps[1]["kl"] != 0
    kept = load_checkpoint(tmp_path / "out").conditions
    assert kept is not None and kept.describe() == conditions.describe()
    with pytest.raises(OptionError, match="takes no conditions"):
        reinforce(plan(conditions=("band_gap=2..3",)), tmp_path / "other")
