"""Training and sampling run on a node with torch, transformers, accelerate, numpy, pandas and pyarrow alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKER = """
import importlib.machinery

absent = {"pymatgen", "smact", "numba", "rich", "matminer", "spglib"}
find_spec = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None: None if name.split(".")[0] in absent else find_spec(name, path, target)
)
"""


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


def test_evaluate_never_loads_torch(tmp_path: Path, formulas_csv) -> None:
    code = f"""
import sys
from matgen.evaluate import evaluate
evaluate({str(formulas_csv(["NaCl", "KBr"]))!r}, baselines=False)
sys.exit("torch was loaded" if "torch" in sys.modules else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
