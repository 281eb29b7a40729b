"""Rows that are made, moved or found: augmentation, pretext tasks, retrieval, reading of files."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift.augment import augmented, corrupted_labels, shuffled_labels, with_outliers
from matgen.lift.codec import Codec
from matgen.lift.columns import Column, describe, typed
from matgen.lift.files import read_any_table, unreadable_rows
from matgen.lift.pretext import pretext_stages
from matgen.lift.retrieval import RowDistance
from matgen.lift.scratch.model import ScratchOptions
from matgen.lift.scratch.rows import perturbed, shifted
from matgen.lift.sentences import Sentences

FRAME = pd.DataFrame({"x": np.linspace(0, 9, 40), "kind": ["a", "b"] * 20, "label": ["p", "q", "q", "p"] * 10})


def sentences_of(frame, target):
    columns = describe(frame)
    return Sentences(
        tuple(c for c in columns if c.name != target), next(c for c in columns if c.name == target)
    ), typed(frame, columns)


def test_augmented_rows_stay_near_and_keep_their_labels():
    sentences, rows = sentences_of(FRAME, "label")
    more = augmented(rows, sentences, noise=0.1, mixup=0.3, seed=0, copies=2)
    assert len(more) == 120 and more.iloc[:40].equals(rows)
    assert (more["label"].to_numpy().reshape(3, -1) == rows["label"].to_numpy()).all()
    assert more["x"].between(-2, 11).all() and not np.allclose(more["x"][40:80], rows["x"])


def test_numeric_answers_are_mixed_with_their_rows():
    sentences, rows = sentences_of(pd.DataFrame({"x": np.arange(30.0), "y": 2 * np.arange(30.0)}), "y")
    more = augmented(rows, sentences, noise=0.0, mixup=0.5, seed=0)
    assert np.allclose(more["y"], 2 * more["x"])


@given(st.floats(0, 1))
def test_as_many_labels_are_corrupted_as_asked_for(share):
    labels = FRAME["label"]
    damaged = corrupted_labels(labels, share, 0)
    assert (damaged != labels).sum() == round(share * len(labels))
    assert set(damaged) <= set(labels)


def test_damage_that_cannot_be_done():
    with pytest.raises(OptionError, match="share is 2"):
        corrupted_labels(FRAME["label"], 2, 0)
    with pytest.raises(DataError, match="one label only"):
        corrupted_labels(pd.Series(["a"]), 0.1, 0)


def test_shuffled_labels_and_outliers():
    shuffled = shuffled_labels(FRAME["label"], 0)
    assert sorted(shuffled) == sorted(FRAME["label"]) and list(shuffled) != list(FRAME["label"])
    numbers = np.random.default_rng(0).normal(size=50)
    moved = with_outliers(numbers, 4, 0)
    assert (moved != numbers).sum() == 4 and np.abs(moved - numbers).max() == pytest.approx(10 * numbers.std())


@pytest.mark.parametrize("target", ["label", "x"])
def test_pretext_tasks_look_like_the_table(target):
    sentences, rows = sentences_of(FRAME, target)
    stages = pretext_stages(rows, sentences, 2, seed=0)
    assert len(stages) == 2 and not stages[0].equals(stages[1])
    for stage in stages:
        assert set(stage.columns) == set(rows.columns)
        assert stage["x"].between(0, 9).all()
        assert set(stage["label"]) <= {"p", "q"} and set(stage["kind"]) <= {"a", "b"}
        assert stage[target].nunique() > 1
    with pytest.raises(OptionError):
        pretext_stages(rows, sentences, -1, seed=0)


def test_near_rows_agree_with_a_plain_loop():
    rng = np.random.default_rng(0)
    columns = (Column("a", "number", spread=2.0), Column("b", "number", spread=0.5))
    store = pd.DataFrame({"a": rng.normal(size=30), "b": rng.normal(size=30)})
    asked = pd.DataFrame({"a": rng.normal(size=5), "b": rng.normal(size=5)})
    found = RowDistance(columns, store).nearest(asked, store, 4)
    for row, near in zip(asked.itertuples(), found, strict=True):
        distance = ((store["a"] - row.a) / 2) ** 2 + ((store["b"] - row.b) / 0.5) ** 2
        assert list(near) == list(np.argsort(distance.to_numpy())[:4][::-1])


def test_no_row_is_its_own_neighbor_even_among_equals():
    columns = (Column("a", "number"),)
    store = pd.DataFrame({"a": [1.0] * 6 + [5.0]})
    found = RowDistance(columns, store).nearest(store, store, 3, itself=True)
    assert found.shape == (7, 3) and all(row not in near for row, near in enumerate(found))
    with pytest.raises(DataError, match="retrieval of 7 rows needs as many to choose from, there are 6"):
        RowDistance(columns, store).nearest(store, store, 7, itself=True)
    with pytest.raises(DataError, match="no column but text"):
        RowDistance((Column("t", "text"),), store)


def test_formulas_are_near_by_their_elements():
    columns = (Column("formula", "formula"), Column("kind", "category", values=("a", "b")))
    store = pd.DataFrame({"formula": ["NaCl", "Na9Cl10", "GaAs", None], "kind": ["a", "a", "a", "b"]})
    found = RowDistance(columns, store).nearest(store.iloc[[0]], store, 2)
    assert found.tolist() == [[1, 0]]


def test_perturbed_rows_keep_answers_and_miss_some_values():
    columns = describe(FRAME)
    codec, rows = Codec(columns, {}), typed(FRAME, columns)
    options = ScratchOptions(noise=0.1, missing=0.3)
    generator = torch.Generator().manual_seed(0)
    seen = perturbed(codec.encoded(rows), codec, options, generator, columns[-1:])
    assert torch.equal(seen.codes[:, -1], codec.encoded(rows).codes[:, -1])
    assert 2 < int(torch.isnan(seen.numbers).sum()) < 25
    assert not torch.equal(seen.codes[:, 0], codec.encoded(rows).codes[:, 0])


def test_several_targets_are_kept_and_mixed_within_their_labels():
    rng = np.random.default_rng(0)
    kind, part = rng.choice(["a", "b"], 80), rng.choice(["u", "v"], 80)
    x = np.where(kind == "a", 0, 10) + np.where(part == "u", 0, 100) + rng.random(80)
    frame = pd.DataFrame({"x": x.round(3), "y": (2 * x).round(3), "kind": kind, "part": part})
    columns = describe(frame)
    codec, rows = Codec(columns, {}), typed(frame, columns)
    before = codec.encoded(rows)
    options = ScratchOptions(noise=0.0, answer_noise=0.0, missing=0.3, mixup=0.9)
    seen = perturbed(before, codec, options, torch.Generator().manual_seed(0), columns[1:])
    assert torch.equal(seen.codes, before.codes) and not torch.isnan(seen.numbers[:, 1]).any()
    assert 10 < int(torch.isnan(seen.numbers[:, 0]).sum()) < 40
    there = ~torch.isnan(seen.numbers[:, 0])
    assert torch.allclose(seen.numbers[there, 1], 2 * seen.numbers[there, 0], atol=0.01)
    assert not torch.equal(seen.numbers[there, 0], before.numbers[there, 0])
    # Only rows of the same labels are mixed: numbers stay within those of their labels.
    assert ((seen.numbers[there, 0] - before.numbers[there, 0]).abs() <= 1).all()


def test_prompts_move_as_a_whole():
    frame = pd.DataFrame({"x": np.arange(6.0), "y": np.arange(6.0)})
    codec = Codec(describe(frame), {})
    rows = codec.encoded(frame)
    examples = rows[torch.tensor([1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0, 1])]
    own, before = shifted(rows, examples, 1.0, torch.Generator().manual_seed(0))
    moved = own.numbers[:, -1] - rows.numbers[:, -1]
    assert torch.allclose((before.numbers - examples.numbers)[:, -1], moved.repeat_interleave(2))
    assert torch.equal(own.numbers[:, 0], rows.numbers[:, 0]) and moved.unique().numel() == 6


def test_tables_are_read_and_bad_ones_named(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    FRAME.to_parquet(tmp_path / "t.parquet")
    assert read_any_table(tmp_path / "t.csv").equals(read_any_table(tmp_path / "t.parquet"))
    (tmp_path / "t.doc").write_text("x\n1\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "head.csv").write_text("a,b\n")
    (tmp_path / "odd.parquet").write_text("no")
    for name, message in {
        "t.doc": "unknown kind of file",
        "empty.csv": "is empty",
        "head.csv": "no rows|at least one",
        "odd.parquet": "cannot read",
        "absent.csv": "no such file",
    }.items():
        with pytest.raises(DataError, match=message):
            read_any_table(tmp_path / name)


def test_tables_as_other_programs_write_them(tmp_path):
    expected = pd.DataFrame({"x": [1.5, 2.5, 1234.5], "kind": ["a", "b", "a"]})
    text = "Messung 1;\n\nx;kind\n1,5;a\n2,5;b\n;\n1.234,5;a\n"
    for name, content in {
        "a.csv": text.encode(),
        "b.csv": b"sep=;\n" + text.partition("\n\n")[2].encode(),
        "c.txt": text.replace(";", "\t").encode("utf-16"),
        "d.json": expected.to_json(orient="split").encode(),
        "e.jsonl": expected.to_json(orient="records", lines=True).encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MatgenWarning)
            pd.testing.assert_frame_equal(read_any_table(tmp_path / name), expected)
    expected.to_feather(tmp_path / "f.feather")
    pd.testing.assert_frame_equal(read_any_table(tmp_path / "f.feather"), expected)


def test_rows_with_too_many_fields_are_counted(tmp_path):
    rows = "".join(f"{i},a\n" for i in range(10))
    (tmp_path / "t.csv").write_text(f"x,kind\n{rows}1,2,3\n")
    with pytest.warns(MatgenWarning, match="1 of 11 rows of .*t.csv could not be read, the first: row 11: 3 fields, 2"):
        assert len(read_any_table(tmp_path / "t.csv")) == 10
    (tmp_path / "t.csv").write_text("x,kind\n1,2,3\n1,2\n")
    with pytest.raises(DataError, match="1 of 2 rows .* could not be read"):
        read_any_table(tmp_path / "t.csv")


def test_rows_that_cannot_be_read_are_told_apart():
    columns = tuple(describe(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})))
    frame = pd.DataFrame({"a": ["1", "wide", None, "inf", "3e2"], "b": ["x", 1, None, "z", "y"]})
    assert unreadable_rows(frame, columns) == {
        1: "'wide' in 'a' is not a number",
        3: "'inf' in 'a' is not a finite number",
    }
    assert unreadable_rows(pd.DataFrame({"a": [1.0, np.inf]}), columns) == {1: "an infinite number in 'a'"}
