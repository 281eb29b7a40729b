"""Files, names and servers that mean harm: nothing is executed, nothing lands where it should not, nothing is told."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.cli.shared import folder_name
from matgen.datasets import sources
from matgen.datasets.sources import fetch, materials_project, read_member
from matgen.datasets.tables import read_formula_table
from matgen.errors import DataError, MatgenError, first_line
from matgen.evaluation import evaluate
from matgen.fitting.state import load_state
from matgen.io.files import atomic_write, atomic_write_files, locked, read_json, write_text
from matgen.io.parquet import write_parquet
from matgen.io.weights import load_weights
from matgen.lift import load as load_lift
from matgen.models.checkpoint import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.published import convert
from matgen.prediction import Predictor


class Harm:
    """A pickle of it makes a file where it is opened."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self._trace),)


@pytest.fixture
def harm(tmp_path: Path) -> tuple[bytes, Path]:
    """A pickle, and what its opening leaves behind."""
    return pickle.dumps(Harm(tmp_path / "opened")), tmp_path / "opened"


def test_the_harm_is_real(harm: tuple[bytes, Path]) -> None:
    pickle.loads(harm[0])
    assert harm[1].exists()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json", "a.jsonl", "a.txt", "a.pkl", "a.csv.gz"])
def test_a_table_is_not_unpickled(name: str, harm: tuple[bytes, Path], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(harm[0])
    try:
        frame, column = read_formula_table(path)
        assert frame[column].map(type).eq(str).all()
    except DataError as error:
        assert "\n" not in str(error)
    assert not harm[1].exists()


def test_weights_are_not_unpickled(harm: tuple[bytes, Path], tmp_path: Path) -> None:
    import shutil

    for opens in (load_checkpoint, Predictor.load, load_lift, lambda folder: load_state(folder, 1)):
        folder = tmp_path / "model"
        shutil.copytree(find_checkpoint(None), folder)
        metadata = read_json(folder / "matgen.json")
        for key in ("files", "content_sha256"):
            metadata.pop(key)
        (folder / "matgen.json").write_text(json.dumps(metadata))
        (folder / "model.safetensors").unlink()
        for name in ("model.safetensors", "pytorch_model.bin", "model.bin", "training_args.bin", "optimizer.pt"):
            (folder / name).write_bytes(harm[0])
        for name in ("predictor.json", "lift.json", "latest.json"):
            (folder / name).write_text("{}")
        with pytest.raises(MatgenError):
            opens(folder)
        shutil.rmtree(folder)
    (tmp_path / "w.safetensors").write_bytes(harm[0])
    with pytest.raises(Exception, match=r".") as error:
        load_weights(tmp_path / "w.safetensors")
    assert not isinstance(error.value, pickle.UnpicklingError)
    assert not harm[1].exists()


def test_the_published_layout_is_read_as_weights_only(harm: tuple[bytes, Path], tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "published"
    folder.mkdir()
    torch.save(Harm(harm[1]), folder / "pytorch_model.bin")
    config = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 120, "n_positions": 32}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(["<unk>", "<pad>", "H", "He"]))
    with pytest.raises(MatgenError):
        convert(folder, tmp_path / "out")
    assert not harm[1].exists()
    assert not (tmp_path / "out").exists()


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(find_checkpoint(None), folder)
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nclass Model: pass\n")
    config = read_json(folder / "config.json") | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    metadata = read_json(folder / "matgen.json")
    for key in ("files", "content_sha256"):
        metadata.pop(key)
    (folder / "matgen.json").write_text(json.dumps(metadata))
    load_checkpoint(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("was", "now"), [("5.64", "5.6E4099999"), ("90.0", "\x000.0"), ("5.64", "0.0"), ("5.64", "nan"), ("5.64", "1e200")]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_cell_that_is_none_is_refused(was: str, now: str, tmp_path: Path) -> None:
    """Such cells once ended the process."""
    from matgen.structures.templates import templates_in

    lines = [f"_cell_length_{x} 5.64" for x in "abc"] + [f"_cell_angle_{x} 90.0" for x in ("alpha", "beta", "gamma")]
    atoms = (
        "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nNa 0 0 0\nCl .5 .5 .5\n"
    )
    (tmp_path / "a.cif").write_text("\n".join(["data_a", *lines, atoms]))
    assert len(templates_in(tmp_path)[0]) == 1
    (tmp_path / "a.cif").write_text("\n".join(["data_a", *lines, atoms]).replace(was, now, 1))
    with pytest.raises(DataError):
        templates_in(tmp_path)


def test_a_damaged_footer_is_found_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"formula": ["NaCl"], "note": ["a"]})
    write_parquet(frame, path)
    whole, found = path.read_bytes(), 0
    for text in (b"note", b"formula", b"numpy_type", b"name", b"pandas_type"):
        for match in re.finditer(re.escape(text), whole):
            path.write_bytes(whole[: match.start()] + text[:-1] + b"\x7f" + whole[match.end() :])
            try:
                pd.testing.assert_frame_equal(read_formula_table(path)[0], frame)
            except DataError as error:
                found += 1
                assert "\n" not in str(error)
    assert found >= 2


def test_an_archive_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.csv", bytes(32 << 20))
        archive.writestr("small.csv", b"a")
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"refused data.csv of bomb.whl: it unpacks to more than 1 MiB"):
        read_member(path, "data.csv")
    assert read_member(path, "small.csv") == b"a"
    # The size that the archive tells is not believed.
    whole = path.read_bytes()
    path.write_bytes(whole.replace((32 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DataError):
        if len(read_member(path, "data.csv")) <= 1 << 20:
            raise DataError("cut to the size that was told")


def test_members_outside_an_archive_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "slip.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../slipped", b"a")
    assert read_member(path, "../../slipped") == b"a"  # in memory
    assert [entry.name for entry in tmp_path.iterdir()] == ["slip.whl"]


@pytest.mark.parametrize("url", ["http://example.org/a.whl", "ftp://example.org/a.whl", "//example.org/a.whl"])
def test_downloads_are_https(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only https is taken"):
        fetch(url, tmp_path / "a.whl", "0" * 64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["../../evil", "/etc/passwd", "..", "a/b\\c", ".hidden", "C:\\x", "~root", "\0", "$(id)"]
)
def test_names_of_columns_are_no_paths(text: str) -> None:
    name = folder_name(text)
    assert re.fullmatch(r"[\w+][\w.+-]*", name)
    assert (Path("models") / name).resolve().parent == Path("models").resolve()


def test_a_column_s_name_does_not_lead_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "deep" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    pd.DataFrame({"a": range(40), "../../evil": ["x", "y"] * 20}).to_csv("t.csv", index=False)
    words = ["lift", "fit", "--table", "t.csv", "--target", "../../evil", "--options", "steps=2", "--quiet"]
    assert main(words) == 0
    assert {entry.name for entry in work.iterdir()} == {"t.csv", "models"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["deep"]


EVIL = ["=cmd|'/c calc'!A1", "@SUM(1+1)", "+1+1", "-2+3", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>"]


def test_a_report_holds_no_formula_of_a_spreadsheet_and_no_tag(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["NaCl", "KNa5Cl6", "Rb3Cs4F7", "K5Sr7Cl19", *EVIL]
    table = pd.DataFrame(
        {
            "formula": rows,
            "log_prob": rng.normal(size=len(rows)),
            "probability_hull_0.1": 0.5,
            "energy_above_hull": 0.1,
            "energy_above_hull_std": 0.1,
            "decomposition": "0.5 Na",
            "in_domain": True,
            "<b>note</b>": EVIL[0],
        }
    )
    evaluate(table, "mp-pure", baselines=False, out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    for text in EVIL[4:]:
        assert text not in page
    assert "<b>note</b>" not in page
    cells = pd.read_csv(tmp_path / "report" / "ranked.csv", dtype=str).to_numpy().ravel()
    assert len(cells)
    assert not [cell for cell in cells if str(cell)[0] in "=@+\t" or (str(cell)[0] == "-" and not _number(str(cell)))]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_links_in_an_output_folder_are_replaced_and_not_followed(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (outside / "file").write_text("kept")
    (out / "a.txt").symlink_to(outside / "file")
    (out / "folder").symlink_to(outside)
    (out / ".a.txt.lock").symlink_to(outside / "file")
    locked("path")(lambda path: write_text(path, "new"))(out / "a.txt")
    assert not (out / "a.txt").is_symlink()
    with atomic_write_files(out, ("folder", "mark")) as stage:
        (stage / "folder").mkdir()
        (stage / "mark").write_text("")
    assert not (out / "folder").is_symlink()
    assert (outside / "file").read_text() == "kept"
    with atomic_write(out / "b.txt") as temporary:
        assert temporary.stat().st_mode & 0o077 == 0  # nobody else can write into it meanwhile


@pytest.mark.slow
def test_keys_are_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    key = "abcdefghijklmnopqrstuvwxyz012345"
    monkeypatch.setenv("MP_API_KEY", key)

    class Rester:
        def __init__(self, api_key: str, **_: object) -> None:
            raise RuntimeError(f"401 for https://user:{api_key}@host/?X-API-KEY={api_key}")

    module = types.ModuleType("mp_api.client")
    module.MPRester = Rester  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mp_api", types.ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", module)
    for given in (None, "other-key-of-an-argument"):
        with pytest.raises(DataError) as error:
            materials_project(given)
        assert key not in str(error.value)
        assert "other-key" not in str(error.value)
    assert first_line(ValueError("at https://me:secret@host/simple")) == "at https://host/simple"
    assert main(["sample", "-n", "20", "--out", str(tmp_path / "a.csv")]) == 0
    assert main(["evaluate", str(tmp_path / "a.csv"), "--no-baselines", "--out", str(tmp_path / "report")]) == 0
    said = "".join(capsys.readouterr())
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key not in said
    assert key.encode() not in written
