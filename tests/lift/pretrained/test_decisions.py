"""Decisions between completions, against every completion spelled out."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from matgen.lift.number_grammar import END
from matgen.lift.pretrained.decisions import NONE, label_decisions, number_answer, number_decisions

END_TOKEN = 9
LABELS = st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), min_size=2, max_size=6, unique=True)


def scores_after(path):
    """Logits of ten tokens after a path, the same whenever it is asked for."""
    return torch.from_numpy(np.random.default_rng([len(path), *path]).normal(size=10)).float()


@given(LABELS)
def test_probabilities_of_labels_are_those_of_a_walk_down_the_tree(texts):
    labels = [[*text, END_TOKEN] for text in texts]
    decisions, answers = label_decisions(labels)
    total = 0.0
    for label, answer in zip(labels, answers, strict=True):
        logits = torch.stack([scores_after(label[:place]) for place in answer.places])[None]
        found = decisions.nats(logits, torch.tensor([answer.sets]), torch.tensor([answer.chosen]))
        expected = 0.0
        for place, token in enumerate(label):
            may_follow = sorted({other[place] for other in labels if other[:place] == label[:place]})
            among = scores_after(label[:place])[may_follow].log_softmax(dim=0)
            expected -= float(among[may_follow.index(token)])
        assert abs(float(found) - expected) < 1e-4
        assert list(answer.tokens) == label[: len(answer.tokens)] and len(answer.tokens) == max(answer.places)
        total += np.exp(-float(found))
    assert abs(total - 1) < 1e-4


def test_what_all_labels_share_is_not_decided():
    decisions, answers = label_decisions([[5, 1, 9], [5, 2, 7, 9], [5, 2, 8, 9]])
    assert decisions.paths == ((5,), (5, 2))
    assert [answer.tokens for answer in answers] == [(5,), (5, 2), (5, 2)]
    assert decisions.allowed.tolist() == [[1, 2], [7, 8]]


def test_rows_with_fewer_decisions_count_those_alone():
    decisions, _ = label_decisions([[1, 9], [2, 3, 9], [2, 4, 9]])
    logits = torch.zeros((2, 2, 10))
    nats = decisions.nats(logits, torch.tensor([[0, NONE], [0, 1]]), torch.tensor([[0, NONE], [1, 0]]))
    assert np.allclose(nats.numpy(), [np.log(2), 2 * np.log(2)])


@given(st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,2})?(e-?[0-9]{1,2})?", fullmatch=True))
def test_each_character_of_a_number_and_its_end_is_a_decision(text):
    characters = {character: 20 + i for i, character in enumerate("0123456789-.e")}
    decisions = number_decisions(characters, END_TOKEN)
    answer = number_answer(text, characters, decisions)
    allowed = decisions.allowed[0].tolist()
    letters = {token: character for character, token in characters.items()} | {END_TOKEN: END}
    assert [letters[allowed[i]] for i in answer.chosen] == [*text, END]
    assert answer.places == tuple(range(len(text) + 1)) and len(answer.tokens) == len(text)
