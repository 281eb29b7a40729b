from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from matgen.models.canvas import choose_hidden, collapse_runs
from matgen.models.tokenizer import BOS, EOS, MASK, PAD

ROWS = st.lists(
    st.lists(st.tuples(st.integers(32, 149), st.booleans()), min_size=1, max_size=9), min_size=1, max_size=5
)


def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


@given(ROWS)
def test_runs_collapse_as_in_a_loop(rows) -> None:
    ids = padded([[BOS, *(token for token, _ in row), EOS] for row in rows], PAD)
    hidden = padded([[0, *(int(is_hidden) for _, is_hidden in row), 0] for row in rows], 0).bool()
    canvas, place = collapse_runs(ids, hidden, MASK)
    for number, row in enumerate(rows):
        expected, at = [BOS], [0]
        for token, is_hidden in row:
            if not (is_hidden and expected[-1] == MASK):
                expected.append(MASK if is_hidden else token)
            at.append(len(expected) - 1)
        expected.append(EOS)
        at.append(len(expected) - 1)
        assert canvas[number].tolist() == expected + [PAD] * (canvas.shape[1] - len(expected))
        assert place[number, : len(at)].tolist() == at


def test_hidden_places_are_tokens_and_weights_undo_their_number() -> None:
    ids = padded([[BOS, 40, 41, 42, EOS], [BOS, 40, EOS]], PAD).repeat(500, 1)
    lengths = (ids != PAD).sum(1)
    hidden, weight = choose_hidden(ids, lengths, torch.Generator().manual_seed(0))
    assert not hidden[(ids == BOS) | (ids == EOS) | (ids == PAD)].any()
    assert torch.allclose(hidden.sum(1) * weight, (lengths - 2).float())
    share = hidden[::2, 1:4].float().mean(0)  # a third, two thirds or all of three: two thirds in the mean
    assert torch.allclose(share, torch.full((3,), 2 / 3), atol=0.08)
