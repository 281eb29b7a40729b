"""What verbs say and find before anything heavy is loaded, told by a finder that refuses to load it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matgen.cli.beginning import claim_output
from matgen.errors import OutputError
from matgen.io.places import REPORT_FILES

HEAVY = ("torch", "transformers", "pymatgen", "pandas")

WATCH = f"""
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY!r}:
            print("LOADS", name, file=sys.stderr, flush=True)
            import os
            os._exit(77)
sys.meta_path.insert(0, Watch())
from matgen.cli import main
sys.exit(main())
"""
"""Ends the process with 77 where a heavy package is asked for, after a line that says so."""

FORMULAS = "formula\nNaCl\nMgO\n"


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(FORMULAS)
    for name, file in (("s", "structures.json"), ("d", "manifest.json"), ("l", "lift.json"), ("taken", "report.json")):
        Path(name).mkdir()
        Path(name, file).write_text("{}")
    Path("taken.csv").write_text(FORMULAS)
    return tmp_path


def watched(*words: str) -> tuple[int, list[str]]:
    """Exit status and lines on standard error of a verb that may load nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("train", "training gptj on hybrid-pure into runs/gptj"),
        ("train --model blmm --dataset t.csv --out b", "training blmm on t.csv into b"),
        ("train --init hybrid-pure-gptj-small", "training gptj on hybrid-pure from hybrid-pure-gptj-small into runs/"),
        ("tune", "tuning gptj on hybrid-pure into tuning/gptj"),
        ("sample", "drawing 10,000 compositions from hybrid-stable-gptj-small into candidates.csv"),
        ("sample --top 5", "listing the 5 most probable compositions of hybrid-stable-gptj-small into most_probable"),
        ("sample --model someone/model", "drawing 10,000 compositions from someone/model (Hugging Face Hub)"),
        ("score t.csv", "scoring t.csv by hybrid-stable-gptj-small into scored.csv"),
        ("tinker SrTiO3 --mask Sr", "changing SrTiO3 by hybrid-stable-gptj-small into tinker.csv"),
        (
            "predict t.csv",
            "predicting formation_energy in eV/atom of t.csv by formation_energy-oqmd into predicted.csv",
        ),
        ("evaluate t.csv", "judging t.csv against hybrid into report/"),
        ("evaluate t.csv --reference t.csv --out r", "judging t.csv against t.csv into r/"),
        ("compare s d", "comparing s, d into comparison/"),
        ("screen t.csv", "screening t.csv into screened.csv"),
        ("structure t.csv", "structures of the first 20 of t.csv, relaxed by chgnet, into structures/"),
        ("export s", "inputs for vasp of s into dft/"),
        ("dft run d --engine gpaw", "running d with gpaw, 1 at once"),
        ("dft collect d", "collecting the results of d into d/results.csv"),
        ("dft campaign t.csv --engine gpaw", "campaign by gpaw of the first 20 of t.csv, in campaign/"),
        ("fit --table t.csv --target Tc", "learning Tc of t.csv (network) into models/Tc"),
        ("fit --property band_gap", "learning band_gap of the bundled table (network) into models/band_gap-oqmd"),
        ("reinforce --reward novel", "reinforcing hybrid-stable-gptj-small by novel into runs/reinforced"),
        ("push hybrid-stable-gptj-small a/b", "uploading hybrid-stable-gptj-small to a/b"),
        ("app", "serving hybrid-stable-gptj-small on http://127.0.0.1:8080"),
        (
            "discover",
            "10,000 compositions from hybrid-stable-gptj-small, ranked by formation_energy-oqmd, into discovery/",
        ),
        ("lift fit --table t.csv --target y", "learning y of t.csv into models/y"),
        ("lift predict t.csv --model l", "predicting t.csv by l into predicted.csv"),
        ("lift sample --model l", "drawing 100 rows from l into rows.csv"),
        ("lift impute t.csv --model l", "filling in t.csv by l into filled.csv"),
        ("lift evaluate --table t.csv --target y", "scores of t.csv into lift-evaluation.json"),
    ],
)
def test_the_first_line_comes_before_anything_heavy(words: str, line: str) -> None:
    status, said = watched(*words.split())
    assert said[0].startswith(line), said
    # `dft run` may end before anything heavy is wanted: of a folder of no calculations.
    assert (status == 77 and said[-1].startswith("LOADS")) or words.startswith("dft run"), said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("train --dataset none.csv", "no such file: none.csv"),
        ("train --dataset hybrid-pur", "unknown dataset 'hybrid-pur', did you mean hybrid-pure?"),
        ("train --init nowhere", "no checkpoint folder nowhere"),
        ("train --out taken", "taken exists"),
        ("train --max-minutes 0", "--max-minutes is 0, it must be above 0"),
        ("train --resume --out none", "nothing to resume in none"),
        ("tune --resume", "no search in tuning/gptj"),
        ("tune --trials 0", "--trials is 0, it must be at least 1"),
        ("sample -n 0", "-n is 0, it must be at least 1"),
        ("sample --seed -1", "--seed is -1, it must be 0 or above"),
        ("sample --temperature 0", "--temperature is 0, it must be above 0"),
        ("sample --top-p 2", "--top-p is 2, it must be above 0 and at most 1"),
        ("sample --model hybrid-stable-gptj-smal", "did you mean hybrid-stable-gptj-small?"),
        ("sample --model taken", "not made by matgen"),
        ("sample --out a.txt", "must end in .csv or .parquet"),
        ("sample --out taken.csv", "taken.csv exists"),
        ("sample --out t.csv/x.csv", "t.csv is not a folder"),
        ("sample --screen x>1 --predictor nowhere", "no predictor nowhere"),
        ("sample --novel-to none.csv", "no such file: none.csv"),
        ("sample --resume", "nothing to resume here"),
        ("score tt.csv", "no such file: tt.csv, did you mean t.csv?"),
        ("score t.csv --out taken.csv", "taken.csv exists"),
        ("tinker SrTiO3 --mask Sr --model nowhere", "no checkpoint folder nowhere"),
        ("predict none.csv", "no such file: none.csv"),
        ("predict t.csv --model nowhere", "no predictor nowhere"),
        ("predict t.csv --model s", "s has no predictor.json"),
        ("predict t.csv --property bandgap", "unknown property 'bandgap'"),
        ("predict t.csv --entries none.json", "no such file: none.json"),
        ("evaluate none.csv", "no such file: none.csv"),
        ("evaluate t.csv --reference hybrd", "unknown dataset 'hybrd', did you mean hybrid?"),
        ("evaluate t.csv --out taken", "taken exists"),
        ("compare s none", "no such file: none"),
        ("screen none.csv", "no such file: none.csv"),
        ("screen t.csv --max-per-system 0", "--max-per-system is 0"),
        ("structure none.csv", "no such file: none.csv"),
        ("structure t.csv --top -1", "--top is -1, it must be 0 (all rows) or more"),
        ("structure t.csv --proposals none", "no such file: none"),
        ("structure t.csv --out taken", "taken exists"),
        ("export none", "no such file: none"),
        ("export d", "d has no structures.json"),
        ("export s --format word", "word"),
        ("dft run none --engine gpaw", "no such file: none"),
        ("dft run s --engine gpaw", "s has no manifest.json"),
        ("dft run d --engine gpav", "unknown engine 'gpav', did you mean gpaw?"),
        ("dft run d --engine gpaw --workers 0", "--workers is 0"),
        ("dft collect s", "s has no manifest.json"),
        ("dft campaign none.csv --engine gpaw", "no such file: none.csv"),
        ("fit --table none.csv --target y", "no such file: none.csv"),
        ("fit --table t.csv --target y --out taken", "taken exists"),
        ("fit --table t.csv --target y --folds 2", "--folds is 2"),
        ("reinforce --reward novel --model nowhere", "no checkpoint folder nowhere"),
        ("reinforce --resume --out none", "no such file: none"),
        ("push nowhere a/b", "no checkpoint folder nowhere"),
        ("push hybrid-stable-gptj-small noname", "no name on the Hub"),
        ("app --model nowhere", "no checkpoint folder nowhere"),
        ("app --predictor nowhere", "no predictor nowhere"),
        ("discover --model nowhere", "no checkpoint folder nowhere"),
        ("discover --predictor nowhere", "no predictor nowhere"),
        ("discover --out taken", "taken exists"),
        ("discover --structures -1", "--structures is -1"),
        ("discover --dft-format word", "word"),
        ("lift fit --table none.csv", "no such file: none.csv"),
        ("lift predict t.csv --model none", "no such file: none"),
        ("lift predict t.csv --model s", "s has no lift.json"),
        ("lift predict t.csv --model l --out taken.csv", "taken.csv exists"),
        ("lift sample --model l --given none.csv", "no such file: none.csv"),
        ("lift show --table none.csv", "no such file: none.csv"),
    ],
)
def test_what_is_missing_is_found_before_anything_heavy(words: str, reason: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    status, said = watched(*words.split())
    assert status == 2 and len(said) == 1 and reason in said[0], said
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_quiet_says_nothing() -> None:
    status, said = watched("sample", "--quiet")
    assert status == 77 and len(said) == 1 and said[0].startswith("LOADS")


def test_paths_are_shown_from_the_working_directory_and_bundled_things_by_name(tmp_path: Path) -> None:
    from matgen.cli.beginning import shown
    from matgen.io.places import bundled_checkpoints

    assert shown(tmp_path / "a" / "b.csv") == "a/b.csv"
    assert shown("a/b.csv") == "a/b.csv"
    assert shown(tmp_path.parent / "elsewhere") == str(tmp_path.parent / "elsewhere")
    assert [shown(folder) for folder in bundled_checkpoints().values()] == list(bundled_checkpoints())


def test_a_report_goes_into_a_folder_that_holds_none(tmp_path: Path) -> None:
    """Such as one that a killed evaluation has left behind."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    assert claim_output(tmp_path / "report", "report", force=False, files=REPORT_FILES) == tmp_path / "report"
    (tmp_path / "report" / "report.json").write_text("{}")
    with pytest.raises(OutputError, match="exists: choose another --out"):
        claim_output(tmp_path / "report", "report", force=False, files=REPORT_FILES)
    (tmp_path / "report" / "report.json").unlink()
    with pytest.raises(OutputError, match="exists: choose another --out"):
        claim_output(tmp_path / "report", "report", force=False)
