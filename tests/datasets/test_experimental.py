from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import describe, experimental, load_dataset
from matgen.datasets.experimental import CHEMICALS, CRABNET, MATSYNGATE, REACTION_NETWORK, experimental_frame
from matgen.datasets.reference import open_reference
from matgen.datasets.storage import checksum_ok, data_folder, read_table
from matgen.errors import OptionError
from matgen.training import TrainingPlan
from matgen.training.data import training_data

GZIPPED = {"freed": {"Ag2CO3": {"300": -4.5}, "ZyBr2": {}}, "nist": {"Al2O": {}, "CH4": {}}}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forged wheels with the members of the real ones."""
    paths = {wheel: tmp_path / f"{wheel.name}.whl" for wheel in experimental.WHEELS}
    with zipfile.ZipFile(paths[CRABNET], "w") as archive:
        archive.writestr("crabnet/data/matbench/expt_gap.csv", "formula,target\nNaCl,5\nAg0.5Ge1Pb1.75S4,1\nCl1Na1,5\n")
        archive.writestr("crabnet/data/matbench/expt_is_metal.csv", "formula,target\nNaN,1\nFe,1\nBa7Hg9Se31,0\n")
    with zipfile.ZipFile(paths[REACTION_NETWORK], "w") as archive:
        for name, content in GZIPPED.items():
            archive.writestr(f"rxn_network/data/{name}/compounds.json.gz", gzip.compress(json.dumps(content).encode()))
        archive.writestr("rxn_network/data/available_precursors.json", '["Ag", "NaCl", "Al71Fe29"]')
    with zipfile.ZipFile(paths[MATSYNGATE], "w") as archive:
        inventory = {"provenance": {"formula": 3}, "tier": [{"formula": "TiO2", "count": 5}], "other": {"x": [["no"]]}}
        member = "matsyngate/routes/solid_state/data/precursor_inventory.json"
        archive.writestr(member, json.dumps(inventory))
    with zipfile.ZipFile(paths[CHEMICALS], "w") as archive:
        table = "CAS\tChemical\n1-1-1\tlime\n2-2-2\tunknown\n3-3-3\tincomplete\n"
        archive.writestr("chemicals/Misc/Physical Constants of Inorganic Compounds.csv", table)
        archive.writestr("chemicals/Identifiers/Inorganic db.tsv", "-1\t1-1-1\tCaO\t56\n-1\t3-3-3\tBaYWO\t400\n")
        for name in ("large", "small"):
            archive.writestr(f"chemicals/Identifiers/chemical identifiers pubchem {name}.tsv", "1\t1-1-1\tCaH2O2\t74\n")
    monkeypatch.setattr(experimental, "fetch_wheel", lambda wheel, progress: paths[wheel])


def test_which_compositions_are_kept_and_who_says_so(wheels: None) -> None:
    frame = experimental_frame()
    sources = dict(zip(frame["formula"], frame["sources"], strict=True))
    assert sources["NaCl"].split("; ")[:2] == ["matbench expt_gap", "precursors"]
    assert sources["CaO"].split("; ")[-1] == "CRC Handbook"
    assert "precursors of published reactions" in sources["TiO2"]
    assert sources["Al2O"] == "NIST-JANAF"  # of freed, ZyBr2 cannot be read
    for left_out in ("Fe", "Ag", "CH4", "Al71Fe29", "BaYWO", "no"):
        assert left_out not in sources
    assert "measured enthalpies" in sources["Ag2CO3"] and "FREED" in sources["Ag2CO3"]
    hybrid = KeySet(load_dataset("hybrid").batch.keys())
    own = hybrid.contains(CompositionBatch.from_formulas(frame["formula"].tolist()).keys())
    assert (frame["in_hybrid"] == own).all() and (frame["testing"] == ~own).all()


def test_the_bundled_table() -> None:
    frame = read_table(data_folder() / "experimental.parquet")
    assert checksum_ok(frame, "experimental.parquet") is True
    assert frame["formula"].is_monotonic_increasing
    inside, outside = load_dataset("experimental"), load_dataset("experimental-test")
    assert (len(inside), len(outside)) == (8036, 1234)
    hybrid = KeySet(load_dataset("hybrid").batch.keys())
    assert hybrid.contains(inside.batch.keys()).all() and not hybrid.contains(outside.batch.keys()).any()
    assert inside.frame["in_hybrid"].all() and not inside.frame["testing"].any()
    for name in ("experimental", "hybrid-stable"):  # what is for testing only is in no dataset to learn from
        learned = KeySet(load_dataset(name, published_filter=False).batch.keys())
        assert not learned.contains(outside.batch.keys()).any()
    assert describe("experimental")["rows"] == 8036 and describe("experimental-test")["rows"] == 1234
    assert sum(len(batch) for batch, _ in open_reference("experimental").batches()) == 8036
    assert (outside.batch.n_elements > 1).all() and int(outside.batch.n_atoms.max()) <= 60
    assert {"KFe2BiO5", "CaSO3"} <= set(outside.frame["formula"])


def test_what_is_for_testing_is_not_trained_on() -> None:
    with pytest.raises(OptionError, match="experimental-test is for testing only"):
        training_data(TrainingPlan(dataset="experimental-test"))
    assert training_data(TrainingPlan(dataset="experimental", notation="expanded")).dataset.name == "experimental"
