from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from matgen.errors import CheckpointError, OutputError
from matgen.fitting.examples import TokenTable
from matgen.fitting.loop import Fitter
from matgen.fitting.settings import FitSettings
from matgen.io.files import read_checksummed
from matgen.models import build_model
from matgen.models.objectives.causal import causal_loss
from matgen.training.prefix_tree import PrefixTreeLoss

SETTINGS = FitSettings(batch_size=8, epochs=4, evaluations=6, precision="fp32", patience=50)


def table_of(n: int = 64, seed: int = 0) -> TokenTable:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 9, n)
    ids = np.zeros((n, 8), dtype=np.int16)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = [1, *rng.integers(32, 60, length - 2), 2]
    return TokenTable.from_numpy(ids, lengths)


def fitter(folder: Path, *, settings: FitSettings = SETTINGS, loss=causal_loss, validate=None, n: int = 64) -> Fitter:
    # Dropout on, so that a resumed run must also see the same random numbers.
    model = build_model("gpt2", "tiny", "expanded", seed=0)
    model.config.update({"embd_pdrop": 0.1, "attn_pdrop": 0.1, "resid_pdrop": 0.1})
    table = table_of(n)

    def nats(model: torch.nn.Module) -> float:
        return float(causal_loss(model, table.batch(np.arange(n)), torch.Generator())) / n

    return Fitter(PrefixTreeLoss(model), table, loss, validate or nats, folder, settings)


def weights(fit: Fitter) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in fit.raw_model.named_parameters()}


def interrupt_at(step: int):
    calls = 0

    def loss(model, batch, generator):
        nonlocal calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGINT)
        return causal_loss(model, batch, generator)

    return loss


@pytest.mark.parametrize("step", [1, 13, 31])
def test_interrupted_and_resumed_gives_the_same_weights_bit_for_bit(tmp_path: Path, step: int) -> None:
    before = signal.getsignal(signal.SIGINT)
    whole = fitter(tmp_path / "whole")
    expected = whole.run()
    assert not expected.interrupted
    assert expected.state.history[-1]["valid_loss"] < expected.state.history[0]["valid_loss"]

    first = fitter(tmp_path / "cut", loss=interrupt_at(step)).run()
    assert first.interrupted
    assert first.state.step == step
    second = fitter(tmp_path / "cut")
    result = second.run(resume=True)
    assert not result.interrupted
    final = weights(second)
    assert all(torch.equal(final[name], value) for name, value in weights(whole).items())
    for a, b in zip(expected.state.history, result.state.history, strict=True):
        assert (a["step"], a["valid_loss"]) == (b["step"], b["valid_loss"])
    assert signal.getsignal(signal.SIGINT) is before


def test_state_on_disk(tmp_path: Path) -> None:
    fit = fitter(tmp_path)
    state = fit.run().state
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == state.history
    assert lines[-1]["step"] == state.total_steps == 32
    assert len(list((tmp_path / "training").glob("step-*"))) == 1
    assert not any(path.suffix in {".pt", ".pkl", ".bin"} for path in tmp_path.rglob("*"))


def test_best_weights_are_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    figures = iter([5.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(model: torch.nn.Module) -> float:
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return next(figures)

    settings = FitSettings(batch_size=8, epochs=4, evaluations=6, precision="fp32", patience=2)
    fit = fitter(tmp_path, settings=settings, validate=validate)
    result = fit.run()
    assert result.stopped_early
    assert len(result.state.history) == 4
    assert result.state.best_loss == 3.0
    assert all(torch.equal(p, seen[1][name]) for name, p in fit.raw_model.named_parameters())


def test_minutes_become_steps_once(tmp_path: Path) -> None:
    settings = FitSettings(batch_size=8, max_minutes=0.02, evaluations=2, precision="fp32", patience=50)
    first = fitter(tmp_path, settings=settings, loss=interrupt_at(14)).run()  # 12 calls of these are the probe's
    assert first.interrupted
    total = first.state.total_steps
    assert total > 2
    resumed = fitter(tmp_path, settings=settings).run(resume=True)
    assert resumed.state.total_steps == resumed.state.step == total


def test_a_saved_state_is_never_written_again(tmp_path: Path) -> None:
    """An interrupt right after an evaluation must not open the files that `latest.json` points at."""
    fit = fitter(tmp_path, loss=interrupt_at(6))  # every sixth step is evaluated, and so saved
    fit.run()
    assert fit.state.step == 6
    saved = next((tmp_path / "training").glob("step-*/model.safetensors"))
    before = saved.stat().st_mtime_ns
    again = fitter(tmp_path)
    again._load()
    again._save()
    assert saved.stat().st_mtime_ns == before
    fit._save()
    assert saved.stat().st_mtime_ns == before


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fitter(tmp_path).run()
    assert torch.equal(before, torch.get_rng_state())


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        fitter(tmp_path).run(resume=True)


def test_resuming_on_other_data_or_damaged_state_is_refused(tmp_path: Path) -> None:
    fitter(tmp_path, loss=interrupt_at(9)).run()
    with pytest.raises(CheckpointError, match="trained on 64 examples, the dataset now has 32"):
        fitter(tmp_path, n=32).run(resume=True)
    model = next((tmp_path / "training").glob("step-*/model.safetensors"))
    model.write_bytes(model.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot resume from"):
        fitter(tmp_path).run(resume=True)


@pytest.mark.parametrize("change", [{"folder": "../../elsewhere"}, {"folder": None}, {"step": "3"}, []])
def test_a_state_that_no_run_writes_is_refused(tmp_path: Path, change: object) -> None:
    fitter(tmp_path, loss=interrupt_at(3)).run()
    latest = tmp_path / "training" / "latest.json"
    content = read_checksummed(latest)
    latest.write_text(json.dumps(content | change if isinstance(change, dict) else change))
    with pytest.raises(CheckpointError, match=r"is damaged|names a folder that no run writes"):
        fitter(tmp_path).run(resume=True)


def test_a_full_disk_keeps_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitter(tmp_path, loss=interrupt_at(3)).run()
    before = (tmp_path / "training" / "latest.json").read_text()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matgen.fitting.state.save_weights", full)
    with pytest.raises(OutputError, match="No space left"):
        fitter(tmp_path).run(resume=True)
    assert (tmp_path / "training" / "latest.json").read_text() == before
    monkeypatch.undo()
    assert not fitter(tmp_path).run(resume=True).interrupted
