"""Building from a server of this test's own, which has files of the formats that the databases publish."""

from __future__ import annotations

import bz2
import io
import json
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from matgen.cli import main
from matgen.datasets import CATALOG, build, describe, load_dataset, online, sources
from matgen.datasets import reference as references
from matgen.datasets.reference import open_reference
from matgen.datasets.storage import read_metadata, read_table
from matgen.errors import DataError
from tests.serving import serving


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append(self.path)
        content = server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        content = content or b"no such file"
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.files, running.asked = {}, []
    running.url = f"http://127.0.0.1:{running.server_address[1]}"
    monkeypatch.setattr(online, "JARVIS_URL", f"{running.url}/files/38521619")
    monkeypatch.setattr(online, "ALEXANDRIA_URL", f"{running.url}/data/pbe/2025.07.02/")
    monkeypatch.setattr(online, "LEMAT_URL", f"{running.url}/parquet")
    with serving(running):
        yield running


def jarvis_zip(*entries: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jdft_3d-12-12-2022.json", json.dumps(list(entries)))
    return packed.getvalue()


def jarvis_entry(jid: str, formula: str, **values: Any) -> dict[str, Any]:
    """With some of the other keys that a snapshot's objects have."""
    gaps = {"optb88vdw_bandgap": 0.0, "mbj_bandgap": "na", "hse_gap": "na"}
    energies = {"formation_energy_peratom": -0.5, "ehull": 0.0, "optb88vdw_total_energy": -3.1}
    atoms = {"lattice_mat": [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]], "coords": [[0, 0, 0]], "elements": ["Fe"]}
    return {"jid": jid, "spg_number": "225", "formula": formula, "func": "OptB88vdW", "atoms": atoms, **energies,
            **gaps, "elastic_tensor": "na", "icsd": "", **values}  # fmt: skip


def alexandria_entry(identifier: str, symbols: list[str], **data: Any) -> dict[str, Any]:
    structure = Structure(Lattice.cubic(4.0), symbols, [[i / len(symbols)] * 3 for i in range(len(symbols))])
    known = {"mat_id": identifier, "formula": structure.composition.reduced_formula, "e_form": -1.0,
             "e_above_hull": 0.25, "band_gap_ind": 0.0, "band_gap_dir": 0.5, "spg": 221}  # fmt: skip
    entry: dict[str, Any] = ComputedStructureEntry(structure, -5.0, data=known | data).as_dict()
    return entry


def alexandria_file(*entries: dict[str, Any]) -> bytes:
    return bz2.compress(json.dumps({"entries": list(entries)}).encode())


def lemat_file(*rows: tuple[Any, ...]) -> bytes:
    names = ["immutable_id", "chemical_formula_reduced", "energy", "nsites", "functional"]
    table = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    out = io.BytesIO()
    pq.write_table(pa.table(table | {"elements": [["Na"]] * len(rows)}), out)
    return out.getvalue()


def publish_alexandria(server: Any, *files: bytes) -> None:
    names = [f"alexandria_{number:05d}.json.bz2" for number in range(len(files))]
    listing = "".join(f'<tr><td><a href="{name}">{name}</a></td></tr>' for name in [*names, "README.md"])
    server.files["/data/pbe/2025.07.02/"] = listing.encode()
    server.files |= {f"/data/pbe/2025.07.02/{name}": file for name, file in zip(names, files, strict=True)}


def test_jarvis(server: Any) -> None:
    server.files["/files/38521619"] = jarvis_zip(
        jarvis_entry("JVASP-1", "TiO2", formation_energy_peratom=-3.1, ehull=0.02, optb88vdw_bandgap=1.8),
        jarvis_entry("JVASP-2", "TiO2", mbj_bandgap=2.9),
        jarvis_entry("JVASP-3", "NaCl", ehull="na", formation_energy_peratom="-1.5"),
    )
    assert describe("jarvis")["hint"] == "matgen data build jarvis"
    path = build("jarvis")
    table = read_table(path)
    assert table["material_id"].tolist() == ["JVASP-1", "JVASP-2", "JVASP-3"]
    assert table["formation_energy"].tolist() == [np.float32(x) for x in (-3.1, -0.5, -1.5)]
    assert np.isnan(table["energy_above_hull"][2]) and table["energy_above_hull"][0] == np.float32(0.02)
    assert table["band_gap"][0] == np.float32(1.8) and table["band_gap_mbj"].isna().tolist() == [True, False, True]
    assert "sha256" in read_metadata(path)["matgen.sources"] and "38521619" in read_metadata(path)["matgen.sources"]
    assert [entry.name for entry in path.parents[1].rglob("*") if entry.is_file()] == ["jarvis.parquet"]
    assert load_dataset("jarvis", where="energy_above_hull <= 0").frame["material_id"].tolist() == ["JVASP-2"]
    assert describe("jarvis")["rows"] == 3 and describe("jarvis")["compositions"] == 2


def test_alexandria_goes_on_where_it_was(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = alexandria_file(
        alexandria_entry("agm000000001", ["Na", "Cl"], e_form=-2.1, e_above_hull=0.0, band_gap_ind=5.0),
        alexandria_entry("agm000000002", ["Sr", "Ti", "O", "O", "O"], e_above_hull=float("nan")),
    )
    last = alexandria_file(alexandria_entry("agm000000003", ["Li", "O"], formula=None))
    publish_alexandria(server, first, b"BZh9 no archive")
    with pytest.raises(DataError, match=r"alexandria_00001.json.bz2 is damaged"):
        build("alexandria")
    publish_alexandria(server, first, last)
    server.asked.clear()
    table = read_table(build("alexandria"))
    assert [path.rpartition("/")[2] for path in server.asked] == ["", "alexandria_00001.json.bz2"]
    assert table["formula"].tolist() == ["NaCl", "SrTiO3", "Li1O1"]
    assert table["energy_above_hull"].isna().tolist() == [False, True, False]
    assert table["formation_energy"].tolist() == [np.float32(-2.1), -1.0, -1.0]
    assert table["band_gap"].tolist() == [5.0, 0.0, 0.0]
    # A large one is gone through chunk by chunk as a reference.
    monkeypatch.setattr(references, "_LOADED_WHOLE", 0)
    reference = open_reference("alexandria")
    assert reference.name == "alexandria" and not reference.gone_through
    assert [batch.formulas().tolist() for batch, _ in reference.batches()] == [["NaCl", "SrTiO3", "Li2O2"]]
    assert reference.gone_through


def test_lemat_bulk(server: Any) -> None:
    server.files["/parquet"] = json.dumps([f"{server.url}/0.parquet", f"{server.url}/1.parquet"]).encode()
    server.files["/0.parquet"] = lemat_file(("agm1", "Cl1Na1", -6.0, 2, "pbe"), ("mp-2", "O3Ti1Sr1", -40.0, 5, "pbe"))
    server.files["/1.parquet"] = lemat_file(("oqmd-3", "Cl1Na1", None, 2, "pbe"))
    path = build("lemat-bulk")
    table = read_table(path)
    assert table["material_id"].tolist() == ["agm1", "mp-2", "oqmd-3"]
    assert table["energy_per_atom"].tolist()[:2] == [-3.0, -8.0] and np.isnan(table["energy_per_atom"][2])
    assert load_dataset("lemat-bulk").batch.formulas().tolist() == ["NaCl", "SrTiO3"]
    assert read_metadata(path)["matgen.sources"].count("sha256") == 2


def test_what_is_refused(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"cannot download jdft_3d.*Not Found.*or put jdft_3d-12-12-2022.json.zip into"):
        build("jarvis")
    server.files["/files/38521619"] = b"no archive"
    assert main(["data", "build", "jarvis", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "jdft_3d-12-12-2022.json.zip is damaged, or of another format than documented" in said
    assert said.count("\n") == 1
    with pytest.raises(DataError, match="cannot read http.*Not Found"):
        build("alexandria")
    server.files["/data/pbe/2025.07.02/"] = b"<html>moved</html>"
    with pytest.raises(DataError, match="lists no file alexandria_NNNNN"):
        build("alexandria")
    publish_alexandria(server, alexandria_file({"data": {"formula": "NaCl"}}))
    with pytest.raises(DataError, match="another format than documented: 'mat_id'"):
        build("alexandria")
    server.files["/parquet"] = b'{"error": "no such dataset"}'
    with pytest.raises(DataError, match="sent no list of files"):
        build("lemat-bulk")
    server.files["/parquet"] = json.dumps([f"{server.url}/0.parquet"]).encode()
    out = io.BytesIO()
    pq.write_table(pa.table({"formula": ["NaCl"]}), out)
    server.files["/0.parquet"] = out.getvalue()
    with pytest.raises(DataError, match="has no column 'chemical_formula_reduced'"):
        build("lemat-bulk")
    assert not (online.cache_folder() / "datasets").exists()


def test_a_file_put_there_is_not_downloaded(server: Any) -> None:
    folder = online.cache_folder() / "online" / "jarvis"
    folder.mkdir(parents=True)
    (folder / online.JARVIS_FILE).write_bytes(jarvis_zip(jarvis_entry("JVASP-1", "TiO2")))
    assert len(read_table(build("jarvis"))) == 1
    assert server.asked == []


def test_where_the_files_are() -> None:
    """The addresses, as the sources document them: jarvis-tools' `get_db_info`, Alexandria's folder, the Hub's API."""
    assert online.jarvis_files()[0].url == "https://ndownloader.figshare.com/files/38521619"
    assert online.ALEXANDRIA_URL.startswith("https://alexandria.icams.rub.de/data/pbe/")
    assert online.LEMAT_URL.startswith("https://huggingface.co/api/datasets/LeMaterial/LeMat-Bulk/parquet/")
    for name in ("alexandria", "jarvis", "lemat-bulk"):
        assert CATALOG[name].builder == name and not CATALOG[name].bundled
