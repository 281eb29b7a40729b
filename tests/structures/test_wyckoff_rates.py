from __future__ import annotations

import numpy as np
import pytest

from matgen.structures.reasons import Ion
from matgen.structures.templates import bundled_templates
from matgen.structures.wyckoff import space_group
from matgen.structures.wyckoff_rates import orbits_of, role, site_statistics, site_statistics_of


def test_labels() -> None:
    orbits = orbits_of("A2B3C7D_oP13_47_t_aq_eqrs_h")
    assert orbits.sum(axis=1).tolist() == [1, 2, 4, 1]
    assert orbits_of("AB2_hP9_150_d_e2f")[1].nonzero()[0].tolist() == [4, 5]
    assert orbits_of("AB2_hP9_150_d_e2f")[1].sum() == 3


def test_every_bundled_label_holds_the_atoms_of_its_cell() -> None:
    for template in bundled_templates().templates[::20]:
        positions = space_group(template.space_group).positions
        counts = [
            sum(n * p.atoms for n, p in zip(row, positions, strict=False)) for row in orbits_of(template.prototype)
        ]
        assert counts == [template.counts[symbol] for symbol in sorted(template.counts)], template.id


def test_formulas_of_the_statistics() -> None:
    salts = [
        t for t in bundled_templates().templates if t.prototype == "AB_cF8_225_a_b" and t.formula in ("NaCl", "MgO")
    ]
    found = site_statistics_of(salts)
    assert found.groups[224] == pytest.approx((2 + 0.5) / (2 + 115))
    assert found.groups.sum() == pytest.approx(1)
    # two compounds, each with its cation on one of the two positions of symmetry m-3m
    ratio = (2 + 0.1) / (2 * 4 + 1)  # of a, b, c and d, which have no free coordinates
    assert found.freedoms[0][0] == pytest.approx(ratio)
    assert found.sites["m-3m", 0][0] == pytest.approx((2 + 5 * ratio) / (4 + 5))
    assert found.sites["-43m", 0][0] == pytest.approx(5 * ratio / (2 + 5))


def test_statistics_of_the_bundled_crystals() -> None:
    found = site_statistics()
    assert {14, 62, 225} <= set((np.argsort(-found.groups)[:10] + 1).tolist())
    assert found.sites["m-3m", 0][0] > found.sites["mmm", 0][0]
    assert found.sites["1", 3][1] > found.sites["1", 3][0]  # anions stand on general positions more often
    rates = found.rates(space_group(225).positions, [0, 1, 2])
    assert rates.shape == (12, 3)
    assert (rates > 0).all()


def test_roles() -> None:
    assert [role(Ion("Na", state, 1.0)) for state in (1.0, -1.0, 0.0, None)] == [0, 1, 2, 2]
