from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from matgen.structures.assignment import ions_of
from matgen.structures.reasons import (
    OF_PAIRS,
    OF_TEMPLATES,
    OF_WHOLES,
    REASONS,
    SAME,
    UNKNOWN_SUBSTITUTION,
    Ion,
    IonTables,
    TemplateFacts,
    fitted_weights,
    of_pair,
    substitution,
)
from matgen.structures.templates import TemplateLibrary, bundled_templates
from matgen.structures.volume import composition_volume

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_substitutions_are_pymatgens() -> None:
    from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability

    table = SubstitutionProbability()
    calcium, strontium, oxygen = Ion("Ca", 2.0, 1.1), Ion("Sr", 2.0, 1.3), Ion("O", -2.0, 1.3)
    for one, other in [(calcium, strontium), (calcium, oxygen), (strontium, Ion("Ba", 2.0, 1.5))]:
        names = [
            f"{ion.symbol}{abs(int(ion.state or 0))}{'+' if (ion.state or 0) > 0 else '-'}" for ion in (one, other)
        ]
        assert substitution(one, other) == substitution(other, one) == pytest.approx(table.get_lambda(*names))
    assert substitution(calcium, strontium) > substitution(calcium, oxygen)
    assert substitution(calcium, calcium) == SAME
    assert substitution(calcium, Ion("Sr", None, 2.0)) == UNKNOWN_SUBSTITUTION


def test_the_weights_are_those_that_were_fitted() -> None:
    measured = json.loads((RESULTS / "structures_weights.json").read_text(encoding="utf-8"))["weights"]
    held = fitted_weights()
    for name, weights in (("constant", held.constant), ("ionic", held.ionic)):
        assert measured[name] == dict(zip(REASONS, weights.vector().tolist(), strict=True))
    assert OF_PAIRS + OF_WHOLES + OF_TEMPLATES == REASONS
    electronegativities = np.array([0.9, 3.1])
    expected = held.constant.substitution + 2.2 * held.ionic.substitution
    assert held.vector(electronegativities)[0] == pytest.approx(expected)


def test_reasons_of_pairs() -> None:
    named = dict(zip(OF_PAIRS, of_pair(Ion("Ca", 2.0, 1.1), Ion("Sr", 2.0, 1.3)), strict=True))
    assert named["group"] == 1 and named["element"] == 0 and named["period"] == 1
    assert named["state"] == named["unknown"] == named["described"] == 0
    assert named["electronegativity"] == pytest.approx(0.05)
    unlike = dict(zip(OF_PAIRS, of_pair(Ion("Ca", 2.0, 1.1), Ion("Cu", None, 1.3)), strict=True))
    assert unlike["unknown"] == unlike["described"] == unlike["state"] == 1


def test_reasons_of_wholes() -> None:
    (salt,), (oxide,) = ions_of(["NaCl"]), ions_of(["MgO"])
    tables = IonTables.of([salt["Na"], salt["Cl"]], [oxide["Mg"], oxide["O"]])
    right, wrong = tables.reasons(np.array([0, 1]), np.array([[0, 1], [1, 0]]), np.array([0.5, 0.5]))
    place = {name: len(OF_PAIRS) + i for i, name in enumerate(OF_WHOLES)}
    assert (right[place["anion"]], wrong[place["anion"]]) == (1, 0)
    assert right[place["anion_group"]] == right[place["anion_element"]] == 0
    radii = [oxide["Mg"].radius / salt["Na"].radius, oxide["O"].radius / salt["Cl"].radius]
    assert right[place["radius"]] == pytest.approx(abs(np.log(radii[0] / radii[1])) / 2)
    assert right[place["ionicity"]] == pytest.approx(abs((3.44 - 1.31) - (3.16 - 0.93)))
    assert right[place["least"]] == min(substitution(salt["Na"], oxide["Mg"]), substitution(salt["Cl"], oxide["O"]))
    # over a whole array of places at once, as one by one
    every = tables.reasons(np.array([[[0, 1]], [[1, 0]]]), np.array([[[0, 1], [1, 0]]]), np.array([0.5, 0.5]))
    assert every.shape == (2, 2, len(OF_PAIRS) + len(OF_WHOLES))
    assert np.array_equal(every[0, 0], right)


def test_facts_of_templates() -> None:
    chosen = [t for t in bundled_templates().templates if t.formula in ("NaCl", "KBr", "CsCl")]
    facts = TemplateFacts(TemplateLibrary(chosen), composition_volume)
    salt = next(t for t in chosen if t.formula == "NaCl")
    named = dict(zip(OF_TEMPLATES, facts.of(salt), strict=True))
    held = {t.formula for t in chosen if t.prototype == salt.prototype}
    assert named["members"] == pytest.approx(np.log(len(held)))
    assert named["polymorphs"] == pytest.approx(np.log(sum(t.formula == "NaCl" for t in chosen)))
    assert named["sites"] == pytest.approx(np.log(2))
    assert dict(zip(OF_TEMPLATES, facts.of(salt, without="KBr"), strict=True))["members"] < named["members"]
    small = TemplateFacts(TemplateLibrary(chosen), lambda counts: 2 * abs(np.linalg.det(salt.lattice)))
    assert small.of(salt)[OF_TEMPLATES.index("compressed")] == pytest.approx(np.log(2))
