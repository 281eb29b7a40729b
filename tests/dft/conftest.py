"""Crystals, a folder as `matgen structure` writes it, and exports of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from matgen.cli import main
from matgen.dft.settings import Job
from matgen.structures.folder import structure_id, write_crystals, write_table


def rock_salt(cation: str, anion: str, a: float) -> Structure:
    """The primitive cell."""
    half = a / 2
    return Structure(
        Lattice([[0, half, half], [half, 0, half], [half, half, 0]]), [cation, anion], [[0, 0, 0], [0.5] * 3]
    )


def silicon() -> Structure:
    lattice = Lattice([[0, 2.73, 2.73], [2.73, 0, 2.73], [2.73, 2.73, 0]])
    return Structure(lattice, ["Si", "Si"], [[0, 0, 0], [0.25] * 3])


def manganese_oxide() -> Structure:
    """Four atoms, of which two manganese ones have opposite moments."""
    structure = rock_salt("Mn", "O", 4.44)
    structure.make_supercell([[1, 0, 0], [0, 1, 0], [0, 0, 2]])
    moments = iter([4.5, -4.5])
    structure.add_site_property("magmom", [next(moments) if site.specie.symbol == "Mn" else 0.0 for site in structure])
    return structure


CRYSTALS = {
    "NaCl": rock_salt("Na", "Cl", 5.64),
    "Si": silicon(),
    "MnO": manganese_oxide(),
    "MgO": rock_salt("Mg", "O", 4.21),
}


@pytest.fixture
def job_of() -> Callable[[str], Job]:
    return lambda name: Job(f"0001-{name}-1", CRYSTALS[name].copy(), "candidate", {"template": "a test's"})


@pytest.fixture
def structures(tmp_path: Path) -> Callable[..., Path]:
    """A function from names of crystals to a folder with one structure of each, in that order."""

    def write(*names: str, folder: str = "structures") -> Path:
        out = tmp_path / folder
        rows = [
            {"structure_id": structure_id(rank, name, 1), "rank": rank, "formula": name, "reason": "",
             "template": "a test's", "energy_per_atom_chgnet": -1.5 * rank, "duplicate_of": None}
            for rank, name in enumerate(names, start=1)
        ]  # fmt: skip
        write_crystals(out, [(row["structure_id"], CRYSTALS[row["formula"]], {}) for row in rows])
        write_table(out, pd.DataFrame(rows), {})
        return out

    return write


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def matgen(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """A function that runs a command line and returns its exit status and what it said."""

    def run(*arguments: object) -> tuple[int, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return status, said

    return run


@pytest.fixture
def refused(matgen: Callable[..., tuple[int, str]]) -> Callable[..., str]:
    """A function that returns the one line that a bad request gets."""

    def run(*arguments: object) -> str:
        status, said = matgen(*arguments)
        lines = [line for line in said.splitlines() if line.startswith("matgen")]
        assert status == 2 and len(lines) == 1, said
        return lines[0]

    return run
