from __future__ import annotations

import numpy as np
import pytest
import torch

from matgen.errors import OptionError
from matgen.sampling import Decoding
from matgen.sampling.decoders.decoding import choose, cut, guided

DECODINGS = [
    Decoding(),
    Decoding(0.7),
    Decoding(top_k=5),
    Decoding(top_p=0.8),
    Decoding(min_p=0.1),
    Decoding(1.3, 20, 0.9),
    Decoding(0.8, 30, 0.95, 0.02),
]


def warped(logits: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The same by transformers' own classes, in the order in which `generate` has them."""
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = TemperatureLogitsWarper(decoding.temperature)(None, logits)
    if decoding.top_k:
        logits = TopKLogitsWarper(decoding.top_k)(None, logits)
    if decoding.top_p < 1:
        logits = TopPLogitsWarper(decoding.top_p)(None, logits)
    if decoding.min_p:
        logits = MinPLogitsWarper(decoding.min_p)(None, logits)
    return logits


@pytest.mark.parametrize("decoding", DECODINGS, ids=str)
def test_cuts_are_transformers_own(decoding: Decoding) -> None:
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(1)) * 3
    torch.testing.assert_close(cut(logits, decoding).softmax(-1), warped(logits, decoding).softmax(-1))


@pytest.mark.parametrize("decoding", DECODINGS, ids=str)
def test_tokens_are_chosen_by_their_probabilities(decoding: Decoding) -> None:
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(0)) * 2
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    for row in range(3):
        token = choose(cut(logits, decoding), torch.full((len(grid),), row), grid)
        share = torch.bincount(token, minlength=40) / len(grid)
        torch.testing.assert_close(share, warped(logits, decoding).softmax(-1)[row], atol=1e-5, rtol=0)


def test_extreme_uniforms_choose_possible_tokens() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]]).expand(2, -1)
    uniforms = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert choose(logits, torch.arange(2), uniforms).tolist() == [1, 2]


def test_a_choice_does_not_depend_on_the_rows_beside_it() -> None:
    generator = torch.Generator().manual_seed(2)
    logits, uniforms = torch.randn(300, 150, generator=generator), torch.rand(300, generator=generator).double()
    together = choose(logits, torch.arange(300), uniforms)
    alone = [int(choose(logits[i : i + 1], torch.zeros(1, dtype=torch.long), uniforms[i : i + 1])) for i in range(300)]
    assert together.tolist() == alone


@pytest.mark.parametrize("guidance", [0.5, 1.0, 2.5])
def test_guidance_is_that_of_the_papers(guidance: float) -> None:
    """p(x | c) / Z (p(x | c) / p(x))^(guidance - 1), with the probabilities themselves."""
    generator = torch.Generator().manual_seed(3)
    conditional, free = (torch.randn(20, 40, generator=generator).double() for _ in range(2))
    given, without = conditional.softmax(1), free.softmax(1)
    expected = given * (given / without) ** (guidance - 1)
    drawn_from = guided(conditional, free, guidance).softmax(1)
    torch.testing.assert_close(drawn_from, expected / expected.sum(1, keepdim=True))


@pytest.mark.parametrize(
    "change", [{"temperature": 0.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}, {"min_p": 1.0}, {"min_p": -0.1},
     {"guidance": 0.0}, {"guidance": float("inf")}],
)  # fmt: skip
def test_bad_decoding(change: dict) -> None:
    with pytest.raises(OptionError, match="must be"):
        Decoding(**change)
