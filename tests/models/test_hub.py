"""The Hub stood in for by a folder: what is uploaded, and what comes back."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from matgen.cli import main
from matgen.errors import CheckpointError, OptionError, OutputError
from matgen.models.hub import is_hub_name, push
from matgen.models.locate import find_checkpoint


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> Path:
    root = tmp_path / "hub"

    class Api:
        """As huggingface_hub's, with its way of matching patterns."""

        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
            assert exist_ok
            (root / repo_id).mkdir(parents=True, exist_ok=True)
            return f"hub:{repo_id}{' (private)' if private else ''}"

        def upload_folder(
            self, *, repo_id: str, folder_path: Path, allow_patterns: list, ignore_patterns: list, commit_message: str
        ) -> None:
            for path in folder_path.rglob("*"):
                name = str(path.relative_to(folder_path))
                wanted = any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns)
                if path.is_file() and wanted and not any(fnmatch.fnmatch(name, p) for p in ignore_patterns):
                    shutil.copy(path, root / repo_id / path.name)

    def snapshot_download(name: str, *, allow_patterns: list) -> str:
        if not (root / name).is_dir():
            raise FileNotFoundError(f"no repository {name}")
        return str(root / name)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return root


def test_there_and_back(hub: Path, checkpoints, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    folder = checkpoints("gptj")
    assert (folder / "training").is_dir()
    assert main(["push", str(folder), "team/gptj", "--private"]) == 0
    assert "uploaded: hub:team/gptj (private)" in capsys.readouterr().err
    names = {path.name for path in (hub / "team/gptj").iterdir()}
    assert {"model.safetensors", "config.json", "matgen.json", "tokenizer.json", "README.md"} <= names
    assert not {"latest.json", "best.safetensors", "optimizer.safetensors", "plan.json", "metrics.jsonl"} & names
    for model, out in (("team/gptj", "hub.csv"), (str(folder), "here.csv")):
        assert main(["sample", "-n", "20", "--model", model, "--out", out, "--quiet"]) == 0
    assert Path("hub.csv").read_bytes() == Path("here.csv").read_bytes()


def test_what_cannot_be_pushed(hub: Path, checkpoints, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        push(tmp_path / "none", "team/name")
    with pytest.raises(OptionError, match="no name on the Hub: write it as organization/name"):
        push(checkpoints("gptj"), "name")
    assert not hub.exists()
    with pytest.raises(CheckpointError, match="team/none is no folder here, and the Hub did not give it"):
        find_checkpoint("team/none")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("401: no token\nand more")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(OutputError, match="did not take .* as team/name: 401: no token"):
        push(checkpoints("gptj"), "team/name")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("team/name", True), ("a-b/c.d_e", True), ("runs/gptj", False), ("./a", False), ("/a", False), ("a/b/c", False)],
)
def test_names(name: str, expected: bool) -> None:
    assert is_hub_name(name) == expected
