from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.errors import DataError, MatgenError, OptionError, OutputError
from matgen.io.files import read_checksummed, read_json, write_json
from matgen.models.locate import find_checkpoint
from matgen.sampling import Sampler
from matgen.sampling.constraints.template import completions, mask
from matgen.sampling.tinkering.infilling import completion_log_prob
from matgen.sampling.tinkering.ranking import longest_learned, tinker, tinker_to_file
from matgen.sampling.tinkering.request import TinkerRequest
from matgen.validity import check

EVERY = np.arange(N_ELEMENTS + 1) > 0


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(find_checkpoint(None), precision="fp32")


def test_replacing_an_element(sampler: Sampler) -> None:
    tinkered = tinker(sampler, "SrTiO3", mask="Sr")
    frame = tinkered.frame
    assert list(frame.columns) == [
        "formula",
        "probability",
        "log_prob",
        "fill_1",
        "original",
        "charge_neutral",
        "electronegativity_balanced",
        "valid",
        "oxidation_states",
        "reason",
        "novel",
    ]
    others = [symbol for symbol in SYMBOLS[1:] if symbol not in ("Ti", "O")]
    assert sorted(frame["fill_1"]) == sorted(others)
    batch = CompositionBatch.from_formulas([f"{symbol}TiO3" for symbol in frame["fill_1"]])
    assert frame["formula"].tolist() == batch.formulas().tolist()
    log_prob = sampler.log_prob(batch)
    assert frame["log_prob"].to_numpy() == pytest.approx(log_prob, abs=1e-4)
    assert frame["probability"].to_numpy() == pytest.approx(np.exp(log_prob) / np.exp(log_prob).sum(), rel=1e-3)
    assert frame["probability"].sum() == pytest.approx(1)
    assert frame["probability"].is_monotonic_decreasing
    assert frame.loc[frame["original"], "formula"].tolist() == ["SrTiO3"]
    verdicts = check(batch)
    assert (frame["valid"] == verdicts.valid).all()
    assert (frame["charge_neutral"] == verdicts.charge_neutral).all()
    assert (frame["electronegativity_balanced"] == verdicts.electronegativity_balanced).all()
    assert (frame["oxidation_states"].notna() == frame["charge_neutral"]).all()
    assert (frame["reason"].isna() == frame["electronegativity_balanced"]).all()
    known = KeySet(load_dataset("hybrid").batch.keys())
    assert (frame["novel"] == ~known.contains(batch.keys())).all()
    (position,) = tinkered.positions
    assert list(position)[:5] == frame["fill_1"].tolist()[:5]
    assert position["Ca"] == pytest.approx(frame.set_index("fill_1")["probability"]["Ca"], rel=1e-5)
    assert min(position.values()) >= 1e-6
    summary = tinkered.summary
    assert summary["template"] == "_ Ti O3"
    assert summary["completions"] == 116
    assert summary["formula"] == "SrTiO3"
    assert frame["formula"][summary["original_rank"] - 1] == "SrTiO3"
    assert summary["novel_to"][0]["name"] == "hybrid"
    assert "exact" in summary["probability"]


def test_several_blanks_have_marginals(sampler: Sampler) -> None:
    tinkered = tinker(sampler, "_ _ O3", within="Li-Sr-Ti-Nb-O", novel_to=())
    frame = tinkered.frame
    assert frame["probability"].sum() == pytest.approx(1)
    assert not frame["original"].any()
    assert frame["novel"].all()
    assert tinkered.summary["novel_to"] == []
    for column, position in zip(("fill_1", "fill_2"), tinkered.positions, strict=True):
        by_hand: dict[str, float] = {}
        for symbol, probability in zip(frame[column], frame["probability"], strict=True):
            by_hand[symbol] = by_hand.get(symbol, 0.0) + probability
        assert position == pytest.approx({s: p for s, p in by_hand.items() if p >= 1e-6}, rel=1e-5)
        assert list(position.values()) == sorted(position.values(), reverse=True)
    assert set(frame["formula"]) >= {"LiNbO3", "SrTiO3", "Ti2O3"}
    assert "O5" not in set(frame["formula"])


def test_doping_ranks_by_the_full_replacement(sampler: Sampler) -> None:
    options = {"mask": "Sr", "within": "alkaline_earth_metals,rare_earths"}
    full = tinker(sampler, "SrTiO3", **options).frame
    doped = tinker(sampler, "SrTiO3", **options, dope="0.125")
    frame = doped.frame
    assert frame["undiluted"].tolist() == full["formula"].tolist()
    assert frame["probability"].tolist() == full["probability"].tolist()
    expected = [f"Sr7 {symbol} Ti8 O24" if symbol != "Sr" else "SrTiO3" for symbol in full["fill_1"]]
    batch = CompositionBatch.from_formulas(expected)
    assert frame["formula"].tolist() == batch.formulas().tolist()
    assert frame["log_prob"].to_numpy() == pytest.approx(sampler.log_prob(batch), abs=1e-3)
    assert (frame["valid"] == check(batch).valid).all()
    assert (frame["in_domain"] == frame["original"]).all()  # cells of 40 atoms, the model knows 30
    assert frame["dopant"].tolist() == full["fill_1"].tolist()
    assert set(zip(frame["host"], frame["site"], strict=True)) == {("SrTiO3", "Sr")}
    assert doped.summary["dope"] == "1/8"
    assert doped.summary["in_domain"] == 0
    halves = tinker(sampler, "SrTiO3", **options, dope=0.5)
    assert halves.frame["in_domain"].all()
    assert halves.summary["in_domain"] == len(halves.frame) - 1
    # Cells that do not fit the model keep their rank, and are judged.
    fine = tinker(sampler, "SrTiO3", **options, dope="1/1000").frame
    assert fine["probability"].tolist() == full["probability"].tolist()
    assert (np.isneginf(fine["log_prob"]) == ~fine["original"]).all()
    assert fine["valid"].any()


def test_insertion_and_deletion(sampler: Sampler) -> None:
    inserted = tinker(sampler, "SrTiO3", insert=1)
    assert len(inserted.frame) == 118
    assert {"SrTiO4", "Sr2TiO3", "LiSrTiO3"} & set(inserted.frame["formula"])
    assert inserted.frame["probability"].sum() == pytest.approx(1)
    left = tinker(sampler, "SrTiO3", delete=True)
    assert dict(zip(left.frame["deleted"], left.frame["formula"], strict=True)) == {
        "Sr": "TiO3",
        "Ti": "SrO3",
        "O": "SrTi",
    }
    log_prob = left.frame["log_prob"].to_numpy()
    assert left.frame["probability"].to_numpy() == pytest.approx(np.exp(log_prob) / np.exp(log_prob).sum())
    assert left.summary["template"] is None
    assert set(left.positions[0]) == {"Sr", "Ti", "O"}


@pytest.mark.parametrize("key", ["bart", "roberta"])
def test_models_that_fill_blanks_otherwise(checkpoints, key: str) -> None:
    sampler = Sampler(checkpoints(key))
    tinkered = tinker(sampler, "LiFePO4", mask="Fe", n_mc=2, within="transition_metals", novel_to=())
    filled = completions(mask("LiFePO4", "Fe"), np.isin(SYMBOLS, tinkered.frame["fill_1"]))
    weights = completion_log_prob(sampler, mask("LiFePO4", "Fe"), filled, n_mc=2)
    expected = dict(zip(SYMBOLS[filled.fills[:, 0]], np.exp(weights) / np.exp(weights).sum(), strict=True))
    assert tinkered.positions[0] == pytest.approx(expected, rel=1e-3)
    likelihood = sampler.likelihood.summed(CompositionBatch.from_formulas(tinkered.frame["formula"]), n_mc=2)
    assert tinkered.frame["log_prob"].to_numpy() == pytest.approx(likelihood, abs=1e-3)
    assert tinkered.summary["n_mc"] == (2 if key == "roberta" else None)


def test_lengths_that_a_model_has_not_learned(checkpoints) -> None:
    sampler = Sampler(checkpoints("roberta"))  # draws lengths first, those of up to 8 atoms
    with pytest.raises(OptionError, match="RoBERTa has learned no formula of that length"):
        tinker(sampler, "_ Ti8 O31")
    doped = tinker(sampler, "SrTiO3", mask="Sr", dope="1/8", within="Ca-Sr", novel_to=(), n_mc=1)
    assert doped.frame["probability"].sum() == pytest.approx(1)
    assert np.isneginf(doped.frame.set_index("fill_1")["log_prob"]["Ca"])
    assert (doped.summary["too_long"], doped.summary["impossible"], doped.summary["in_domain"]) == (0, 1, 0)


def test_request_as_a_value(sampler: Sampler) -> None:
    request = TinkerRequest("LiFePO4", mask="Fe", novel_to=())
    assert tinker(sampler, request).frame.equals(tinker(sampler, "LiFePO4", mask="Fe", novel_to=()).frame)
    assert set(tinker(sampler, request, within="Mn-Co").frame["fill_1"]) == {"Mn", "Co"}
    assert str(request) == "LiFePO4 with another element in place of Fe"
    assert str(TinkerRequest("SrTiO3", mask="1", dope="1/8")) == "SrTiO3 with another element in place of 1/8 of Sr"
    assert str(TinkerRequest("SrTiO3", insert=2)) == "SrTiO3 with 2 more atoms of one element"
    assert str(TinkerRequest("Ti O3 _")) == "_ Ti O3"


@settings(deadline=None)
@given(st.text(alphabet="_SrTiOx03 ().?\n", max_size=8) | st.text(max_size=8), st.text(max_size=4), st.text(max_size=4))
def test_any_text_is_a_request_or_is_refused_in_one_line(formula: str, sites: str, share: str) -> None:
    for options in ({"mask": sites}, {}, {"mask": sites, "dope": share}, {"within": sites}, {"delete": True}):
        try:
            TinkerRequest(formula, **options)
        except MatgenError as error:
            assert "\n" not in str(error)


def test_what_a_model_has_learned_from(sampler: Sampler, checkpoints, tmp_path: Path) -> None:
    from matgen.models import load_checkpoint

    assert longest_learned(sampler.checkpoint) == 30  # tokens are not atoms
    folder = tmp_path / "model"
    shutil.copytree(checkpoints("gptj"), folder)
    metadata = read_checksummed(folder / "matgen.json")
    write_json(folder / "matgen.json", metadata | {"length_histogram": [0, 0, 5, 9, 0, 0]})
    assert longest_learned(load_checkpoint(folder)) == 3
    del metadata["length_histogram"]
    write_json(folder / "matgen.json", metadata)
    assert longest_learned(load_checkpoint(folder)) == 30


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"t{suffix}"
    whole = tinker(sampler, "NaCl", mask="Na")
    tinkered = tinker_to_file(sampler, "NaCl", out, mask="Na", top=7)
    written = pd.read_csv(out, keep_default_na=False) if suffix == ".csv" else pd.read_parquet(out)
    assert written["formula"].tolist() == whole.frame["formula"].tolist()[:7] == tinkered.frame["formula"].tolist()
    assert written["probability"].to_numpy() == pytest.approx(whole.frame["probability"].to_numpy()[:7])
    metadata = read_json(Path(f"{out}.json"))
    assert metadata["rows"] == 7
    assert metadata["completions"] == 117
    assert sum(metadata["positions"][0].values()) == pytest.approx(1, abs=1e-3)
    with pytest.raises(OutputError, match="exists"):
        tinker_to_file(sampler, "NaCl", out, mask="Na")
    assert tinker_to_file(sampler, "NaCl", out, mask="Na", force=True).summary["rows"] == 117
    with pytest.raises(OptionError, match="top is 0"):
        tinker_to_file(sampler, "NaCl", tmp_path / "n.csv", mask="Na", top=0)


def test_requests_that_no_model_can_answer(sampler: Sampler) -> None:
    with pytest.raises(OptionError, match="takes 251 tokens in the notation counted, the model reads at most 126"):
        tinker(sampler, "KH4000", mask="K")
    with pytest.raises(OptionError, match="unknown dataset 'nothing'"):
        tinker(sampler, "NaCl", mask="Na", novel_to=("nothing",))
    with pytest.raises(DataError):
        tinker(sampler, "NaCl", mask="Na", novel_to=("missing.csv",))


@pytest.fixture
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command(in_own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tinker", "LiFePO4", "--mask", "Fe"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) == 11
    assert lines[0].split()[:3] == ["fill_1", "formula", "probability"]
    assert "LiFePO4 (itself)" in captured.out
    assert "Li+ Fe2+ P5+ 4O2-" in captured.out
    assert "LiFePO4 with another element in place of Fe" in captured.err
    assert "the compound itself is number" in captured.err
    assert len(pd.read_csv("tinker.csv", keep_default_na=False)) == 115
    assert math.isclose(pd.read_csv("tinker.csv")["probability"].sum(), 1, abs_tol=1e-6)

    assert main(["tinker", "_ Ti O O O", "--top", "3", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert len(pd.read_csv("tinker-2.csv")) == 3

    groups = ["--within", "alkaline_earth_metals,transition_metals", "--exclude", "toxic"]
    assert main(["tinker", "SrTiO3", "--mask", "Sr,Ti", *groups, "--out", "two.parquet"]) == 0
    out = capsys.readouterr().out
    assert "fill_1: " in out
    assert "fill_2: " in out
    assert main(["tinker", "SrTiO3", "--mask", "Sr", "--dope", "1/1000", "--within", "Ba-Ca-Sr", "--out", "d.csv"]) == 0
    captured = capsys.readouterr()
    assert "2 are longer than the model reads" in captured.err
    assert "take log_prob with care" in captured.err
    assert main(["tinker", "SrTiO3", "--delete", "--out", "left.csv"]) == 0
    assert "deleted" in capsys.readouterr().out


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["tinker", "--help"])
    assert stop.value.code == 0
    assert "example: matgen tinker SrTiO3" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "formula '': empty formula"),
        ("SrTiO3", "what is to change in SrTiO3?"),
        ("SrTiXx3 --mask Ti", "no element 'Xx'"),
        ("SrTiO3 --mask Ca", "mask Ca: SrTiO3 has no Ca, only Sr, Ti, O"),
        ("SrTiO3 --mask 4", "SrTiO3 has the places 1 Sr, 2 Ti, 3 O"),
        ("SrTiO3 --mask Qq", "'Qq' is no element and no place"),
        ("SrTiO3 --mask ,", "names no site"),
        ("_TiO3 --mask Ti", "has blanks of its own: leave out mask"),
        ("_0TiO3", "a blank with 0 atoms"),
        ("?TiO3", "a blank is written _"),
        ("SrTiO3 --mask Sr --delete", "mask and delete are asked for at once"),
        ("SrTiO3 --insert 0", "insert is 0"),
        ("SrTiO3 --mask Sr --dope 0", "above 0 and at most 1"),
        ("SrTiO3 --mask Sr --dope 2", "above 0 and at most 1"),
        ("SrTiO3 --mask Sr,Ti --dope 0.5", "dope replaces a share of one site, not of 2"),
        ("_TiO3 --dope 0.5", "dope replaces a share of one site"),
        ("SrTiO3 --insert 1 --dope 0.5", "dope replaces a share of one site"),
        ("KH4000 --mask K", "the model reads at most 126"),
        ("_ _2 _3", "1,643,032 ways, at most 300,000"),
        ("_2O4", "a multiple of a smaller formula"),
        ("SrTiO3 --mask Sr --within O", "too few elements are left"),
        ("SrTiO3 --mask Sr --within Ca --exclude Ca", "no element is left"),
        ("SrTiO3 --delete --within Ca", "delete has no use for them"),
        ("O2 --delete", "one element only"),
        ("SrTiO3 --mask Sr --n-mc 0", "n-mc is 0"),
        ("SrTiO3 --mask Sr --top 0", "top is 0"),
        ("SrTiO3 --mask Sr --out t.txt", "must end in .csv or .parquet"),
        ("SrTiO3 --mask Sr --model nowhere", "no checkpoint folder nowhere"),
        ("SrTiO3 --mask Sr --novel-to nothing", "unknown dataset 'nothing'"),
    ],
)
def test_bad_requests_get_one_line(
    in_own_folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    words = [arguments] if arguments.startswith("_ ") else arguments.split() or [""]
    assert main(["tinker", *words]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("matgen tinker: ")]
    assert len(lines) == 1, captured.err
    assert message in lines[0]
    assert captured.out == ""
    assert not list(in_own_folder.iterdir())
