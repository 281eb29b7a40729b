from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from matgen.cli import main
from matgen.errors import CheckpointError, DataError, OptionError, OutputError
from matgen.models import MODELS
from matgen.models.checkpoint import load_checkpoint, read_metadata
from matgen.training import TrainingPlan, default_settings, train_model
from tests.conftest import TWO_PROCESSES
from tests.progress import StopAfter

QUICK = {"epochs": 1, "batch_size": 64, "precision": "fp32"}


@pytest.mark.parametrize("key", MODELS)
def test_every_architecture_learns(checkpoints, key: str) -> None:
    metrics = read_metadata(checkpoints(key))["metrics"]
    assert metrics["valid_nats"] < 26  # untrained: about 5 nats a token, 7 tokens a formula
    assert metrics["figure"] == ("bound" if MODELS[key].any_order else "exact")
    assert abs(metrics["test_nats"] - metrics["valid_nats"]) < 8


def test_counted_notation(checkpoints) -> None:
    checkpoint = load_checkpoint(checkpoints("gptj", "counted"))
    assert checkpoint.notation == "counted"
    assert checkpoint.model.config.vocab_size == 32 + 118 * 16


@pytest.mark.slow
def test_same_seed_same_weights(train_small, tmp_path: Path) -> None:
    first, second = (load_file(train_small("gptj", tmp_path / n, epochs=1) / "model.safetensors") for n in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_published_control_objective(small_table: Path, tmp_path: Path) -> None:
    plan = TrainingPlan(
        "roberta", str(small_table), objective="masked-fixed", settings=default_settings("tiny", **QUICK)
    )
    train_model(plan, tmp_path / "out")
    assert read_metadata(tmp_path / "out")["metrics"]["figure"] == "control"


def test_bad_requests_write_nothing(small_table: Path, tmp_path: Path, formulas_csv) -> None:
    out = tmp_path / "out"
    cases = [
        (TrainingPlan("gpt9", str(small_table)), OptionError, "unknown model"),
        (TrainingPlan("gpt2", str(small_table), notation="x"), OptionError, "unknown notation"),
        (TrainingPlan("gpt2", str(small_table), preset="x"), OptionError, "unknown preset"),
        (TrainingPlan("gpt2", str(small_table), objective="masked"), OptionError, "does not fit"),
        (TrainingPlan("gpt2", "no-such-set"), OptionError, "unknown dataset"),
        (TrainingPlan("gpt2", str(formulas_csv(["Xx2", "Yy"]))), DataError, "none of the 2 formulas"),
        (TrainingPlan("gpt2", str(formulas_csv(["NaCl"], "one.csv"))), DataError, "has no formulas for"),
    ]
    for plan, kind, message in cases:
        with pytest.raises(kind, match=message):
            train_model(plan, out)
        assert not out.exists()


def test_finished_and_existing_runs_are_not_touched(train_small, small_table: Path, tmp_path: Path) -> None:
    out = train_small("gpt2", tmp_path / "out", epochs=1)
    before = (out / "model.safetensors").read_bytes()
    plan = TrainingPlan("gpt2", str(small_table), settings=default_settings("tiny", **QUICK))
    with pytest.raises(OutputError, match="exists: choose another --out, or add --force"):
        train_model(plan, out)
    with pytest.raises(CheckpointError, match="has ended: there is nothing to resume"):
        train_model(plan, out, resume=True)
    assert (out / "model.safetensors").read_bytes() == before
    train_model(plan, out, force=True)


@pytest.mark.slow
def test_a_run_that_ended_before_its_first_save_starts_again(train_small, tmp_path: Path) -> None:
    whole = train_small("gpt2", tmp_path / "whole", epochs=1)
    (tmp_path / "cut" / "training").mkdir(parents=True)
    shutil.copy(whole / "training" / "plan.json", tmp_path / "cut" / "training")
    train_model(TrainingPlan(), tmp_path / "cut", resume=True)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    (tmp_path / "cut" / "matgen.json").unlink()
    (tmp_path / "cut" / "training" / "plan.json").write_text('{"settings": {"trackers": []}, "model_kind": 1}')
    with pytest.raises(CheckpointError, match="not a training plan of this version"):
        train_model(TrainingPlan(), tmp_path / "cut", resume=True)


@pytest.mark.slow
def test_a_forced_run_leaves_nothing_of_the_earlier_one(train_small, small_table: Path, tmp_path: Path) -> None:
    out = train_small("gpt2", tmp_path / "out", epochs=1)
    marker = out / "training" / "best.safetensors"
    marker.write_text("of the earlier run")
    plan = TrainingPlan("gpt2", str(small_table), settings=default_settings("tiny", **QUICK))
    result = train_model(plan, out, force=True)
    assert not result.interrupted
    assert len(load_file(marker)) > 10


def test_formulas_longer_than_the_model_are_left_out_and_counted(small_table: Path, tmp_path: Path) -> None:
    table = tmp_path / "long.csv"
    table.write_text(small_table.read_text() + "KH300\n")
    plan = TrainingPlan("gpt2", str(table), "expanded", settings=default_settings("tiny", **QUICK))
    train_model(plan, tmp_path / "out")
    assert read_metadata(tmp_path / "out")["formulas_too_long"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("key", ["gptj", "roberta"])
def test_killed_and_resumed_ends_with_the_same_weights(key: str, small_table: Path, tmp_path: Path) -> None:
    def command(out: Path, *more: str) -> list[str]:
        options = ["--epochs", "8", "--batch-size", "32", "--precision", "fp32", "--patience", "99", "--quiet"]
        fixed = ["train", "--model", key, "--dataset", str(small_table), "--preset", "tiny", "--out", str(out)]
        return [sys.executable, "-m", "matgen", *fixed, *options, *more]

    subprocess.run(command(tmp_path / "whole"), check=True)
    process = subprocess.Popen(command(tmp_path / "cut"))
    state = tmp_path / "cut" / "training" / "latest.json"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # somewhere in the middle of a step, or of a write
    process.kill()
    process.wait()
    assert not (tmp_path / "cut" / "matgen.json").exists()
    resume = ["train", "--resume", "--out", str(tmp_path / "cut"), "--quiet"]
    subprocess.run([sys.executable, "-m", "matgen", *resume], check=True)
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one_and_take_over_its_run(small_table: Path, tmp_path: Path) -> None:
    """Equal global batch, half of the examples each; and a run of one process resumed by two."""
    options = ["--epochs", "3", "--batch-size", "33", "--precision", "fp32", "--evaluations", "6", "--quiet"]
    fixed = ["train", "--model", "gptj", "--dataset", str(small_table), "--preset", "tiny", *options]
    assert main([*fixed, "--out", str(tmp_path / "one")]) == 0
    together = [*TWO_PROCESSES, "-m", "matgen"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "29641"}
    subprocess.run([*together, *fixed, "--out", str(tmp_path / "two")], check=True, env=environment)

    plan = TrainingPlan(
        "gptj",
        str(small_table),
        settings=default_settings("tiny", epochs=3, batch_size=33, precision="fp32", evaluations=6),
    )
    with pytest.raises(KeyboardInterrupt):
        train_model(plan, tmp_path / "cut", progress=StopAfter(notes=2))
    resume = ["train", "--resume", "--out", str(tmp_path / "cut"), "--quiet"]
    subprocess.run([*together, *resume], check=True, env=environment | {"MASTER_PORT": "29642"})
    curves = [
        [json.loads(line)["valid_loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two", "cut")
    ]
    assert len(curves[0]) == 6
    assert curves[1] == pytest.approx(curves[0], abs=2e-3)
    assert curves[2] == pytest.approx(curves[0], abs=2e-3)
    assert (tmp_path / "cut" / "matgen.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["gptj", "blmm"])
def test_a_model_shared_out_over_processes_learns_as_one_held_whole(
    key: str, small_table: Path, tmp_path: Path
) -> None:
    options = ["--epochs", "2", "--batch-size", "33", "--precision", "fp32", "--evaluations", "4", "--quiet"]
    fixed = ["train", "--model", key, "--dataset", str(small_table), "--preset", "tiny", "--accumulate", "2", *options]
    fixed += ["--dropout", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "29643"}
    together = [*TWO_PROCESSES, "-m", "matgen"]
    if key == "blmm":  # each process has its own noise: two must be compared with two
        subprocess.run([*together, *fixed, "--out", str(tmp_path / "one")], check=True, env=environment)
    else:
        assert main([*fixed, "--out", str(tmp_path / "one")]) == 0
    subprocess.run([*together, *fixed, "--shard", "--out", str(tmp_path / "two")], check=True, env=environment)
    curves = [
        [json.loads(line)["valid_loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert curves[1] == pytest.approx(curves[0], abs=2e-3)
    one, two = (read_metadata(tmp_path / name)["metrics"]["test_nats"] for name in ("one", "two"))
    assert two == pytest.approx(one, abs=2e-3)
    assert set(load_file(tmp_path / "one" / "model.safetensors")) == set(
        load_file(tmp_path / "two" / "model.safetensors")
    )


@pytest.mark.slow
def test_a_large_model_is_trained_shared_out_stopped_and_resumed_by_one_process(
    small_table: Path, tmp_path: Path
) -> None:
    table = tmp_path / "few.csv"
    table.write_text("\n".join(small_table.read_text().splitlines()[:60]) + "\n")
    options = ["--epochs", "1", "--batch-size", "30", "--precision", "fp32", "--evaluations", "2", "--quiet", "--shard"]
    out = tmp_path / "out"
    fixed = ["train", "--model", "gpt2", "--dataset", str(table), "--preset", "large", *options, "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "29644"}
    process = subprocess.Popen([*TWO_PROCESSES, "-m", "matgen", *fixed], env=environment)
    deadline = time.monotonic() + 300
    while not (out / "training" / "latest.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    begun = psutil.Process(process.pid).children(recursive=True)  # they outlive their launcher
    for one in (process, *begun):
        one.kill()
    for one in (process, *begun):
        one.wait()
    if not (out / "matgen.json").exists():
        assert main(["train", "--resume", "--out", str(out), "--quiet"]) == 0
    metrics = read_metadata(out)["metrics"]
    assert metrics["parameters"] > 80e6
    assert metrics["steps"] == 2
