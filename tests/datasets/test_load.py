"""Loading by name and from files, and the bundled table itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import (
    CATALOG,
    Dataset,
    catalog_row,
    data_folder,
    describe,
    load_dataset,
    opening,
    split_batch,
)
from matgen.datasets.catalog import DEFAULT_DATASET
from matgen.datasets.labels import SOURCES, labeled_phases, phases_of_table, without_outliers
from matgen.datasets.reference import open_reference
from matgen.datasets.storage import checksum_ok, read_metadata, read_table
from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.io.files import read_json
from matgen.runtime.reference_column import naming_reference_column
from matgen.runtime.unreadable import allowing_unreadable

COUNTS = {
    "hybrid": 396_972,
    "hybrid-mix": 387_442,
    "hybrid-pure": 164_549,
    "hybrid-strict": 127_843,
    "hybrid-stable": 45_474,
    "mp-mix": 86_665,
    "mp-pure": 62_182,
    "oqmd-mix": 341_045,
    "oqmd-pure": 128_065,
}


@pytest.fixture(scope="module")
def hybrid() -> Dataset:
    return load_dataset("hybrid")


def test_bundled_table(hybrid: Dataset) -> None:
    frame, batch = hybrid.frame, hybrid.batch
    assert hybrid.bad == [] and len(KeySet(hybrid.batch.keys())) == len(hybrid) == len(frame) == COUNTS["hybrid"]
    assert (batch.formulas() == frame["formula"].to_numpy(object)).all()
    assert frame["formula"].is_monotonic_increasing
    for split in ("split", "split_chemsys"):
        np.testing.assert_array_equal(frame[split].to_numpy(object), split_batch(batch, split))
    assert frame["split_oqmd"].value_counts().to_dict() == {"train": 239_190, "val": 51_255, "test": 51_255}
    assert (frame["split_oqmd"].notna() == frame["formation_energy_oqmd"].notna()).all()
    assert (frame["in_oqmd"] | frame["in_mp"]).all()
    assert frame["in_oqmd"][frame["band_gap_oqmd"].notna()].all()
    for column in ("formation_energy_mp_min", "band_gap_mp", "energy_above_hull_mp"):
        assert frame["in_mp"][frame[column].notna()].all()
    assert not (frame["formation_energy_mp_min"] > frame["formation_energy_mp_median"]).any()
    assert frame["pure"][frame["strict"]].all()
    # Without the alloy rule, metals alone are pure only where one of them has negative states (Ge, Sb, Sn, Au ...).
    filtered = (batch.n_elements >= 2) & (batch.n_elements <= 8) & (batch.n_atoms <= 30)
    assert int((filtered & batch.all_metal).sum()) == 242_991
    assert int((frame["pure"] & filtered & batch.all_metal).sum()) == 57_965
    assert int((frame["formation_energy_oqmd"].abs() > 5).sum()) == 86


@pytest.mark.parametrize("source", SOURCES)
def test_hull_distances_are_those_of_the_labels(hybrid: Dataset, source: str) -> None:
    phases = labeled_phases(source)
    distance = hybrid.frame[f"hull_distance_{source}"].to_numpy(float)
    energy = without_outliers(hybrid.frame[SOURCES[source]].to_numpy(float))
    assert (np.isnan(distance) == np.isnan(energy)).all()
    rows = np.random.default_rng(0).choice(np.flatnonzero(~np.isnan(energy)), 5000, replace=False)
    assert distance[rows] == pytest.approx(energy[rows] - phases.decompose(hybrid.batch[rows]).energy, abs=2e-5)


def test_hull_distance_means_the_lower_one_of_a_union() -> None:
    either = load_dataset("hybrid-pure", where="hull_distance <= 0.05")
    by_source = [load_dataset("hybrid-pure", where=f"hull_distance_{source} <= 0.05") for source in SOURCES]
    assert set(either.frame["formula"]) == {name for one in by_source for name in one.frame["formula"]}
    assert len(load_dataset("mp-pure", where="hull_distance <= 0")) == int(
        (load_dataset("mp-pure").frame["hull_distance_mp"] <= 0).sum()
    )


def test_bundled_files_are_what_the_checksums_say() -> None:
    folder = data_folder()
    path = folder / "hybrid.parquet"
    assert path.stat().st_size < 8_000_000
    assert checksum_ok(read_table(path), "hybrid.parquet") is True
    assert read_json(folder / "checksums.json")["files"]["hybrid.parquet"]["metadata"] == read_metadata(path)
    changed = read_table(path)
    changed.loc[0, "pure"] = not changed.loc[0, "pure"]
    assert checksum_ok(changed, "hybrid.parquet") is False
    assert checksum_ok(changed, "other.parquet") is None


def test_bundled_structures_are_what_the_checksums_say() -> None:
    frame = read_table(data_folder() / "prototypes.parquet")
    assert checksum_ok(frame, "prototypes.parquet") is True
    entry = read_json(data_folder() / "checksums.json")["files"]["prototypes.parquet"]
    assert (entry["rows"], entry["columns"]) == (len(frame), list(frame.columns))
    assert (frame["positions"].map(len) == 3 * frame["n_atoms"]).all()
    assert (frame["species"].map(len) == frame["n_atoms"]).all()
    assert (frame["lattice"].map(len) == 9).all()
    moved = frame.assign(positions=[row + np.float32(i == 7) for i, row in enumerate(frame["positions"])])
    assert checksum_ok(moved, "prototypes.parquet") is False
    longer = frame["species"].tolist()
    longer[0], longer[1] = np.append(longer[0], longer[1]), longer[1][:0]  # the same values, in other rows
    assert checksum_ok(frame.assign(species=longer), "prototypes.parquet") is False


def test_flags_agree_with_smact_on_a_sample(hybrid: Dataset) -> None:
    from matgen.validity import ValidityRules, check

    rows = np.random.default_rng(5).choice(len(hybrid), 300, replace=False)
    pure = check(hybrid.batch[rows], ValidityRules("icsd24")).electronegativity_balanced
    also = check(hybrid.batch[rows], ValidityRules("icsd16")).electronegativity_balanced
    np.testing.assert_array_equal(hybrid.frame["pure"].to_numpy()[rows], pure)
    np.testing.assert_array_equal(hybrid.frame["strict"].to_numpy()[rows], pure & also)


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "hybrid"])
def test_counts_of_the_named_datasets(name: str, hybrid: Dataset) -> None:
    frame, batch, row = hybrid.frame, hybrid.batch, catalog_row(name)
    mask = (batch.n_elements >= 2) & (batch.n_elements <= 8) & (batch.n_atoms <= 30)
    for flag in row.requires:
        mask &= frame[flag].to_numpy()
    if name == "hybrid-stable":
        mask &= np.fmin(frame["hull_distance_oqmd"].to_numpy(), frame["hull_distance_mp"].to_numpy()) <= 0.05
    assert int(mask.sum()) == COUNTS[name]
    if name in ("mp-pure", "hybrid-strict", "hybrid-stable"):
        dataset = load_dataset(name)
        assert dataset.frame["formula"].tolist() == frame["formula"][mask].tolist()
        assert sum(len(dataset.part(part)) for part in ("train", "valid", "test")) == COUNTS[name]


def test_near_the_hull_in_either_source() -> None:
    stable = load_dataset("hybrid-stable")
    near = [stable.frame[f"hull_distance_{source}"].to_numpy() <= 0.05 for source in SOURCES]
    assert (near[0] | near[1]).all() and (int(near[0].sum()), int(near[1].sum())) == (24_051, 40_433)
    assert (stable.numbers("hull_distance") <= np.float32(0.05)).all()  # labels are float32
    # Further conditions come on top.
    assert 0 < len(load_dataset("hybrid-stable", where="hull_distance <= 0")) < len(stable)
    facts = describe("hybrid-stable")
    assert facts["filter"] == "2-8 elements, at most 30 atoms; pure; hull_distance <= 0.05"
    assert (facts["rows"], facts["compositions"]) == (49_293, COUNTS["hybrid-stable"])
    assert sum(facts["splits"].values()) == COUNTS["hybrid-stable"]


def test_published_filter_is_an_option() -> None:
    assert len(load_dataset("hybrid", published_filter=True)) == COUNTS["hybrid-mix"]
    assert len(load_dataset("mp-mix", published_filter=False)) > COUNTS["mp-mix"]


def test_conditions_know_short_names() -> None:
    wide = load_dataset("mp-mix", where="band_gap > 1.98")
    assert (wide.frame["band_gap_mp"] > 1.98).all() and len(wide) == 18_003
    assert (load_dataset("oqmd-pure", where="band_gap > 5").frame["band_gap_oqmd"] > 5).all()
    with pytest.raises(OptionError, match="no column 'band_gap' to compare; numeric columns: .*band_gap_oqmd"):
        load_dataset("hybrid-mix", where="band_gap > 1.98")
    with pytest.raises(DataError, match="no row of mp-mix meets 'band_gap > 99'"):
        load_dataset("mp-mix", where="band_gap > 99")


def test_splits_and_parts() -> None:
    dataset = load_dataset("mp-pure", split="split_chemsys")
    systems = [set(dataset.part(part).chemical_systems()) for part in ("train", "valid", "test")]
    assert all(systems) and not (systems[0] & systems[1] or systems[0] & systems[2] or systems[1] & systems[2])
    with pytest.raises(OptionError, match="unknown part 'val', did you mean valid\\? known: train, valid, test"):
        dataset.part("val")
    with pytest.raises(OptionError, match="unknown split"):
        load_dataset("mp-pure", split="random")


def test_users_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("formula,gap\nFe2O3,2.0\nxyz,1\nNaCl,5\nFe4O6,3\n,7\nAr,9\n")
    with pytest.raises(DataError, match=r"2 of 6 rows of .*mine.csv could not be read, the first: row 2: 'xyz'"):
        load_dataset(path)
    with allowing_unreadable(), pytest.warns(MatgenWarning, match="2 of 6 rows"):
        check_users_file(path)


def check_users_file(path: Path) -> None:
    dataset = load_dataset(path)
    assert dataset.batch.formulas().tolist() == ["Fe2O3", "NaCl", "Ar"]
    assert dataset.frame["gap"].tolist() == [2.0, 5.0, 9.0]
    assert [bad.row for bad in dataset.bad] == [1, 4]
    assert load_dataset(str(path), published_filter=True).batch.formulas().tolist() == ["Fe2O3", "NaCl"]
    # Conditions pick rows before repeats go: the second row of Fe2O3 stands in for the first.
    chosen = load_dataset(path, where="gap > 2 and gap < 8")
    assert chosen.frame["gap"].tolist() == [5.0, 3.0]
    assert [bad.row for bad in chosen.bad] == [4]
    text = path.with_suffix(".txt")
    text.write_text("NaCl\nO3Fe2\nAr")
    assert load_dataset(text).sha256 == dataset.sha256


def test_one_bad_row_in_100_000(tmp_path: Path) -> None:
    counts = np.stack(np.divmod(np.arange(100_000), 400), axis=1) + 1
    formulas = [f"Li{a}Mn{b}O997" for a, b in counts]
    formulas[70_000] = "Li2Xx3"
    pd.DataFrame({"formula": formulas}).to_csv(tmp_path / "big.csv", index=False)
    dataset = load_dataset(tmp_path / "big.csv")
    assert len(dataset) == 99_999
    assert [(bad.row, bad.formula) for bad in dataset.bad] == [(70_000, "Li2Xx3")]


def test_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("formula\nXx\nYy\n")
    with pytest.raises(DataError, match=r"none of the 2 formulas in .*bad.csv can be read; row 1: 'Xx'") as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)
    path.write_text("formula\nAr\n")
    with pytest.raises(DataError, match="passes the published filter"):
        load_dataset(path, published_filter=True)
    with pytest.raises(DataError, match="no such file"):
        load_dataset("no/such.csv")
    with pytest.raises(OptionError, match="unknown dataset 'hybird', did you mean hybrid\\? known: hybrid, hybrid-mix"):
        load_dataset("hybird")
    with pytest.raises(OptionError, match="'matbench' is a group of tables; choose one: matbench-mp_e_form"):
        load_dataset("matbench")
    with pytest.raises(OptionError, match="a formula column is chosen for files only"):
        load_dataset("hybrid", column="formula")


def test_unbuilt_and_damaged_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="mp-transport is not built yet: run `matgen data build mp-transport`"):
        load_dataset("mp-transport")
    assert describe("mp-transport")["hint"] == "matgen data build mp-transport"
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mp-transport.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(DataError, match="is damaged .* build it again") as caught:
        load_dataset("mp-transport")
    assert "\n" not in str(caught.value)


def test_description() -> None:
    facts = describe("mp-pure")
    assert facts["rows"] > facts["compositions"] == COUNTS["mp-pure"]
    assert sum(facts["splits"].values()) == sum(facts["splits_chemsys"].values()) == COUNTS["mp-pure"]
    assert facts["columns"]["formula"] == COUNTS["mp-pure"]
    assert facts["checksum_ok"] is True and facts["built"] and facts["license"] == "CC-BY 4.0"
    assert facts["filter"] == "2-8 elements, at most 30 atoms; in_mp; pure"


def test_catalog() -> None:
    assert DEFAULT_DATASET in CATALOG and list(CATALOG)[:4] == [
        "hybrid",
        "hybrid-mix",
        "hybrid-pure",
        "hybrid-strict",
    ]
    assert all(CATALOG[name].testing == (name == "experimental-test") for name in CATALOG)
    for name, row in CATALOG.items():
        assert row.name == name and row.description and row.sources and row.license
    assert catalog_row("matbench_mp_gap").name == "matbench-mp_gap"


def test_reference_membership(hybrid: Dataset) -> None:
    known = CompositionBatch.from_formulas(["SrTiO3", "O6Sr2Ti2", "SrTi97O3"])
    assert KeySet(hybrid.batch.keys()).contains(known.keys()).tolist() == [True, True, False]


def test_a_formula_column_of_references_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula;stuff\nMgO;NaCl\n")
    assert load_dataset(tmp_path / "mine.csv").batch.formulas().tolist() == ["MgO"]
    with naming_reference_column("stuff"):
        assert load_dataset(tmp_path / "mine.csv").batch.formulas().tolist() == ["NaCl"]
        reference = open_reference(tmp_path / "mine.csv")
    assert [batch.formulas().tolist() for batch, _ in reference.batches()] == [["NaCl"]]


def test_a_users_table_is_described(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula,gap\nNaCl,1\nNaCl,2\nMgO,\nKCl,3\nKBr,1\nXx,1\n")
    with pytest.warns(MatgenWarning, match="1 of 6 rows"):
        facts = describe(str(tmp_path / "mine.csv"))
    assert (facts["rows"], facts["compositions"], facts["formula_column"]) == (6, 4, "formula")
    assert facts["columns"] == {"formula": 4, "gap": 3} and sum(facts["splits"].values()) == 4
    assert facts["unreadable"].startswith("1 of 6 rows")


def test_messages_say_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"formula,energy\nNaCl,-1\nXx,-2\nQq,-3\n")))
    opening.standard_input.cache_clear()
    for read in (load_dataset, open_reference, phases_of_table):
        with pytest.raises(DataError, match="^2 of 3 rows of standard input could not be read"):
            read(*(("-", "energy") if read is phases_of_table else ("-",)))
    opening.standard_input.cache_clear()
