"""The registry of codes: export, run, help and documentation know the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matgen.dft.codes import CODES, code_named
from matgen.dft.export import export
from matgen.dft.formats import format_names
from matgen.dft.interface import DFTCode
from matgen.dft.run import RunSettings, run_folder
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError, OptionError
from matgen.io.files import read_json, write_text

from .conftest import CRYSTALS

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "dft.md"


def test_an_unknown_code_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match="unknown engine 'abinit'; known: vasp, espresso, gpaw"):
        code_named("abinit")


@pytest.mark.parametrize("name", CODES)
def test_help_and_documentation_name_every_code(name: str, matgen, capsys: pytest.CaptureFixture[str]) -> None:
    from matgen.cli import main

    shown = {}
    for words in (("export",), ("dft", "run")):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        shown[words] = " ".join(capsys.readouterr().out.split())
    assert CODES[name].title in shown["export",] and name in shown["export",]
    assert name in shown["dft", "run"]
    assert f"| `{name}` |" in PAGE.read_text()


def test_every_format_has_a_row_in_the_documentation() -> None:
    page = PAGE.read_text()
    assert all(f"`{name}`" in page for name in format_names())


@pytest.mark.parametrize("name", CODES)
def test_an_empty_folder_is_no_result(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        CODES[name].parse(tmp_path)


def test_a_row_is_all_that_a_new_code_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
        write_text(folder / "run.abi", job.formula)
        return ["a remark"]

    def parse(folder: Path) -> dict[str, object]:
        symbols = ["Si"] * len((folder / "run.abo").read_text())
        return {"energy": -5.0, "n_atoms": len(symbols), "max_force": 0.0, "volume": 40.0, "magnetic_moment": 0.0,
                "converged": True, "structure": {"symbols": symbols, "cell": [], "scaled_positions": []}}  # fmt: skip

    row = DFTCode("abinit", "ABINIT", write, ("cat", "run.abi"), "run.abo", ("run.abo",), parse, "apt install abinit")
    monkeypatch.setitem(CODES, "abinit", row)
    out = tmp_path / "dft"
    exported = export([Job("one", CRYSTALS["Si"], "candidate")], out, "abinit", DFTSettings(hubbard_u=True))
    assert exported.remarks == {"one": ["a remark"]} and "cat run.abi > run.abo" in (out / "array.slurm").read_text()
    assert run_folder(out, "abinit", RunSettings()).done == ["one"]
    assert read_json(out / "manifest.json")["jobs"][0]["hubbard_u"] == {}


def test_the_registry_is_light_enough_for_the_command_line() -> None:
    heavy = ("numpy", "pandas", "jinja2", "pymatgen", "ase")
    code = f"import sys, matgen.dft.formats; sys.exit(', '.join(m for m in {heavy} if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""
