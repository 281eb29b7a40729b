"""Relaxed structures a second by matgen's batched CHGNet and by chgnet's own StructOptimizer, in the same run.

Each by its own optimizer (BFGS here, FIRE there), to the same threshold of forces with the same weights; relaxed
energies are compared structure by structure.
On one core each is one process of one thread; on all cores matgen is what `matgen structure` does (a process a core,
without the start of the processes), chgnet one process that has all threads, or one process a core as well.

With `--potential` of SevenNet's it measures instead what a step costs on one thread, in seconds of CPU: all structures
evaluated as one batch by matgen, one by one by SevenNet's calculator for ASE, and as one batch by CHGNet.

python -m benchmarks.relaxation [-n 8] [--rounds 3]
python -m benchmarks.relaxation --potential 7net-l3i5 -n 10
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from pymatgen.core import Lattice, Structure
from threadpoolctl import threadpool_limits

from benchmarks.record import write_result
from matgen.datasets import load_dataset
from matgen.errors import StructureError
from matgen.runtime.cores import available_cores
from matgen.structures.folder import bare_atoms
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import column_suffix, load_potential
from matgen.structures.potentials.sevennet import WEIGHTS
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.relax import RelaxSettings, relax

MOST_ATOMS = 20
SETTINGS = RelaxSettings(max_force=0.05, max_steps=100)
Outcome = list[tuple[float, int]]
"""Energy, eV/atom, and steps of each structure."""


def structures(n: int, seed: int) -> list[Structure]:
    """The likeliest structures from templates, of 2 to 20 atoms a cell, of compositions drawn from `hybrid-pure`."""
    formulas = load_dataset("hybrid-pure").batch.formulas()
    proposer = Proposer(ProposalSettings(per_formula=1, max_atoms=MOST_ATOMS, symmetric=0))
    results: list[Structure] = []
    for formula in np.random.default_rng(seed).permutation(formulas):
        try:
            results.append(proposer.propose(str(formula))[0].structure)
        except StructureError:
            continue
        if len(results) == n:
            break
    return results


@cache
def ours() -> Potential:
    """Loaded once a process, as `matgen structure` does."""
    return load_potential("chgnet")


@cache
def theirs() -> Any:
    """Chgnet's own code, loaded once a process."""
    from chgnet.model import StructOptimizer

    return StructOptimizer(optimizer_class="FIRE", use_device="cpu")


@contextlib.contextmanager
def limited(threads: int) -> Iterator[None]:
    """Keep torch and the libraries of linear algebra to some threads: more than cores make each other wait."""
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        yield


def by_matgen(given: Sequence[Structure], threads: int) -> Outcome:
    with limited(threads):
        return [(result.energy, result.steps) for result in relax(given, ours(), SETTINGS)]


def by_chgnet(given: Sequence[Structure], threads: int) -> Outcome:
    results = []
    for structure in given:
        with limited(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = theirs().relax(
                structure, fmax=SETTINGS.max_force, steps=SETTINGS.max_steps, verbose=False, assign_magmoms=False
            )
        path = result["trajectory"]
        results.append((float(path.energies[-1]) / len(structure), len(path.energies) - 1))
    return results


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    results = work()
    return time.perf_counter() - began, results


def _part(task: tuple[str, list[Structure]]) -> Outcome:
    return {"matgen": by_matgen, "chgnet": by_chgnet}[task[0]](task[1], 1)


def in_processes(pool: Any, name: str, given: Sequence[Structure], cores: int) -> Outcome:
    """One structure after the other goes to whichever process is free."""
    return [results for part in pool.map(_part, [(name, [one]) for one in given], chunksize=1) for results in part]


def cpu_seconds(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The median over rounds, after one that is not counted: code is compiled in it."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        results = work()
        taken.append(time.process_time() - began)
    return statistics.median(taken), results


def one_by_one(calculator: Any, crystals: Sequence[Any]) -> list[tuple[float, Any, Any]]:
    """Energy, forces and stress of each by an ASE calculator."""
    results = []
    for atoms in crystals:
        copy = atoms.copy()
        copy.calc = calculator
        results.append((copy.get_potential_energy(), copy.get_forces(), copy.get_stress(voigt=False)))
    return results


def steps_of_sevennet(name: str, given: Sequence[Structure], rounds: int) -> None:
    """Seconds of CPU that one step of all structures takes, into `relaxation_<name>.json`."""
    from sevenn.calculator import SevenNetCalculator

    crystals = [bare_atoms(structure) for structure in given]
    calculator = SevenNetCalculator(name, device="cpu", modal=WEIGHTS[name].fidelity)
    potential = load_potential(name)
    with limited(1):
        batched, found = cpu_seconds(lambda: potential.evaluate(crystals), rounds)
        alone, expected = cpu_seconds(lambda: one_by_one(calculator, crystals), rounds)
        chgnet, _ = cpu_seconds(lambda: ours().evaluate(crystals), rounds)
    differences = np.array([
        (abs(f.energy - energy) / len(f.forces), np.abs(f.forces - forces).max(), np.abs(f.stress - stress).max())
        for f, (energy, forces, stress) in zip(found, expected, strict=True)
    ])  # fmt: skip
    units = ("energy_ev_per_atom", "force_ev_per_angstrom", "stress_ev_per_angstrom3")
    content = {
        "potential": name,
        "version": potential.version,
        "structures": len(given),
        "atoms": [len(structure) for structure in given],
        "formulas": [structure.composition.reduced_formula for structure in given],
        "rounds": rounds,
        "threads": 1,
        "cpu_seconds_per_step": {
            "matgen, one batch": round(batched, 4),
            "SevenNetCalculator, one by one": round(alone, 4),
            "matgen's CHGNet, one batch": round(chgnet, 4),
        },
        "cpu_seconds_per_step_and_atom": round(batched / sum(len(structure) for structure in given), 5),
        "ratio": round(alone / batched, 2),
        "to_chgnet": round(batched / chgnet, 2),
        "largest_difference": {
            unit: float(f"{value:.2g}") for unit, value in zip(units, differences.max(axis=0), strict=True)
        },
    }
    print(write_result(f"relaxation_{column_suffix(name)}", content), content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potential", default="chgnet", choices=["chgnet", *WEIGHTS])
    parser.add_argument("-n", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given = structures(arguments.n, arguments.seed)
    if arguments.potential != "chgnet":
        steps_of_sevennet(arguments.potential, given, arguments.rounds)
        return
    cores = available_cores()
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        ways: dict[str, Callable[[], Outcome]] = {
            "matgen, one core": lambda: by_matgen(given, 1),
            "chgnet, one core": lambda: by_chgnet(given, 1),
            "matgen, all cores": lambda: in_processes(pool, "matgen", given, cores),
            "chgnet, all cores, threads": lambda: by_chgnet(given, cores),
            "chgnet, all cores, processes": lambda: in_processes(pool, "chgnet", given, cores),
        }
        warm = [Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.7), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])]
        for name in ("matgen", "chgnet"):  # weights and compiled code are loaded before anything is timed
            pool.map(_part, [(name, warm)] * (2 * cores), chunksize=1)
        by_matgen(warm, 1), by_chgnet(warm, 1)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        outcomes: dict[str, Outcome] = {}
        for _ in range(arguments.rounds):
            for name, work in ways.items():
                passed, outcomes[name] = seconds(work)
                taken[name].append(passed)
                print(f"{name}: {passed:.1f} s", flush=True)
    mine, others = outcomes["matgen, one core"], outcomes["chgnet, one core"]
    difference = np.abs(np.array([e for e, _ in mine]) - np.array([e for e, _ in others])) * 1000
    per_second = {name: len(given) / statistics.median(times) for name, times in taken.items()}
    best = max(per_second["chgnet, all cores, threads"], per_second["chgnet, all cores, processes"])
    content = {
        "structures": len(given),
        "atoms": [len(structure) for structure in given],
        "formulas": [structure.composition.reduced_formula for structure in given],
        "rounds": arguments.rounds,
        "cores": cores,
        "structures_per_second": {name: round(value, 4) for name, value in per_second.items()},
        "ratio_one_core": round(per_second["matgen, one core"] / per_second["chgnet, one core"], 2),
        "ratio_all_cores_threads": round(per_second["matgen, all cores"] / per_second["chgnet, all cores, threads"], 2),
        "ratio_all_cores_best": round(per_second["matgen, all cores"] / best, 2),
        "steps": {"matgen": [steps for _, steps in mine], "chgnet": [steps for _, steps in others]},
        "energy_difference_mev": {
            "max": round(float(difference.max()), 4),
            "median": round(float(np.median(difference)), 5),
            "within_1": int((difference <= 1).sum()),
            "each": difference.round(4).tolist(),
        },
    }
    print(write_result("relaxation", content), content)


if __name__ == "__main__":
    main()
