"""Columns that are places of one thing share their tokens, and only those."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matgen.errors import DataError
from matgen.io.files import read_checksummed, write_checksummed
from matgen.lift import LiftClassifier, LiftGenerator, load, save
from matgen.lift.alike import FEWEST, alike_columns
from matgen.lift.codec import UNKNOWN, Codec
from matgen.lift.columns import describe, typed
from matgen.lift.images.encoding import PatchWords
from matgen.lift.scratch.backend import ScratchBackend
from tests.lift.images.digits import small_digits

QUICK = {"steps": 5, "width": 32, "layers": 1, "batch_size": 32}


def places(n: int, seed: int = 0, name: str = "patch {}") -> pd.DataFrame:
    """A table whose column i has the values a, b ... of its own random choice, and a column of another kind."""
    rng = np.random.default_rng(seed)
    made = {name.format(i): rng.choice([f"w{j}" for j in range(i % 4 + 1)], 40) for i in range(n)}
    return pd.DataFrame({"color": rng.choice(["red", "blue"], 40), **made})


def test_many_categories_whose_names_differ_in_numbers_are_alike() -> None:
    frame = places(FEWEST)
    assert alike_columns(describe(frame)) == tuple(frame.columns[1:])
    assert alike_columns(describe(places(FEWEST - 1))) == ()
    other_names = frame.rename(columns={f"patch {i}": f"part {chr(97 + i)}" for i in range(FEWEST)})
    assert alike_columns(describe(other_names)) == ()
    numbers = pd.DataFrame({f"pixel {i}": [0, 1, 2] for i in range(FEWEST)})
    assert alike_columns(describe(numbers)) == ()


def test_they_share_their_tokens_and_all_their_values() -> None:
    frame = places(FEWEST)
    columns = describe(frame)
    names = alike_columns(columns)
    codec, apart = Codec(columns, {}, alike=names), Codec(columns, {})
    rows = typed(frame, columns)
    assert apart.vocabulary - codec.vocabulary == sum(len(column.values) for column in columns[1:]) - 4
    tokens = codec.tokens(codec.encoded(rows)).numpy()
    for word in ("w0", "w1", "w2", "w3"):
        assert len(set(tokens[:, 1:][(frame[list(names)] == word).to_numpy()])) == 1
    for i, place in enumerate(codec.places):
        assert codec.values(place, tokens[:, i : i + 1]) == rows[place.column.name].tolist()
        assert [place.column.values[code] for code in ([] if place.seen is None else place.seen)] == (
            [] if i == 0 else list(columns[i].values)
        )
    later = rows.assign(**{"patch 0": "w3", "patch 1": "w9"})
    tokens = codec.tokens(codec.encoded(later)).numpy()
    assert tokens[0, 1] == codec.places[1].base[0] + 3 and tokens[0, 2] == UNKNOWN


def test_a_generator_draws_in_each_column_what_it_had_and_takes_what_any_had() -> None:
    frame = places(FEWEST)
    model = LiftGenerator(backend_options=QUICK).fit(frame)
    drawn = model.sample(60, seed=1)
    for name in frame.columns:
        assert set(drawn[name]) <= set(frame[name])
    assert set(model.sample(5, {"patch 0": "w3"})["patch 0"]) == {"w3"}
    with pytest.raises(DataError, match="'w9' in 'patch 0' is none of"):
        model.sample(5, {"patch 0": "w9"})


def test_fitted_models_come_back_the_same(tmp_path) -> None:
    frame = places(FEWEST)
    y = frame["patch 3"].isin(["w1", "w2"]).astype(str)
    model = LiftClassifier(backend_options=QUICK).fit(frame, y)
    assert model.backend_.codec.alike == set(frame.columns[1:])
    save(model, tmp_path / "classes")
    assert np.array_equal(load(tmp_path / "classes").predict_proba(frame), model.predict_proba(frame))
    rows = LiftGenerator(backend_options=QUICK).fit(frame)
    save(rows, tmp_path / "rows")
    assert load(tmp_path / "rows").sample(9, seed=2).equals(rows.sample(9, seed=2))


def test_models_of_before_keep_tokens_apart(tmp_path, monkeypatch) -> None:
    frame = places(FEWEST)
    y = frame["patch 3"].isin(["w1", "w2"]).astype(str)
    for module in ("estimators.base", "scratch.backend"):
        monkeypatch.setattr(f"matgen.lift.{module}.alike_columns", lambda columns: ())
    model = LiftClassifier(backend_options=QUICK).fit(frame, y)
    model.backend_.save(tmp_path)
    content = read_checksummed(tmp_path / "scratch.json")
    assert content.pop("alike") == []
    write_checksummed(tmp_path / "scratch.json", content)
    monkeypatch.undo()
    former = ScratchBackend()
    former.load(tmp_path, model.sentences_)
    queries = model._queries(frame)
    assert np.array_equal(former.label_log_probabilities(queries), model.backend_.label_log_probabilities(queries))


@pytest.mark.slow
def test_digits_as_patches_are_learned() -> None:
    digits = small_digits()
    train, test = np.arange(1_297), np.arange(1_297, 1_797)
    encoding = PatchWords.learned(digits.pixels[train], patch=2, words=64)
    X, y = encoding.table(digits.pixels), pd.Series(digits.labels, name="digit")
    model = LiftClassifier(backend_options={"steps": 240}).fit(X.iloc[train], y.iloc[train])
    assert model.backend_.codec.alike == set(encoding.columns)
    assert model.score(X.iloc[test], y.iloc[test]) > 0.8
