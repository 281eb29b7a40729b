"""Folders that one JSON file describes: it is written last and holds the SHA-256 of every other file of the folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matgen.errors import DataError
from matgen.io.files import CHECKSUM_KEY, file_sha256, read_checksummed, write_checksummed

FILES_KEY = "files"
"""Key of the description under which the SHA-256 of each file stands, by its path below the folder."""


def write_description(
    folder: Path, name: str, content: Mapping[str, Any], *, leave: Iterable[str] = (), only: Iterable[str] | None = None
) -> None:
    """Write the description of a folder whose other files are complete.

    Args:
        folder: the folder.
        name: of the description in it, such as `matgen.json`.
        content: what else it holds, as JSON.
        leave: names at the top of the folder to leave out, of files that users may edit or folders of other content.
        only: paths below the folder to list instead of everything; those that are missing are left out.
    """
    listed = (
        _files_below(folder, {name, *leave}) if only is None else [path for path in only if (folder / path).is_file()]
    )
    write_checksummed(folder / name, {**content, FILES_KEY: {path: file_sha256(folder / path) for path in listed}})


def read_description(folder: Path, name: str) -> dict[str, Any]:
    """The description of a folder, without its own checksum.

    Raises:
        DataError: it is missing, damaged, or no JSON object.
    """
    content = read_checksummed(folder / name)
    if not isinstance(content, dict):
        raise DataError(f"{folder / name} is not what matgen writes: it holds no JSON object")
    return content


def changed_files(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Path to `is missing` or `was changed`, of the files that are not what a folder's description states.

    Folders of earlier versions list fewer files, or none; what is not listed is not checked.

    Args:
        folder: the folder.
        content: of its description.

    Raises:
        DataError: the description lists no files by their checksums, but something else.
    """
    sums = content.get(FILES_KEY, {})
    if not isinstance(sums, dict):
        raise DataError(f"the description of {folder} is damaged: {FILES_KEY} holds no checksums")
    changed = {}
    for path, expected in sums.items():
        if not (folder / path).is_file():
            changed[path] = "is missing"
        elif file_sha256(folder / path) != expected:
            changed[path] = "was changed"
    return changed


def verify_files(folder: Path, name: str, content: Mapping[str, Any], remedy: str) -> None:
    """Refuse a folder of which a file is not what its description states.

    Args:
        folder: the folder.
        name: of the description.
        content: of the description, as `read_description` gives it.
        remedy: what makes the folder anew, such as "run `matgen fit` again".

    Raises:
        DataError: the first file that is missing, damaged or changed, and what to do.
    """
    for path, how in changed_files(folder, content).items():
        if how == "is missing":
            raise DataError(f"{folder / path} is missing, though {name} lists it: copy it again, or {remedy}")
        raise DataError(
            f"{folder / path} is damaged or was changed: its SHA-256 is not the one in {name}; copy it again, or "
            f"{remedy} (where the change was meant, remove its line of {FILES_KEY!r} and {CHECKSUM_KEY!r} there)"
        )


def _files_below(folder: Path, leave: set[str]) -> list[str]:
    """Paths of a folder's files, hidden ones and those to leave out at its top excepted."""
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path.as_posix() for path in paths if path.parts[0] not in leave and not path.name.startswith(".")]
