"""Which heavy packages each verb may import: a short command should not wait for what it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "accelerate",
    "ase",
    "chgnet",
    "crepes",
    "joblib",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "pymatgen",
    "rich",
    "scipy",
    "sklearn",
    "smact",
    "sympy",
    "torch",
    "torch._dynamo",
    "transformers",
}
"""Packages that take more than a few hundredths of a second to import, and parts of torch that `import torch` leaves
out. (`torch.distributed` is no part of the list: torch imports it by itself.)"""

RUN = f"""
import sys
from matgen.cli import VERBS, main
words = sys.argv[1:]
for line in [[verb, "--help"] for verb in VERBS] if words == ["every help"] else [words]:
    try:
        status = main(line)
    except SystemExit as ended:
        status = ended.code
    assert not status, (line, status)
print("LOADED", *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "t.csv").write_text("formula\nNaCl\nMgO\nSrTiO3\n")


@pytest.fixture(scope="session")
def compiled() -> None:
    """The code of the drawing step, as `matgen --compile` leaves it; made by numba where it is not there yet."""
    code = "from matgen.sampling.decoders.fast_step import ATTEND; assert ATTEND.load() is not None"
    subprocess.run([sys.executable, "-c", code], check=True)


def loaded(*words: str) -> set[str]:
    """Heavy packages that a verb has imported by its end."""
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rsplit("LOADED", 1)[1].split())


@pytest.mark.parametrize("words", ["--help", "every help", "data list"])
def test_help_and_lists_import_nothing_heavy(words: str) -> None:
    assert loaded(*(["every help"] if words == "every help" else words.split())) == set()


def test_check_imports_numpy_and_reads_the_bundled_table_once() -> None:
    words = ("check", "NaCl", "Fe3O4", "--mixed-valence")
    assert loaded(*words) == {"numpy", "pyarrow"}
    assert loaded(*words) == {"numpy"}


@pytest.mark.slow
def test_what_data_info_tells_is_kept() -> None:
    assert "pandas" in loaded("data", "info", "hybrid-pure")
    assert loaded("data", "info", "hybrid-pure") == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("sample -n 20", {"numpy", "pyarrow", "torch"}),
        ("sample -n 20 --contains Li-O --unique --valid --out s.parquet", {"numpy", "pyarrow", "torch"}),
        ("score t.csv", {"numpy", "pandas", "pyarrow", "torch"}),
        # Novelty: the keys of all bundled compositions, for which numba pays (and imports scipy).
        ("tinker SrTiO3 --mask Sr --within Ca-Sr-Ba", {"numba", "numpy", "pandas", "pyarrow", "scipy", "torch"}),
        ("screen t.csv", {"numpy", "pandas", "pyarrow"}),
    ],
)
def test_verbs_import_what_they_need(words: str, allowed: set[str], compiled: None) -> None:
    assert loaded(*words.split(), "--quiet") <= allowed
