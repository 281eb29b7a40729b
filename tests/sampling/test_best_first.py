"""The most probable compositions against the probability of every sequence."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError, OutputError
from matgen.io.files import read_json
from matgen.models import load_checkpoint
from matgen.models.tokenizer import BOS, EOS, decode, encode
from matgen.sampling import Constraints, Sampler
from matgen.sampling.best_first import list_to_file, most_probable
from matgen.sampling.likelihood import Likelihood
from tests.sampling.conftest import FEW


def every_composition(checkpoint) -> pd.Series:
    """Ln probability of each composition of up to three tokens of the elements of `FEW`, all its sequences added up."""
    tokens = sorted({int(t) for t in encode(CompositionBatch.from_formulas(FEW), "expanded")[0].ravel() if t > 31})
    merged: dict[str, float] = {}
    for length in (1, 2, 3):
        every = torch.tensor([[BOS, *s, EOS] for s in itertools.product(tokens, repeat=length)])
        with torch.inference_mode():
            log_prob = Likelihood(checkpoint).exact(every).double().numpy()
        read = decode(every.numpy(), "expanded")
        for formula, value in zip(read.batch.formulas(), log_prob, strict=True):
            merged[formula] = np.logaddexp(merged.get(formula, -np.inf), value)
    return pd.Series(merged).sort_values(ascending=False)


@pytest.mark.parametrize("key", ["gpt2", "gpt"])
def test_the_list_is_that_of_all_compositions(few, key: str) -> None:
    checkpoint = load_checkpoint(few(key))
    expected = every_composition(checkpoint)
    listed = most_probable(checkpoint, 12)
    assert listed.frame["formula"].tolist()[:8] == expected.index[:8].tolist()
    both = listed.frame.set_index("formula")["log_prob_merged"]
    assert both[expected.index[:8]].to_numpy() == pytest.approx(expected[:8].to_numpy(), abs=1e-3)
    assert (listed.frame["log_prob_merged"].diff().dropna() <= 1e-9).all()
    assert (listed.frame["log_prob"].fillna(-99) <= listed.frame["log_prob_merged"] + 1e-6).all()
    assert listed.mass_listed == pytest.approx(np.exp(both).sum())
    assert listed.mass_listed + listed.mass_not_listed == pytest.approx(1)
    assert listed.complete_above <= both.iloc[-1] + 1e-9
    assert listed.frame["sequences"].min() >= 1


def test_no_more_probable_sequence_is_missing(checkpoints) -> None:
    """Everything that sampling meets above the bound is on the list."""
    checkpoint = load_checkpoint(checkpoints("gptj"))
    listed = most_probable(checkpoint, 300)
    (block,) = Sampler(checkpoint, precision="fp32").sample(3000)
    above = set(block.formulas[block.log_prob > listed.complete_above + 1e-3])
    assert len(above) > 20
    assert above <= set(listed.frame["formula"])


def test_constraints_filter_the_list(checkpoints, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(checkpoints("gptj"))
    constraints = Constraints.from_options(within="Li-Na-O-F-Cl", valid=True)
    out = tmp_path / "top.csv"
    listed = list_to_file(checkpoint, 20, out, constraints=constraints)
    assert constraints.satisfied(CompositionBatch.from_formulas(listed.frame["formula"])).all()
    assert pd.read_csv(out)["formula"].tolist() == listed.frame["formula"].tolist()
    metadata = read_json(Path(f"{out}.json"))
    assert metadata["mass_listed"] == pytest.approx(listed.mass_listed)
    assert metadata["constraints"]["valid"] is True
    with pytest.raises(OutputError, match="exists"):
        list_to_file(checkpoint, 20, out)


def test_bad_requests(checkpoints) -> None:
    with pytest.raises(OptionError, match="top is 0"):
        most_probable(load_checkpoint(checkpoints("gptj")), 0)
    with pytest.raises(OptionError, match="RoBERTa does not write from left to right"):
        most_probable(load_checkpoint(checkpoints("roberta")), 5)


def test_elements_that_training_never_showed_are_refused(checkpoints, tmp_path) -> None:
    with pytest.raises(OptionError, match="does not know Og"):
        list_to_file(
            load_checkpoint(checkpoints("gpt2")),
            5,
            tmp_path / "t.csv",
            constraints=Constraints.from_options(contains="Og"),
        )
