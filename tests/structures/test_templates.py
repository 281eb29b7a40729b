from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Lattice, Structure

from matgen.datasets.storage import data_folder
from matgen.errors import DataError
from matgen.structures.databases import anonymous
from matgen.structures.templates import (
    TemplateLibrary,
    bundled_templates,
    digest_of,
    ratio,
    save_templates,
    template_of,
    templates_in,
)
from tests.structures.conftest import CRYSTALS, salt

PEROVSKITE = CRYSTALS["perovskite"]


def test_bundled_structures_are_sound() -> None:
    library = bundled_templates()
    assert len(library) > 3000
    assert len({(template.id, template.formula) for template in library.templates}) == len(library)
    for template in library.templates:
        assert template.positions.shape == (template.n_atoms, 3)
        assert abs(np.linalg.det(template.lattice)) > 1
        assert 1 <= template.space_group <= 230
        assert sum(template.counts.values()) == template.n_atoms
    for template in library.templates[::200]:
        assert template.structure().composition.reduced_formula == template.formula
        again = template_of(template.structure(), id="again")
        assert again.space_group == template.space_group
        assert again.n_atoms == template.n_atoms


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_ratios_are_anonymous_formulas(counts: list[int]) -> None:
    composition = Composition(dict(zip(["Na", "K", "Cl", "O", "Fe", "S"], counts, strict=False)))
    assert anonymous(ratio(counts)) == composition.anonymized_formula
    assert ratio(3 * n for n in counts) == ratio(reversed(counts)) == ratio(counts)


def test_found_by_anonymous_formula() -> None:
    library = bundled_templates()
    found = library.matching([3, 1, 1])
    assert {"CaTiO3", "SrTiO3"} <= {template.formula for template in found}
    assert all(Composition(template.formula).anonymized_formula == "ABC3" for template in found)
    assert library.matching([6, 2, 2]) == found
    assert {template.n_atoms <= 5 for template in library.matching([1, 1, 3], max_atoms=5)} == {True}
    assert library.matching([97, 89]) == []


def test_a_compound_left_out_leaves_its_prototype() -> None:
    library = bundled_templates().without(["SrTiO3"])
    formulas = {template.formula for template in library.matching([1, 1, 3])}
    assert "SrTiO3" not in formulas
    assert "CaTiO3" in formulas
    assert len(library) < len(bundled_templates())


def test_a_structure_becomes_a_template_in_its_primitive_cell() -> None:
    cubic = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.7), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    cubic.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    template = template_of(cubic, id="mine", name="salt")
    assert (template.id, template.name, template.source, template.formula) == ("mine", "salt", "file", "NaCl")
    assert (template.space_group, template.n_atoms) == (225, 2)
    assert template.prototype == "AB_cF8_225_a_b"
    assert StructureMatcher().fit(template.structure(), salt())
    assert len(cubic) == 8  # untouched


def test_what_is_no_template() -> None:
    with pytest.raises(DataError, match="mixed: some sites are partly occupied"):
        template_of(Structure(Lattice.cubic(3), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]), id="mixed")
    with pytest.raises(DataError, match="twice: no symmetry found"):
        template_of(Structure(Lattice.cubic(3), ["Na", "Na"], [[0, 0, 0], [0, 0, 0]]), id="twice")


def test_a_folder_with_some_bad_files(tmp_path: Path) -> None:
    salt().to(str(tmp_path / "salt.cif"))
    PEROVSKITE.to(str(tmp_path / "POSCAR"), fmt="poscar")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/caesium.json").write_text(salt(4.5, ("Cs", "Br")).to_json())
    Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]).to(str(tmp_path / "mixed.cif"))
    (tmp_path / "damaged.cif").write_text("data_x\n_cell_length_a nonsense\n")
    (tmp_path / "notes.txt").write_text("not read")
    library, bad = templates_in(tmp_path)
    assert {template.formula for template in library.templates} == {"NaCl", "SrTiO3", "CsBr"}
    assert len(bad) == 2
    assert bad[0].startswith("damaged.cif: ")
    assert bad[1].startswith("mixed.cif: some sites are partly occupied")
    assert all("\n" not in reason for reason in bad)
    library, _ = templates_in(str(tmp_path / "deeper"))
    assert len(library) == 1


def test_folders_without_a_template(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder of structures"):
        templates_in(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no template in .*: it holds no .cif"):
        templates_in(tmp_path)
    (tmp_path / "damaged.cif").write_text("")
    with pytest.raises(DataError, match="no template in .*: damaged.cif: "):
        templates_in(tmp_path)


def test_saved_and_read_again(tmp_path: Path) -> None:
    kept = TemplateLibrary(bundled_templates().templates[:3000:300])
    save_templates(tmp_path, kept)
    again, bad = templates_in(tmp_path)
    assert bad == []
    by_formula = {template.formula: template for template in again.templates}
    for template in kept.templates:
        assert by_formula[template.formula].space_group == template.space_group
        assert StructureMatcher().fit(by_formula[template.formula].structure(), template.structure())
    assert digest_of(again) == digest_of(templates_in(tmp_path)[0]) != digest_of(kept)


@pytest.mark.parametrize("damage", ["cut", "a column", "positions"])
def test_a_damaged_table_of_structures_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    path = tmp_path / "prototypes.parquet"
    whole = data_folder() / "prototypes.parquet"
    frame = pd.read_parquet(whole).head(3)
    if damage == "a column":
        frame.drop(columns="species").to_parquet(path)
    elif damage == "positions":
        frame.assign(positions=[row[:-1] for row in frame["positions"]]).to_parquet(path)
    else:
        path.write_bytes(whole.read_bytes()[:1000])
    monkeypatch.setattr("matgen.structures.templates.data_folder", lambda: tmp_path)
    with pytest.raises(DataError, match="cannot read the bundled structures"):
        bundled_templates.__wrapped__()
