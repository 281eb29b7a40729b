from __future__ import annotations

import pytest

from matgen.models import MODELS, OBJECTIVES
from matgen.training.card import model_card


def card_of(key: str, objective: str, balance: dict | None = None, **metrics: float) -> str:
    figures = {"parameters": 1_234_567, "epochs": 2.0, "seconds": 60.0, "valid_nats": 13.25}
    return model_card(
        {
            "architecture": key,
            "preset": "tiny",
            "dataset": "hybrid-pure",
            "dataset_sha256": "00ff",
            "notation": "counted",
            "objective": objective,
            "formulas": {"train": 9_000, "valid": 500, "test": 500},
            "seed": 3,
            "balance": balance,
            "metrics": {**figures, "figure": OBJECTIVES[objective].figure, **metrics},
        }
    )


@pytest.mark.parametrize("key", MODELS)
def test_the_card_says_how_a_model_was_trained_and_is_opened(key: str) -> None:
    row = MODELS[key]
    text = card_of(key, row.objective.key)
    assert f"# {row.title} (tiny) on hybrid-pure" in text
    assert f"| objective | {row.objective.key}: {row.objective.summary} |" in text
    assert f"{row.auto_class}.from_pretrained" in text
    assert ("after `import matgen.models`" in text) == (key == "blmm")
    assert ("exact, with `<eos>`" in text) != row.any_order
    assert "held-out (test)" not in text


def test_a_balance_is_told() -> None:
    assert "balanced" not in card_of("gptj", "causal")
    told = card_of("gptj", "causal", balance={"by": "anonymous_formula", "exponent": 0.5})
    assert "| balanced by anonymous_formula | exponent 0.5 |" in told


def test_a_control_is_called_one_and_test_figures_are_shown() -> None:
    text = card_of("roberta", "masked-fixed", test_nats=14.0)
    assert "not a likelihood" in text
    assert "| held-out (test) nats a formula | 14.000 |" in text
