from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from matgen.cli import main
from matgen.cli.lift_data import ENCODINGS as OF_HELP
from matgen.cli.lift_data import IMAGE_SETS as SETS_OF_HELP
from matgen.errors import DataError, OutputError
from matgen.lift import load
from matgen.lift.files import read_any_table
from matgen.lift.images import sources, tables
from matgen.lift.images.encoding import ENCODINGS
from matgen.lift.images.tables import (
    DESCRIPTION,
    TEST,
    TRAIN,
    labeled_table,
    read_encoding,
    read_images,
    table_to_complete,
    write_image_tables,
)
from tests.cli.test_main import refused
from tests.lift.images.digits import large_digits

DIGITS = large_digits(120)
PARTS = DIGITS[np.arange(90)], DIGITS[np.arange(90, 120)]


@pytest.fixture(autouse=True)
def _fetched(monkeypatch):
    monkeypatch.setattr(tables, "load_images", lambda name, progress: PARTS)


def test_the_command_knows_all_sets_and_encodings():
    assert OF_HELP == ENCODINGS and tuple(sources.IMAGE_SETS) == SETS_OF_HELP


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_come_back_as_images(tmp_path, encoding):
    written = write_image_tables("mnist", tmp_path / "digits", encoding=encoding, seed=3)
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == sorted([TRAIN, TEST, DESCRIPTION])
    made = read_encoding(tmp_path / "digits")
    for part, images in zip((TRAIN, TEST), PARTS, strict=True):
        found = read_images(tmp_path / "digits", part)
        assert np.array_equal(found.labels, images.labels)
        assert np.array_equal(found.pixels, np.rint(made.images(made.table(images.pixels))))
        assert written["rows"][part] == len(images)
    frame = read_any_table(tmp_path / "digits" / TEST)
    assert frame.equals(labeled_table(PARTS[1], made))
    assert written["columns"] == frame.shape[1] - 1 == {"patches": 36, "coarse": 100, "pixels": 324}[encoding]
    assert "8,000 to train and 2,000 to test" in written["split"] and "MIT" in written["license"]


def test_copies_are_of_training_images_alone(tmp_path):
    written = write_image_tables("mnist", tmp_path, copies=2)
    assert written["rows"] == {TRAIN: 270, TEST: 30}
    assert read_images(tmp_path, TRAIN).labels.tolist() == PARTS[0].labels.tolist() * 3


def test_only_clothes_are_mirrored(tmp_path, monkeypatch):
    asked = []
    plain = tables.with_copies
    monkeypatch.setattr(
        tables, "with_copies", lambda *args, **options: asked.append(options) or plain(*args, **options)
    )
    for name in sources.IMAGE_SETS:
        write_image_tables(name, tmp_path / name, copies=1)
    assert [options["mirror"] for options in asked] == [False, True]


def test_words_are_learned_from_training_images(tmp_path, monkeypatch):
    write_image_tables("mnist", tmp_path / "a")
    dark = replace(PARTS[1], pixels=np.zeros_like(PARTS[1].pixels))
    monkeypatch.setattr(tables, "load_images", lambda name, progress: (PARTS[0], dark))
    write_image_tables("mnist", tmp_path / "b")
    assert np.array_equal(read_encoding(tmp_path / "a").words, read_encoding(tmp_path / "b").words)


def test_half_of_the_labels_are_hidden_to_complete(tmp_path):
    write_image_tables("mnist", tmp_path)
    table = table_to_complete(PARTS[0], read_encoding(tmp_path), seed=1)
    hidden = table["label"].isna()
    assert 0.3 < hidden.mean() < 0.7
    assert table["label"][~hidden].tolist() == PARTS[0].labels[~hidden].astype(str).tolist()


def test_damaged_tables_are_refused(tmp_path):
    write_image_tables("mnist", tmp_path)
    content = bytearray((tmp_path / TEST).read_bytes())
    content[100] ^= 1
    (tmp_path / TEST).write_bytes(bytes(content))
    with pytest.raises(DataError, match="test.parquet is damaged or was changed.*matgen lift data"):
        read_images(tmp_path)
    (tmp_path / DESCRIPTION).unlink()
    with pytest.raises(DataError, match="images.json"):
        read_encoding(tmp_path)


def test_a_kill_leaves_earlier_tables_whole(tmp_path, monkeypatch):
    write_image_tables("mnist", tmp_path)
    before = (tmp_path / TRAIN).read_bytes()

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "write_description", broken)
    with pytest.raises(OutputError, match="No space left"):
        write_image_tables("mnist", tmp_path, seed=9)
    assert (tmp_path / TRAIN).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([TRAIN, TEST, DESCRIPTION])
    read_images(tmp_path)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lift", "data", "mnist", "--copies", "1"]) == 0
    said = capsys.readouterr().err
    assert "train.parquet (180 rows), test.parquet (30 rows) of 36 columns and a label in mnist" in said
    assert "Next: matgen lift fit --table mnist/train.parquet --target label" in said
    assert main(["lift", "data", "mnist", "--encoding", "coarse", "--quiet"]) == 0
    assert read_any_table(tmp_path / "mnist-2" / TEST).shape == (30, 101)
    assert "mnist exists" in refused(capsys, "lift", "data", "mnist", "--out", "mnist")
    assert "cifar" in refused(capsys, "lift", "data", "cifar")
    assert "copies is -1" in refused(capsys, "lift", "data", "mnist", "--copies", "-1", "--out", "odd")
    assert not (tmp_path / "odd").exists()


@pytest.mark.slow
def test_a_classifier_is_fitted_and_asked_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands = [
        "lift data mnist --copies 1",
        "lift fit --table mnist/train.parquet --target label --out model --options steps=60,width=32,layers=1",
        "lift predict mnist/test.parquet --model model --out said.csv",
        "lift fit --table mnist/train.parquet --out rows --options steps=10,width=32,layers=1",
        "lift sample --model rows -n 3 --given label=4 --out drawn.parquet",
    ]
    for command in commands:
        assert main([*command.split(), "--quiet"]) == 0, capsys.readouterr().err
    said = read_any_table(tmp_path / "said.csv")
    model, rows = load(tmp_path / "model"), read_any_table(tmp_path / "mnist" / TEST)
    assert model.backend_.codec.alike == set(rows.columns[1:])
    assert said["label_predicted"].tolist() == model.predict(rows).tolist()
    drawn = read_any_table(tmp_path / "drawn.parquet")
    assert (drawn["label"] == 4).all()
    assert read_encoding(tmp_path / "mnist").images(drawn).shape == (3, 28, 28)
