from __future__ import annotations

import json
import sys
import threading
import types
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from matgen.errors import DataError, MissingDependencyError, OptionError
from matgen.structures.databases import templates_from
from tests.structures.conftest import CRYSTALS, salt

PEROVSKITE = CRYSTALS["perovskite"]
NOWHERE = "http://127.0.0.1:9"


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
