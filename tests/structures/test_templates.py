from __future__ import annotations

import json
import sys
import threading
import types
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Lattice, Structure

from matgen.datasets.storage import data_folder
from matgen.errors import DataError, MissingDependencyError, OptionError
from matgen.structures.templates import (
    TemplateLibrary,
    anonymous,
    bundled_templates,
    digest_of,
    ratio,
    save_templates,
    template_of,
    templates_from,
    templates_in,
)
from tests.structures.conftest import CRYSTALS, salt

PEROVSKITE = CRYSTALS["perovskite"]
NOWHERE = "http://127.0.0.1:9"


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


def test_sources() -> None:
    with pytest.raises(OptionError, match="unknown source of templates 'icsd': materials-project or an OPTIMADE"):
        templates_from("icsd", [(1, 1)], max_atoms=10)


class Rester:
    """Stands in for the Materials Project's client."""

    asked: ClassVar[dict[str, Any]] = {}

    def __init__(self, **_: object) -> None:
        self.materials = types.SimpleNamespace(summary=self)

    def __enter__(self) -> Rester:
        return self

    def __exit__(self, *_: object) -> None: ...

    def search(self, **asked: Any) -> list[types.SimpleNamespace]:
        self.asked.update(asked)
        mixed = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
        found = {"mp-1": salt(), "mp-2": PEROVSKITE, "mp-3": mixed, "mp-4": PEROVSKITE * [2, 2, 2]}
        return [types.SimpleNamespace(material_id=id, structure=structure) for id, structure in found.items()]


@pytest.fixture
def materials_project(monkeypatch: pytest.MonkeyPatch) -> type[Rester]:
    module = types.ModuleType("mp_api.client")
    module.MPRester = Rester  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mp_api", types.ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", module)
    monkeypatch.setenv("MP_API_KEY", "key")
    return Rester


def test_of_the_materials_project(materials_project: type[Rester]) -> None:
    library = templates_from("materials-project", [(1, 1), (1, 1, 3)], max_atoms=5)
    assert [(template.id, template.formula, template.n_atoms) for template in library.templates] == [
        ("mp-1", "NaCl", 2),
        ("mp-2", "SrTiO3", 5),
        ("mp-4", "SrTiO3", 5),
    ]
    assert materials_project.asked["formula"] == ["AB", "ABC3"]
    assert materials_project.asked["num_sites"] == (1, 5)
    assert {template.source for template in library.templates} == {"Materials Project"}


def test_the_materials_project_without_key_client_or_answer(
    materials_project: type[Rester], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Rester, **_: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(Rester, "search", refuse)
    with pytest.raises(DataError, match="the Materials Project did not answer: no route$"):
        templates_from("materials-project", [(1, 1)], max_atoms=5)
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    with pytest.raises(MissingDependencyError, match="pip install mp-api"):
        templates_from("materials-project", [(1, 1)], max_atoms=5)
    monkeypatch.delenv("MP_API_KEY")
    with pytest.raises(DataError, match="set MP_API_KEY"):
        templates_from("materials-project", [(1, 1)], max_atoms=5)


def attributes(structure: Structure, **changes: object) -> dict[str, object]:
    """A structure as OPTIMADE has it."""
    symbols = sorted({site.specie.symbol for site in structure})
    return {
        "lattice_vectors": structure.lattice.matrix.tolist(),
        "cartesian_site_positions": structure.cart_coords.tolist(),
        "species": [{"name": s, "chemical_symbols": [s], "concentration": [1.0]} for s in symbols],
        "species_at_sites": [site.specie.symbol for site in structure],
    } | changes


class Database(BaseHTTPRequestHandler):
    """A small OPTIMADE database of rock salt and perovskite, and of entries that are no templates."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        address = urllib.parse.urlparse(self.path)
        query = urllib.parse.parse_qs(address.query)
        if address.path != "/optimade/v1/structures":
            self.send_error(404)
            return
        self.asked.append(query["filter"][0])
        mixed = [{"name": "Na", "chemical_symbols": ["Na", "K"], "concentration": [0.5, 0.5]}]
        holes = [{"name": name, "chemical_symbols": ["vacancy"], "concentration": [1.0]} for name in ("Na", "Cl")]
        held = {
            "AB": [
                ("1", attributes(salt())),
                ("2", attributes(salt(), species=mixed)),
                ("3", attributes(salt(), species=holes)),
                ("4", attributes(salt(), lattice_vectors=None)),
            ],
            "A3BC": [("5", attributes(PEROVSKITE))],
        }
        wanted = query["filter"][0].split('"')[1]
        data = [{"id": id, "type": "structures", "attributes": told} for id, told in held.get(wanted, [])]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": data, "meta": {"data_returned": len(data)}}).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def optimade() -> Iterator[str]:
    """The address of a database that speaks OPTIMADE."""
    server = HTTPServer(("127.0.0.1", 0), Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Database.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/optimade"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("slash", ["", "/"])
def test_by_optimade(optimade: str, slash: str) -> None:
    library = templates_from(optimade + slash, [(1, 1, 3), (1, 1), (2, 7)], max_atoms=20)
    assert [(template.id, template.formula) for template in library.templates] == [("1", "NaCl"), ("5", "SrTiO3")]
    assert Database.asked == [
        'chemical_formula_anonymous="AB" AND nsites<=20',
        'chemical_formula_anonymous="A3BC" AND nsites<=20',
        'chemical_formula_anonymous="A7B2" AND nsites<=20',
    ]
    assert StructureMatcher().fit(library.templates[1].structure(), PEROVSKITE)
    assert len(templates_from(optimade, [(1, 1, 3)], max_atoms=4)) == 0


def test_optimade_that_does_not_answer(optimade: str) -> None:
    with pytest.raises(DataError, match=f"{NOWHERE} did not answer"):
        templates_from(NOWHERE, [(1, 1)], max_atoms=10)
    with pytest.raises(DataError, match="did not answer as an OPTIMADE database does: 404"):
        templates_from(f"{optimade}/deeper", [(1, 1)], max_atoms=10)


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
