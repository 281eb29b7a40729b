from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import VERBS, _parser, main
from matgen.io.files import read_json
from matgen.models.registry import MODELS


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a bad request gets."""
    try:
        status = run(*arguments)
    except SystemExit as stop:  # argparse
        status = stop.code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("matgen")]
    assert status == 2, captured.err
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def test_help_is_instant_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, matgen.cli\n"
        "try: matgen.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'transformers', 'pymatgen', 'smact', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_bare_matgen_lists_the_verbs_by_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    said = capsys.readouterr().out
    groups = [
        said.index(f"\n{name}:\n") for name in ("make", "judge", "predict", "structures and DFT", "tables", "tools")
    ]
    assert groups == sorted(groups)
    for verb in VERBS:
        assert f"\n  {verb} " in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("sampel", "matgen: unknown verb 'sampel', did you mean sample? (see `matgen --help`)"),
        ("dft runn x", "matgen dft: unknown verb 'runn', did you mean run? (see `matgen dft --help`)"),
        ("sample --contians Li", "matgen sample: unknown option --contians, did you mean --contains?"),
        ("sample --xyz=3", "matgen sample: unknown option --xyz (see `matgen sample --help`)"),
        ("sample 5", "matgen sample: '5' is one argument too many (see `matgen sample --help`)"),
        (
            "evaluate x --protocol publishd",
            "matgen evaluate: --protocol: unknown value 'publishd', did you mean published?",
        ),
        ("sample -n 0", "matgen sample: -n is 0, it must be at least 1 (see `matgen sample --help`)"),
    ],
)
def test_errors_name_what_is_near_and_the_help_of_their_verb(
    words: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *words.split()).startswith(reason)


def test_help_of_train_names_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("train", "--help")
    assert set(MODELS) <= set(capsys.readouterr().out.replace(",", " ").split())


@pytest.mark.parametrize("verb", ["discover", "data", "train", "sample", "evaluate"])
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(verb, "--help")
    assert stop.value.code == 0
    assert f"example: matgen {verb}" in " ".join(capsys.readouterr().out.split())


def test_data_list_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "list") == 0
    listed = capsys.readouterr().out
    names = ("hybrid-mix", "hybrid-pure", "hybrid-strict", "hybrid-stable", "mp-mix", "mp-pure", "oqmd-mix")
    for name in (*names, "oqmd-pure", "experimental", "experimental-test"):
        assert f"\n{name} " in listed
    assert run("data", "info", "hybrid") == 0
    shown = capsys.readouterr().out
    assert "compositions: 396,972" in shown
    assert "checksum_ok: True" in shown
    assert "CC-BY 4.0" in shown


def test_train_sample_evaluate_as_typed(small_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--dataset", small_table, "--epochs", "2", "--batch-size", "64", "--preset", "tiny", "--precision", "fp32"]
    assert run("train", "--model", "gpt2", *quick) == 0
    assert run("train", "--model", "gpt2", *quick) == 0  # said twice: the next numbered folder
    assert Path("runs/gpt2/matgen.json").exists()
    assert Path("runs/gpt2-2/matgen.json").exists()
    assert "gpt2 (tiny, counted)" in capsys.readouterr().err

    assert run("sample", "-n", "300", "--model", "runs/gpt2") == 0
    assert run("sample", "-n", "300", "--model", "runs/gpt2") == 0
    assert Path("candidates.csv").read_bytes() == Path("candidates-2.csv").read_bytes()

    assert run("evaluate", "candidates.csv", "--reference", small_table) == 0
    captured = capsys.readouterr()
    assert "Charge neutral" in captured.out
    report = read_json("report/report.json")
    assert report["n"] == 300
    assert report["protocol"]["reference"] == str(small_table)
    assert run("evaluate", "candidates.csv", "--no-baselines", "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert Path("report-2/report.json").exists()


def test_bare_sample_takes_the_bundled_checkpoint() -> None:
    assert run("sample", "-n", "200", "--quiet") == 0
    assert len(pd.read_csv("candidates.csv")) == 200


def test_check_answers_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("check", "NaCl", "Xx2", "SiO2 (quartz)") == 2
    captured = capsys.readouterr()
    for sentence in ("Na+ Cl-", "cannot be read: no element 'Xx'", "SiO2 (quartz) (reduced: SiO2)", "quartz left out"):
        assert sentence in captured.out
    assert captured.err == "matgen check: 1 of 3 formulas cannot be read, the first: row 2: 'Xx2': no element 'Xx'\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("MgO\n\nα-Fe2O3\n"))
    assert run("check", "-") == 0
    said = capsys.readouterr().out
    assert "MgO" in said and "α-Fe2O3 (reduced: Fe2O3)" in said
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run("check", "-") == 2
    assert "no formula on the standard input" in capsys.readouterr().err


def test_check_converts_weight_per_cent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "Ti-6Al-4V") == 2
    assert "weight per cent? convert it: matgen check --weight-percent Ti-6Al-4V" in capsys.readouterr().err
    assert run("check", "--weight-percent", "Ti-6Al-4V", "--include-alloys") == 0
    said = capsys.readouterr().out
    assert "Ti-6Al-4V: Ti 86.20 Al 10.20 V 3.60 atomic per cent; formula Ti8620Al1020V360" in said
    assert "metals alone, accepted without a test" in said
    assert run("check", "--weight-percent", "Ti6Al4V") == 2
    assert "cannot read the alloy" in capsys.readouterr().err


def test_check_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "Fe3O4", "CuZn", "PmCl3", "Fe", "NaOg") == 0
    said = capsys.readouterr().out
    for sentence in (
        "no: the nearest, 3Fe3+ 4O2-, has charge +1",
        "oxidation state score       0 (no balanced assignment); with mixed valence 0.92; rarest is Fe+2, 26 % of",
        "known: in OQMD and the Materials Project; formation_energy_oqmd -1.644 eV/atom",
        "CuZn (reduced: ZnCu)",
        "metals alone: valid with --include-alloys",
        "no: neutral as 3Cl- Pm3+, but Pm has no electronegativity to test",
        "a single element, nothing to balance",
        "no: no oxidation states for Og in icsd24",
        "not in the bundled snapshots",
    ):
        assert sentence in said
    assert said.splitlines()[0] == "Fe3O4: passes with mixed valence (--mixed-valence), Fe2+ 2Fe3+ 4O2-"
    assert run("check", "CsPbSe", "Co2MnSi", "NaCl") == 0
    said = capsys.readouterr().out
    for sentence in (
        "balanced by common states   no",
        "oxidation state score       0.09; rarest is Pb+1, 0.06 % of its element's reports in the ICSD: RARE, doubtful",
        "metallicity score           0.49: no intermetallic",
        "metallicity score           0.78: an intermetallic: oxidation states say little of it",
        "balanced by common states   yes",
        "1.00; rarest is Cl-1, 90 % of its element's reports in the ICSD\n",
    ):
        assert sentence in said
    Path("mine.txt").write_text("Cu 1 -1\nZn 1\n")
    assert run("check", "CuZn", "--oxidation-states", "mine.txt") == 0
    assert "yes: Zn+ Cu-" in capsys.readouterr().out
    assert run("check", "Fe300001O400000", "--mixed-valence") == 0  # more atoms than a witness is searched for
    assert "yes: too many atoms to show an assignment" in capsys.readouterr().out


@pytest.mark.slow
def test_protocols_and_compare(formulas_csv, capsys: pytest.CaptureFixture[str]) -> None:
    table = formulas_csv(["NaCl", "NaCl2", "Fe3O4", "CuZn", "SrTiO3", "KBr", "PbI5"] * 30)
    assert run("evaluate", table, "--out", "a", "--quiet") == 0
    assert (
        run(
            "evaluate",
            table,
            "--out",
            "b",
            "--quiet",
            "--protocol",
            "published",
            "--reference",
            "mp-mix",
            "--reference",
            table,
        )
        == 0
    )
    ours, published = read_json("a/report.json"), read_json("b/report.json")
    assert ours["protocol"]["name"] == "default"
    assert published["protocol"]["name"] == "published"
    assert published["protocol"]["oxidation_states"] == "smact14"
    assert "inferred" in published["protocol"]["note"]
    assert [one["name"] for one in published["references"]] == ["mp-mix", str(table)]
    # A table alone is a choice of one's own, not the protocol that has it too.
    assert run("evaluate", table, "--out", "c", "--quiet", "--oxidation-states", "smact14") == 0
    assert read_json("c/report.json")["protocol"]["name"] == "custom"
    assert read_json("c/report.json")["baselines"]["uniform"] != published["baselines"]["uniform"]
    assert published["novel"] == 0
    assert run("compare", "a", "b") == 0
    assert Path("comparison/compare.html").exists()
    assert "smact14" in capsys.readouterr().out


@pytest.mark.slow
def test_sample_under_constraints_score_and_top(checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", checkpoints("gptj")]
    options = ["--contains", "O", "--exclude", "toxic,radioactive", "--num-elements", "2..4", "--valid", "--unique"]
    assert run("sample", "-n", "100", *model, *options, "--novel-to", "hybrid", "--out", "new.csv") == 0
    rows = pd.read_csv("new.csv", keep_default_na=False)["formula"]
    assert rows.nunique() == 100
    told = read_json("new.csv.json")
    assert told["constraints"]["contains"] == ["O"]
    assert told["tally"]["kept"] == 100
    assert "100 rows of" in capsys.readouterr().err
    assert run("evaluate", "new.csv", "--no-baselines", "--quiet", "--out", "r") == 0
    report = read_json("r/report.json")
    assert report["valid"] == report["unique"] == report["novel"] == 1
    assert run("score", "new.csv", *model) == 0
    assert "perplexity" in capsys.readouterr().err
    scored = pd.read_csv("scored.csv", keep_default_na=False)
    assert (scored["formula"] == rows).all()
    assert scored["log_prob"].to_numpy() == pytest.approx(scored["log_prob_before"].to_numpy(), abs=0.3)  # bf16
    Path("long.csv").write_text("formula\nLi123Fe456O789\n")
    assert run("score", "long.csv", *model, "--out", "none.csv") == 0
    assert "no formula fits the model" in capsys.readouterr().err
    assert read_json("none.csv.json")["perplexity"] is None
    assert run("sample", "--top", "20", *model, "--within", "Li-O-F") == 0
    assert len(pd.read_csv("most_probable.csv")) == 20


@pytest.mark.slow
def test_discover_with_a_checkpoint(checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("discover", "-n", "300", "--model", checkpoints("gptj"), "--structures", "1", "--finish-top", "0") == 0
    captured = capsys.readouterr()
    assert "report: discovery/report/report.html" in captured.out
    assert len(captured.out.splitlines()) <= 10
    assert Path("discovery/ranked.csv").exists()


@pytest.mark.slow
def test_bare_discover_takes_the_bundled_checkpoint_and_training_options_train(
    small_table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("discover", "-n", "300", "--structures", "0") == 0
    assert not Path("discovery/model").exists()
    assert "taking the checkpoint hybrid-stable" in capsys.readouterr().err
    assert run("discover", "-n", "50", "--dataset", small_table, "--max-minutes", "0.02", "--structures", "0") == 0
    assert read_json("discovery-2/model/matgen.json")["dataset"] == str(small_table)
    assert run("discover", "--model", "discovery-2/model", "--max-minutes", "1") == 2
    assert "--model takes a trained checkpoint: leave out --max-minutes" in capsys.readouterr().err


def test_bad_requests_get_one_line(capsys: pytest.CaptureFixture[str], checkpoints, formulas_csv) -> None:
    good = formulas_csv(["NaCl", "KBr"])
    empty = Path("empty.csv")
    empty.write_text("")
    Path("other.csv").write_text("a,b\n1,2\n")
    all_bad = formulas_csv(["Xx", "Qq3"], "bad.csv")
    Path("taken").mkdir()
    Path("taken/file").write_text("x")
    cases = [
        (("train", "--model", "gpt9"), "unknown model 'gpt9', did you mean gpt? known: gpt, gpt2"),
        (("train", "--dataset", "nothing"), "unknown dataset 'nothing'"),
        (("train", "--dataset", empty), "empty"),
        (("train", "--dataset", "other.csv"), "no formula column"),
        (("train", "--dataset", all_bad), "none of the 2 formulas"),
        (("train", "--dataset", "hybrid-pure", "--out", "taken"), "taken exists"),
        (("train", "--max-minutes", "0"), "max-minutes is 0"),
        (("train", "--resume"), "no unfinished run"),
        (("train", "--resume", "--out", "taken"), "nothing to resume in taken"),
        (("train", "--where", "band_gap >"), "band_gap >"),
        (("sample", "-n", "0"), "n is 0"),
        (("sample", "-n", "-3"), "n is -3"),
        (("sample", "-n", "many"), "invalid int value"),
        (("sample", "--model", "nowhere"), "no checkpoint folder nowhere"),
        (("sample", "--model", "taken"), "not made by matgen"),
        (("sample", "--temperature", "0"), "temperature is 0"),
        (("sample", "--device", "abacus"), "device 'abacus'"),
        (("sample", "-n", "5", "--out", "a.txt"), "must end in .csv or .parquet"),
        (("sample", "-n", "5", "--out", good), "exists"),
        (("sample", "-n", "5", "--out", "/proc/none/a.csv"), "cannot write"),
        (("evaluate", "missing.csv"), "missing.csv"),
        (("evaluate", empty), "empty"),
        (("evaluate", "other.csv"), "formula"),
        (("evaluate", all_bad), "none of the 2 formulas"),
        (("evaluate", good, "--column", "x"), "x"),
        (("evaluate", good, "--reference", "nothing"), "unknown dataset 'nothing'"),
        (("evaluate", good, "--oxidation-states", "icsd99"), "unknown oxidation-state table 'icsd99'"),
        (("evaluate", good, "--consensus", "5", "--oxidation-states", "wiki"), "filter icsd24 alone, not wiki"),
        (("evaluate", good, "--protocol", "published", "--include-alloys"), "leave out --include-alloys"),
        (("evaluate", good, "--reference", "hybrid", "--reference", "hybrid"), "named twice"),
        (("check", "Xx2"), "row 1: 'Xx2'"),
        (("check", "NaCl", "--oxidation-states", "other.csv"), "other.csv, line 1: 'a' is not an element"),
        (("compare", "taken"), "2 to 8"),
        (("evaluate", ""), "an empty name"),
        (("evaluate", good, "--reference", ""), "a reference without a name"),
        (("evaluate", good, "--reference-split", "half"), "unknown split 'half'"),
        (("score", good, "--out", "s.txt"), "must end in .csv or .parquet"),
        (("score", good, "--out", "taken"), "taken"),
        (("sample", "--seed", "-1"), "seed is -1"),
        (("sample", "--seed", "99999999999999999999999"), "below 2^64"),
        (("sample", "--top", "5", "--temperature", "2"), "--top lists"),
        (("sample", "--top", "5", "--out", "taken/file/x.csv"), "cannot write"),
        (("compare", "taken", "taken2"), "taken"),
        (("score", "missing.csv"), "missing.csv"),
        (("score", all_bad, "--out", "s.csv"), "none of the 2 formulas"),
        (("sample", "--chemsys", "Li-Xx"), "Xx"),
        (("sample", "--contains", "O", "--exclude", "O"), "O"),
        (("sample", "--chemsys", "Na-K", "--valid"), "no composition of at most 40 atoms satisfies"),
        (("sample", "-n", "9", "--within", "Na-Cl", "--max-atoms", "2", "--unique"), "only 3 compositions"),
        (("sample", "--rejection"), "--rejection says how constraints are met"),
        (("sample", "--prompt", "Li99"), "'Li99' is not a token"),
        (("sample", "--prompt", "O", "--within", "Na-Cl"), "no sequence that begins with 'O'"),
        (("sample", "--top", "5", "--unique"), "--top lists"),
        (("sample", "--top", "0"), "top is 0"),
        (("discover", "--out", "taken"), "taken exists"),
        (("discover", "-n", "0"), "n is 0"),
        (("data", "info", "nothing"), "unknown dataset 'nothing'"),
        (("data", "build", "nothing"), "unknown dataset to build 'nothing'; known: hybrid"),
        (("paint",), "unknown verb 'paint'; known: discover, sample"),
    ]
    for arguments, message in cases:
        assert message in refused(capsys, *arguments), arguments
    assert sorted(path.name for path in Path().iterdir()) == [
        "bad.csv",
        "empty.csv",
        "formulas.csv",
        "other.csv",
        "taken",
    ]
    assert good.read_text() == "formula\nNaCl\nKBr\n"


def test_truncated_and_foreign_checkpoints(checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(checkpoints("gpt2"), "cut")
    weights = Path("cut/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:500])
    assert "cut/model.safetensors is damaged or was changed" in refused(capsys, "sample", "-n", "5", "--model", "cut")
    shutil.copytree(checkpoints("gpt2"), "foreign")
    Path("foreign/matgen.json").unlink()
    shutil.rmtree("foreign/training")
    assert "not made by matgen" in refused(capsys, "sample", "-n", "5", "--model", "foreign")
    assert not Path("candidates.csv").exists()


@pytest.mark.slow
def test_one_bad_row_in_many_is_counted_not_fatal(formulas_csv) -> None:
    table = formulas_csv([*["NaCl", "KBr", "SrTiO3"] * 30_000, "NaXx"])
    assert run("evaluate", table, "--no-baselines", "--quiet", "--out", "report") == 0
    report = read_json("report/report.json")
    assert report["counts"]["bad"] == 1
    assert report["bad"][0]["row"] == 90_000
    assert 0.99998 < report["parsed"] < 1


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(small_table: Path) -> None:
    command = [sys.executable, "-m", "matgen", "train", "--model", "gpt2", "--dataset", str(small_table)]
    options = ["--epochs", "500", "--evaluations", "500", "--batch-size", "32", "--preset", "tiny", "--out", "run"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not Path("run/training/latest.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Resume with: matgen train --resume --out run" in said
    assert "Traceback" not in said
    assert read_json("run/training/latest.json")["step"] > 0


def test_completion(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--completion", "bash"])
    assert ended.value.code == 0
    script = tmp_path / "complete.bash"
    script.write_text(capsys.readouterr().out)
    ask = 'source "$0"; COMP_WORDS=(matgen sam); COMP_CWORD=1; _shtab_matgen; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", ask, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["sample"], done.stderr
    with pytest.raises(SystemExit) as ended:
        main(["--completion", "korn"])
    assert ended.value.code == 2
    assert "no completion for 'korn'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_help_are_commands(verb, capsys) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = capsys.readouterr().out.split("example: ", 1)[1]
    for command in shown.strip().splitlines():
        words = shlex.split(command)
        assert words[0] == "matgen"
        _parser().parse_args(words[1:])
