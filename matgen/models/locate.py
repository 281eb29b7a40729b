"""Finding the checkpoint that a name means, downloaded or converted where it has to be."""

from __future__ import annotations

from pathlib import Path

from matgen.io.places import DEFAULT_CHECKPOINT, RUNS, bundled_checkpoints, checkpoint_folder
from matgen.models.hub import download
from matgen.models.published import converted, is_published

__all__ = ["DEFAULT_CHECKPOINT", "RUNS", "bundled_checkpoints", "find_checkpoint"]


def find_checkpoint(name: str | None) -> Path:
    """The folder that `--model` means.

    Args:
        name: a folder of matgen or as published (which is converted), the name of a bundled checkpoint, or a Hub id
            (`organization/name`, which is downloaded); None for the default: the bundled checkpoint, without one the
            newest run in `runs/`.

    Raises:
        CheckpointError: nothing of that name.
    """
    folder = checkpoint_folder(name)
    if folder is None:
        return download(str(name))
    return converted(folder) if is_published(folder) else folder
