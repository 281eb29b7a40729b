from __future__ import annotations

import json
from pathlib import Path

import pytest

from matgen.errors import DataError
from matgen.io.files import write_json
from matgen.io.folders import changed_files, read_description, verify_files, write_description


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / "README.md").write_text("edit me")
    (tmp_path / ".hidden").write_text("of an editor")
    write_description(tmp_path, "what.json", {"kind": "test"}, leave=("README.md",))
    return tmp_path


def test_every_file_is_listed_but_those_to_leave(folder: Path) -> None:
    content = read_description(folder, "what.json")
    assert content["kind"] == "test" and sorted(content["files"]) == ["b", "deep/a"]
    assert changed_files(folder, content) == {}
    (folder / "README.md").write_text("edited")
    (folder / "new").write_text("of a user")
    verify_files(folder, "what.json", content, "make it again")


def test_a_changed_file_is_named_with_what_to_do(folder: Path) -> None:
    content = read_description(folder, "what.json")
    (folder / "deep" / "a").write_text("c")
    with pytest.raises(
        DataError, match=r"deep/a is damaged or was changed: .* not the one in what\.json; .* make it again"
    ):
        verify_files(folder, "what.json", content, "make it again")
    (folder / "b").unlink()
    assert changed_files(folder, content) == {"b": "is missing", "deep/a": "was changed"}
    with pytest.raises(DataError, match=r"b is missing, though what\.json lists it: copy it again, or make it again"):
        verify_files(folder, "what.json", content, "make it again")


def test_a_meant_change_is_accepted_as_the_error_says(folder: Path) -> None:
    (folder / "b").write_text("meant")
    content = json.loads((folder / "what.json").read_text())
    del content["files"]["b"], content["content_sha256"]
    write_json(folder / "what.json", content)
    verify_files(folder, "what.json", read_description(folder, "what.json"), "")


def test_a_list_of_files_leaves_others_out(folder: Path) -> None:
    write_description(folder, "what.json", {}, only=["b", "gone"])
    assert list(read_description(folder, "what.json")["files"]) == ["b"]


def test_folders_of_earlier_versions_are_not_checked(folder: Path) -> None:
    write_json(folder / "what.json", {"kind": "old"})
    content = read_description(folder, "what.json")
    assert changed_files(folder, content) == {}


@pytest.mark.parametrize("text", ["[]", "{", "null"])
def test_what_is_no_description(folder: Path, text: str) -> None:
    (folder / "what.json").write_text(text)
    with pytest.raises(DataError, match=r"what\.json"):
        read_description(folder, "what.json")
    with pytest.raises(DataError, match="holds no checksums"):
        changed_files(folder, {"files": ["b"]})


def test_a_description_that_was_changed(folder: Path) -> None:
    path = folder / "what.json"
    path.write_text(path.read_text().replace("test", "else"))
    with pytest.raises(DataError, match="damaged or was changed"):
        read_description(folder, "what.json")
