"""What programs complain of, by what they really print."""

from __future__ import annotations

from pathlib import Path

import pytest

from matgen.dft.complaints import complaint

PYTHON = """Traceback (most recent call last):
  File "run.py", line 9, in <module>
    atoms.get_potential_energy()
gpaw.KohnShamConvergenceError: Did not converge! See text output for help.
--------------------------------------------------------------------------
MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD
with errorcode 42.
--------------------------------------------------------------------------
"""
VASP = """ running on    4 total cores
|     EEEEEEE  RRRRRR   RRRRRR   OOOOOOO  RRRRRR      ###     ###     ###     |
|     ZBRENT: fatal error: bracketing interval incorrect                      |
|                                                                             |
 -----------------------------------------------------------------------------
mpirun noticed that process rank 1 exited
"""
SLURM = "iteration 12\nslurmstepd: error: *** STEP 7.0 ON n01 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PYTHON, "gpaw.KohnShamConvergenceError: Did not converge! See text output for help."),
        (VASP, "ZBRENT: fatal error: bracketing interval incorrect"),
        (SLURM, "iteration 12"),
        ("a\nb\n\n", "b"),
        ("slurmstepd: error: killed\n", "slurmstepd: error: killed"),
    ],
)
def test_the_line_that_says_why(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "stderr.txt").write_text(text)
    assert complaint([tmp_path / "missing", tmp_path / "stderr.txt"]) == f": {line}"


def test_nothing_was_printed(tmp_path: Path) -> None:
    (tmp_path / "stderr.txt").write_text("\n \n")
    assert complaint([tmp_path / "stderr.txt", tmp_path / "missing"]) == ""


def test_the_first_file_that_has_a_line_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("ValueError: no\n" + "x" * 300)
    (tmp_path / "c").write_text("KeyError: other\n")
    assert complaint([tmp_path / "a", tmp_path / "b", tmp_path / "c"]) == ": ValueError: no"
    (tmp_path / "b").write_text("x" * 300)
    assert len(complaint([tmp_path / "b"])) == 162
