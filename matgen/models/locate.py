"""Finding the checkpoint that a name means."""

from __future__ import annotations

from pathlib import Path

from matgen.datasets import data_folder
from matgen.errors import CheckpointError, did_you_mean
from matgen.models.checkpoint import METADATA
from matgen.models.hub import download, is_hub_name
from matgen.models.published import converted, is_published

RUNS = Path("runs")
"""Where `matgen train` puts its runs, and where the newest one is looked for."""


DEFAULT_CHECKPOINT = "hybrid-stable-gptj-small"
"""The bundled checkpoint that is taken where none is named."""


def bundled_checkpoints() -> dict[str, Path]:
    """Names and folders of the checkpoints that come with matgen, the default one first."""
    folders = [path.parent for path in (data_folder() / "checkpoints").glob(f"*/{METADATA}")]
    return {one.name: one for one in sorted(folders, key=lambda one: (one.name != DEFAULT_CHECKPOINT, one.name))}


def find_checkpoint(name: str | None) -> Path:
    """The folder that `--model` means.

    Args:
        name: a folder of matgen or as published (which is converted), the name of a bundled checkpoint, or a Hub id
            (`organization/name`, which is downloaded); None for the default: the bundled checkpoint, without one the
            newest run in `runs/`.

    Raises:
        CheckpointError: nothing of that name.
    """
    bundled = bundled_checkpoints()
    if name is None:
        runs = sorted(RUNS.glob(f"*/{METADATA}"), key=lambda path: path.stat().st_mtime)
        folders = [*bundled.values(), *(path.parent for path in reversed(runs))]
        if not folders:
            raise CheckpointError(
                "no checkpoint yet: train one with `matgen train --model gptj`, or name one by --model"
            )
        return folders[0]
    if Path(name).is_dir():
        return converted(Path(name)) if is_published(Path(name)) else Path(name)
    if name in bundled:
        return bundled[name]
    if is_hub_name(name):
        return download(name)
    known = f"{did_you_mean(name, bundled) or ';'} bundled: {', '.join(bundled)}" if bundled else ""
    raise CheckpointError(f"no checkpoint folder {name}{known}")
