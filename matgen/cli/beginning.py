"""What is checked and said before a stage is loaded: inputs that are missing, outputs that are taken, names as shown.

Only what needs no package is checked here, so that a verb answers at once; stages check the content of what they read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from matgen.errors import CheckpointError, DataError, OptionError, OutputError, did_you_mean
from matgen.io.files import next_free, refuse_to_overwrite
from matgen.io.places import CHECKPOINT_METADATA, checkpoint_folder, data_folder

TABLES = (".csv", ".parquet")
"""Suffixes of the tables that verbs write."""


def shown(path: Path | str) -> str:
    """What a user calls a place: the name of what is bundled, else the path, from the working directory where below."""
    path = Path(path)
    for kind in ("checkpoints", "predictors"):
        if path.is_absolute() and path.parent == data_folder() / kind:
            return path.name
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve())) if path.is_absolute() else str(path)
    except ValueError:
        return str(path)


def require_input(path: Path) -> str:
    """A file or folder that is read, as it is shown.

    Raises:
        DataError: it is not there.
    """
    if str(path) != "-" and not path.exists():
        try:
            near = did_you_mean(path.name, [one.name for one in path.parent.iterdir()])
        except OSError:
            near = ""
        raise DataError(f"no such file: {path}{near}")
    return "standard input" if str(path) == "-" else shown(path)


def require_folder(path: Path, metadata: str, made_by: str) -> str:
    """A folder that an earlier verb wrote, as it is shown.

    Args:
        path: the folder.
        metadata: the file that it has.
        made_by: the verb, such as `matgen structure`.

    Raises:
        DataError: it is not there, or is none of that verb.
    """
    require_input(path)
    if not (path / metadata).is_file():
        raise DataError(f"{path} has no {metadata}: name a folder that `{made_by}` wrote")
    return shown(path)


def require_checkpoint(name: str | None) -> str:
    """A checkpoint as it is shown; a name on the Hub is taken as it is.

    Raises:
        CheckpointError: there is none of that name.
    """
    folder = checkpoint_folder(name)
    if folder is None:
        return f"{name} (Hugging Face Hub)"
    published = (folder / "vocab.txt").is_file() and (folder / "config.json").is_file()
    if not (folder / CHECKPOINT_METADATA).is_file() and not published:
        unfinished = (folder / "training").is_dir()
        what = "its training has not ended: `matgen train --resume` goes on" if unfinished else "not made by matgen"
        raise CheckpointError(f"{folder} has no {CHECKPOINT_METADATA}: {what}")
    return shown(folder)


def require_references(names: Iterable[str | Path]) -> None:
    """Datasets by name, or files of formulas.

    Raises:
        OptionError: an empty name, or one that is neither a dataset's nor a file's.
        DataError: a file that is not there.
    """
    from matgen.datasets.catalog import catalog_row

    for name in map(str, names):
        if not name.strip():
            raise OptionError("a reference without a name: name a dataset, a file or a folder")
        if name == "-" or name.startswith("matminer:") or Path(name).exists():
            continue
        if "/" in name or "\\" in name or Path(name).suffix:
            require_input(Path(name))
        catalog_row(name)


def claim_output(
    out: Path | None,
    default: str | Path,
    *,
    force: bool,
    resume: bool = False,
    suffixes: Iterable[str] = (),
    files: Collection[str] = (),
) -> Path:
    """Where to write: the named place, which must be free, or the next free one.

    Args:
        out: what the user has named.
        default: where to write otherwise, then numbered; with `resume`, as it is.
        force: an earlier result may be replaced.
        resume: an unfinished run is gone on with, so that the place may be taken.
        suffixes: one of which a file's name must have; none for a folder.
        files: as `refuse_to_overwrite` takes them.

    Raises:
        OptionError: another suffix.
        OutputError: the place is taken, or a file is in its way.
    """
    if out is None:
        return Path(default) if resume else next_free(Path(default))
    allowed = tuple(suffixes)
    if allowed and out.suffix not in allowed:
        raise OptionError(f"cannot write {out}: the name must end in {' or '.join(allowed)}")
    if is_main_process() and not resume:
        refuse_to_overwrite(out, force=force, files=files)
    in_the_way = next((parent for parent in out.parents if parent.exists()), None)
    if in_the_way is not None and not (in_the_way.is_dir() and os.access(in_the_way, os.W_OK)):
        what = "is not a folder" if not in_the_way.is_dir() else "cannot be written to"
        raise OutputError(f"cannot write {out}: {in_the_way} {what}")
    return out


def is_main_process() -> bool:
    """Whether this is the process that speaks to the user, of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


def is_alone() -> bool:
    """Whether no other process works with this one, so that it may choose the place of the result by itself."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1


def require_predictors(folders: Iterable[str | Path]) -> None:
    """Predictors by folder or bundled name.

    Raises:
        CheckpointError: there is none of that name.
    """
    from matgen.prediction.locate import find_predictor, require_predictor

    for name in folders:
        require_predictor(find_predictor(str(name)))
