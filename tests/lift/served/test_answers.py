"""What answers say: texts, and probabilities of labels by the tokens that a server lists."""

import math

import numpy as np
import pytest

from matgen.errors import DataError
from matgen.lift.served.answers import Choice, Position, choices_of, label_frequencies, label_probabilities
from tests.lift.served.stand_in import completion, message


def choice(*tokens):
    """A choice of tokens with their own probability and those beside them."""
    return Choice(
        "".join(token for token, _, _ in tokens),
        True,
        tuple(Position(t, math.log(p), {k: math.log(v) for k, v in others.items()}) for t, p, others in tokens),
    )


def test_the_first_token_gives_the_label_that_begins_with_it():
    made = label_probabilities(choice((" se", 0.7, {" se": 0.7, "ver": 0.2, "x": 0.05})), ["setosa", "versicolor"])
    assert made == pytest.approx([0.7 / 0.9, 0.2 / 0.9], abs=1e-4)


def test_labels_with_a_common_beginning_are_told_apart_by_later_tokens():
    tokens = choice(("v", 0.8, {"v": 0.8, "s": 0.2}), ("ir", 0.75, {"ir": 0.75, "er": 0.25}))
    made = label_probabilities(tokens, ["setosa", "versicolor", "virginica"])
    assert made == pytest.approx([0.2, 0.2, 0.6], abs=1e-4)


def test_a_beginning_beside_the_answer_is_shared_by_its_labels():
    made = label_probabilities(choice(("s", 0.6, {"s": 0.6, "v": 0.4})), ["setosa", "versicolor", "virginica"])
    assert made == pytest.approx([0.6, 0.2, 0.2], abs=1e-4)


@pytest.mark.parametrize(("second", "expected"), [("ne", [0.1, 0.9]), ("@@@", [0.9, 0.1])])
def test_a_label_that_begins_another_is_told_by_what_follows(second, expected):
    other = "@@@" if second == "ne" else "ne"
    tokens = choice(("no", 1.0, {"no": 1.0}), (second, 0.9, {second: 0.9, other: 0.1}))
    assert label_probabilities(tokens, ["no", "none"]) == pytest.approx(expected, abs=1e-4)


def test_an_answer_that_ends_on_a_label_is_that_label():
    made = label_probabilities(choice(("no", 0.9, {"no": 0.9, "yes": 0.1})), ["no", "none", "yes"])
    assert made == pytest.approx([0.9, 0, 0.1], abs=1e-4)


def test_numbers_as_labels_are_not_taken_for_longer_ones():
    made = label_probabilities(choice(("10", 0.6, {"10": 0.6, "1": 0.4})), ["1", "10"])
    assert made == pytest.approx([0.4, 0.6], abs=1e-4)


def test_what_begins_no_label_says_nothing():
    assert label_probabilities(choice(("The", 0.9, {"The": 0.9})), ["a", "b"]) is None
    assert label_probabilities(Choice("", True), ["a", "b"]) is None


def test_frequencies_count_readable_draws_only():
    assert label_frequencies(["a", None, "a", "b"], ("a", "b")) == pytest.approx(np.array([2.5, 1.5]) / 4)
    assert label_frequencies([None, None], ("a", "b")) is None


@pytest.mark.parametrize("made", [completion, message])
def test_both_forms_of_log_probabilities_are_read(made):
    (read,) = choices_of(made("se", [("se", {"se": 0.5, "ve": 0.25})], finish="length"))
    assert read.text == "se" and not read.ended
    assert read.positions[0].others == pytest.approx({"se": math.log(0.5), "ve": math.log(0.25)})


@pytest.mark.parametrize(
    "answer", [{}, {"choices": []}, {"choices": [{}]}, {"choices": 3}, {"choices": [{"message": None}]}, {"error": "x"}]
)
def test_other_forms_are_refused_in_a_line(answer):
    with pytest.raises(DataError, match="server's answer") as caught:
        choices_of(answer)
    assert "\n" not in str(caught.value)
