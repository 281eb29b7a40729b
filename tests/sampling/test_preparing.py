from __future__ import annotations

import pytest

from matgen.errors import OptionError
from matgen.models import load_checkpoint
from matgen.sampling import Constraints, SampleRequest
from matgen.sampling.preparing import MOST_DRAWS, prepare, prompt_ids


def test_prompts_in_both_notations() -> None:
    assert prompt_ids("Li Fe", "expanded") == [34, 57]
    assert prompt_ids("Li2 O16", "counted") == [32 + 2 * 16 + 1, 32 + 7 * 16 + 15]
    assert prompt_ids(" ", "counted") == []


def test_what_a_request_becomes(checkpoints) -> None:
    checkpoint = load_checkpoint(checkpoints("gpt2"))
    constraints = Constraints.from_options(within="Li-O", max_atoms=5)
    plain = prepare(SampleRequest(250, prompt="Li O"), checkpoint, 100)
    assert (plain.most_draws, plain.n_blocks, plain.prompt) == (250, 3, (34, 39))
    assert (plain.mask, plain.accept, plain.condition_weights, plain.novel_to) == (None, None, None, None)
    masked = prepare(SampleRequest(8, constraints=constraints, unique=True), checkpoint, 100)
    assert masked.mask is not None
    assert (masked.accept, masked.existing) == (None, 11)  # Li, O, and Li_xO_y of coprime x + y up to 5
    rejected = prepare(SampleRequest(8, constraints=constraints, rejection=True), checkpoint, 100)
    assert (rejected.mask, rejected.most_draws) == (None, 8 * MOST_DRAWS)
    assert rejected.accept == constraints.satisfied
    assert prepare(SampleRequest(8, screen="band_gap > 2", most_draws=20), checkpoint, 100).most_draws == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trace": True}, "a trace is of a blank language model's steps: GPT-2 has none"),
        ({"conditions": ("band_gap=2",)}, "takes no conditions"),
        ({"prompt": "O Li", "constraints": Constraints.from_options(within="Li-O")}, "begins with 'O Li' satisfies"),
        ({"unique": True, "constraints": Constraints.from_options(within="Li-O", max_atoms=2)}, "only 3 compositions"),
    ],
)
def test_what_a_model_cannot_do_is_refused(checkpoints, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        prepare(SampleRequest(8, **options), load_checkpoint(checkpoints("gpt2")), 100)
