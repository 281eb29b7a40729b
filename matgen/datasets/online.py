"""Alexandria, JARVIS and LeMat-Bulk (online): the files that these databases publish, as tables of their entries.

Files are downloaded one at a time, read in constant memory and removed; what was taken from each is kept in the cache
until all have been read, so that an interrupted build goes on where it was. One row an entry, in the source's order, so
a composition occurs as often as the source has structures of it.
"""

from __future__ import annotations

import bz2
import io
import json
import math
import re
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.datasets.json_stream import objects_of
from matgen.datasets.sources import fetch
from matgen.errors import DataError, OutputError, first_line
from matgen.io.files import atomic_write, file_sha256
from matgen.io.parquet import CHECKED_WRITING
from matgen.runtime.cache import cache_folder
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    import pyarrow as pa

JARVIS_URL = "https://ndownloader.figshare.com/files/38521619"
JARVIS_FILE = "jdft_3d-12-12-2022.json.zip"
"""The snapshot `dft_3d` of jarvis-tools (`jarvis.db.figshare.get_db_info`), doi 10.6084/m9.figshare.6815699."""

ALEXANDRIA_RELEASE = "2025.07.02"
ALEXANDRIA_URL = f"https://alexandria.icams.rub.de/data/pbe/{ALEXANDRIA_RELEASE}/"
"""Folder of the three-dimensional PBE calculations, some 60 files `alexandria_NNNNN.json.bz2` of 60 MB each."""

LEMAT_URL = "https://huggingface.co/api/datasets/LeMaterial/LeMat-Bulk/parquet/compatible_pbe/train"
"""Addresses of the Parquet files of a dataset's configuration and split, as the Hub's API lists them
(https://huggingface.co/docs/dataset-viewer/parquet)."""

_ROWS = 20_000
"""Rows written at once."""

_LONGEST_LISTING = 1 << 24
_TIMEOUT = 60

Row = tuple[Any, ...]


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: what to call it, and its address."""

    name: str
    url: str


@dataclass(frozen=True)
class OnlineTable:
    """A database that publishes files.

    Attributes:
        name: of the dataset.
        columns: name to Arrow type (`string` or `float32`).
        files: lists them, online.
        rows: from a downloaded file to the values of `columns`, entry by entry.
    """

    name: str
    columns: dict[str, str]
    files: Callable[[], list[RemoteFile]]
    rows: Callable[[Path], Iterator[Row]]


def build_online(table: OnlineTable, out: Path, progress: ProgressFactory = silent) -> Path:
    """Download a database's files into `<out>/<name>.parquet`.

    Raises:
        DataError: no connection, or a file that is damaged or of another format than documented.
        OutputError: the cache or `out` cannot be written.
    """
    folder = cache_folder() / "online" / table.name
    path = out / f"{table.name}.parquet"
    files = table.files()
    parts = []
    with progress(len(files), f"files of {table.name}", "files") as count:
        for file in files:
            parts.append(_part(table, file, folder, progress))
            count.update(1)
    _join(table, parts, path)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {error.strerror or error}") from error
    return path


def _part(table: OnlineTable, file: RemoteFile, folder: Path, progress: ProgressFactory) -> Path:
    """The rows of one file in the cache, downloaded first where they are not there."""
    part, download = folder / f"{file.name}.parquet", folder / file.name
    if part.is_file():
        return part
    if not download.is_file():
        try:
            fetch(file.url, download, None, progress)
        except DataError as error:
            raise DataError(f"{error} (or put {file.name} into {folder} yourself)") from error
    try:
        source = {"matgen.source": f"{file.url} sha256 {file_sha256(download)}"}
        _write(table, _told(table.rows(download), file.name), part, source)
    finally:  # a damaged one is downloaded again
        download.unlink(missing_ok=True)
    return part


def _write(table: OnlineTable, rows: Iterator[Row], path: Path, metadata: dict[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(table, metadata)
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, **CHECKED_WRITING) as writer:
        while some := list(islice(rows, _ROWS)):
            columns = [
                pa.array(values, kind) for values, kind in zip(zip(*some, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _join(table: OnlineTable, parts: list[Path], path: Path) -> None:
    """One file of all parts, in order, with the sources of each."""
    import pyarrow.parquet as pq

    readers = [pq.ParquetFile(part) for part in parts]
    sources = [reader.schema_arrow.metadata[b"matgen.source"].decode() for reader in readers]
    metadata = {"matgen.table": table.name, "matgen.sources": "; ".join(sources)}
    if not sum(reader.metadata.num_rows for reader in readers):
        raise DataError(f"the files of {table.name} hold no entries")
    schema = _schema(table, metadata)
    options = CHECKED_WRITING | {"compression": "zstd"}
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for reader in readers:
            for group in range(reader.num_row_groups):
                writer.write_table(reader.read_row_group(group).cast(schema))
            reader.close()


def _schema(table: OnlineTable, metadata: dict[str, str]) -> pa.Schema:
    import pyarrow as pa

    kinds = {"string": pa.string(), "float32": pa.float32()}
    return pa.schema([(name, kinds[kind]) for name, kind in table.columns.items()], metadata=metadata)


def _told(rows: Iterator[Row], name: str) -> Iterator[Row]:
    """The same rows; what goes wrong in reading them is said in one line.

    Raises:
        DataError: the file is damaged or of another format.
    """
    import pyarrow as pa

    damage = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, TypeError, OSError, pa.ArrowException)
    try:
        yield from rows
    except damage as error:  # bz2 raises an OSError of invalid data
        raise DataError(f"{name} is damaged, or of another format than documented: {first_line(error)}") from error


def jarvis_files() -> list[RemoteFile]:
    """The snapshot that jarvis-tools calls `dft_3d`."""
    return [RemoteFile(JARVIS_FILE, JARVIS_URL)]


def jarvis_rows(path: Path) -> Iterator[Row]:
    """Entries of a JARVIS-DFT snapshot: a ZIP archive of one JSON list of objects; a missing value is `"na"`."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        if len(names) != 1:
            raise DataError(f"{path.name} holds {len(names)} JSON files instead of one")
        with archive.open(names[0]) as member, io.TextIOWrapper(member, "utf-8") as stream:
            for entry in objects_of(stream, f"{names[0]} in {path.name}"):
                yield (
                    str(entry["jid"]),
                    str(entry["formula"]),
                    _number(entry.get("formation_energy_peratom")),
                    _number(entry.get("ehull")),
                    _number(entry.get("optb88vdw_bandgap")),
                    _number(entry.get("mbj_bandgap")),
                )


def alexandria_files() -> list[RemoteFile]:
    """The files that the release's folder lists."""
    listing = _read_text(ALEXANDRIA_URL)
    names = sorted(set(re.findall(r'href="(?:[^"]*/)?(alexandria_\d+\.json\.bz2)"', listing)))
    if not names:
        raise DataError(f"{ALEXANDRIA_URL} lists no file alexandria_NNNNN.json.bz2")
    return [RemoteFile(name, ALEXANDRIA_URL + name) for name in names]


def alexandria_rows(path: Path) -> Iterator[Row]:
    """Entries of a file of Alexandria: dictionaries of pymatgen's `ComputedStructureEntry` under the key `entries`.

    Their `data` hold identifier, formula, formation energy and distance to the hull (`e_form`, `e_above_hull`, eV/atom)
    and the indirect gap (`band_gap_ind`, eV).
    """
    with bz2.open(path, "rt", encoding="utf-8") as stream:
        for entry in objects_of(stream, path.name, "entries"):
            data = entry["data"]
            yield (
                str(data["mat_id"]),
                str(data.get("formula") or _formula_of(entry["composition"])),
                _number(data.get("e_form")),
                _number(data.get("e_above_hull")),
                _number(data.get("band_gap_ind")),
            )


def lemat_files() -> list[RemoteFile]:
    """The Parquet files of the configuration `compatible_pbe`."""
    try:
        urls = json.loads(_read_text(LEMAT_URL))
    except ValueError as error:
        raise DataError(f"{LEMAT_URL} sent no list of files") from error
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise DataError(f"{LEMAT_URL} sent no list of files")
    return [RemoteFile(f"compatible_pbe-{number:04d}.parquet", url) for number, url in enumerate(urls)]


def lemat_rows(path: Path) -> Iterator[Row]:
    """Entries of a file of LeMat-Bulk; `energy` is the cell's total energy in eV, without corrections."""
    import pyarrow.parquet as pq

    names = ["immutable_id", "chemical_formula_reduced", "energy", "nsites", "functional"]
    with pq.ParquetFile(path) as file:
        if missing := sorted(set(names) - set(file.schema_arrow.names)):
            raise DataError(f"{path.name} has no column {missing[0]!r}")
        for batch in file.iter_batches(_ROWS, columns=names):
            for identifier, formula, energy, sites, functional in zip(
                *(batch.column(name).to_pylist() for name in names), strict=True
            ):
                known = _number(energy)
                yield identifier, formula, None if known is None or not sites else known / sites, functional


_WITH_HULL = {
    "material_id": "string",
    "formula": "string",
    "formation_energy": "float32",
    "energy_above_hull": "float32",
    "band_gap": "float32",
}

JARVIS = OnlineTable("jarvis", _WITH_HULL | {"band_gap_mbj": "float32"}, jarvis_files, jarvis_rows)
ALEXANDRIA = OnlineTable("alexandria", _WITH_HULL, alexandria_files, alexandria_rows)
LEMAT = OnlineTable(
    "lemat-bulk",
    {"material_id": "string", "formula": "string", "energy_per_atom": "float32", "functional": "string"},
    lemat_files,
    lemat_rows,
)


def _number(value: Any) -> float | None:
    """A finite number, perhaps written as text; None of anything else, such as JARVIS's `"na"`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _formula_of(composition: dict[str, float]) -> str:
    return "".join(f"{symbol}{amount:g}" for symbol, amount in composition.items())


def _read_text(url: str) -> str:
    """A short page.

    Raises:
        DataError: it cannot be had.
    """
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"User-Agent": "matgen"}), timeout=_TIMEOUT
        ) as response:
            content: bytes = response.read(_LONGEST_LISTING)
    except OSError as error:  # of urllib as well
        raise DataError(f"cannot read {url}: {getattr(error, 'reason', None) or error}") from error
    return content.decode("utf-8", "replace")
