from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from matgen.errors import DataError
from matgen.io.files import read_checksummed, write_json
from matgen.structures.folder import read_structures
from matgen.structures.judge import hull_bias, judge_structures
from matgen.structures.propose import same_crystals
from matgen.structures.templates import templates_in
from tests.frames import listed

from .conftest import salt

NOVEL = np.array([False, False, False, False, True])


def test_words_row_by_row(relaxed_folder: Path) -> None:
    judged = judge_structures(relaxed_folder, NOVEL)
    frame = judged.frame
    assert frame["formula"].tolist()[:3] == ["NaCl", "KMgF3", "NaCl"]
    above = frame["energy_above_hull_chgnet"]
    assert (frame["stable"] == (above <= 0)).all() and (frame["metastable"] == (above <= 0.1)).all()
    assert frame["metastable"][:3].all() and not frame["metastable"][3]
    assert (above[:3].abs() < 0.06).all()  # of known compounds: about what the label says
    assert listed(frame["same_structure_as"])[:3] == [None, None, frame["structure_id"][0]]
    assert frame["unique"].tolist() == [True, True, False, False, True]
    assert frame["novel"].tolist() == NOVEL.tolist()
    assert (frame["msun"] == (frame["metastable"] & frame["unique"] & frame["novel"])).all()
    assert listed(frame["anion_class"]) == ["Cl", "F", "Cl", None, "O"]
    every, structures = read_structures(relaxed_folder)
    assert set(judged.structures) == set(frame["structure_id"].dropna()) <= set(structures)
    lowest = every[every["reason"] == ""].groupby("rank")["energy_per_atom_chgnet"].min()
    energies = every.set_index("structure_id")["energy_per_atom_chgnet"]
    for place, id in frame["structure_id"].dropna().items():
        assert energies[id] == lowest[place + 1]


def test_shares_are_of_all_compositions(relaxed_folder: Path) -> None:
    content = judge_structures(relaxed_folder, NOVEL).content
    assert content["n"] == 5 and content["with_structure"] == 4
    assert content["counts"]["metastable"] >= 3 and content["counts"]["novel"] == 1 and content["counts"]["unique"] == 3
    assert content["protocol"]["matcher"] == {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}
    assert sum(group["n"] for group in content["by_anion_class"].values()) == 4
    assert content["by_anion_class"]["Cl"]["bias"] == hull_bias("chgnet")["Cl"]["bias"]
    assert any("not a formula" in reason or "cannot" in reason for reason in content["failures"])


def test_bias_is_known_of_measured_potentials_only() -> None:
    assert hull_bias("chgnet")["O"]["n"] > 5 and hull_bias("orb") == {}


def test_novel_as_a_crystal(relaxed_folder: Path, tmp_path: Path) -> None:
    salt(5.6).to(filename=str(tmp_path / "halite.cif"))
    salt(5.6, ("K", "Cl")).to(filename=str(tmp_path / "sylvite.cif"))
    judged = judge_structures(relaxed_folder, NOVEL, reference_structures=templates_in(tmp_path)[0])
    assert judged.frame["novel_structure"].tolist() == [False, True, False, False, True]
    assert judged.content["counts"]["novel_structure"] == 2
    assert judged.content["protocol"]["novel"] == "composition, and crystal"
    known = judged.structures[judged.frame["structure_id"][0]]
    assert StructureMatcher().fit(known, salt())


def test_the_same_crystals_are_found_among_equal_compositions_only() -> None:
    structures = {"a": salt(5.6), "b": salt(5.8), "c": salt(5.6, ("K", "Cl"))}
    formulas, ids = pd.Series(["NaCl", "NaCl", "KCl", "NaCl"]), pd.Series(["a", "b", "c", None])
    assert same_crystals(formulas, ids, structures) == [None, "a", None, None]


def test_bad_folders(relaxed_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"structures\.json"):
        judge_structures(tmp_path, NOVEL)
    copy = tmp_path / "copy"
    shutil.copytree(relaxed_folder, copy)
    plan = read_checksummed(copy / "structures.json")
    write_json(copy / "structures.json", plan | {"potential": None})
    with pytest.raises(DataError, match="were not relaxed"):
        judge_structures(copy, NOVEL)
    write_json(copy / "structures.json", plan)
    (copy / "candidates.parquet").write_text("cut short")
    with pytest.raises(DataError, match="--resume"):
        judge_structures(copy, NOVEL)
