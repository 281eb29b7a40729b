from __future__ import annotations

from pathlib import Path

import pytest
import torch

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.models import MODELS
from matgen.models.checkpoint import load_checkpoint, read_metadata
from matgen.models.tokenizer import vocabulary
from matgen.sampling import Sampler
from matgen.training import TrainingPlan, default_settings, train_model
from matgen.training.transfer import continued


@pytest.mark.parametrize("key", MODELS)
def test_tokens_that_both_notations_have_keep_their_weights(checkpoints, key: str) -> None:
    model, checkpoint, (remark,) = continued(str(checkpoints(key)), "counted")
    assert "the notation expanded, this run in counted: 150 of 1,920 tokens are known" in remark
    old, new = vocabulary("expanded").tokens, vocabulary("counted").tokens
    before, after = (m.get_input_embeddings().weight for m in (checkpoint.model, model))
    for token in ("<bos>", "Sr", "O"):
        assert torch.equal(after[new.index(token)], before[old.index(token)])
    torch.testing.assert_close(after[new.index("O3")], before.mean(0))
    same = [name for name, value in checkpoint.model.named_parameters() if value.shape[0] not in (150, 118)]
    now = dict(model.named_parameters())
    assert len(same) > 10
    assert all(torch.equal(now[name], dict(checkpoint.model.named_parameters())[name]) for name in same)


def test_a_run_goes_on_from_where_the_checkpoint_stands(checkpoints, small_table: Path, tmp_path: Path, capsys) -> None:
    first, out = checkpoints("gptj"), tmp_path / "next"
    quick = ["--epochs", "1", "--batch-size", "64", "--precision", "fp32", "--evaluations", "1"]
    assert main(["train", "--init", str(first), "--dataset", str(small_table), "--out", str(out), *quick]) == 0
    captured = capsys.readouterr()
    assert f"starting from {first}" in captured.out + captured.err
    metadata = read_metadata(out)
    assert metadata["init"] == str(first)
    assert metadata["settings"]["learning_rate"] == pytest.approx(0.2 * default_settings("tiny").learning_rate)
    assert metadata["metrics"]["valid_nats"] < read_metadata(first)["metrics"]["valid_nats"]
    assert main(["train", "--init", str(first), "--preset", "small", "--dataset", str(small_table)]) == 2
    assert "leave out --preset" in capsys.readouterr().err


def test_other_architectures_and_new_elements_are_told(
    checkpoints, small_table: Path, tmp_path: Path, formulas_csv
) -> None:
    plan = TrainingPlan("gpt2", str(small_table), init=str(checkpoints("gptj")))
    with pytest.raises(OptionError, match="is a gptj, not a gpt2: leave out --model"):
        train_model(plan, tmp_path / "out")
    table = formulas_csv([*(f"NaCl{n}" for n in range(1, 40)), *(f"Og{n}O" for n in range(2, 40))])
    told: list[str] = []
    settings = default_settings("tiny", transfer=True, epochs=1, batch_size=32, precision="fp32", evaluations=1)
    plan = TrainingPlan("gptj", str(table), "expanded", init=str(checkpoints("gptj")), settings=settings)
    train_model(plan, tmp_path / "run", warn=told.extend)
    assert told == [f"{checkpoints('gptj').name} has never seen Og"]
    assert "Og" in read_metadata(tmp_path / "run")["elements"]


def test_counted_from_expanded_draws_and_scores(checkpoints, small_table: Path, tmp_path: Path) -> None:
    settings = default_settings("tiny", transfer=True, epochs=1, batch_size=64, precision="fp32", evaluations=1)
    plan = TrainingPlan("gptj", str(small_table), "counted", init=str(checkpoints("gptj")), settings=settings)
    told: list[str] = []
    train_model(plan, tmp_path / "run", warn=told.extend)
    assert len(told) == 1
    sampler = Sampler(load_checkpoint(tmp_path / "run"))
    (block,) = sampler.sample(50)
    assert len(block) == 50
    assert sampler.log_prob(CompositionBatch.from_formulas(["SrTiO3"]))[0] < 0
