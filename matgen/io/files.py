"""Files written whole, and outputs that never overwrite earlier ones."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from matgen.errors import DataError, OutputError


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    Raises:
        OutputError: the folder cannot be written or the disk is full; an earlier file is left as it was.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole, in UTF-8; bytes of a file name that are not UTF-8 are written as `\\udce9`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path | str, content: Any) -> None:
    """Write a JSON file whole, indented, with a final line break."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def atomic_write_files(folder: Path | str, names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder inside `folder`, whose files and folders of these names move up when the block ends well.

    Those that are there already stay until then. The last name marks the others as complete.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
    existed = folder.exists()
    stage: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=f".{names[-1]}."))
        yield stage
        for name in names:
            if not (stage / name).exists():  # an earlier result had it
                _remove_all(folder / name)
        move_up(stage, folder, names)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        if not existed and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def move_up(stage: Path, folder: Path, names: Sequence[str]) -> None:
    """Replace files and folders in `folder` by those of `stage`, of the same file system.

    The last name marks the others as complete: an earlier one beside new others would tell of what is no longer there.
    """
    (folder / names[-1]).unlink(missing_ok=True)
    for name in names:
        if (stage / name).exists():  # else it was moved before a kill
            if (folder / name).is_dir():
                _remove_all(folder / name)
            os.replace(stage / name, folder / name)


def _remove_all(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}): it may be cut short") from error


CHECKSUM_KEY = "content_sha256"
"""Key of a sealed JSON file under which its checksum stands."""


def write_checksummed(path: Path | str, content: dict[str, Any]) -> None:
    """`write_json` with a checksum of the content, by which `read_checksummed` finds damage."""
    write_json(path, content | {CHECKSUM_KEY: _checksum(content)})


def read_checksummed(path: Path | str) -> Any:
    """Read a JSON file and check its content by the checksum in it, which is left out. Files without one are read too.

    Raises:
        DataError: the file is missing, unreadable, not JSON, or not what was written.
    """
    content = read_json(path)
    if isinstance(content, dict) and CHECKSUM_KEY in content and content.pop(CHECKSUM_KEY) != _checksum(content):
        raise DataError(
            f"{path} is damaged or was changed: its content has another checksum than it tells (where the change was "
            f"meant, remove {CHECKSUM_KEY} there)"
        )
    return content


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 of a JSON object's content, whatever the order and layout."""
    read_again = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(read_again, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_P = ParamSpec("_P")
_T = TypeVar("_T")


@contextlib.contextmanager
def lock(path: Path | str) -> Iterator[None]:
    """Hold an output for this run alone; what an earlier run that was killed left half written of it is removed.

    The lock is `.<name>.lock` beside the output and goes when the block ends. The system lifts it when its owner dies.

    Raises:
        OutputError: another run is at this output, or nothing can be written beside it.
    """
    from filelock import FileLock, Timeout

    path = Path(path).absolute()
    lock_file = path.with_name(f".{path.name}.lock")
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    held = FileLock(lock_file, timeout=0, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if lock_file.is_symlink():
            _remove(lock_file)  # replaced, not followed
        held.acquire()
    except Timeout:
        raise OutputError(f"another run is writing {path}: wait for it, or choose another --out") from None
    except OSError as error:
        if not path.is_dir():
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        # The folder may take files though nothing can be written beside it: go on without a lock.
    try:
        for left in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
            _remove(left)
        yield
    finally:
        if held.is_locked:
            _remove(lock_file)  # while it is held: who waits for it finds the file gone and makes another
            held.release()
        for folder in missing:  # of a run that was refused before it wrote anything
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def locked(argument: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a function hold the output that an argument names (None: nothing) while it runs, by `lock`.

    Of processes that call it together, the first holds it.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            import inspect

            out = inspect.signature(function).bind(*args, **kwargs).arguments.get(argument)
            if out is None or os.environ.get("RANK", "0") != "0":
                return function(*args, **kwargs)
            with lock(out):
                return function(*args, **kwargs)

        return run

    return decorate


def refuse_to_overwrite(path: Path | str, *, force: bool, files: Collection[str] = ()) -> None:
    """Stop before work begins where it would end by overwriting a result.

    Args:
        path: of the result.
        force: it may be replaced.
        files: what a result consists of; a folder with none of them is free. None are named: anything in it takes it.

    Raises:
        OutputError: `path` is a file, or a folder that is taken, and `force` is off.
    """
    path = Path(path)
    if path.is_dir():
        taken = any((path / name).exists() for name in files) if files else any(path.iterdir())
    else:
        taken = path.exists()
    if taken and not force:
        raise OutputError(f"{path} exists: choose another --out, or add --force to replace it")


def next_free(path: Path | str) -> Path:
    """`path` itself, or where it is taken `name-2`, `name-3` ... with the same suffix."""
    path = Path(path)
    candidate, number = path, 1
    while candidate.exists() or Path(f"{candidate}.parts").exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
