"""The order of a folder's calculations: by hand, and for any set of jobs."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matgen.dft.run_order import needs, run_order


def job(id: str, formula: str, role: str, n_atoms: int = 2) -> dict[str, Any]:
    return {"id": id, "formula": formula, "role": role, "n_atoms": n_atoms}


JOBS = [
    job("large", "MgAl2O4", "candidate", 14),
    job("small", "MgO", "candidate"),
    job("salt", "NaCl", "candidate"),
    job("MgO2", "MgO2", "competing", 6),
    job("Al2O3", "Al2O3", "competing", 10),
    job("Al", "Al", "element", 1),
    job("Cl", "Cl2", "element", 4),
    job("Mg", "Mg", "element"),
    job("Na", "Na", "element", 3),
    job("O", "O2", "element", 4),
    job("Xe", "Xe", "element", 1),
]


def test_what_candidates_need() -> None:
    assert needs(JOBS) == {
        "large": ["MgO2", "Al2O3", "Al", "Mg", "O"],
        "small": ["MgO2", "Mg", "O"],
        "salt": ["Cl", "Na"],
    }


def test_cheap_candidates_are_complete_first() -> None:
    # Shares of what is needed: salt 4 + 16 + 9, small 4 + (36 + 4 + 16) / 2, large far more.
    expected = ["Na", "Cl", "salt", "Mg", "O", "MgO2", "small", "Al", "Al2O3", "large", "Xe"]
    assert run_order(JOBS) == expected
    assert run_order([]) == []


jobs = st.lists(
    st.tuples(
        st.sets(st.sampled_from(["Li", "Mg", "Al", "O", "F"]), min_size=1, max_size=3),
        st.sampled_from(["candidate", "element", "competing"]),
        st.integers(1, 30),
    ),
    max_size=12,
).map(lambda rows: [job(f"job{i}", "".join(sorted(symbols)), role, n) for i, (symbols, role, n) in enumerate(rows)])


@given(jobs)
def test_every_job_once_and_none_before_what_it_needs(rows: list[dict[str, Any]]) -> None:
    order = run_order(rows)
    assert sorted(order) == sorted(row["id"] for row in rows)
    for candidate, ids in needs(rows).items():
        assert all(order.index(id) < order.index(candidate) for id in ids)
