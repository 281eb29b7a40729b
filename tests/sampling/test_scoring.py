from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OutputError
from matgen.io.files import read_json
from matgen.models.tokenizer import BOS, EOS, MASK, encode, suppressed_ids
from matgen.sampling import Sampler
from matgen.sampling.scoring import expected_recovery, score_file, score_table


@pytest.mark.parametrize("key", ["gpt2", "bart"])
def test_scores_are_those_of_the_forward_pass(checkpoints, key: str) -> None:
    sampler = Sampler(checkpoints(key))
    frame = pd.DataFrame({"formula": ["SrTiO3", "Xx", "NaCl", "Y3Al5O12", "LiFePO4", "KH400"], "tag": list("abcdef")})
    scored = score_table(sampler, frame, "formula")
    values = scored.frame["log_prob"].to_numpy()
    assert scored.frame["tag"].tolist() == list("abcdef")
    assert np.isnan(values[1])
    assert values[5] == -np.inf
    assert [bad.row for bad in scored.bad] == [1]
    nats = tokens = 0.0
    for i in (0, 2, 3, 4):
        ids, lengths = encode(CompositionBatch.from_formulas([frame["formula"][i]]), "expanded")
        total, row = 0.0, torch.from_numpy(ids).long()
        for place in range(1, row.shape[1]):
            with torch.inference_mode():
                if key == "bart":
                    source = torch.tensor([[BOS, MASK, EOS]])
                    logits = sampler.model(input_ids=source, decoder_input_ids=row[:, :place]).logits[0, -1]
                else:
                    logits = sampler.model(input_ids=row[:, :place]).logits[0, -1]
            logits = logits.clone()
            logits[suppressed_ids("expanded")] = -torch.inf
            if place == 1:
                logits[EOS] = -torch.inf
            total += float(logits.log_softmax(-1)[row[0, place]])
        assert values[i] == pytest.approx(total, abs=1e-3)
        nats -= total
        tokens += int(lengths[0]) - 1
    assert scored.summary["formulas"] == 4
    assert scored.summary["too_long"] == 1
    assert scored.summary["nats_per_formula"] == pytest.approx(nats / 4, abs=1e-3)
    assert scored.summary["perplexity"] == pytest.approx(np.exp(nats / tokens), rel=1e-3)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files(checkpoints, formulas_csv, tmp_path: Path, suffix: str) -> None:
    sampler, source = Sampler(checkpoints("gpt2")), formulas_csv(["NaCl", "KBr", "?"])
    out = tmp_path / f"scored{suffix}"
    scored = score_file(sampler, source, out)
    frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert frame["log_prob"].tolist()[:2] == pytest.approx(scored.frame["log_prob"].tolist()[:2])
    assert read_json(Path(f"{out}.json"))["formulas"] == 2
    with pytest.raises(OutputError, match="exists"):
        score_file(sampler, source, out)
    with pytest.raises(DataError, match="none of the 1 formulas can be read"):
        score_file(sampler, formulas_csv(["??"], "bad.csv"), tmp_path / "b.csv")


def test_lengths_that_a_masked_model_has_not_learned_are_told_apart_from_too_long_ones(checkpoints) -> None:
    frame = pd.DataFrame({"formula": ["SrTiO3", "Y3Al5O12", "KH400"]})
    summary = score_table(Sampler(checkpoints("roberta")), frame, "formula").summary
    assert (summary["formulas"], summary["too_long"], summary["impossible"]) == (1, 1, 1)


def test_expected_recovery_is_the_share_found_by_drawing() -> None:
    probability = np.array([0.3, 0.05, 0.01, 1e-9, 0.0])
    draws = 40
    exact = np.mean([1 - (1 - p) ** draws for p in probability])
    with np.errstate(divide="ignore"):
        recovery = expected_recovery(np.log(probability), draws)
    assert recovery == pytest.approx(exact)
    rng = np.random.default_rng(0)
    cumulative = np.append(probability, 1 - probability.sum()).cumsum()
    hits = [
        np.isin(np.arange(5), np.searchsorted(cumulative, rng.random(draws), side="right")).mean() for _ in range(2000)
    ]
    assert np.mean(hits) == pytest.approx(recovery, abs=0.01)
    assert expected_recovery(np.zeros(1), 10) == 1.0


@pytest.mark.slow
def test_expected_recovery_of_a_model_is_what_its_draws_recover(checkpoints, small_table: Path) -> None:
    sampler = Sampler(checkpoints("gpt2"), precision="fp32")
    held = pd.read_csv(small_table, keep_default_na=False)
    batch = CompositionBatch.from_formulas(held["formula"])
    expected = expected_recovery(sampler.likelihood.summed(batch), 3000)
    shares = []
    for seed in range(6):
        keys = np.concatenate([block.keys for block in sampler.sample(3000, seed=seed)])
        shares.append(np.isin(batch.keys()[:, 0], keys[:, 0]).mean())
    assert 0.9 * expected < np.mean(shares)  # other orders may add to it
    assert np.mean(shares) < 2 * expected + 0.01
