"""Where things lie: bundled data, runs, checkpoints by name. Nothing is loaded to find them: this is instant."""

from __future__ import annotations

import re
from pathlib import Path

from matgen.errors import CheckpointError, DataError, did_you_mean

CHECKSUMS = "checksums.json"
"""The file that makes a folder that of the bundled data."""

RUNS = Path("runs")
"""Where `matgen train` puts its runs, and where the newest one is looked for."""

DEFAULT_CHECKPOINT = "hybrid-stable-gptj-small"
"""The bundled checkpoint that is taken where none is named."""

CHECKPOINT_METADATA = "matgen.json"
"""The file that makes a folder a finished checkpoint."""

REPORT_FILES = ("candidates.parquet", "ranked.csv", "ranked.csv.json", "report.md", "report.html", "report.json")
"""What a report consists of; other files in its folder are left alone. The last is moved into place last."""

COMPARISON_FILES = ("compare.html", "compare.md", "compare.json")
"""The same of a comparison."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def data_folder() -> Path:
    """The folder of bundled data: inside the package where it was installed, beside it in a checkout.

    Raises:
        DataError: neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "data", package.parent / "data"):
        if (folder / CHECKSUMS).is_file():
            return folder
    raise DataError(f"matgen's bundled data is missing beside {package}: install matgen again")


def bundled_folders(kind: str, metadata: str) -> dict[str, Path]:
    """Names and folders of what is bundled of a kind, by name.

    Args:
        kind: `checkpoints` or `predictors`.
        metadata: the file that each of them has.
    """
    return {path.parent.name: path.parent for path in sorted((data_folder() / kind).glob(f"*/{metadata}"))}


def bundled_checkpoints() -> dict[str, Path]:
    """Names and folders of the checkpoints that come with matgen, the default one first."""
    found = bundled_folders("checkpoints", CHECKPOINT_METADATA)
    return dict(sorted(found.items(), key=lambda one: (one[0] != DEFAULT_CHECKPOINT, one[0])))


def is_hub_name(name: str) -> bool:
    """Whether a name is of the form `organization/name`, and not of a run."""
    return _HUB_NAME.fullmatch(name) is not None and not name.startswith(f"{RUNS}/")


def checkpoint_folder(name: str | None) -> Path | None:
    """The folder that a checkpoint's name means; None of a name on the Hub.

    Args:
        name: a folder, the name of a bundled checkpoint, or a Hub id; None for the default: the bundled checkpoint,
            without one the newest run in `runs/`.

    Raises:
        CheckpointError: nothing of that name.
    """
    bundled = bundled_checkpoints()
    if name is None:
        runs = sorted(RUNS.glob(f"*/{CHECKPOINT_METADATA}"), key=lambda path: path.stat().st_mtime)
        folders = [*bundled.values(), *(path.parent for path in reversed(runs))]
        if not folders:
            raise CheckpointError(
                "no checkpoint yet: train one with `matgen train --model gptj`, or name one by --model"
            )
        return folders[0]
    if Path(name).is_dir():
        return Path(name)
    if name in bundled:
        return bundled[name]
    if is_hub_name(name):
        return None
    known = f"{did_you_mean(name, bundled) or ';'} bundled: {', '.join(bundled)}" if bundled else ""
    raise CheckpointError(f"no checkpoint folder {name}{known}")
