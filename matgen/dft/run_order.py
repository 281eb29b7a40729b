"""In which order the calculations of a folder are run: so that the first candidates are complete early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matgen.composition.batch import CompositionBatch


def needs(jobs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Of each candidate, the elements and competing phases that its formation energy and its hull are made of.

    Args:
        jobs: `id`, `formula` and `role` of each, as the manifest has them.

    Returns:
        Id of a candidate to ids of the elements and phases whose elements are all its own, in the order of the jobs.
    """
    elements = _elements(jobs)
    others = [job["id"] for job in jobs if job["role"] != "candidate"]
    return {
        job["id"]: [id for id in others if elements[id] <= elements[job["id"]]]
        for job in jobs
        if job["role"] == "candidate"
    }


def run_order(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of all jobs in the order in which to run them.

    A candidate's cost is its own and its share of what it needs with others. Candidates come in the order of their
    cost, each behind what it needs and what is not there yet: first what many candidates need, then what is cheap.
    Equal ones stay in their order.

    Args:
        jobs: `id`, `formula`, `role` and `n_atoms` of each, as the manifest has them.
    """
    costs = {job["id"]: cost(job) for job in jobs}
    needed = needs(jobs)
    needed_by = Counter(id for ids in needed.values() for id in ids)
    total = {
        candidate: costs[candidate] + sum(costs[id] / needed_by[id] for id in ids) for candidate, ids in needed.items()
    }
    order: dict[str, None] = {}
    for candidate in sorted(needed, key=lambda id: total[id]):
        order |= dict.fromkeys(sorted(needed[candidate], key=lambda id: (-needed_by[id], costs[id])))
        order[candidate] = None
    return list(order | dict.fromkeys(job["id"] for job in jobs))


def cost(job: Mapping[str, Any]) -> float:
    """What a calculation costs beside others: the square of its number of atoms.

    Plane-wave codes need about its cube for each k-point, and a larger cell has fewer k-points.
    """
    return float(job.get("n_atoms", 1)) ** 2


def _elements(jobs: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[int]]:
    """Atomic numbers of the elements of each job."""
    if not jobs:
        return {}
    batch = CompositionBatch.from_formulas([job["formula"] for job in jobs])
    return {job["id"]: frozenset(row) - {0} for job, row in zip(jobs, batch.elements.tolist(), strict=True)}
