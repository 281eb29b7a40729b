import json

import numpy as np
import pandas as pd
import pytest

from matgen.errors import CheckpointError, OutputError
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
