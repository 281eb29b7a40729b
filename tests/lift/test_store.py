import json

import numpy as np
import pandas as pd
import pytest

from matgen.errors import CheckpointError, OutputError
from matgen.io.files import read_checksummed, write_checksummed
from matgen.lift import LiftClassifier, LiftGenerator, LiftRegressor, load, save

QUICK = {"steps": 20, "width": 16, "heads": 2, "layers": 1}
TABLE = pd.DataFrame({"x": np.linspace(0, 5, 40), "kind": ["a", None, "b", "b"] * 10})


@pytest.mark.parametrize("retrieval", [0, 2])
def test_answers_are_the_same_after_a_round(tmp_path, retrieval):
    y = np.where(TABLE["x"] > 2, "high", "low")
    model = LiftClassifier(backend_options=QUICK, retrieval=retrieval).fit(TABLE, y)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert np.array_equal(model.predict_proba(TABLE), again.predict_proba(TABLE))
    assert again.get_params() == model.get_params()
    numbers = LiftRegressor(backend_options=QUICK, retrieval=retrieval).fit(TABLE, TABLE["x"].to_numpy() ** 2)
    save(numbers, tmp_path / "n")
    assert np.array_equal(numbers.predict_interval(TABLE), load(tmp_path / "n").predict_interval(TABLE))


def written_by_0_2(folder):
    """Rewrite the manifest of a saved estimator under the names that 0.2 wrote."""
    content = read_checksummed(folder / "lift.json")
    content["options"]["kinds"] = content["options"].pop("column_types")
    sentences = content.get("sentences")
    for column in content["columns"] if sentences is None else [*sentences["columns"], sentences["target"]]:
        column["kind"], column["was"] = column.pop("type"), column.pop("source_type")
    write_checksummed(folder / "lift.json", content)


@pytest.mark.parametrize("estimator", [LiftClassifier, LiftRegressor, LiftGenerator])
def test_folders_of_0_2_are_read(tmp_path, estimator, recwarn):
    model = estimator(backend_options=QUICK, column_types={"kind": "text"})
    y = np.where(TABLE["x"] > 2, "1", "2")
    model.fit(TABLE) if estimator is LiftGenerator else model.fit(TABLE, y.astype(int))
    save(model, tmp_path / "m")
    written_by_0_2(tmp_path / "m")
    manifest = (tmp_path / "m" / "lift.json").read_text()
    assert '"kinds"' in manifest and '"was"' in manifest and "column_types" not in manifest
    again = load(tmp_path / "m")
    assert again.get_params() == model.get_params()
    if estimator is LiftGenerator:
        assert model.sample(5).equals(again.sample(5))
    else:
        assert np.array_equal(model.predict(TABLE), again.predict(TABLE))
    assert not [warning for warning in recwarn if "column_types" in str(warning.message)]


def test_former_keywords_are_saved_under_present_names(tmp_path):
    with pytest.warns(FutureWarning, match="kinds is now column_types"):
        model = LiftGenerator(backend_options=QUICK, kinds={"kind": "text"}).fit(TABLE)
    save(model, tmp_path / "g")
    options = json.loads((tmp_path / "g" / "lift.json").read_text())["options"]
    assert options["column_types"] == {"kind": "text"} and "kinds" not in options
    assert load(tmp_path / "g").get_params()["column_types"] == {"kind": "text"}


def test_generators_draw_the_same_after_a_round(tmp_path):
    model = LiftGenerator(backend_options=QUICK).fit(TABLE)
    save(model, tmp_path / "g")
    assert model.sample(10, seed=1).equals(load(tmp_path / "g").sample(10, seed=1))


def test_earlier_models_are_not_overwritten(tmp_path):
    model = LiftGenerator(backend_options=QUICK).fit(TABLE)
    save(model, tmp_path / "g")
    with pytest.raises(OutputError, match="exists"):
        save(model, tmp_path / "g")
    save(model, tmp_path / "g", force=True)


def test_what_is_damaged_or_unfinished_is_said_to_be(tmp_path):
    with pytest.raises(CheckpointError, match="holds no fitted LIFT model"):
        load(tmp_path)
    save(LiftGenerator(backend_options=QUICK).fit(TABLE), tmp_path / "g")
    manifest = tmp_path / "g" / "lift.json"
    whole = json.loads(manifest.read_text())
    for damage in ({}, whole | {"estimator": "os.system"}, whole | {"columns": [1]}, []):
        manifest.write_text(json.dumps(damage))
        with pytest.raises(CheckpointError, match="damaged"):
            load(tmp_path / "g")
    manifest.write_text("{")
    with pytest.raises(CheckpointError):
        load(tmp_path / "g")
    manifest.write_text(json.dumps(whole))
    (tmp_path / "g" / "model" / "generator.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="generator.safetensors is damaged"):
        load(tmp_path / "g")
