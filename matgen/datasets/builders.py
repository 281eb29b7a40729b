"""Building the tables from their sources: the bundled hybrid table, and the row-level tasks kept in the cache."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, first_occurrence, parse_formulas
from matgen.datasets.catalog import CRITEXAM_FILES, MATBENCH_FILES
from matgen.datasets.experimental import WHEELS, experimental_frame
from matgen.datasets.labels import without_outliers
from matgen.datasets.online import ALEXANDRIA, JARVIS, LEMAT, OnlineTable, build_online
from matgen.datasets.places import built_folder
from matgen.datasets.sources import (
    CRABNET,
    MATMINER,
    fetch_wheel,
    materials_project,
    read_member,
)
from matgen.datasets.splits import split_batch
from matgen.datasets.storage import checksum_entry, write_table
from matgen.errors import DataError, unknown_name
from matgen.hull import hull_distances
from matgen.io.files import read_json, refuse_to_overwrite, write_json
from matgen.io.places import CHECKSUMS
from matgen.runtime.progress import ProgressFactory, part_of, silent
from matgen.validity import COMMON, ValidityRules, check

HYBRID_COLUMNS = (
    "formula",
    "in_oqmd",
    "in_mp",
    "pure",
    "strict",
    "balanced_common",
    "formation_energy_oqmd",
    "split_oqmd",
    "formation_energy_mp_min",
    "formation_energy_mp_median",
    "band_gap_oqmd",
    "band_gap_mp",
    "energy_above_hull_mp",
    "hull_distance_oqmd",
    "hull_distance_mp",
    "split",
    "split_chemsys",
)
"""Columns of `hybrid.parquet`, in order; `data/README.md` says what each is."""

PURE_TABLE, STRICT_TABLE = "icsd24", "icsd16"
DECIMALS = 5
"""Numbers are rounded to this many decimals (1e-5 eV, far below the error of any label) and kept as float32."""

_CSV_FOLDER = "crabnet/data"
_TRANSPORT = "matminer/utils/data_files/mp_transport/transport_database.tar.xz"
_OFFICIAL_SPLITS = ("train", "val", "test")


def build_hybrid(out: Path, progress: ProgressFactory = silent) -> Path:
    """Build `hybrid.parquet` and enter its checksum into `checksums.json` beside it.

    The rows are the distinct reduced compositions of OQMD (formation energies, band gaps) and of all tables of
    Materials Project origin (matbench mp_e_form and mp_gap, mp_e_hull, CritExam, mp_transport), sorted by formula.

    Raises:
        DataError: a source cannot be had, is not the pinned file, or holds an unreadable formula.
        OutputError: `out` cannot be written.
    """
    crabnet, matminer = fetch_wheel(CRABNET, progress), fetch_wheel(MATMINER, progress)
    frame = hybrid_frame(crabnet, matminer, progress)
    path = out / "hybrid.parquet"
    metadata = {
        "matgen.table": "hybrid",
        "matgen.smact_version": version("smact"),
        "matgen.pure": f"electronegativity balanced under {PURE_TABLE}, no alloy rule",
        "matgen.strict": f"electronegativity balanced under {PURE_TABLE} and under {STRICT_TABLE}, no alloy rule",
        "matgen.balanced_common": f"pure, and balanced with commonality {COMMON.commonality}",
        "matgen.sources": f"{CRABNET.requirement} {CRABNET.sha256}; {MATMINER.requirement} {MATMINER.sha256}",
        "matgen.decimals": str(DECIMALS),
    }
    write_table(frame, path, metadata)
    _enter_checksum(out, "hybrid.parquet", frame, metadata)
    return path


def hybrid_frame(crabnet: Path, matminer: Path, progress: ProgressFactory = silent) -> pd.DataFrame:
    """The hybrid table from the two wheels, columns `HYBRID_COLUMNS`."""
    energy = _read_three(crabnet, "OQMD_Formation_Enthalpy")
    gap = _read_three(crabnet, "OQMD_Bandgap")
    mp_energy, mp_gap = _read_csv(crabnet, "matbench/mp_e_form.csv"), _read_csv(crabnet, "matbench/mp_gap.csv")
    mp_hull = _read_three(crabnet, "mp_e_hull")
    mp_others = [_read_three(crabnet, "CritExam__Ed"), _read_transport(matminer)]
    tables = [energy, gap, mp_energy, mp_gap, mp_hull, *mp_others]
    batch = _batch(np.concatenate([table["formula"].to_numpy(object) for table in tables]))
    first = first_occurrence(batch.keys())
    heads, group = np.unique(first, return_inverse=True)  # one row a distinct composition
    batch = batch[heads]
    formula = batch.formulas()
    order = np.argsort(formula)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    batch, formula, row = batch[order], formula[order], place[group]
    rows = np.split(row, np.cumsum([len(table) for table in tables])[:-1])
    of_energy, of_gap, of_mp_energy, of_mp_gap, of_mp_hull = rows[:5]

    in_oqmd, in_mp = np.zeros((2, len(batch)), dtype=bool)
    in_oqmd[np.concatenate(rows[:2])] = True
    in_mp[np.concatenate(rows[2:])] = True
    split_oqmd = np.full(len(batch), None, dtype=object)
    split_oqmd[of_energy] = energy["split"].to_numpy(object)
    pure, strict, common = _flags(batch, progress)

    def column(values: pd.Series, at: np.ndarray, how: str) -> np.ndarray:
        """`how` over the values that fall on each row of the table, float32, NaN where there is none."""
        by_row = values.astype(np.float64).groupby(at).agg(how)
        full = np.full(len(batch), np.nan)
        full[by_row.index.to_numpy()] = by_row.to_numpy().round(DECIMALS) + 0.0  # no minus zero
        return full.astype(np.float32)

    of_oqmd, of_mp = column(energy["target"], of_energy, "min"), column(mp_energy["target"], of_mp_energy, "min")
    return pd.DataFrame(
        {
            "formula": formula,
            "in_oqmd": in_oqmd,
            "in_mp": in_mp,
            "pure": pure,
            "strict": strict,
            "balanced_common": common,
            "formation_energy_oqmd": of_oqmd,
            "split_oqmd": split_oqmd,
            "formation_energy_mp_min": of_mp,
            "formation_energy_mp_median": column(mp_energy["target"], of_mp_energy, "median"),
            "band_gap_oqmd": column(gap["target"], of_gap, "min"),
            # The gap's rows cannot be matched to the energies' rows, so the gap of the stable polymorph is unknown.
            "band_gap_mp": column(mp_gap["target"], of_mp_gap, "median"),
            "energy_above_hull_mp": column(mp_hull["target"], of_mp_hull, "min"),
            "hull_distance_oqmd": _hull_distance(batch, of_oqmd, progress),
            "hull_distance_mp": _hull_distance(batch, of_mp, progress),
            "split": split_batch(batch, "split"),
            "split_chemsys": split_batch(batch, "split_chemsys"),
        },
        columns=list(HYBRID_COLUMNS),
    )


def build_experimental(out: Path, progress: ProgressFactory = silent) -> Path:
    """Build `experimental.parquet`, compositions that have been made, and enter its checksum into `checksums.json`.

    Raises:
        DataError: a source cannot be had, or is not the pinned file.
        OutputError: `out` cannot be written.
    """
    frame = experimental_frame(progress)
    path = out / "experimental.parquet"
    metadata = {
        "matgen.table": "experimental",
        "matgen.sources": "; ".join(f"{wheel.requirement} {wheel.sha256}" for wheel in WHEELS)
        + f"; pymatgen-core=={version('pymatgen-core')}; prototypes.parquet",
    }
    write_table(frame, path, metadata)
    _enter_checksum(out, path.name, frame, metadata)
    return path


def build_matbench(out: Path, progress: ProgressFactory = silent) -> Path:
    """Build one Parquet file a matbench task: `formula` as written, `target`, rows in the official order.

    The official folds count rows: `KFold(5, shuffle=True, random_state=18012019)`, stratified for classification.
    """
    crabnet = fetch_wheel(CRABNET, progress)
    for task, (file, _) in MATBENCH_FILES.items():
        write_table(_read_csv(crabnet, f"matbench/{file}.csv"), out / "matbench" / f"{task}.parquet")
    return out / "matbench"


def build_critexam(out: Path, progress: ProgressFactory = silent) -> Path:
    """Build the two CritExam tables: `formula`, `target`, `split` (`train`, `val`, `test` in that order)."""
    crabnet = fetch_wheel(CRABNET, progress)
    for name, (folder, _) in CRITEXAM_FILES.items():
        write_table(_read_three(crabnet, folder), out / "critexam" / f"{name}.parquet")
    return out / "critexam"


def build_mp_transport(out: Path, progress: ProgressFactory = silent) -> Path:
    """Build `mp-transport.parquet` from matminer's wheel: `mp_id`, `formula` and transport properties."""
    path = out / "mp-transport.parquet"
    write_table(_read_transport(fetch_wheel(MATMINER, progress)), path)
    return path


def build_materials_project(out: Path, progress: ProgressFactory = silent) -> Path:
    """Fetch the Materials Project of today by API key into `materials-project.parquet`."""
    path = out / "materials-project.parquet"
    write_table(materials_project(), path)
    return path


def _online(table: OnlineTable) -> Callable[[Path, ProgressFactory], Path]:
    return lambda out, progress: build_online(table, out, progress)


BUILDERS: dict[str, Callable[[Path, ProgressFactory], Path]] = {
    "hybrid": build_hybrid,
    "experimental": build_experimental,
    "matbench": build_matbench,
    "critexam": build_critexam,
    "mp-transport": build_mp_transport,
    "materials-project": build_materials_project,
    **{table.name: _online(table) for table in (ALEXANDRIA, JARVIS, LEMAT)},
}
"""What `matgen data build NAME` takes."""


def build(name: str, out: Path | str | None = None, progress: ProgressFactory = silent, *, force: bool = True) -> Path:
    """Build a dataset's table (or a group of tables).

    Args:
        name: a key of `BUILDERS`.
        out: folder to write into; by default the cache, where `load_dataset` finds what is not bundled.
        progress: counts bytes and formulas, e.g. `matgen.runtime.progress.TerminalProgress()`.
        force: replace an earlier build.

    Returns:
        The file, or for a group the folder of its files.

    Raises:
        OptionError: an unknown name.
        DataError, MissingDependencyError, OutputError: see the builders.
    """
    builder = BUILDERS.get(name)
    if builder is None:
        raise unknown_name("dataset to build", name, BUILDERS)
    folder = Path(out) if out is not None else built_folder()
    for result in (folder / f"{name}.parquet", folder / name):
        refuse_to_overwrite(result, force=force)
    return builder(folder, progress)


def _batch(formulas: np.ndarray) -> CompositionBatch:
    parsed = parse_formulas(formulas)
    if parsed.bad:
        raise DataError(f"a source holds a formula that cannot be read: {parsed.bad[0]}")
    return parsed.batch


def _flags(batch: CompositionBatch, progress: ProgressFactory) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The flags `pure`, `strict` and `balanced_common`, bool `(n,)` each; the later judge what the first let pass."""
    with progress(len(batch), "charge balance", "formulas") as count:
        pure = check(batch, ValidityRules(PURE_TABLE), progress=part_of(count)).electronegativity_balanced
    strict, common = pure.copy(), pure.copy()
    for flag, name, rules in ((strict, "strict", ValidityRules(STRICT_TABLE)), (common, "common states", COMMON)):
        with progress(int(pure.sum()), f"charge balance, {name}", "formulas") as count:
            flag[pure] = check(batch[pure], rules, progress=part_of(count)).electronegativity_balanced
    return pure, strict, common


def _hull_distance(batch: CompositionBatch, energy: np.ndarray, progress: ProgressFactory) -> np.ndarray:
    """Distance of each label to the hull of all other labels of its source, eV/atom, float32 `(n,)`."""
    distance = hull_distances(batch, without_outliers(energy.astype(np.float64)), progress=progress)
    return (distance.round(DECIMALS) + 0.0).astype(np.float32)


def _read_csv(wheel: Path, file: str) -> pd.DataFrame:
    """A CSV inside the wheel; `NaN` is a formula there (sodium and nitrogen), and no number is missing."""
    content = read_member(wheel, f"{_CSV_FOLDER}/{file}")
    return pd.read_csv(io.BytesIO(content), dtype={"formula": str}, keep_default_na=False, float_precision="round_trip")


def _read_three(wheel: Path, folder: str) -> pd.DataFrame:
    """The official train, val and test parts of a benchmark in that order, told apart by a column `split`."""
    parts = [_read_csv(wheel, f"benchmark_data/{folder}/{name}.csv").assign(split=name) for name in _OFFICIAL_SPLITS]
    return pd.concat(parts, ignore_index=True)


def _read_transport(wheel: Path) -> pd.DataFrame:
    """matminer's transport table, its `pretty_formula` renamed `formula`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(read_member(wheel, _TRANSPORT)), mode="r:xz") as archive:
            member = archive.extractfile("transport_database.csv")
            content = member.read() if member else b""
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise DataError(f"cannot read the transport table in {wheel.name}: {error}") from error
    frame = pd.read_csv(io.BytesIO(content), dtype={"pretty_formula": str, "mp_id": str}, keep_default_na=False)
    return frame.rename(columns={"pretty_formula": "formula"})


def _enter_checksum(folder: Path, file: str, frame: pd.DataFrame, metadata: dict[str, str]) -> None:
    """Write or update the entry of one file in the folder's `checksums.json`."""
    path = folder / CHECKSUMS
    content = read_json(path) if path.exists() else {}
    content["algorithm"] = "SHA-256 of the canonical content, see matgen.datasets.storage.content_sha256"
    content.setdefault("files", {})[file] = checksum_entry(frame) | {"metadata": metadata}
    write_json(path, content)
