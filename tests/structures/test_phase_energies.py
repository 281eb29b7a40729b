from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matgen.composition.batch import CompositionBatch
from matgen.io.files import read_json, write_checksummed
from matgen.structures.energies import corrected_formation_energies
from matgen.structures.phase_energies import PhaseEnergies, PhaseSettings, own_structures
from matgen.structures.potentials.interface import Potential
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.templates import TemplateLibrary, bundled_templates, template_of
from tests.progress import Recorder
from tests.structures.conftest import salt

QUICK = PhaseSettings(relaxation=RelaxSettings(max_force=0.2, max_steps=40))
CESIUM_CHLORIDE = Structure(Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
LIBRARY = TemplateLibrary(
    template_of(structure, id=id)
    for id, structure in (("cesium chloride", CESIUM_CHLORIDE), ("halite", salt()), ("hot halite", salt(5.9)))
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_the_lowest_polymorph_counts(cache: Path, chgnet: Potential) -> None:
    energies = PhaseEnergies("chgnet", LIBRARY, QUICK)
    (phase,) = energies.of(["NaCl"])
    expected = [result.energy for result in relax([salt(), CESIUM_CHLORIDE], chgnet, QUICK.relaxation)]
    assert phase.energy == pytest.approx(min(expected), abs=2e-3) and expected[0] < expected[1]
    assert phase.template in ("halite", "hot halite")
    assert phase.crystal().get_space_group_info()[1] == 225
    formation = corrected_formation_energies(CompositionBatch.from_formulas(["NaCl"]), np.array([phase.energy]), chgnet)
    assert energies.formation(["NaCl", "NaCl"]) == pytest.approx([formation[0]] * 2)
    assert energies.formation([]).shape == (0,)
    (path,) = files(cache)
    assert path.parent.name == f"chgnet-{chgnet.version}" and path.name.startswith("NaCl-")


def test_each_compound_is_relaxed_once(cache: Path) -> None:
    (first,) = PhaseEnergies("chgnet", LIBRARY, QUICK).of(["NaCl"])
    (path,) = files(cache)
    content = read_json(path)
    progress = Recorder()
    assert PhaseEnergies("chgnet", LIBRARY, QUICK, progress=progress).of(["NaCl"]) == [first]
    content["phase"]["energy"] = -1.0  # so that it can be told where an energy comes from
    write_checksummed(path, {key: content[key] for key in ("phase", "potential", "version")})
    assert PhaseEnergies("chgnet", LIBRARY, QUICK).of(["NaCl"])[0].energy == -1.0
    path.write_text(path.read_text().replace("-1.0", "-2.0"))  # damaged
    assert PhaseEnergies("chgnet", LIBRARY, QUICK).of(["NaCl"]) == [first]
    # other structures or settings are another energy
    PhaseEnergies("chgnet", TemplateLibrary(LIBRARY.templates[:1]), QUICK).of(["NaCl"])
    PhaseEnergies("chgnet", LIBRARY, PhaseSettings(1, relaxation=QUICK.relaxation)).of(["NaCl"])
    assert len(files(cache)) == 3


def test_another_potential_goes_on_from_the_lowest(cache: Path) -> None:
    screened = PhaseEnergies("chgnet", LIBRARY, QUICK)
    further = PhaseEnergies("chgnet", screened, QUICK)
    assert further.names == screened.names == {"NaCl"}
    (phase,) = further.of(["NaCl"])
    assert phase.energy == pytest.approx(screened.of(["NaCl"])[0].energy, abs=1e-4)
    assert phase.template == screened.of(["NaCl"])[0].template
    assert len(files(cache)) == 2


def test_what_cannot_be_relaxed_has_a_reason(cache: Path) -> None:
    overlapping = TemplateLibrary([template_of(Structure(Lattice.cubic(5), ["Po", "O"], [[0] * 3, [0.5] * 3]), id="a")])
    energies = PhaseEnergies("chgnet", overlapping, QUICK)
    (phase,) = energies.of(["PoO"])
    assert phase.energy is None and "does not know Po" in phase.reason
    assert np.isnan(energies.formation(["PoO"])).all()
    (further,) = PhaseEnergies("chgnet", energies, QUICK).of(["PoO"])
    assert further.energy is None and further.reason


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "file" / "cache"))
    assert PhaseEnergies("chgnet", LIBRARY, QUICK).of(["NaCl"])[0].energy is not None


def test_own_structures_of_elements_are_their_ground_states() -> None:
    own = own_structures(bundled_templates(), PhaseSettings())
    assert [id for id, _ in own["Fe"]] == ["mp:Fe"]
    assert all(id.startswith("mp:") for name in ("Na", "Cl", "O", "Si") for id, _ in own.get(name, []))
    sizes = [len(structure) for _, structure in own["SiO2"]]
    assert sizes == sorted(sizes) and max(sizes) <= 24 and len(sizes) > 3
    assert "P" not in own  # no ground state is bundled


PROGRAM = """
from tests.structures.test_phase_energies import LIBRARY, QUICK
from matgen.structures.phase_energies import PhaseEnergies
print(PhaseEnergies("chgnet", LIBRARY, QUICK).of(["NaCl"])[0].energy)
"""


@pytest.mark.slow
def test_several_processes_share_the_cache(cache: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate()[0] for process in running}
    assert all(process.returncode == 0 for process in running) and len(said) == 1
    assert (
        len(files(cache)) == 1 and float(said.pop()) == PhaseEnergies("chgnet", LIBRARY, QUICK).of(["NaCl"])[0].energy
    )
