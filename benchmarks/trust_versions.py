"""The oldest and the newest versions of dependencies, torch pinned, installed apart and tested; for `benchmarks.trust`.

Each takes minutes and a network, so it runs on request. `uv` resolves: pip cannot ask for the oldest.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TORCH = "torch==2.13.0"
EXTRAS = "trees,structures"
TOOLS = ("pytest>=8.2", "hypothesis>=6.100", "pytest-xdist>=3.6")
TESTS = (
    "tests/composition/test_batch.py", "tests/composition/test_parser.py", "tests/test_hull.py",
    "tests/models/test_tokenizer.py",
    "tests/io/test_files.py", "tests/io/test_weights.py", "tests/test_api.py", "tests/models/test_registration.py",
    "tests/validity",
    "tests/datasets", "tests/models/test_checkpoint.py", "tests/models/test_registry.py", "tests/training/test_run.py",
    "tests/sampling/test_engine.py", "tests/sampling/test_writing.py", "tests/sampling/constraints/test_constraints.py",
    "tests/evaluation/test_report.py", "tests/evaluation/test_oracle.py", "tests/prediction/test_predictor.py",
    "tests/prediction/test_kinds.py", "tests/prediction/test_predicting.py", "tests/structures/test_make.py",
)  # fmt: skip
"""One test file at least of each room that depends on others' packages."""

SHOWN = (
    "numpy", "pandas", "pyarrow", "scipy", "numba", "transformers", "accelerate", "safetensors", "pymatgen", "smact",
    "scikit-learn", "matplotlib", "torch",
)  # fmt: skip


def versions(work: Path, resolutions: tuple[str, ...] = ("lowest-direct", "highest")) -> dict[str, Any]:
    """For each resolution: the versions that it chose, and how the tests ended."""
    results: dict[str, Any] = {}
    for resolution in resolutions:
        folder = work / resolution
        python = folder / "bin" / "python"
        _run([sys.executable, "-m", "uv", "venv", "--seed", "--python", sys.executable, str(folder)])
        wanted = [f"-e.[{EXTRAS}]", TORCH, *TOOLS]
        options = ["--resolution", resolution, "--python", str(python), *indexes()]
        options += ["--index-strategy", "unsafe-best-match"]  # all versions of all indexes, as pip does
        _run([sys.executable, "-m", "uv", "pip", "install", "-q", *options, *wanted])
        listed = _run([sys.executable, "-m", "uv", "pip", "freeze", "--python", str(python)])
        chosen = dict(line.split("==") for line in listed.splitlines() if "==" in line)
        tests = [str(python), "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *TESTS]
        done = subprocess.run(tests, capture_output=True, text=True, check=False)
        ended = {name: int(n) for n, name in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout[-400:])}
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        results[resolution] = {
            "versions": {n: chosen[n] for n in SHOWN if n in chosen},
            **ended,
            "failures": failed[:20],
        }
        print(resolution, results[resolution], flush=True)
    return results


def indexes() -> list[str]:
    """Where pip is set up to look besides, which uv does not read."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    options = []
    for key, values in re.findall(r"^\S+\.(extra-index-url|find-links)='(.*)'$", listed.stdout, re.MULTILINE):
        for value in values.split():
            options += [f"--{key}", value]
    return options


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words[:5])}: {done.stderr[-1500:]}")
    return done.stdout
