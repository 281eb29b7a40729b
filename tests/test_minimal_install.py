"""Training and sampling run on a node with torch, transformers, accelerate, numpy, pandas and pyarrow alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCKER = """
import importlib.machinery

absent = {"pymatgen", "smact", "numba", "rich", "matminer", "spglib"}
find_spec = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None: None if name.split(".")[0] in absent else find_spec(name, path, target)
)
"""


@pytest.mark.slow
def test_train_and_sample_without_the_chemistry_libraries(small_table: Path, tmp_path: Path) -> None:
    code = f"""{BLOCKER}
from matgen.cli import main
quick = ["--epochs", "1", "--batch-size", "64", "--preset", "tiny", "--precision", "fp32", "--quiet"]
assert main(["train", "--model", "gptj", "--dataset", {str(small_table)!r}, "--out", "run", *quick]) == 0
assert main(["sample", "-n", "50", "--model", "run", "--quiet"]) == 0
assert main(["evaluate", "candidates.csv", "--quiet"]) == 2  # says what it needs
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_evaluate_never_loads_torch(tmp_path: Path, formulas_csv) -> None:
    code = f"""
import sys
from matgen.evaluation import evaluate
evaluate({str(formulas_csv(["NaCl", "KBr"]))!r}, baselines=False)
sys.exit("torch was loaded" if "torch" in sys.modules else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_needs_no_torch_runs_without_it(tmp_path: Path, formulas_csv) -> None:
    """Judging, comparing, looking up, and predicting by boosted trees; what needs torch says so in a line."""
    from matgen.cli import main

    rows = tmp_path / "rows.csv"
    rows.write_text("formula,answer\n" + "".join(f"Na{n}Cl{m},{n / m}\n" for n in range(1, 9) for m in range(1, 9)))
    fitted = ["fit", "--table", str(rows), "--target", "answer", "--kind", "trees", "--quiet"]
    assert main([*fitted, "--out", str(tmp_path / "trees")]) == 0
    blocker = BLOCKER.replace('"pymatgen", ', '"torch", "transformers"}  # ')
    code = f"""{blocker}
from matgen.cli import main
table = {str(formulas_csv(["NaCl", "KBr", "SrTiO3"]))!r}
for words in (
    ["check", "Fe3O4"],
    ["data", "list"],
    ["evaluate", table, "--no-baselines", "--out", "report"],
    ["evaluate", table, "--no-baselines", "--include-alloys", "--out", "other"],
    ["compare", "report", "other"],
    ["predict", table, "--model", "trees", "--out", "predicted.csv"],
):
    assert main(words) == 0, words
import matgen.prediction.training_tables, matgen.prediction.uncertainty
import matgen.prediction.selection, matgen.prediction.predicting
for words in (["sample", "-n", "5"], ["predict", table], ["train", "--model", "gptj"]):
    assert main([*words, "--quiet"]) == 2, words
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch is not installed: pip install torch" in done.stderr
    assert "Traceback" not in done.stderr
