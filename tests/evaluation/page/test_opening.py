"""How a report opens, with all and with little to tell."""

from __future__ import annotations

import copy
from typing import Any

import pandas as pd
import pytest

from matgen.evaluation import evaluate
from matgen.evaluation.page import html, markdown, opening
from matgen.evaluation.page.structures import StructureSection
from matgen.evaluation.ranking import PROBABILITY
from tests.evaluation.page.test_structures import section, section_of_two
from tests.evaluation.standin import FORMULAS, Reference

NEW = ["NaBr", "SrZrO3", "K2ZnO2"]


def predicted(formulas: list[str], probabilities: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"formula": formulas, PROBABILITY: probabilities, "energy_above_hull": 0.01, "energy_above_hull_std": 0.02,
         "in_domain": True, "log_prob": -1.0}
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain():
    return evaluate([*FORMULAS, *NEW], Reference(), baselines=False)


def with_structures(content: dict[str, Any], made: StructureSection) -> dict[str, Any]:
    return content | {"structures": copy.deepcopy(made.content)}


def test_a_table_of_formulas_alone(plain) -> None:
    n = len(FORMULAS) + 3
    assert opening.headline(plain.content) == f"3 new, valid compositions among {n} candidates"
    assert [(step.count, step.title) for step in opening.steps(plain.content, None)][::2] == [
        (n, "candidates"), (3, "new and valid"),
    ]  # fmt: skip
    page = html.html(plain.content, plain.frame)
    assert "Some valid, new candidates" in page and 'id="ranking"' not in page
    assert [f'id="card-{formula}"' in page for formula in [*NEW, "NaCl"]] == [True, True, True, False]


def test_nothing_new_and_nothing_valid() -> None:
    known = evaluate(["NaCl"], Reference(), baselines=False)
    assert opening.headline(known.content) == "No new, valid composition among 1 candidates"
    page, text = html.html(known.content, known.frame), markdown.markdown(known.content)
    assert 'class="matgen-card"' not in page and text.startswith("# No new, valid composition")


def test_one_is_not_many() -> None:
    content = evaluate(["NaBr", "?"], Reference(), baselines=False).content
    assert opening.headline(content).startswith("1 new, valid composition among")
    assert opening.lead(content).endswith(" 1 row could not be read.")


def test_what_is_likely_near_the_hull_is_counted() -> None:
    report = evaluate(predicted(NEW, [0.9, 0.5, 0.49]), Reference(), baselines=False)
    assert opening.headline(report.content, report.ranked) == (
        "3 new, valid compositions, 2 of them likely within 0.1 eV/atom of the hull"
    )
    # A ranking that is cut off says nothing of all that were found.
    assert "likely" not in opening.headline(report.content, report.ranked.head(2))
    assert opening.steps(report.content, report.ranked)[-1].count == 2
    text = markdown.markdown(report.content, report.ranked)
    assert text.index("# 3 new, valid") < text.index("## First candidates") < text.index("## Metrics")


def test_structures_of_one_potential(plain) -> None:
    made = section()
    content = with_structures(plain.content, made)
    near, n = made.content["counts"]["metastable"], made.content["with_structure"]
    assert opening.headline(content).endswith(f"; {n} relaxed, {near} of them within 0.1 eV/atom of the hull")
    assert [(step.count, step.title) for step in opening.steps(content, None)][-2:] == [
        (n, "relaxed"), (near, "within 0.1 eV/atom"),
    ]  # fmt: skip
    content["structures"]["counts"]["metastable"] = 0
    assert "none within 0.1 eV/atom" in opening.headline(content)
    content["structures"]["with_structure"] = 0
    assert opening.headline(content).endswith("; none has a structure")
    text = markdown.markdown(content, None, made)
    assert "## Candidates with a structure" in text


def test_structures_of_two_potentials_name_who_says_so(plain) -> None:
    made = section_of_two()
    content = with_structures(plain.content, made)
    groups = made.content["by_potential"]
    for name, group in groups.items():
        assert f"{group['counts']['metastable']} of {group['n']} by {name}" in opening.lead(content)
    both = content["structures"]["by_potential"]["both"]
    both["n"], both["counts"]["metastable"] = content["structures"]["with_structure"], 1
    assert opening.headline(content).endswith("1 of them within 0.1 eV/atom of the hull by both potentials")
    both["n"] -= 1  # the second did not relax all of them
    first = content["structures"]["protocol"]["potential"]
    assert opening.headline(content).endswith(f"of the hull by {first}")


def test_the_first_of_a_ranking_and_all_with_a_structure_have_cards() -> None:
    formulas = [f"{a}{b}" for a in ("Rb", "Cs", "Ag", "Tl") for b in ("F", "Br", "I")]
    formulas = [*(f for f in formulas if f not in FORMULAS), "SrZrO3"]
    chances = [0.9 - 0.01 * i for i in range(len(formulas))]
    report = evaluate(predicted(formulas, chances), Reference(), baselines=False)
    order = report.ranked["formula"].tolist()
    last = order.index("SrZrO3")
    assert last >= opening.MOST_FIRST, "the test needs a structure beyond the first cards"
    cards = opening.cards(report.content, report.frame, report.ranked, section(), {})
    assert [card.formula for card in cards] == [*order[: opening.MOST_FIRST], "SrZrO3"]
    assert [card.crystal is not None for card in cards] == [False] * opening.MOST_FIRST + [True]
