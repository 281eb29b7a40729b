from __future__ import annotations

import json
from pathlib import Path

import pytest

from matgen.dft.export import export
from matgen.dft.settings import DFTSettings, Job, changed_inputs, read_manifest, require_sound_ids
from matgen.errors import DataError, OptionError

from .conftest import manganese_oxide, rock_salt


@pytest.mark.parametrize(
    "changes",
    [{"cutoff": 0.0}, {"cutoff": float("nan")}, {"cutoff": float("inf")}, {"kpoint_density": -1.0},
     {"kpoint_density": float("inf")}, {"calculation": "bands"}, {"input_set": "mit"}],
)  # fmt: skip
def test_settings_that_make_no_sense(changes: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        DFTSettings(**changes)


def test_moments_are_told_only_where_there_are_some() -> None:
    assert Job("a", manganese_oxide(), "candidate").moments() == [4.5, -4.5, 0, 0]
    plain = rock_salt("Na", "Cl", 5.64)
    assert Job("a", plain, "candidate").moments() is None
    plain.add_site_property("magmom", [0.01, -0.02])
    assert Job("a", plain, "candidate").moments() is None


def test_without_predicted_moments_magnetic_elements_begin_with_the_sets() -> None:
    assert Job("a", manganese_oxide(), "candidate").initial_moments() == ([4.5, -4.5, 0, 0], [])
    oxide = rock_salt("Co", "O", 4.26)
    moments, remarks = Job("a", oxide, "candidate").initial_moments()
    assert moments == [0.6, 0.0] and "MPRelaxSet" in remarks[0]
    oxide.add_site_property("magmom", [0.0, 0.0])
    assert Job("a", oxide, "competing").initial_moments()[0] == [0.6, 0.0]
    assert Job("a", oxide, "element").initial_moments() == (None, [])
    assert Job("a", rock_salt("Na", "Cl", 5.64), "candidate").initial_moments() == (None, [])


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a b", 'a"""', "a\n", "-".join("ab") + "\0"])
def test_ids_that_are_no_folders(name: str) -> None:
    with pytest.raises(DataError, match="cannot be the name of a folder"):
        require_sound_ids(["0001-NaCl-1", name])


def test_ids_that_some_file_systems_take_for_the_same() -> None:
    with pytest.raises(DataError, match="two calculations"):
        require_sound_ids(["competing-CSI", "competing-CsI"])


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), ("[]", "not what"), ('{"jobs": [{"id": "a"}]}', "no 'formula'"),
     (json.dumps({"jobs": [{"id": "../a", "formula": "A", "role": "candidate"}], "format": "gpaw", "settings": {}}),
      "cannot be the name")],
)  # fmt: skip
def test_damaged_manifests(content: str, message: str) -> None:
    Path("manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_manifest(Path())


def test_inputs_that_were_edited_are_named(tmp_path: Path, job_of, matgen) -> None:
    export([job_of("Si"), job_of("NaCl")], tmp_path / "dft", "gpaw")
    assert changed_inputs(tmp_path / "dft") == []
    (tmp_path / "dft" / "0001-Si-1" / "run.py").write_text("print(1)")
    (tmp_path / "dft" / "0001-Si-1" / "result.json").write_text("{}")  # an output is no input
    assert changed_inputs(tmp_path / "dft") == ["0001-Si-1/run.py"]
    status, said = matgen("dft", "collect", tmp_path / "dft")
    assert status == 0 and "note: changed since the export: 0001-Si-1/run.py\n" in said
    assert matgen("dft", "collect", tmp_path / "dft", "--quiet")[1] == ""
