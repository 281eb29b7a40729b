"""Tables that are not files of their own: in a ZIP archive, or on standard input (`-`)."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from matgen.datasets.text_files import OPENERS
from matgen.datasets.understood import called
from matgen.errors import DataError, first_line

STANDARD_INPUT = "-"
"""The name of a table that is piped in."""

_NAME = "standard input"

_MAGIC = {
    b"PAR1": ".parquet",
    b"ARROW1": ".feather",
    b"FEA1": ".feather",
    b"PK\x03\x04": ".zip",
    b"\xd0\xcf\x11\xe0": ".xls",
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ": ".xz",
}
"""How files begin that are no text, and what they are."""


def is_standard_input(path: Path | str) -> bool:
    """Whether a path means standard input."""
    return str(path) == STANDARD_INPUT


def table_name(path: Path | str) -> str:
    """What to call a table in a message: its path as it is given, or standard input."""
    return _NAME if is_standard_input(path) else str(path)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The file in which a table is within the block: the path itself, or a temporary file.

    Messages of `DataError`s that name a temporary file name what the user gave.

    Raises:
        DataError: a ZIP archive is damaged, locked, or holds no table or several; standard input is a terminal.
    """
    with contextlib.ExitStack() as stack:
        if is_standard_input(path):
            path = _shown_as(stack, standard_input(), _NAME)
        if path.suffix.lower() == ".zip" and path.is_file():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="matgen-")))
            member = _extracted(path, folder)
            path = _shown_as(stack, member, f"{path} ({member.name})")
        yield path


def _shown_as(stack: contextlib.ExitStack, path: Path, name: str) -> Path:
    stack.enter_context(called(path, name))
    stack.enter_context(_renamed_in_errors(path, name))
    return path


@contextlib.contextmanager
def _renamed_in_errors(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(path), name)) from error


def _extracted(archive: Path, folder: Path) -> Path:
    """The only table of an archive, unpacked into a folder."""
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if _is_content(name)]
            if len(names) != 1:
                some = ", ".join(names[:5])
                raise DataError(f"{archive} holds {len(names)} files ({some}): a table is packed alone, or unpack it")
            target = folder / PurePosixPath(names[0].replace("\\", "/")).name
            with file.open(names[0]) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(f"cannot read {archive}: {first_line(error)}") from error
    return target


def _is_content(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not name.endswith("/") and not any(part.startswith((".", "__MACOSX")) for part in parts)


@functools.cache
def standard_input() -> Path:
    """What is piped into this process, as a file with the suffix of its kind; read once, and there until the end.

    Raises:
        DataError: standard input is a terminal, or closed.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise DataError("standard input is a terminal: pipe a table into matgen, or name a file instead of -")
    folder = Path(tempfile.mkdtemp(prefix="matgen-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "stdin"
    with file.open("wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    return _with_suffix(file)


def _with_suffix(file: Path) -> Path:
    with file.open("rb") as handle:
        head = handle.read(4096)
    suffix = next((suffix for magic, suffix in _MAGIC.items() if head.startswith(magic)), None)
    if suffix in OPENERS:
        unpacked = file.with_name("unpacked")
        try:
            with OPENERS[suffix](file, "rb") as packed, unpacked.open("wb") as copy:
                shutil.copyfileobj(packed, copy)
        except (OSError, EOFError) as error:
            raise DataError(f"cannot read {_NAME}: {first_line(error)}") from error
        return _with_suffix(unpacked)
    if suffix == ".zip" and _is_spreadsheet(file):
        suffix = ".xlsx"
    if suffix is None:
        suffix = ".json" if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") else ".txt"
    return file.rename(file.with_suffix(suffix))


def _is_spreadsheet(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return {"[Content_Types].xml", "mimetype", "content.xml"} & set(archive.namelist()) != set()
    except zipfile.BadZipFile:
        return False
