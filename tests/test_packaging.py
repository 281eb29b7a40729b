from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from benchmarks.trust_versions import indexes

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_wheel_holds_code_data_and_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {"matgen/data/hybrid.parquet", "matgen/py.typed", "matgen/__init__.pyi"} <= set(names)
    assert any(name.startswith("matgen/data/checkpoints/") and name.endswith("matgen.json") for name in names)
    assert sum(name.startswith("matgen/data/predictors/") and name.endswith("predictor.json") for name in names) == 4
    assert not any("__pycache__" in name or name.startswith(("tests/", "data/")) for name in names)
    code = (
        "import matgen.datasets as d; from matgen.models.locate import find_checkpoint\n"
        "assert len(d.load_dataset('hybrid')) == 396972\n"
        "print(d.data_folder(), find_checkpoint(None))"
    )
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path / "site" / "matgen" / "data")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.12", "3.13"])
def test_pinned_dependencies_agree_on_newer_pythons(tmp_path: Path, python: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--python-version", python, *indexes()]
    command += ["--index-strategy", "unsafe-best-match", "-c", "constraints.txt", "-o", str(tmp_path / "found.txt")]
    command += [f"--extra={name}" for name in ("app", "lift", "structures", "trees")]
    done = subprocess.run([*command, "pyproject.toml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert {line for line in pins if line.startswith(("numpy==", "transformers==", "nicegui=="))} <= {
        line.strip() for line in (tmp_path / "found.txt").read_text().splitlines()
    }


def test_the_container_is_built_from_what_the_wheel_needs() -> None:
    """What a build copies holds all that the package is made of, and none of what is only for its makers."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = ["matgen", "constraints.txt", "pyproject.toml", build["project"]["readme"]]
    needed += build["project"]["license-files"]
    needed += build["tool"]["hatch"]["build"]["targets"]["wheel"].get("force-include", {})
    for path in needed:
        assert (ROOT / path).exists(), path
        assert not any(fnmatch.fnmatch(part, pattern) for part in Path(path).parts for pattern in ignored), path
    commands = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    extras = re.search(r"pip install .*'\.\[(\w+)\]'", commands)
    assert extras
    assert extras[1] in build["project"]["optional-dependencies"]
