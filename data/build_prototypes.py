"""Write data/prototypes.parquet, ordered crystal structures from which `matgen structure` makes others, and
matgen/structures/element_energies.json, to which formation energies refer.

Run with ``python data/build_prototypes.py`` (some minutes); the table's checksum goes into data/checksums.json. Three
sources that the Python package index carries:

* pymatgen's AFLOW prototypes (M. J. Mehl et al., Comput. Mater. Sci. 136, S1, 2017);
* the American Mineralogist Crystal Structure Database (R. T. Downs, M. Hall-Wallace, Am. Mineral. 88, 247, 2003), as
  the wheel xraylarch 0.9.71 carries it;
* the elements' ground states of the Materials Project (PBE), as the wheel matcalc 0.3.3 carries them.

A mineral is kept where every site is fully occupied by one element, the sites spell the formula the entry states (many
entries lack their hydrogens), no nitrogen stands alone (ammonium without them), no two atoms are closer than half the
sum of their atomic radii, and the primitive cell has at most 60 atoms. One row is kept for each formula and prototype
label, AFLOW's first, then the latest publication.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pymatgen.analysis.prototypes import get_protostructure_label
from pymatgen.analysis.prototypes._data import AFLOW_PROTOTYPE_LIBRARY
from pymatgen.core import Composition, Element, Lattice, Structure, SymmOp
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from matgen.datasets.sources import Wheel, fetch_wheel, file_sha256
from matgen.datasets.storage import CHECKSUMS, checksum_entry, read_table
from matgen.io.files import read_json, write_json

XRAYLARCH = Wheel("xraylarch", "0.9.71", "b80f7a844caa713dbe6b587ee311566978f1fdd8ab3bb7647929260b350992fb")
MATCALC = Wheel("matcalc", "0.3.3", "d363940b156fc5b0ce765d35595ae0047ec56ff17d87fcaa4553d2f96070f3a6")
MATCALC_SOURCE = "matcalc==0.7.0"
MATCALC_SOURCE_SHA256 = "4e3f9ed95dc828afc1f7fa3278cc2014cc4aa16de3f02d97cf61f8ff1f1e90e5"
TARGET = Path(__file__).resolve().parent / "prototypes.parquet"
ELEMENTS = TARGET.parent.parent / "matgen" / "structures" / "element_energies.json"
MOST_ATOMS = 60
SCALE = 4e6  # fractional coordinates are stored as integers of this many to one
Row = dict[str, object]


def aflow() -> Iterator[Row]:
    """AFLOW's prototypes; the tag of an entry names it, the mineral or structure type where it has one."""
    for entry in AFLOW_PROTOTYPE_LIBRARY:
        tags = entry["tags"]
        name = tags["mineral"] if tags["mineral"] not in (None, "None") else ""
        named = f"aflow:{tags['aflow']}"
        yield {"id": named, "name": name, "source": "AFLOW", "year": 2017, "structure": entry["snl"].structure}


def elements() -> Iterator[Row]:
    """The ground states of the elements in the Materials Project."""
    with zipfile.ZipFile(fetch_wheel(MATCALC)) as wheel:
        content = json.loads(gzip.decompress(wheel.read("matcalc/elemental_refs/MatPES-PBE-Element-Refs.json.gz")))
    for symbol, entry in content.items():
        structure = Structure.from_dict(entry["structure"])
        structure.remove_site_property("magmom") if "magmom" in structure.site_properties else None
        yield {"id": f"mp:{symbol}", "name": "ground state", "source": "Materials Project", "year": 2025,
               "structure": structure}  # fmt: skip


def element_energies() -> dict[str, float]:
    """Energies of the elements' ground states in the Materials Project, uncorrected PBE, eV/atom."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, MATCALC_SOURCE]
        subprocess.run(command, check=True)
        (path,) = Path(folder).iterdir()
        if file_sha256(path) != MATCALC_SOURCE_SHA256:
            raise SystemExit(f"{path.name} is not the file it should be")
        with tarfile.open(path) as archive:
            (member,) = (name for name in archive.getnames() if name.endswith("/MP-PBE-Element-Refs.json.gz"))
            stream = archive.extractfile(member)
            assert stream is not None
            content = json.loads(gzip.decompress(stream.read()))
    return {symbol: round(min(entry["energy_per_atom"]), 5) for symbol, entry in sorted(content.items())}


def minerals() -> Iterator[Row]:
    """The ordered minerals of AMCSD."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(fetch_wheel(XRAYLARCH)) as wheel:
            path = wheel.extract("larch/xrd/amcsd_cif1.db", folder)
        database = sqlite3.connect(path)
        groups = {key: json.loads(text) for key, text in database.execute("select id, symmetry_xyz from spacegroups")}
        query = (
            "select cif.id, name, spacegroup_id, formula, year, a, b, c, alpha, beta, gamma, atoms_sites, atoms_x,"
            " atoms_y, atoms_z, atoms_occupancy from cif join minerals on mineral_id = minerals.id"
            " join publications on publication_id = publications.id"
        )
        for key, name, group, formula, year, *cell_and_sites in database.execute(query):
            structure = mineral(formula, groups[group], cell_and_sites[:6], cell_and_sites[6:])
            if structure is not None and not bare_ammonium(structure):
                name = "" if name == "<missing>" else name
                yield {"id": f"amcsd:{key}", "name": name, "source": "AMCSD", "year": year, "structure": structure}
        database.close()


def mineral(formula: str, operations: list[str], cell: list[str], sites: list[str]) -> Structure | None:
    """One entry of AMCSD as a structure, None where it is not ordered, complete or sound."""
    labels, x, y, z, occupancy = sites
    if occupancy not in ("0", None) and numbers(occupancy).min() < 0.99:
        return None
    species = [element(label) for label in json.loads(labels)]
    if None in species:
        return None
    positions = np.stack([numbers(text) for text in (x, y, z)], axis=1)
    try:
        lattice = Lattice.from_parameters(*(float(value) for value in cell))
        stated = Composition(re.sub(r"\s+", "", formula)).reduced_formula
        found: list[tuple[str, np.ndarray]] = []
        for symbol, position in zip(species, positions, strict=True):
            images = np.array([SymmOp.from_xyz_str(text).operate(position) % 1 for text in operations])
            found += [(symbol, image) for image in distinct(images, lattice)]
        structure = Structure(lattice, [symbol for symbol, _ in found], [place for _, place in found])
    except Exception:
        return None  # an entry that cannot be read is not a prototype
    return structure if structure.composition.reduced_formula == stated else None


def bare_ammonium(structure: Structure) -> bool:
    """Whether some nitrogen has no neighbor within 2.68 angstrom: ammonium whose hydrogens the entry leaves out."""
    nitrogens = [site for site in structure if site.specie.symbol == "N"]
    return any(not structure.get_neighbors(site, 2.68) for site in nitrogens)


def numbers(text: str) -> np.ndarray:
    """An array that xraylarch stored."""
    return np.frombuffer(b64decode(text), dtype="<i4") / SCALE


def element(label: str) -> str | None:
    """The element at the head of a site's label, None where there is none (water, a hydroxyl)."""
    for symbol in (label[:2], label[:1]):
        if symbol.isalpha() and symbol == symbol.capitalize() and Element.is_valid_symbol(symbol):
            return symbol
    return None


def distinct(images: np.ndarray, lattice: Lattice, tolerance: float = 0.05) -> list[np.ndarray]:
    """Positions `(n, 3)` that are further apart than a tolerance in angstrom."""
    kept: list[np.ndarray] = []
    for image in images:
        if not kept or lattice.get_all_distances([image], kept).min() > tolerance:
            kept.append(image)
    return kept


def sound(structure: Structure) -> bool:
    """Whether no two atoms overlap."""
    radii = np.array([site.specie.atomic_radius or 1.5 for site in structure], dtype=float)
    distances = structure.distance_matrix + 100 * np.eye(len(structure))
    return bool((distances > 0.5 * (radii[:, None] + radii[None, :])).all())


def labeled(row: Row) -> Row | None:
    """A row with its structure in the primitive standard cell and its prototype's label, None where none is found."""
    structure = row.pop("structure")
    assert isinstance(structure, Structure)
    if not structure.is_ordered:
        return None
    structure.remove_oxidation_states()
    try:
        analyzer = SpacegroupAnalyzer(structure, symprec=0.05)
        primitive = analyzer.get_primitive_standard_structure()
        label = get_protostructure_label(primitive, "spglib", raise_errors=True, init_symprec=0.05)
    except Exception:
        return None  # spglib finds no cell: the sites are not a crystal's
    if label is None or len(primitive) > MOST_ATOMS or not sound(primitive):
        return None
    return row | {
        "prototype": label.split(":")[0],
        "formula": primitive.composition.reduced_formula,
        "anonymous_formula": primitive.composition.anonymized_formula,
        "space_group": analyzer.get_space_group_number(),
        "n_atoms": len(primitive),
        "species": [site.specie.symbol for site in primitive],
        "lattice": primitive.lattice.matrix.round(5).ravel().tolist(),
        "positions": primitive.frac_coords.round(5).ravel().tolist(),
    }


def main() -> None:
    """Write the table and the elements' energies."""
    source = {"source": f"Materials Project, uncorrected PBE, as {MATCALC_SOURCE} carries it", "unit": "eV/atom"}
    ELEMENTS.write_text(json.dumps(source | {"energies": element_energies()}, indent=1) + "\n")
    warnings.simplefilter("ignore")
    rows = [made for source in (aflow, elements, minerals) for row in source() if (made := labeled(row)) is not None]
    frame = pd.DataFrame(rows)
    print(frame.groupby("source").size().to_string())
    rank = frame["source"].map({"AFLOW": 0, "Materials Project": 1, "AMCSD": 2})
    frame = frame.assign(rank=rank, newest=-frame["year"]).sort_values(["rank", "newest", "id"], kind="stable")
    frame = frame.drop_duplicates(["prototype", "formula"]).drop(columns=["rank", "newest", "year"])
    frame = frame.sort_values(["n_atoms", "prototype", "formula"], kind="stable").reset_index(drop=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for column in ("lattice", "positions"):
        narrow = table[column].cast(pa.list_(pa.float32()))
        table = table.set_column(table.column_names.index(column), column, narrow)
    pq.write_table(table, TARGET, compression="zstd", compression_level=19)
    checksums = read_json(TARGET.parent / CHECKSUMS)
    checksums["files"][TARGET.name] = checksum_entry(read_table(TARGET))
    write_json(TARGET.parent / CHECKSUMS, checksums)
    print(f"{len(frame)} structures, {frame['prototype'].nunique()} prototypes, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
